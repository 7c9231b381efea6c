"""What went over each route: in the numbers, on the terminal, and in the document."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from bench.errors import JournalError
from bench.executor.document import write_document
from bench.journal import ROUTES, iter_route_changes
from bench.observe.summary_table import print_summary
from bench.records import RouteChange
from bench.summary import summarise
from bench.summary.figures import CallError
from tests.samples import (
    failed_attempt,
    failed_result,
    make_attempt,
    make_manifest,
    make_result,
    make_segment,
    write_run,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from bench.manifest import RunManifest
    from bench.records import TaskResult
    from bench.summary import Summary

ALPHA: Final = {"provider": "alpha", "model": "m-1", "base_url": "http://a", "price_in": 2.0, "price_out": 10.0}
BETA: Final = {"provider": "beta", "model": "m-2", "base_url": "http://b"}


def prod(tasks: int, **changes: object) -> RunManifest:
    """Return the manifest of a run over one key of alpha, whose price is known, and two of beta."""
    routes = ({**ALPHA, "currency": "CNY"}, BETA, {**BETA, "key": 1})
    return make_manifest(tasks, **({"routes": routes} | changes))


def change(kind: str, at_s: float, provider: str = "alpha", key: int = 0, **fields: object) -> RouteChange:
    """Return a change of a route; a pause lasts for a second."""
    plain = RouteChange(
        segment=0, at_s=at_s, provider=provider, key=key, kind=kind, before=None, after=1.0, reason=f"why {kind}"
    )
    return msgspec.structs.replace(plain, **fields)


def write_prod(
    folder: Path,
    results: Iterable[TaskResult],
    changes: Iterable[RouteChange] = (),
    manifest: RunManifest | None = None,
) -> Path:
    """Write a run of profile `prod`."""
    run = write_run(folder / "run", results, manifest or prod(4))
    (run / ROUTES).write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in changes))
    return run


def four_tasks() -> list[TaskResult]:
    """Return a retried task, a race that alpha lost, a task that failed for its key, and a plain one."""
    lost = make_attempt(sent_s=0.0, end_s=0.75, status="cancelled", error_type="cancelled", http_status=None)
    refused = failed_attempt("rate_limited", http_status=429, sent_s=0.0, end_s=0.1)
    unknown = failed_attempt("auth", http_status=401, provider="beta", key=1, sent_s=0.0, end_s=0.1)
    return [
        make_result(0, attempts=(refused, make_attempt(sent_s=2.0, end_s=3.0, wait_before_s=1.9))),
        make_result(1, attempts=(lost, make_attempt(provider="beta", sent_s=0.5, end_s=0.75)), prompt_tokens=7),
        failed_result(2, "auth", attempts=(unknown,)),
        make_result(3, attempts=(make_attempt(sent_s=1.0, end_s=2.0),), prompt_tokens=5, completion_tokens=30),
    ]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return the run of these four tasks, with a pause that was made longer, a rest and a key that was refused."""
    changes = [
        change("cooldown", 0.1),
        change("cooldown", 0.5),
        change("cooldown", 5.0),
        change("dead", 0.1, "beta", 1, after=600.0),
        change("rest", 0.2, "beta"),
        change("limit", 0.3, before=8, after=16),
    ]
    return write_prod(tmp_path, four_tasks(), changes)


def terminal(summary: Summary) -> str:
    """Return what a terminal shows of a summary, on one line."""
    out = io.StringIO()
    print_summary(summary, stream=out)
    return " ".join(out.getvalue().split())


def test_each_call_counts_with_its_route(run: Path) -> None:
    """Calls, ends, causes, races, tokens, cost, pauses and waits stand with the provider and key they went over."""
    alpha, beta, refused = summarise(run).routes
    assert [(row.provider, row.key, row.keys, row.calls) for row in (alpha, beta, refused)] == [
        ("alpha", 0, 1, 4),
        ("beta", 0, 2, 1),
        ("beta", 1, 2, 1),
    ]
    assert alpha.share == pytest.approx(4 / 6)
    assert (alpha.ok, alpha.failed, alpha.beaten, alpha.cancelled) == (2, 1, 1, 0)
    assert (alpha.beaten_s, alpha.beaten_prompt_tokens) == (0.75, 7)
    assert alpha.errors == (CallError(type="rate_limited", http_status=429, calls=1),)
    assert (alpha.prompt_tokens, alpha.completion_tokens, alpha.currency) == (10, 40, "CNY")
    assert alpha.cost == pytest.approx((10 * 2.0 + 40 * 10.0) / 1e6)
    assert (alpha.cooldowns, alpha.rests, alpha.wait_s) == (2, 0, 1.9)
    assert (beta.hedges, beta.hedges_won, beta.rests, beta.cost) == (1, 1, 1, None)
    assert (alpha.hedges, alpha.latency_p50_s) == (0, None)


def test_each_route_has_its_own_latencies(tmp_path: Path) -> None:
    """Median and 95th percentile of a route are those of its own successes, not of its failures nor of the others."""
    ways = [
        (make_attempt(end_s=1.0),),
        (make_attempt(provider="beta", end_s=3.0),),
        (failed_attempt(end_s=9.0), make_attempt(sent_s=9.0, end_s=11.0)),
    ]
    results = [make_result(place, attempts=ways[place % 3]) for place in range(450)]
    alpha, beta, unused = summarise(write_prod(tmp_path, results, manifest=prod(450))).routes
    assert (alpha.latency_p50_s, alpha.latency_p95_s) == (1.5, 2.0)
    assert (beta.latency_p50_s, beta.latency_p95_s) == (3.0, 3.0)
    assert (unused.latency_p50_s, unused.latency_p95_s) == (None, None)


def test_a_limit_that_was_learnt_is_named(tmp_path: Path) -> None:
    """Where a server refused requests, one warning says how many, how many at once it took in the end, and what to do;
    where none was refused there is none, however the limit moved.
    """
    refused = (failed_attempt("rate_limited", http_status=429, end_s=0.1), make_attempt(sent_s=2.0, end_s=3.0))
    results = [make_result(0, attempts=refused), make_result(1, attempts=(make_attempt(provider="beta"),))]
    moves = [
        change("limit", 0.1, before=8, after=16),
        change("limit", 0.2, before=16, after=13),
        change("limit", 0.3, before=13, after=14),
        change("limit", 0.1, "beta", before=8, after=16),
    ]
    summary = summarise(write_prod(tmp_path, results, moves))
    assert [row.learnt_in_flight for row in summary.routes] == [14, None, None]
    shown = terminal(summary)
    assert shown.count("warning:") == 1
    assert "warning: alpha refused 1 request (429), and takes about 14 at once: --concurrency or in_flight" in shown


def test_rates_that_a_server_said_are_named(tmp_path: Path) -> None:
    """What a server said last of its rates stands in the route's row, and on the terminal in a line that is no warning;
    of a server that said nothing there is none.
    """
    changes = [
        change("requests_per_min", 0.1, after=600.0),
        change("tokens_per_min", 0.1, after=2_000_000.0),
        change("requests_per_min", 0.2, before=600.0, after=1200.0),
    ]
    summary = summarise(write_prod(tmp_path, [make_result(0, attempts=(make_attempt(),))], changes))
    assert [(row.learnt_requests_per_min, row.learnt_tokens_per_min) for row in summary.routes] == [
        (1200.0, 2_000_000.0),
        (None, None),
        (None, None),
    ]
    shown = terminal(summary)
    assert "alpha says that it allows 1,200 requests a minute and 2,000,000 tokens a minute" in shown
    assert shown.count("says that it allows") == 1
    assert "warning" not in shown


def test_a_key_that_is_not_accepted_is_named_by_its_number(run: Path) -> None:
    """The warning has the key's number, its provider and the status; a key that was accepted later has none."""
    assert [row.warning for row in summarise(run).routes] == [None, None, "key 2 of beta is not accepted (401)"]
    assert "warning: key 2 of beta is not accepted (401)" in terminal(summarise(run))


def test_a_key_that_was_accepted_afterwards_is_not_warned_of(tmp_path: Path) -> None:
    """A success over the key after it was refused ends the warning."""
    results = [make_result(0, attempts=(make_attempt(sent_s=1.0, end_s=2.0),))]
    assert summarise(write_prod(tmp_path, results, [change("dead", 0.5)])).routes[0].warning is None


def test_the_terminal_names_routes_and_races(run: Path) -> None:
    """The table has a row a key; races and retries are counted apart; the cost says which part is not known."""
    shown = terminal(summarise(run))
    assert "alpha, beta, client" in shown
    assert "6 sent, 1 of them retries, 1 to race another provider, 1 given up in a race" in shown
    assert "beta, key 2" in shown
    assert "cost 0.00042 CNY, and 1 answer at an unknown price" in shown
    assert "given up in races: 1 request, 750 ms, 7 tokens of prompts" in shown


def test_a_bench_run_has_no_routes(tmp_path: Path) -> None:
    """A run that measures has none, whatever lies in its directory, and its terminal table is as before."""
    run = write_prod(tmp_path, four_tasks(), manifest=make_manifest(4))
    summary = summarise(run)
    assert summary.routes == ()
    assert "share" not in terminal(summary)


def test_the_document_has_the_changes(run: Path, tmp_path: Path) -> None:
    """The document of a run of several providers holds its routes' figures, and every change as it is stored."""
    write_document(run, summarise(run), tmp_path / "out.json")
    document = json.loads((tmp_path / "out.json").read_bytes())
    assert list(document) == ["run", "summary", "workers", "routes", "results"]
    assert document["routes"] == [json.loads(line) for line in (run / ROUTES).read_bytes().splitlines()]
    assert [row["calls"] for row in document["summary"]["routes"]] == [4, 1, 1]


def test_changes_of_a_later_segment_are_on_the_runs_time(tmp_path: Path) -> None:
    """A change of the second start stands where the calls of that start stand: behind the first one's last answer."""
    results = [
        make_result(0, attempts=(make_attempt(sent_s=1.0, end_s=4.0),)),
        make_result(1, segment=1, attempts=(make_attempt(sent_s=1.0, end_s=2.0),)),
    ]
    manifest = prod(2, segments=(make_segment(), make_segment()))
    run = write_prod(tmp_path, results, [change("rest", 2.0), change("rest", 1.5, segment=1)], manifest)
    assert [one.at_s for one in iter_route_changes(run)] == [2.0, pytest.approx(4.5)]


def test_without_a_file_of_changes_there_are_none(tmp_path: Path) -> None:
    """A run that was killed before anything changed is read all the same."""
    run = write_prod(tmp_path, four_tasks())
    (run / ROUTES).unlink()
    assert [row.cooldowns for row in summarise(run).routes] == [0, 0, 0]


@pytest.mark.parametrize("line", [b"{}", b"nonsense", b'{"segment":0,"at_s":"x"}'])
def test_a_damaged_change_is_named(tmp_path: Path, line: bytes) -> None:
    """A line that is no change is refused with its file and number."""
    run = write_prod(tmp_path, four_tasks())
    (run / ROUTES).write_bytes(line + b"\n")
    with pytest.raises(JournalError, match=r"routes\.jsonl, line 1 is damaged"):
        summarise(run)


def test_damaged_routes_of_a_manifest_are_named(tmp_path: Path) -> None:
    """Routes without a provider are refused with the file's name."""
    run = write_prod(tmp_path, four_tasks(), manifest=prod(4, routes=({"provider": 3},)))
    with pytest.raises(JournalError, match=r"run\.json is damaged: routes"):
        summarise(run)
