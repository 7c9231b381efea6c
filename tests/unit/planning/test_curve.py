"""What is told between and beyond measured N, and what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.planning.curve import Between, Level, Untold, at, enough, told


def levels(*holds: tuple[int, float]) -> list[Level]:
    """Levels of pairs of N and seconds."""
    return [Level(n=n, hold_s=hold_s) for n, hold_s in holds]


def knee_s(n: int, capacity: float) -> float:
    """What a task takes where a server that needs 1 s for each works on so many at once."""
    return max(1.0, n / capacity)


@given(
    capacity=st.floats(2, 300),
    measured=st.lists(st.integers(1, 400), min_size=2, max_size=6, unique=True),
    n=st.integers(1, 500),
)
def test_the_truth_of_a_knee_lies_within(capacity: float, measured: list[int], n: int) -> None:
    """Whatever N were measured of a server with a sharp knee, what it does at another lies within the bounds; and where
    something is told it is within a twentieth, or a quarter beyond the largest.
    """
    known = levels(*((each, knee_s(each, capacity)) for each in sorted(measured)))
    found, truth_s = at(known, n), knee_s(n, capacity)
    assert found.low_s * (1 - 1e-9) <= truth_s <= found.high_s * (1 + 1e-9)
    said = told(known, n)
    if isinstance(said, Between):
        beyond = n > known[-1].n
        assert said.hold_s == pytest.approx(truth_s, rel=0.13 if beyond else 0.05)


@pytest.mark.parametrize(
    ("measured", "n", "said"),
    [
        (((8, 1.0), (64, 4.0)), 20, "between measured N where tasks begin to take longer"),
        (
            ((8, 1.0), (32, 1.0)),
            48,
            "beyond 1.25 x N = 32, the largest that was measured",
        ),
        (((8, 1.0),), 4, "below N = 8, the smallest"),
        ((), 4, "no run measured the endpoint"),
    ],
)
def test_what_is_not_told(measured: tuple[tuple[int, float], ...], n: int, said: str) -> None:
    """Where the bounds are apart nothing is told, and the N that would settle it is named."""
    found = told(levels(*measured), n)
    assert isinstance(found, Untold)
    assert found.reason.startswith(said)
    assert found.settle_n == (n,)


@pytest.mark.parametrize(
    ("measured", "n", "hold_s"),
    [
        (((8, 1.0), (32, 1.0)), 16, 1.0),
        (((8, 1.0), (32, 2.0), (64, 4.0)), 48, 3.0),
        (((8, 1.0), (32, 2.0), (64, 4.0)), 200, 12.5),
        (((8, 1.0), (32, 1.0)), 36, 36 / 32 / (36 / 32) ** 0.5),
    ],
    ids=["slots", "saturated", "beyond, saturated", "a little beyond"],
)
def test_what_is_told(measured: tuple[tuple[int, float], ...], n: int, hold_s: float) -> None:
    """Where tasks take no longer, or throughput stays the same, N between and beyond are told."""
    found = told(levels(*measured), n)
    assert isinstance(found, Between)
    assert found.hold_s == pytest.approx(hold_s)


def test_enough_is_seen_with_room() -> None:
    """The smallest N that is taken for enough did clearly more than is asked."""
    known = levels((8, 1.0), (32, 1.0))
    assert enough(known, 7.0, 100) == known[0]
    assert enough(known, 7.9, 100) == known[1]
    assert enough(known, 7.9, 16) is None
    assert enough(known, 31.0, 100) is None
