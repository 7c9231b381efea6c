"""The page of a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from bench.planning.plan import plan
from bench.planning.records import Choice, PlanRecord, Prices, Wanted
from bench.report.planning.build import build_plan_report
from tests.measured_points import make_point
from tests.pages import Reader, check_hostile_text_is_text, check_self_contained
from tests.report_cases import HOSTILE

if TYPE_CHECKING:
    from pathlib import Path

#: Several N on several machines, of which the last is not told.
CHOICES: Final = [
    Choice(mode="asyncio", client="lean", n=n, machines=machines) for n in (8, 16, 60) for machines in (1, 2)
]


def make_record(wanted: Wanted, text: str = "") -> PlanRecord:
    """A plan from made points, with a text in everything that comes from outside."""
    points = (make_point(8, 1.0, jitter=0.2), make_point(32, 1.0, jitter=0.2))
    rows, best = plan(points, CHOICES, wanted)
    return PlanRecord(
        plan_id=f"20261122T030506Z-plan-abcd{text}",
        command=f"python concurrent_bigmodel.py plan x {text}",
        made_at="2026-11-22T03:05:06.000Z",
        sources=(f"20261122T030506Z-compare-abcd{text}",),
        asked={},
        wanted=wanted,
        rows=rows,
        recommended=best,
        why_not="",
        run=f"python concurrent_bigmodel.py run {text}",
        settle=(f"python concurrent_bigmodel.py compare {text}",),
        cautions=(text,) if text else (),
    )


def written(record: PlanRecord, folder: Path) -> Path:
    """The page of a plan, beside the plan."""
    page = build_plan_report(record, folder)
    (folder / "plan.json").write_bytes(msgspec.json.encode(record))
    return page


def test_a_page_says_what_to_do(tmp_path: Path) -> None:
    """The page begins with what is recommended, has the chart, stands alone, and is the same in each making."""
    wanted = Wanted(tasks=10_000, prices=Prices(per_million_in=1.0, per_million_out=2.0, machine_per_hour=5.0))
    page = written(make_record(wanted), tmp_path / "one")
    check_self_contained(page)
    first = Reader(page.read_text(encoding="utf-8")).paragraphs[0]
    assert first.startswith("Recommended: asyncio with client lean, N = 16 each, on 2 machines: 10,000 tasks in 5.")
    assert "money (USD)" in page.read_text(encoding="utf-8")
    assert page.read_bytes() == written(make_record(wanted), tmp_path / "two").read_bytes()


def test_without_prices_there_is_no_cost(tmp_path: Path) -> None:
    """Without prices the page shows durations alone and says what is missing: a cost of 0 is nowhere."""
    text = written(make_record(Wanted(tasks=10_000)), tmp_path).read_text(encoding="utf-8")
    assert "What it costs is n/a without prices." in text
    assert "0 USD" not in text


def test_nothing_told_is_a_page_too(tmp_path: Path) -> None:
    """A plan of choices of which nothing is told has a page that says why."""
    record = make_record(Wanted(tasks=10_000, answer_tokens=5000.0))
    page = written(msgspec.structs.replace(record, why_not="nothing is told"), tmp_path)
    check_self_contained(page)
    text = page.read_text(encoding="utf-8")
    assert "Nothing to recommend: nothing is told." in text
    assert "answers of 5000 tokens take other times" in text


def test_hostile_text_is_text(tmp_path: Path) -> None:
    """Markup, control and direction characters in ids and commands are shown, not obeyed."""
    check_hostile_text_is_text(written(make_record(Wanted(tasks=10_000), HOSTILE), tmp_path))
