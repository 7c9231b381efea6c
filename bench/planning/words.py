"""What a plan says in words: lengths of time, money, and the choice that is recommended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bench.planning.records import Answer, Choice, PlanRecord, Prices

#: Units of time with their seconds, and up to how many of them are said in it.
_UNITS: Final = (("s", 1.0, 120.0), ("min", 60.0, 120.0), ("h", 3600.0, 72.0), ("days", 86_400.0, float("inf")))


def unit_for(seconds: float) -> tuple[str, float]:
    """Return the unit that suits a length of time, and its seconds."""
    return next((name, unit_s) for name, unit_s, most in _UNITS if seconds < unit_s * most)


def duration(seconds: float) -> str:
    """Return a length of time in the unit that suits it, with three digits."""
    name, unit_s = unit_for(seconds)
    return f"{_number(seconds / unit_s)} {name}"


def money(value: float | None, prices: Prices) -> str:
    """Return an amount of money; `n/a` where it is not known."""
    return "n/a" if value is None else f"{_number(value)} {prices.currency}"


def tokens(value: float | None) -> str:
    """Return a number of tokens in millions; `n/a` where they were not counted."""
    return "n/a" if value is None else f"{_number(value / 1e6)} M"


def interval(answer: Answer) -> str:
    """Return the ends of the interval of a duration, in its unit."""
    name, unit_s = unit_for(answer.duration_s)
    return f"{_number(answer.low_s / unit_s)} to {_number(answer.high_s / unit_s)} {name}"


def choice_words(choice: Choice) -> str:
    """Return a choice in words."""
    machines = "1 machine" if choice.machines == 1 else f"{choice.machines} machines"
    each = "" if choice.machines == 1 else " each"
    return f"{choice.mode} with client {choice.client}, N = {choice.n:,}{each}, on {machines}"


def headline(record: PlanRecord) -> str:
    """Return what is recommended, in a sentence."""
    if record.recommended is None:
        return f"Nothing to recommend: {record.why_not}."
    row = record.rows[record.recommended]
    answer = row.answer
    if answer is None:
        return ""
    return (
        f"Recommended: {choice_words(row.choice)}: {record.wanted.tasks:,} tasks in {duration(answer.duration_s)} "
        f"({interval(answer)}), {money(answer.money, record.wanted.prices)}; what binds: {answer.bound}."
    )


def _number(value: float) -> str:
    """Return three digits that matter, without a power of ten."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits
