"""Calls that raced: apart from retries, and the ones given up apart from failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.summary import summarise
from bench.summary.races import hedges
from tests.samples import failed_attempt, make_attempt, make_manifest, make_result, write_run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.records import Attempt


def beaten(provider: str, sent_s: float, end_s: float) -> Attempt:
    """Return a call that was given up because another provider answered first."""
    return make_attempt(
        provider=provider,
        sent_s=sent_s,
        end_s=end_s,
        status="cancelled",
        http_status=None,
        error_type="cancelled",
        error_message="another provider answered first",
    )


def test_a_hedge_is_no_retry_and_a_lost_race_no_failure(tmp_path: Path) -> None:
    """Of five calls of two tasks one is a retry and two raced; the two that lost are neither errors nor retries."""
    won = make_attempt(provider="beta", sent_s=0.5, end_s=1.0)
    after_a_failure = (
        failed_attempt(provider="beta", sent_s=0.0, end_s=0.2),
        beaten("alpha", 0.6, 1.0),
        make_attempt(sent_s=0.2, end_s=1.0, provider="beta"),
    )
    results = [make_result(0, attempts=(beaten("alpha", 0.0, 1.0), won)), make_result(1, attempts=after_a_failure)]
    summary = summarise(write_run(tmp_path / "run", results, make_manifest(2)))
    assert (summary.attempts, summary.retries, summary.hedges, summary.beaten) == (5, 1, 2, 2)
    assert [(row.type, row.attempts) for row in summary.errors] == [("server_error", 1)]


def test_a_call_cancelled_by_the_end_of_a_run_is_not_beaten(tmp_path: Path) -> None:
    """A task that was cancelled had no winner: its call counts among the errors as before."""
    from_the_stop = make_result(
        0, status="cancelled", content=None, error={"type": "cancelled", "message": "m"}, attempts=(beaten("a", 0, 1),)
    )
    summary = summarise(write_run(tmp_path / "run", [from_the_stop]))
    assert (summary.beaten, [row.type for row in summary.errors]) == (0, ["cancelled"])


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ({"provider": "beta", "sent_s": 0.99}, (False, True)),
        ({"provider": "beta", "sent_s": 1.0}, (False, False)),
        ({"provider": "alpha", "sent_s": 0.5}, (False, False)),
    ],
)
def test_a_hedge_overlaps_another_provider(second: dict[str, object], expected: tuple[bool, ...]) -> None:
    """Sent while another provider is asked it is a hedge; at the end of that call, or to the same one, it is none."""
    assert hedges([make_attempt(), make_attempt(end_s=2.0, **second)]) == expected


@given(st.lists(st.floats(0.01, 10), max_size=12), st.randoms())
def test_calls_one_after_another_are_no_hedges(durations_s: Sequence[float], draw: object) -> None:
    """However long calls take and whoever is asked, those that follow each other are retries."""
    end_s, calls = 0.0, []
    for number, duration_s in enumerate(durations_s):
        calls.append(make_attempt(provider=f"p{number % 3}", sent_s=end_s, end_s=end_s + duration_s))
        end_s += duration_s
    draw.shuffle(calls)  # type: ignore[attr-defined] # random.Random, which hypothesis does not export by name
    assert not any(hedges(calls))
