"""When a run is given up for its failures."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.policy.giving_up import LEAST_REFUSALS, GivingUp


@given(st.lists(st.sampled_from(["ok", "failed", "cancelled"]), max_size=60), st.integers(1, 20))
def test_failures_are_counted(ends: list[str], most: int) -> None:
    """The run is given up at exactly the failure that is one too many, whatever else comes between."""
    watch = GivingUp(slots=4, most_failures=most)
    said = [watch.ended(end, "server_error" if end == "failed" else None) for end in ends]  # type: ignore[arg-type] # a status
    places = [place for place, end in enumerate(ends) if end == "failed"]
    expected = places[most - 1 : most]
    assert [place for place, words in enumerate(said) if words] == expected
    assert not watch.is_idle


@given(st.integers(1, 100), st.integers(0, 120))
def test_f37_first_refusals(slots: int, refusals: int) -> None:
    """The run is given up once the key was refused for the very first tasks, as many as go out at once; after any other
    end it never is.
    """
    watch = GivingUp(slots=slots, most_failures=None)
    said = [watch.ended("failed", "auth") for _ in range(refusals)]
    needed = max(slots, LEAST_REFUSALS)
    assert [place + 1 for place, words in enumerate(said) if words] == ([needed] if refusals >= needed else [])
    late = GivingUp(slots=slots, most_failures=None)
    assert late.ended("ok", None) is None
    assert late.is_idle
    assert [late.ended("failed", "auth") for _ in range(refusals)] == [None] * refusals
