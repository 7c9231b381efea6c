"""What happened, in sentences: the page's heading, its first lines, and the line above each chart file."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from bench.report.numbers import count, number, of_things, percent, seconds, why_no_percentile
from bench.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bench.manifest import RunManifest
    from bench.report.series import ShownRun
    from bench.summary import Summary

#: Runs named one by one in the first sentence; of more, the range is given.
_NAMED_AT_MOST: Final = 5

#: Names of models and kinds come from outside.
_LABEL_AT_MOST: Final = 80


def heading(shown: Sequence[ShownRun]) -> str:
    """Return the title of the page."""
    modes = list(dict.fromkeys(item.run.manifest.mode for item in shown))
    if len(shown) == 1:
        return f"{shown[0].run.manifest.mode}, {slots(shown[0].concurrency)}"
    return f"{len(shown)} runs: {_listed(modes)}"


def slots(concurrency: int) -> str:
    """Return how many requests may be in flight."""
    return "one request at a time" if concurrency == 1 else f"{count(concurrency)} requests in flight"


def lead(shown: Sequence[ShownRun]) -> tuple[str, ...]:
    """Return the first sentences: what happened, with figures, and what they do not say."""
    if len(shown) == 1:
        return _lead_of_one(shown[0])
    no_verdict = (
        "No verdict between modes or N follows from this: single runs differ by chance. "
        "A verdict takes repeated, interleaved runs of the same work."
    )
    return (_lead_of_many(shown), no_verdict)


def glance(shown: Sequence[ShownRun]) -> tuple[tuple[str, str], ...]:
    """Return name and outcome of each run, where they are few enough to be read at a glance."""
    if not 1 < len(shown) <= _NAMED_AT_MOST:
        return ()
    return tuple((item.name, outcome(item.run.summary)) for item in shown)


def outcome(summary: Summary) -> str:
    """Return `24 of 24 tasks in 1.26 s, 19.0 tasks/s, 304 tokens/s`."""
    tasks = summary.tasks
    said = f"{count(tasks.ok)} of {of_things(tasks.total, 'task')}"
    if summary.cached is not None:
        said += f" ({count(summary.cached.tasks)} from the cache)"
    if summary.wall_s is not None:
        said += f" in {seconds(summary.wall_s)}"
    if summary.latency_s.n and summary.throughput_tasks_per_s is not None:
        said += f", {number(summary.throughput_tasks_per_s)} tasks/s"
    if summary.tokens.completion and summary.throughput_tokens_per_s is not None:
        said += f", {number(summary.throughput_tokens_per_s)} tokens/s"
    return said


def _lead_of_one(item: ShownRun) -> tuple[str, ...]:
    summary = item.run.summary
    tasks = summary.tasks
    mode = f"{summary.mode} with {slots(summary.concurrency)}"
    if not tasks.ok + tasks.failed + tasks.cancelled:
        return (f"{mode} finished none of {of_things(tasks.total, 'task')}: no record was written.",)
    first = f"{mode} finished {outcome(summary)}."
    if not tasks.ok:
        return (
            first,
            "No task succeeded, so there is no latency and no throughput to report; the error table says why.",
        )
    latency = summary.latency_s
    if not latency.n:
        middle = "Every answer came from the cache, so there is no latency and no throughput to report."
    elif latency.n == 1:
        middle = f"The one successful task took {seconds(latency.max)}."
    elif latency.p50 is None:
        middle = (
            f"Successful tasks took {seconds(latency.min)} to {seconds(latency.max)}; "
            f"too few for a median ({why_no_percentile('p50', latency)})."
        )
    else:
        middle = f"Half of the successful tasks took {seconds(latency.p50)} or less, the slowest {seconds(latency.max)}"
        first_token = summary.ttft_s.p50
        middle += f"; half had their first token within {seconds(first_token)}." if first_token is not None else "."
    lost = tasks.failed
    if not lost:
        return (first, middle)
    return (
        first,
        f"{of_things(lost, 'task')} failed ({percent(lost / (tasks.ok + lost))}); the error table says why.",
        middle,
    )


def _lead_of_many(shown: Sequence[ShownRun]) -> str:
    rated = [(item.run.summary.throughput_tasks_per_s, item) for item in shown if item.run.summary.latency_s.n]
    ok = sum(item.run.summary.tasks.ok for item in shown)
    total = sum(item.run.summary.tasks.total for item in shown)
    said = f"{len(shown)} runs finished {count(ok)} of {of_things(total, 'task')}"
    timed = sorted(((rate, item.name) for rate, item in rated if rate is not None), key=lambda pair: pair[0])
    if not timed:
        return said + "."
    low, high = timed[0], timed[-1]
    return said + f", at {number(low[0])} tasks/s ({low[1]}) to {number(high[0])} tasks/s ({high[1]})."


def facts(shown: Sequence[ShownRun]) -> tuple[tuple[str, str], ...]:
    """Return name and value of what was run; values that differ between runs are all listed."""
    manifests = [item.run.manifest for item in shown]
    summaries = [item.run.summary for item in shown]
    sizes = sorted({manifest.concurrency for manifest in manifests})
    found = [
        ("Workload", _distinct(_workload(manifest) for manifest in manifests)),
        ("Provider", _distinct(_named(manifests, "provider"))),
        ("Model", _distinct(_named(manifests, "model"))),
        ("Client", _clients(summaries)),
        (
            "Load",
            f"{_distinct(summary.load_model for summary in summaries)} loop, N = {_listed([count(n) for n in sizes])}",
        ),
        ("Started", _first_to_last([manifest.segments[0].started_at for manifest in manifests if manifest.segments])),
    ]
    return tuple((name, value or "unknown") for name, value in found)


def _named(manifests: Sequence[RunManifest], name: str) -> Iterator[str]:
    """Yield what is said of each whom the runs asked."""
    return (str(asked.get(name, "unknown")) for manifest in manifests for asked in manifest.asked)


def notes(shown: Sequence[ShownRun]) -> tuple[str, ...]:
    """Return the lines that stand above a chart in a file of its own."""
    said = dict(facts(shown))
    modes = _distinct(item.run.manifest.mode for item in shown)
    return (
        f"{modes}; {said['Load']}; {said['Workload']}",
        f"{said['Provider']}, {said['Model']}, client {said['Client']}",
    )


def _workload(manifest: RunManifest) -> str:
    return f"{manifest.workload.get('kind', 'tasks')} ({of_things(manifest.tasks, 'task')})"


def _first_to_last(labels: Sequence[str]) -> str:
    ordered = [utc(visible(label, at_most=_LABEL_AT_MOST)) for label in sorted(set(labels))]
    return " to ".join(dict.fromkeys(ordered[:1] + ordered[-1:]))


def utc(label: str) -> str:
    """Return `2026-11-22T03:05:06.123Z` as `2026-11-22 03:05:06 UTC`, and anything else as it is."""
    try:
        return f"{datetime.fromisoformat(label).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError):
        return label


def _clients(summaries: Sequence[Summary]) -> str:
    clients = _distinct(summary.client for summary in summaries if summary.client)
    transports = _distinct(summary.transport for summary in summaries if summary.transport)
    return f"{clients} over {transports}" if clients and transports else clients


def _distinct(values: Iterable[str]) -> str:
    """Return the different ones of these values, in order."""
    found = list(dict.fromkeys(visible(value, at_most=_LABEL_AT_MOST) for value in values))
    if len(found) > _NAMED_AT_MOST:
        return f"{', '.join(found[:_NAMED_AT_MOST])} and {len(found) - _NAMED_AT_MOST} more"
    return _listed(found)


def _listed(values: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(values[:-1]), *values[-1:]) if part)
