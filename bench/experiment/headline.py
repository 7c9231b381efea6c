"""The first sentences of an experiment: which mode, how many at once, how sure, and at what cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.experiment.records import ArmRow, Comparison, Plan


def first_metric(plan: Plan) -> str:
    """Return the metric that is spoken of first: in an open loop the rate is given, and latency tells arms apart."""
    return "throughput" if plan.rate_per_s is None else "latency_p50"


def headline(plan: Plan, rows: Sequence[ArmRow], comparisons: Sequence[Comparison]) -> tuple[str, ...]:
    """Return three sentences for each client, the first client's first: the best arm, the verdict, the cost.

    Args:
        plan: What was compared.
        rows: Each arm over its blocks.
        comparisons: Every pair that was judged.
    """
    clients = dict.fromkeys(arm.client for arm in plan.arms)
    of_client = _of_client if plan.rate_per_s is None else _of_client_at_a_rate
    return tuple(words for client in clients for words in of_client(client, plan, rows, comparisons))


def _of_client(client: str, plan: Plan, rows: Sequence[ArmRow], comparisons: Sequence[Comparison]) -> Iterator[str]:
    arms = plan.arms
    mine = {arm.name: arm for arm in arms if arm.client == client and arm.again is None}
    rated = [row for row in rows if row.arm in mine and row.throughput is not None and row.throughput.ratio]
    if not rated:
        yield f"No cell of the {client} client gave a figure."
        return
    # An arm that counts in most blocks goes before one that was lucky in one of them.
    most = max(row.blocks for row in rated)
    best = max((row for row in rated if row.blocks >= most / 2), key=_rate)
    arm = mine[best.arm]
    yield (
        f"With the {client} client, {arm.mode} with {arm.concurrency} in flight finished the most: "
        f"{_number(_rate(best))} tasks/s ({_interval(best)})."
    )
    yield _verdict(best.arm, comparisons, first_metric(plan))
    yield _cost(best)


def _of_client_at_a_rate(
    client: str, plan: Plan, rows: Sequence[ArmRow], comparisons: Sequence[Comparison]
) -> Iterator[str]:
    """Say which arm answered soonest: in an open loop how many tasks are done is given by who sends them."""
    mine = {arm.name: arm for arm in plan.arms if arm.client == client and arm.again is None}
    timed = [(row, row.figures.latency_p50_s) for row in rows if row.arm in mine]
    known = [(row, latency_s) for row, latency_s in timed if latency_s is not None]
    if not known:
        yield f"No cell of the {client} client gave a figure."
        return
    most = max(row.blocks for row, _ in known)
    best, latency_s = min(((row, value) for row, value in known if row.blocks >= most / 2), key=lambda each: each[1])
    arm = mine[best.arm]
    blocks = f"{best.blocks} block{'s' if best.blocks > 1 else ''}" if best.blocks else "none of its cells counts"
    yield (
        f"With the {client} client and {plan.rate_per_s:g} arrivals a second, {arm.mode} with {arm.concurrency} in "
        f"flight at most answered soonest: half within {latency_s * 1e3:,.1f} ms of their arrival ({blocks})."
    )
    yield _verdict(best.arm, comparisons, first_metric(plan))
    yield _cost(best)


def _rate(row: ArmRow) -> float:
    return row.throughput.ratio or 0.0 if row.throughput is not None else 0.0


def _interval(row: ArmRow) -> str:
    rate = row.throughput
    if row.blocks == 0:
        return "none of its cells counts"
    if rate is None or rate.low is None or rate.high is None:
        return f"{row.blocks} block, no interval"
    return f"95 % interval {_number(rate.low)} to {_number(rate.high)}, {rate.n} blocks"


def _verdict(best: str, comparisons: Sequence[Comparison], metric: str) -> str:
    """Return what is known about the best arm against the others of its N."""
    pairs = [
        each for each in comparisons if each.kind == "modes" and each.metric == metric and best in {each.a, each.b}
    ]
    if not pairs:
        return "There is no other mode of this N to compare it with."
    decided = [each for each in pairs if each.verdict.outcome != "no_verdict"]
    if not decided:
        return _no_verdict(best, pairs)
    # The closest competitor says the most.
    closest = min(decided, key=lambda each: abs((each.verdict.ratio.ratio or 1.0) - 1))
    rest = len(pairs) - len(decided)
    undecided = f"; {rest} of {len(pairs)} comparisons have no verdict" if rest else ""
    return f"{_capital(closest.words)}{undecided}."


def _no_verdict(best: str, pairs: Sequence[Comparison]) -> str:
    """Say that no comparison was decided, with the first reason of the first; the table has the others."""
    others = ", ".join(each.b if each.a == best else each.a for each in pairs)
    verdict = pairs[0].verdict
    reasons = len({reason for each in pairs for reason in each.verdict.reasons})
    first = verdict.reasons[0] if verdict.reasons else "the interval is too wide"
    more = f", and {reasons - 1} more reasons" if reasons > 1 else ""
    blocks = f"; about {verdict.blocks_needed} blocks would tell" if verdict.blocks_needed else ""
    return f"No verdict between {best} and {others}: {first}{more}{blocks}."


def _cost(row: ArmRow) -> str:
    figures, parts = row.figures, []
    if figures.cpu_us_per_task is not None:
        parts.append(f"{figures.cpu_us_per_task:,.0f} us of CPU a task")
    if figures.peak_pss_mb is not None:
        parts.append(f"{figures.peak_pss_mb:,.0f} MB of memory")
    if figures.client_lag_p50_s is not None:
        parts.append(f"{figures.client_lag_p50_s * 1e3:.2f} ms added to the first token")
    cost = ", ".join(parts) or "not measured"
    limited = f"; it is {' and '.join(row.limits)}" if row.limits else ""
    return f"Its cost: {cost}{limited}."


def _number(value: float | None) -> str:
    if value is None:
        return "n/a"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits are shown


def _capital(words: str) -> str:
    """Begin a sentence; an arm's name stays as it is."""
    return words if "/" in words.partition(" ")[0] else words[:1].upper() + words[1:]
