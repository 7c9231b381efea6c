"""Numbers as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.policy.statistics import wilson
from bench.report.numbers import in_unit, interval, number, of_things, percent, seconds, unit_for


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "n/a"),
        (0, "0"),
        (19.77, "19.8"),
        (1234.5, "1,234"),
        (0.012345, "0.0123"),
        (999.6, "1,000"),
        (1e300, "1e+300"),
        (float("inf"), "inf"),
    ],
)
def test_a_number_has_three_digits_that_matter(value: float | None, text: str) -> None:
    """A number shows three digits that matter; what was not measured is n/a and never 0."""
    assert number(value) == text


@given(st.floats(1e-5, 1e11))
def test_a_number_is_never_far_from_its_value(value: float) -> None:
    """Reading a printed number back gives the value within half a percent."""
    assert float(number(value).replace(",", "")) == pytest.approx(value, rel=0.005)


@pytest.mark.parametrize(
    ("value_s", "text"),
    [(None, "n/a"), (0.405, "405 ms"), (1.234, "1.23 s"), (0.00012, "120 µs"), (0.0, "0 s"), (107.0, "107 s")],
)
def test_a_time_has_the_unit_that_suits_it(value_s: float | None, text: str) -> None:
    """A time is given in seconds, milliseconds or microseconds, whichever makes it at least 1."""
    assert seconds(value_s) == text


def test_a_column_of_times_has_one_unit() -> None:
    """The unit of several times is that of the largest; None has no part in it."""
    assert unit_for([0.2, None, 0.003]) == ("ms", 1e3)
    assert in_unit(0.003, "ms") == "3.00"
    assert in_unit(None, "ms") == "n/a"


@pytest.mark.parametrize(
    ("share", "text"),
    [(None, "n/a"), (0.0, "0 %"), (1.0, "100 %"), (0.99999, "99.9 %"), (0.00001, "0.1 %"), (0.917, "91.7 %")],
)
def test_only_the_whole_is_100_percent(share: float | None, text: str) -> None:
    """A share just short of the whole is not rounded up to it, and one above nothing not down."""
    assert percent(share) == text


@pytest.mark.parametrize(
    ("successes", "trials", "text"),
    [(20, 20, "[83.9 %, 100 %]"), (0, 24, "[0 %, 13.8 %]"), (256, 256, "[98.5 %, 100 %]"), (0, 0, "n/a")],
)
def test_the_interval_of_a_success_rate_is_wilsons(successes: int, trials: int, text: str) -> None:
    """20 of 20 prints the Wilson interval from 83.9 to 100 %; no trial prints n/a."""
    assert interval(wilson(successes, trials)) == text


def test_one_thing_is_singular() -> None:
    """One task is not `1 tasks`."""
    assert of_things(1, "task") == "1 task"
    assert of_things(2400, "task") == "2,400 tasks"
