"""Providers, keys and what changed about them, on a page; and nothing of it on a page of measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from bench.errors import ConfigError
from bench.records import RouteChange
from bench.report.build import build_report
from bench.report.cautions import cautions
from bench.report.fonts import ChartFonts
from bench.report.load import load
from bench.report.routes import route_tables
from bench.report.routes_chart import routes_chart
from bench.report.series import arrange
from bench.report.tables import tables
from tests.report_cases import CASES, HOSTILE
from tests.report_runs import Plan, make_run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.report.series import ShownRun
    from bench.report.table import Table


def shown(root: Path, plans: Sequence[Plan]) -> tuple[ShownRun, ...]:
    """Return made runs as a page shows them."""
    return arrange([load(make_run(root, plan)) for plan in plans], ChartFonts())


def with_changes(run: Path, changes: Sequence[RouteChange]) -> Path:
    """Let these be all that changed in a run."""
    (run / "routes.jsonl").write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in changes))
    return run


def change(at_s: float, kind: str = "limit", key: int = 0, **fields: object) -> RouteChange:
    """Return a change of a key of `slow`."""
    plain = RouteChange(
        segment=0, at_s=at_s, provider="slow", key=key, kind=kind, before=None, after=1.0, reason=f"why {kind}"
    )
    return msgspec.structs.replace(plain, **fields)


def column(table: Table, name: str) -> list[str]:
    """Return the texts of a column, each with its remark."""
    place = [column.name for column in table.columns].index(name)
    return [" ".join(filter(None, (row[place].text, row[place].note))) for row in table.rows]


def test_a_row_a_key(tmp_path: Path) -> None:
    """Each key has its calls with their share, its failures with their cause, its cost, and whether it is accepted."""
    items = shown(tmp_path, CASES["real work"])
    routes = items[0].run.summary.routes
    table = route_tables(items)[0]
    assert column(table, "provider") == ["fast", "slow, key 1", "slow, key 2 not accepted"]
    assert [text.split()[0] for text in column(table, "calls")] == [str(row.calls) for row in routes]
    assert column(table, "failed")[0] == f"{routes[0].failed} {routes[0].failed} rate_limited (429)"
    assert [text.split()[-1] for text in column(table, "cost")] == ["USD", "n/a", "n/a"]
    assert sum(row.hedges for row in routes) == items[0].run.summary.hedges > 0
    assert "providers" not in {table.name for table in tables(items)}


def test_ten_changes_at_most_each_kind_before_its_repetition(tmp_path: Path) -> None:
    """Of a hundred moves of a limit, a refused key and a rest the last two stand in the table, in the order of time."""
    run = make_run(tmp_path, *CASES["real work"])
    moves = [change(float(number), before=8, after=9) for number in range(100)]
    with_changes(run, [*moves[:50], change(49.5, "rest"), *moves[50:], change(200.0, "dead", 1)])
    table = route_tables(arrange([load(run)], ChartFonts()))[1]
    assert len(table.rows) == 10
    assert column(table, "what")[-2:] == ["rest", "key not accepted"]
    assert column(table, "change")[-2:] == ["for 1.00 s", "for 1.00 s"]
    assert column(table, "change")[0] == "8 to 9"
    assert "10 most telling of 102 (key not accepted 1, rest 1, limit 100)" in table.intro


def test_pauses_without_a_gap_are_one(tmp_path: Path) -> None:
    """Refusals of several keys while a pause lasts make one longer row; after its end a new one begins."""
    run = make_run(tmp_path, *CASES["real work"])
    pauses = [change(1.0, "cooldown"), change(1.0, "cooldown", 1), change(1.5, "cooldown"), change(3.0, "cooldown")]
    with_changes(run, pauses)
    loaded = load(run)
    table = route_tables(arrange([loaded], ChartFonts()))[1]
    assert column(table, "change") == ["for 1.50 s", "for 1.00 s"]
    assert column(table, "provider") == ["slow key 1, 2", "slow key 1"]
    assert column(table, "reason") == ["why cooldown 2 times", "why cooldown"]
    assert loaded.routes[1].pauses == ((1.0, 2.5), (3.0, 4.0))
    assert loaded.summary.routes[1].cooldowns == 2


def test_the_limit_over_time(tmp_path: Path) -> None:
    """A limit begins with what it was before its first change; a rest ends when the route is back; 429s are marked."""
    run = make_run(tmp_path, *CASES["real work"])
    with_changes(
        run, [change(1.0, before=8, after=16), change(2.0, "rest", after=9.0), change(4.0, "revived", after=None)]
    )
    loaded = load(run)
    assert loaded.routes[1].limits == ((0.0, 8.0), (1.0, 16.0))
    assert loaded.routes[1].pauses == ((2.0, 4.0),)
    assert loaded.routes[0].limits == ((0.0, 8.0),)
    refused = np.sort(np.concatenate([route.refused_s for route in loaded.routes]))
    assert list(refused) == sorted(loaded.refused_s)


def test_limits_that_were_learnt_stand_with_their_provider(tmp_path: Path) -> None:
    """Where a server kept to a limit with 429, or said one, its row has it; a page without any has no such column."""
    run = make_run(tmp_path, CASES["real work"][0])
    for changes, learnt in (
        ([], None),
        (
            [change(0.1, before=16.0, after=13.0), change(0.2, "tokens_per_min", after=2e6)],
            "13 at once, 2,000,000 tokens a minute",
        ),
    ):
        item = load(with_changes(run, changes))
        table = route_tables(arrange([item], ChartFonts()))[0]
        assert ("learnt" in {column.name for column in table.columns}) == (learnt is not None)
        if learnt is not None:
            assert [text for text in column(table, "learnt") if text] == [learnt]


def test_a_dead_key_is_to_be_kept_in_mind(tmp_path: Path) -> None:
    """The page's first list names the key by its number."""
    found = {caution.kind: caution.where for caution in cautions(shown(tmp_path, CASES["real work"]), ChartFonts())}
    assert found["refused_keys"] == "key 2 of slow is not accepted"
    assert "never_full" not in found


def test_a_page_of_measurements_is_as_before(tmp_path: Path) -> None:
    """Without routes there is neither their chart nor their tables, and the providers' table stands."""
    items = shown(tmp_path, CASES["one"])
    assert (route_tables(items), routes_chart(items, ChartFonts())) == ((), None)
    page = build_report([items[0].run.path], tmp_path / "out").read_text()
    assert 'id="table-providers"' in page
    assert "Providers over time" not in page
    assert "routes" not in page
    assert not (tmp_path / "out" / "charts" / "routes.png").exists()


def test_the_page_of_real_work(tmp_path: Path) -> None:
    """It has the chart, its file, the tables and the raw file, and asks all providers in its first lines."""
    run = make_run(tmp_path, *CASES["real work"])
    page = build_report([run], run).read_text()
    assert 'id="chart-routes"' in page
    assert (run / "charts" / "routes.png").is_file()
    assert 'href="./routes.jsonl"' in page
    assert "fast and slow" in page


def test_names_and_reasons_from_outside_are_shown_not_obeyed(tmp_path: Path) -> None:
    """A provider's name and a server's words are text on the page, beside a run that measured."""
    runs = [make_run(tmp_path, plan) for plan in CASES["hostile work"]]
    page = build_report(runs, tmp_path / "out").read_text()
    assert HOSTILE not in page
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize("fields", [{"at_s": 1e12}, {"after": -1e300}])
def test_numbers_that_no_run_has_are_refused(tmp_path: Path, fields: dict[str, object]) -> None:
    """A change beyond all time or size is damage, named with its file, instead of a broken chart."""
    run = with_changes(make_run(tmp_path, *CASES["real work"]), [msgspec.structs.replace(change(1.0), **fields)])
    with pytest.raises(ConfigError, match=r"routes\.jsonl is damaged"):
        load(run)
