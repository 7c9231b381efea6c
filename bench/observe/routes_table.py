"""What a terminal shows of the routes of a run: who was asked how often, at what price, and what was wrong."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from rich.text import Text

from bench.observe.text import NOT_MEASURED, percent, printable, seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.summary import Summary
    from bench.summary.figures import RouteRow

#: Less than a millionth of a cent is nothing.
_PLACES_AT_MOST: Final = 8


def route_cells(summary: Summary) -> list[dict[str, str]]:
    """Return a row a route; the columns of races, prices and pauses only where there were any."""
    routes = summary.routes
    columns = {
        "given up": any(row.beaten for row in routes),
        "cost": any(row.cost is not None for row in routes),
        "pauses": any(row.cooldowns or row.rests for row in routes),
        "waited": any(row.wait_s for row in routes),
    }
    left_out = {name for name, is_shown in columns.items() if not is_shown}
    return [{name: cell for name, cell in _cells(row).items() if name not in left_out} for row in routes]


def _cells(row: RouteRow) -> dict[str, str]:
    return {
        "provider": printable(row.name, 30),
        "requests": f"{row.calls:,}",
        "share": percent(row.share),
        "ok": f"{row.ok:,}",
        "failed": f"{row.failed:,}",
        "given up": f"{row.beaten:,}",
        "p50": seconds(row.latency_p50_s),
        "p95": seconds(row.latency_p95_s),
        "tokens": f"{row.prompt_tokens + row.completion_tokens:,}",
        "cost": NOT_MEASURED if row.cost is None else _money(row.cost, row.currency),
        "pauses": f"{row.cooldowns + row.rests:,}",
        "waited": seconds(row.wait_s),
    }


def route_notes(summary: Summary) -> list[Text]:
    """Return the lines below the table: keys that are not accepted, costs, races, and what servers say."""
    routes = summary.routes
    said = [words for row in routes for words in (row.warning, _refusals(row)) if words]
    warnings = [Text(printable(f"warning: {words}"), style="yellow") for words in said]
    notes = [said for said in (_cost(routes), _races(summary), *map(_said, routes)) if said]
    return [*warnings, *(Text(said) for said in notes)]


def _refusals(row: RouteRow) -> str:
    """Return what a server's refusals have taught, with what to do."""
    refused = sum(error.calls for error in row.errors if error.type == "rate_limited")
    if not refused or row.learnt_in_flight is None:
        return ""
    return (
        f"{row.name} refused {_of_things(refused, 'request')} (429), and takes about {row.learnt_in_flight:,} at once: "
        "--concurrency or in_flight in the providers' file keeps to that from the start"
    )


def _said(row: RouteRow) -> str:
    """Return the rates that a server named in its answers."""
    rates = ((row.learnt_requests_per_min, "requests a minute"), (row.learnt_tokens_per_min, "tokens a minute"))
    said = " and ".join(f"{value:,.10g} {words}" for value, words in rates if value is not None)
    return printable(f"{row.name} says that it allows {said}") if said else ""


def _cost(routes: Sequence[RouteRow]) -> str:
    """Return what all routes cost together, by currency."""
    totals: dict[str, float] = defaultdict(float)
    for row in routes:
        if row.cost is not None:
            totals[row.currency] += row.cost
    if not totals or len(routes) == 1:
        return ""
    unknown = sum(row.ok for row in routes if row.cost is None)
    said = " and ".join(_money(total, currency) for currency, total in sorted(totals.items()))
    return f"cost {said}" + (f", and {_of_things(unknown, 'answer')} at an unknown price" if unknown else "")


def _of_things(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def _money(amount: float, currency: str) -> str:
    """Return an amount; a call costs so little that the two digits that matter may stand far behind the point."""
    places = 2
    if 0 < amount < 1:
        places = min(_PLACES_AT_MOST, 1 - math.floor(math.log10(amount)))
    return printable(f"{amount:,.{places}f} {currency}", 20)


def _races(summary: Summary) -> str:
    """Return what the calls that lost a race had taken."""
    if not summary.beaten:
        return ""
    lost_s = sum(row.beaten_s for row in summary.routes)
    tokens = sum(row.beaten_prompt_tokens for row in summary.routes)
    return (
        f"given up in races: {_of_things(summary.beaten, 'request')}, {seconds(lost_s)}, {tokens:,} tokens of prompts"
    )
