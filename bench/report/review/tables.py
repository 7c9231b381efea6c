"""The tables of a review: where the time went, the slowest and the failed tasks, two runs, and what LangSmith has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bench.policy.spent import PHASES
from bench.policy.statistics import percentile
from bench.policy.trace_ids import trace_id
from bench.report.numbers import count, percent, seconds
from bench.report.table import Cell, Link, Table, cells, figures, texts
from bench.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.policy.spent import Phase
    from bench.report.review.load import Reviewed, Row
    from bench.report.review.remote import Remote

_LABEL_AT_MOST: Final = 80
_MESSAGE_AT_MOST: Final = 200

#: Tasks and spans beyond this many are counted alone.
_NAMED_AT_MOST: Final = 20

_MEANINGS: Final[dict[Phase, str]] = {
    "queue": "from its schedule until a worker began",
    "client": "of the client itself: between, before and after calls",
    "backoff": "waits before another attempt",
    "failed call": "calls that brought no answer",
    "first token": "from sending until the first token",
    "generation": "from the first token to the end of the answer; a call that was not streamed as a whole",
}


def spent_table(reviewed: Reviewed) -> Table:
    """Return where the time of all tasks went."""
    total_s = sum(sum(column) for column in reviewed.shares.values())
    rows = []
    for phase in PHASES:
        values = sorted(reviewed.shares[phase])
        sum_s = sum(values)
        rows.append(
            (
                Cell(text=phase, note=_MEANINGS[phase]),
                *cells(
                    percent(sum_s / total_s if total_s else None),
                    seconds(sum_s / len(values) if values else None),
                    seconds(percentile(values, 0.5) if values else None),
                    seconds(values[-1] if values else None),
                    count(sum(1 for value in values if value > 0)),
                ),
            )
        )
    return Table(
        name="spent",
        title="Where the time went",
        intro="All of a task's time, from its schedule to its end, is in one of these.",
        columns=(*texts("part"), *figures("share", "mean a task", "median", "most", "tasks that have it")),
        rows=tuple(rows) if reviewed.total else (),
        empty="There is no task to look at.",
    )


def iterations_table(reviewed: Reviewed, remote: Remote) -> Table:
    """Return the iterations with their traces."""
    rows = []
    for iteration in reviewed.iterations.values():
        trace = trace_id(reviewed.manifest.run_id, iteration.number)
        link = remote.link(trace)
        total_s = sum(iteration.spent_s.values())
        rows.append(
            (
                Cell(text=str(iteration.number)),
                *cells(
                    count(iteration.total),
                    count(iteration.total - iteration.statuses["ok"]),
                    seconds(iteration.last_s - iteration.first_s),
                    *(percent(iteration.spent_s[phase] / total_s if total_s else None) for phase in PHASES),
                ),
                Cell(text=trace, links=(Link(text="in LangSmith", address=link),) if link else ()),
            )
        )
    return Table(
        name="iterations",
        title="Iterations",
        intro="An iteration is a trace.",
        columns=(*texts("iteration"), *figures("tasks", "not ok", "from first to last", *PHASES), *texts("trace")),
        rows=tuple(rows),
        empty="There is no task to look at.",
    )


def slowest_table(reviewed: Reviewed) -> Table:
    """Return the slowest tasks with their attempts."""
    return _tasks("slowest", "Slowest tasks", reviewed.slowest, "")


def failed_table(reviewed: Reviewed) -> Table:
    """Return the tasks that did not succeed with their attempts."""
    more = reviewed.failed_total - len(reviewed.failed)
    intro = f"{count(more)} more are in tasks.jsonl." if more else ""
    return _tasks("failed", "Tasks that did not succeed", reviewed.failed, intro)


def _tasks(name: str, title: str, rows: Sequence[Row], intro: str) -> Table:
    return Table(
        name=name,
        title=title,
        intro=intro,
        columns=(*texts("task"), *figures("total", *PHASES), *texts("ended", "attempts")),
        rows=tuple(_task(row) for row in rows),
        empty="None.",
    )


def _task(row: Row) -> tuple[Cell, ...]:
    spent_s: dict[str, float] = {}
    for stretch in row.parts:
        spent_s[stretch.phase] = spent_s.get(stretch.phase, 0.0) + stretch.end_s - stretch.begin_s
    said = "" if row.error is None else visible(f"{row.error.type}: {row.error.message}", at_most=_MESSAGE_AT_MOST)
    return (
        Cell(text=visible(row.label, at_most=_LABEL_AT_MOST)),
        *cells(seconds(row.latency_s), *(seconds(spent_s[each]) if each in spent_s else "0" for each in PHASES)),
        Cell(text="cached" if row.cached else row.status, note=said),
        Cell(text=_attempts(row)),
    )


def _attempts(row: Row) -> str:
    """Return what became of each attempt, in order."""
    said = []
    for each in row.attempts:
        how = each.error_type or each.status
        status = f" {each.http_status}" if each.http_status is not None and each.status != "ok" else ""
        said.append(f"{visible(each.provider, at_most=30)} {how}{status} {seconds(each.end_s - each.sent_s)}")
    return ", ".join(said) or "none"


def langsmith_table(remote: Remote) -> Table:
    """Return what is here and not in LangSmith, and the other way round."""
    found = (("here alone", remote.missing), ("there alone", remote.foreign), ("another time there", remote.moved))
    rows = tuple(
        cells(kind, visible(task, at_most=_LABEL_AT_MOST), where, visible(span_id, at_most=40))
        for where, spans in found
        for kind, task, span_id in spans[:_NAMED_AT_MOST]
    )
    counts = ", ".join(f"{count(len(spans))} {where}" for where, spans in found)
    if remote.asked is None:
        empty = "LangSmith was not asked: there is no key for it. This page is made of the records alone."
    elif remote.reason is not None:
        empty = (
            f"{visible(remote.asked)} could not be read ({visible(remote.reason)}): this page is made of the records."
        )
    else:
        empty = f"All {count(remote.here)} spans are in {visible(remote.asked)}, at the times of the records."
    return Table(
        name="langsmith",
        title="In LangSmith",
        intro=f"Of {count(remote.here)} spans {count(remote.there)} are there: {counts}.",
        columns=texts("span", "task", "where", "id"),
        rows=rows,
        empty=empty,
    )


def compared_table(first: Reviewed, second: Reviewed) -> Table:
    """Return the tasks whose latency differs most between two runs of the same work."""
    both = [
        (second.latencies_s[task] - latency_s, task, latency_s)
        for task, latency_s in first.latencies_s.items()
        if task in second.latencies_s
    ]
    largest = sorted(both, key=lambda item: abs(item[0]), reverse=True)[:_NAMED_AT_MOST]
    alone = (len(first.latencies_s) - len(both), len(second.latencies_s) - len(both))
    rows = [
        cells(task, seconds(before_s), seconds(before_s + more_s), f"{'+' if more_s > 0 else ''}{seconds(more_s)}")
        for more_s, task, before_s in largest
    ]
    return Table(
        name="compared",
        title=f"Beside {visible(second.manifest.run_id)}",
        intro=f"The tasks that differ most, of {count(len(both))} that both have; {count(alone[0])} are in the first "
        f"alone, {count(alone[1])} in the second.",
        columns=(*texts("task"), *figures("first", "second", "difference")),
        rows=tuple(rows),
        empty="The runs have no task in common.",
    )


def parts_compared(first: Reviewed, second: Reviewed) -> Table:
    """Return where the time went in two runs, in the mean of a task."""
    rows = []
    for phase in PHASES:
        means = [sum(each.shares[phase]) / len(each.shares[phase]) if each.total else None for each in (first, second)]
        rows.append(cells(phase, seconds(means[0]), seconds(means[1])))
    return Table(
        name="parts_compared",
        title="Where the time went in both",
        intro="In the mean of a task.",
        columns=(*texts("part"), *figures("first", "second")),
        rows=tuple(rows),
    )
