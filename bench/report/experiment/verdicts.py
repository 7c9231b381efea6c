"""The tables of what an experiment found: every comparison with its verdict, and throughput as N grows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bench.experiment.analyse import METRICS
from bench.experiment.headline import first_metric
from bench.policy.paired import times
from bench.policy.verdict_words import metric_words
from bench.report.experiment.shown import INVALID
from bench.report.numbers import NOT_AVAILABLE, count, number
from bench.report.table import Cell as Field
from bench.report.table import Table, cells, figures, texts
from bench.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.experiment.records import Comparison
    from bench.report.experiment.shown import ShownExperiment

#: Of more comparisons than this, those of the highest N stand open and the rest is folded away.
_OPEN_AT_MOST: Final = 20

#: p values below this are as good as none.
_SMALLEST_P: Final = 0.0001

_OUTCOMES: Final = {
    "a_faster": "{a} better",
    "b_faster": "{b} better",
    "equivalent": "equivalent",
    "no_verdict": "no verdict",
}


def comparison_tables(shown: ShownExperiment, *, decided_first: bool = False) -> tuple[Table, ...]:
    """Return the verdicts, a table a metric; that of the metric that is spoken of first stands open.

    The control, an arm against itself, comes first, then modes and clients, the highest N first.

    Args:
        shown: The experiment.
        decided_first: Whether comparisons without a verdict stand last.
    """
    sizes = {each.arm.name: each.arm.concurrency for each in shown.arms}

    def place(each: Comparison) -> tuple[int, bool, int]:
        undecided = decided_first and each.kind != "again" and each.verdict.outcome == "no_verdict"
        return ("again", "modes", "clients").index(each.kind), undecided, -sizes.get(each.a, 0)

    highest = max(sizes.values(), default=0)
    made = []
    intro = (
        "Ratio: the first arm over the second, block by block; its 95 % interval is widened where several comparisons "
        "share the risk. p: adjusted after Holm."
    )
    for metric in METRICS:
        judged = sorted((each for each in shown.analysis.comparisons if each.metric == metric), key=place)
        title, name = f"Verdicts on {metric_words(metric)}", f"verdicts-{metric.replace('_', '-')}"
        first = [each for each in judged if each.kind == "again" or sizes.get(each.a) == highest]
        if metric != first_metric(shown.experiment.plan):
            made.append(_verdicts(name, title, judged, folded=True))
        elif len(judged) <= _OPEN_AT_MOST or not first:
            made.append(_verdicts(name, title, judged, intro=intro))
        else:
            rest = [each for each in judged if each not in first]
            made.append(_verdicts(name, f"{title}, N = {count(highest)}", first, intro=intro))
            made.append(_verdicts(f"{name}-lower", f"{title}, lower N", rest, folded=True))
    return tuple(made)


def _verdicts(name: str, title: str, judged: Sequence[Comparison], *, intro: str = "", folded: bool = False) -> Table:
    return Table(
        name=name,
        title=title,
        intro=intro,
        columns=(*texts("arms", "verdict"), *figures("ratio", "interval", "p", "blocks"), *texts("in words")),
        rows=tuple(_comparison(each) for each in judged),
        folded=folded,
        empty="Not compared: no two arms have this figure.",
    )


def _comparison(each: Comparison) -> tuple[Field, ...]:
    verdict = each.verdict
    a, b = visible(each.a), visible(each.b)
    judged = verdict.judged
    interval = NOT_AVAILABLE
    if judged.low is not None and judged.high is not None:
        interval = f"{times(judged.low)} to {times(judged.high)}"
    p = verdict.adjusted_p
    return (
        Field(text=f"{a} / {b}", note="control (A/A)" if each.kind == "again" else each.kind),
        Field(text=_OUTCOMES[verdict.outcome].format(a=a, b=b)),
        *cells(times(verdict.ratio.ratio), interval),
        Field(text=NOT_AVAILABLE if p is None else "< 0.0001" if p < _SMALLEST_P else f"{p:.4f}"),
        Field(
            text=count(verdict.ratio.n),
            note="" if verdict.blocks_needed is None else f"about {count(verdict.blocks_needed)} needed",
        ),
        Field(text=visible(_words(each))),
    )


def _words(each: Comparison) -> str:
    """Return a verdict's words; the rules that cells broke are named in a table of their own."""
    reasons = each.verdict.reasons
    named = [name for name in (each.a, each.b) if any(reason.startswith(f"{name} is INVALID") for reason in reasons)]
    if not named:
        # An arm's name begins as it does everywhere else.
        named_first = each.words.startswith((each.a, each.b))
        return f"{each.words if named_first else each.words[:1].upper() + each.words[1:]}."
    others = [reason for reason in reasons if " is INVALID" not in reason]
    return f"No verdict: {'; '.join((*others, ' and '.join(named) + ' INVALID'))}."


def scaling_table(shown: ShownExperiment) -> Table:
    """Return where each mode's throughput stops to grow, and the law fitted to it where the points carry a fit."""
    rows = []
    for each in shown.analysis.scaling:
        knee, law = each.knee, each.usl
        if knee.n is None:
            where = Field(text="none", note=visible(knee.reason))
        else:
            upper = f"N = {knee.n} to {knee.n_high}" if knee.n_high is not None else f"N = {knee.n} or more"
            where = Field(text=f"N = {knee.n}" if knee.n == knee.n_high else upper)
        fitted = (law.alpha, law.beta, law.peak_n)
        said = [NOT_AVAILABLE if value is None else f"{number(value.value)}" for value in fitted]
        notes = ["" if value is None else f"{number(value.low)} to {number(value.high)}" for value in fitted]
        rows.append(
            (
                Field(text=visible(each.name)),
                where,
                Field(text=number(knee.best_per_s)),
                *(Field(text=text, note=note) for text, note in zip(said, notes, strict=True)),
                Field(text=visible(law.reason) or "fitted"),
            )
        )
    return Table(
        name="scaling",
        title="Throughput as N grows",
        intro="Knee: the smallest N that does as well as any, as far as the intervals tell. Universal Scalability Law: "
        "contention, coherency and the N of most throughput, fitted only where the points carry a fit.",
        columns=(
            *texts("client/mode", "knee"),
            *figures("best tasks/s", "contention", "coherency", "peak N"),
            *texts("fit"),
        ),
        rows=tuple(rows),
        folded=True,
        empty="No mode has several N: there is no curve to describe.",
    )


def speed_up_table(shown: ShownExperiment) -> Table:
    """Return how many times the serial arm's throughput each arm has, and the two other things this is taken for."""
    rows = []
    base = {each.arm.client: each for each in shown.arms if each.arm.mode == "serial" and each.arm.again is None}
    for each in shown.arms:
        serial = base.get(each.arm.client)
        if serial is None or each is serial or each.arm.again is not None:
            continue
        mine, theirs = each.middle("throughput"), serial.middle("throughput")
        ratio = mine.value / theirs.value if mine is not None and theirs is not None else None
        rows.append(
            (
                Field(text=each.name, note="" if each.valid and serial.valid else INVALID),
                *cells(times(ratio), percent_of(None if ratio is None else 1 - 1 / ratio)),
                *cells(percent_of(None if ratio is None else ratio / each.arm.concurrency)),
            )
        )
    return Table(
        name="speed-up",
        title="Against one request at a time",
        intro="Speed-up: tasks/s over those of the serial arm of the same client. Time saved: (serial - parallel) / "
        "serial. Efficiency: speed-up over N.",
        columns=(*texts("arm"), *figures("speed-up", "time saved", "efficiency")),
        rows=tuple(rows),
        folded=True,
        empty="There is no serial arm to compare with.",
    )


def percent_of(share: float | None) -> str:
    """Return a share that may be below 0 or more than the whole as a percentage."""
    return NOT_AVAILABLE if share is None else f"{share * 100:,.1f} %"
