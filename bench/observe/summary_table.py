"""What a terminal shows of a finished run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, TextIO

from rich.text import Text

from bench.observe.layout import flow, joined, rows, write
from bench.observe.routes_table import route_cells, route_notes
from bench.observe.terminal import output_console
from bench.observe.text import number, percent, percentile, printable, seconds, size
from bench.policy.pause import standstill_s
from bench.policy.statistics import SAMPLES_NEEDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.policy.statistics import Distribution
    from bench.summary import Summary
    from bench.summary.figures import CachedCounts, HarnessFigures, NodeRow, TokenCounts, VersionFigures

#: Nodes that are named; the report has all.
_NODES_AT_MOST: Final = 8

#: Said below a table in which a percentile is missing.
TOO_FEW: Final = "n/a (n=..): too few values for this percentile; it needs " + ", ".join(
    f"{needed} for {name}" for name, needed in SAMPLES_NEEDED.items()
)


def print_summary(summary: Summary, *, stream: TextIO | None = None) -> None:
    """Write the numbers of a run to `stream`, standard output when None; a stream that is closed is passed over.

    Args:
        summary: The numbers; its texts may come from anywhere.
        stream: Where to write.
    """
    console = output_console(stream or sys.stdout)
    width = console.width - 1
    heading = Text(printable(f"Run {summary.run_id}: {_shape(summary)}"), style="bold")
    facts = [line for label, items in _facts(summary).items() for line in flow(label, items, width)]
    write(console, heading, joined(facts))
    times = _times(summary)
    missing = any(values.n and None in (values.p50, values.p90, values.p95, values.p99) for values in times.values())
    durations = rows([_duration_cells(label, values) for label, values in times.items()], width)
    write(console, durations, *([Text(TOO_FEW, style="dim")] if missing else []))
    if summary.routes:
        write(console, rows(route_cells(summary), width), *route_notes(summary))
    elif len(summary.providers) > 1:
        write(console, rows(_provider_cells(summary), width))
    if summary.errors:
        write(console, Text("errors", style="bold"), *_errors(summary, width))


def _shape(summary: Summary) -> str:
    if summary.load_model == "open":
        return f"{summary.mode}, open loop, at most {summary.concurrency} requests at once"
    if summary.concurrency == 1:
        return f"{summary.mode}, one request at a time"
    return f"{summary.mode}, {summary.concurrency} requests at once"


def _facts(summary: Summary) -> dict[str, list[str]]:
    """Return what is not a distribution, by label."""
    tasks, rate, flight = summary.tasks, summary.success_rate, summary.in_flight
    interval = [f"95 % interval {percent(rate.low)} to {percent(rate.high)}"] if rate.n else []
    ends = {"ok": tasks.ok, "failed": tasks.failed, "cancelled": tasks.cancelled, "not started": tasks.not_started}
    load = {}
    if summary.load_model == "open":
        ends["dropped"] = tasks.dropped
        load = {"load": [f"{number(summary.offered_per_s)}/s offered", f"{number(summary.achieved_per_s)}/s sent"]}
    return {
        "endpoint": _endpoint(summary),
        "tasks": [f"{tasks.total:,} in all", *(f"{count:,} {end}" for end, count in ends.items())],
        "success": [percent(rate.value), *interval],
        **_cached(summary.cached),
        **_versions(summary.versions),
        **_nodes(summary.nodes),
        **load,
        "wall time": [seconds(summary.wall_s), "first request to last answer"],
        "throughput": [
            f"{number(summary.throughput_tasks_per_s)} tasks/s",
            f"{number(summary.throughput_tokens_per_s)} tokens/s",
        ],
        "requests": _requests(summary),
        "in flight": [f"at most {flight.peak}", f"on average {number(flight.mean)}"],
        "tokens": _tokens(summary.tokens, summary.cut_at_max_tokens),
        "own cost": _own_cost(summary.harness),
    }


def _requests(summary: Summary) -> list[str]:
    """Return how many calls were made; those beside others are no retries."""
    said = [f"{summary.attempts:,} sent", f"{summary.retries:,} of them retries"]
    if summary.hedges:
        said += [f"{summary.hedges:,} to race another provider", f"{summary.beaten:,} given up in a race"]
    return said


def _cached(cached: CachedCounts | None) -> dict[str, list[str]]:
    """Return what the cache answered, where it did."""
    if cached is None:
        return {}
    saved = f"{cached.prompt_tokens + cached.completion_tokens:,} tokens saved"
    return {"cache": [f"{cached.tasks:,} of the tasks answered", saved, "not in what follows"]}


def _versions(versions: VersionFigures | None) -> dict[str, list[str]]:
    """Return how many items have how many of their versions, where there are several."""
    if versions is None:
        return {}
    found = reversed(list(enumerate(versions.by_succeeded)))
    named = [
        f"{items:,} {'item' if items == 1 else 'items'} with {ok} of {versions.per_item}"
        for ok, items in found
        if items
    ]
    return {"versions": named}


def _nodes(nodes: Sequence[NodeRow]) -> dict[str, list[str]]:
    """Return what each node did, where there are any; the report has the rest of many."""
    named = [
        printable(f"{row.node} {row.tasks:,}") + (f" ({row.lost:,} lost with it)" if row.lost else "")
        for row in nodes[:_NODES_AT_MOST]
    ]
    if len(nodes) > _NODES_AT_MOST:
        named.append(f"{len(nodes) - _NODES_AT_MOST:,} more")
    return {"tasks of": named} if named else {}


def _endpoint(summary: Summary) -> list[str]:
    """Return who was asked and by whom; before the first record nothing is known."""
    over = f" over {summary.transport}" if summary.transport else ""
    known = {
        "": ", ".join(dict.fromkeys(row.provider for row in summary.routes)) or summary.provider,
        "model ": None if len({row.provider for row in summary.routes}) > 1 else summary.model,
        "client ": summary.client and summary.client + over,
    }
    return [printable(f"{name}{value}") for name, value in known.items() if value] or ["no answer"]


def _tokens(tokens: TokenCounts, cut_at_max_tokens: int) -> list[str]:
    estimated = f" (estimated in {tokens.estimated_tasks:,} tasks)" if tokens.estimated_tasks else ""
    items = [f"{tokens.prompt:,} in prompts", f"{tokens.completion:,} in answers{estimated}"]
    if tokens.reasoning:
        items.append(f"{tokens.reasoning:,} of these for reasoning")
    if cut_at_max_tokens:
        items.append(f"{cut_at_max_tokens:,} answers cut at max_tokens")
    return items


def _own_cost(harness: HarnessFigures) -> list[str]:
    """Return what the harness itself took, which is not the endpoint's doing."""
    cpu_s = None if harness.cpu_us_per_task is None else harness.cpu_us_per_task / 1e6
    still_s = standstill_s(harness.wakeup_lag_max_s)
    return [
        f"start-up {seconds(harness.startup_s)}",
        f"CPU {seconds(cpu_s)} a task",
        f"memory {size(harness.peak_pss_bytes)}",
        f"wake-up lag p99 {seconds(harness.wakeup_lag_p99_s)}",
        *([] if still_s is None else [f"stood still for {seconds(still_s)}"]),
    ]


def _times(summary: Summary) -> dict[str, Distribution]:
    """Return the distributions by the names that a reader knows; of failures only where there were any."""
    times = {
        "latency": summary.latency_s,
        "first token (TTFT)": summary.ttft_s,
        "per token (TPOT)": summary.tpot_s,
        "queue": summary.queue_s,
    }
    if summary.failed_latency_s.n:
        times["failed tasks"] = summary.failed_latency_s
    return times


def _duration_cells(label: str, values: Distribution) -> dict[str, str]:
    cells = {name: percentile(values, name) for name in SAMPLES_NEEDED}
    return {"duration": label, **cells, "max": seconds(values.max)}


def _provider_cells(summary: Summary) -> list[dict[str, str]]:
    return [
        {
            "provider": printable(row.provider, 30),
            "tasks": f"{row.tasks:,}",
            "ok": f"{row.ok:,}",
            "failed": f"{row.failed:,}",
            "requests": f"{row.attempts:,}",
            "latency p50": seconds(row.latency_p50_s),
        }
        for row in summary.providers
    ]


def _errors(summary: Summary, width: int) -> list[Text]:
    lines = []
    for error in summary.errors:
        status = "" if error.http_status is None else f" (HTTP {error.http_status})"
        met = "1 request met it" if error.attempts == 1 else f"{error.attempts:,} requests met it"
        how = "not sent" if error.type == "dropped" else "failed"
        failed = f"1 task {how}" if error.tasks == 1 else f"{error.tasks:,} tasks {how}"
        lines.append(Text(f"{error.type}{status}: {met}, {failed}", style="red" if error.tasks else ""))
        lines.append(Text(f"first: {printable(error.message, 2 * width)}"))
    return lines
