"""Where a task's time went: every moment of it once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from bench.policy.spent import stretches
from tests.samples import failed_attempt, make_attempt

if TYPE_CHECKING:
    from bench.records import Attempt


def cut(scheduled_s: float, started_s: float, ended_s: float, *calls: Attempt) -> list[tuple[str, float, float]]:
    """The stretches, plain."""
    return [(each.phase, each.begin_s, each.end_s) for each in stretches(scheduled_s, started_s, ended_s, calls)]


def test_a_retry() -> None:
    """Queue, a call that failed, the wait that was meant, and a streamed answer; the rest is the client's."""
    failed = failed_attempt(sent_s=1.5, end_s=2.0)
    good = make_attempt(sent_s=3.25, first_content_s=3.5, end_s=4.0, wait_before_s=1.0)
    assert cut(0, 1, 4.5, failed, good) == [
        ("queue", 0, 1),
        ("client", 1, 1.5),
        ("failed call", 1.5, 2.0),
        ("client", 2.0, 2.25),
        ("backoff", 2.25, 3.25),
        ("first token", 3.25, 3.5),
        ("generation", 3.5, 4.0),
        ("client", 4.0, 4.5),
    ]


def test_not_streamed_and_without_calls() -> None:
    """A call without a first token is all generation, and a task without a call all queue and client."""
    assert cut(0, 0, 1, make_attempt(sent_s=0, end_s=1)) == [("generation", 0, 1)]
    assert cut(0, 2, 3) == [("queue", 0, 2), ("client", 2, 3)]


def test_side_by_side() -> None:
    """Of two calls at once the earlier counts as long as it lasts, then the later one."""
    lost = failed_attempt("cancelled", sent_s=0, end_s=2)
    won = make_attempt(sent_s=1, first_content_s=1.5, end_s=3)
    assert cut(0, 0, 3, lost, won) == [("failed call", 0, 2), ("generation", 2, 3)]


@given(st.data())
def test_every_moment_once(data: st.DataObject) -> None:
    """Whatever the calls were, the stretches cover a task from schedule to end, without a gap or an overlap."""
    times = st.floats(0, 1e6)
    scheduled_s, started_s, ended_s = sorted((data.draw(times), data.draw(times), data.draw(times)))
    calls = []
    for _ in range(data.draw(st.integers(0, 4))):
        sent_s, first_s, end_s = sorted((data.draw(times), data.draw(times), data.draw(times)))
        made = make_attempt if data.draw(st.booleans()) else failed_attempt
        first = first_s if data.draw(st.booleans()) else None
        calls.append(made(sent_s=sent_s, first_content_s=first, end_s=end_s, wait_before_s=data.draw(times)))
    found = stretches(scheduled_s, started_s, ended_s, calls)
    edges = [scheduled_s, *(each.end_s for each in found)]
    assert [each.begin_s for each in found] == edges[:-1]
    assert edges[-1] == ended_s
    assert all(each.begin_s < each.end_s for each in found)
