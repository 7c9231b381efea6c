"""What to keep in mind about these figures: values with data, and the one place where they are put into words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from bench.policy.pause import standstill_s
from bench.policy.statistics import SAMPLES_NEEDED
from bench.report.numbers import count, number, of_things, percent, seconds
from bench.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.report.fonts import ChartFonts
    from bench.report.series import ShownRun

Kind = Literal[
    "different_work",
    "unfinished",
    "resumed",
    "refused_keys",
    "cached",
    "failures",
    "short",
    "few",
    "never_full",
    "spread",
    "too_quick",
    "stood_still",
    "late",
    "cut",
    "estimated",
    "simulated",
    "written_out",
    "borrowed",
]

#: A run shorter than this is mostly start and end.
_SHORT_S: Final = 10.0

#: From here on the mean says little (pyperf's rule of thumb).
_WIDE: Final = 0.1

#: A duration below this is as much the clock's and the scheduler's as the task's.
_TOO_QUICK_S: Final = 1e-3

#: A machine that wakes its threads this late adds it to what it times.
_LATE_S: Final = 0.01

_CASES_AT_MOST: Final = 6

#: What is the matter, and what follows.
_WORDS: Final[dict[Kind, tuple[str, str]]] = {
    "different_work": (
        "The runs did not do the same work",
        "Compare figures only between runs of one workload on one model.",
    ),
    "unfinished": ("Not run to the end", "The figures are of what was recorded."),
    "resumed": (
        "Resumed",
        "Times are those of its starts one behind the other, without the pauses; the table of starts has what changed.",
    ),
    "refused_keys": ("A key is not accepted", "Its calls went elsewhere; check the key."),
    "cached": (
        "Answers came from the cache",
        "They count as tasks and successes; times, throughput, tokens and requests are of calls.",
    ),
    "failures": ("Tasks failed", "Times are of successes only; the error table says what happened."),
    "short": ("Shorter than 10 s", "Start and end weigh heavily in throughput; run more tasks for a steady figure."),
    "few": (
        "Too few successes for some percentiles",
        "They are shown as n/a. Successes needed: "
        + ", ".join(f"{name} {needed}" for name, needed in SAMPLES_NEEDED.items())
        + ".",
    ),
    "never_full": (
        "N was never reached",
        "The load was lower than asked for: run at least N tasks, better several times N.",
    ),
    "spread": ("Latency varies", "Look at the distribution, not at the mean."),
    "too_quick": ("Tasks shorter than 1 ms", "At this scale clock and scheduler are part of the figure."),
    "stood_still": (
        "The harness stood still",
        "It was stopped, or starved: times are too long by as much, which is not the server's doing. Run it again.",
    ),
    "late": ("The machine woke the harness late", "Times may be too long by as much; close what else is running."),
    "cut": ("Answers ended at max_tokens", "They count as successes, cut short; raise --max-tokens for whole answers."),
    "estimated": ("Tokens were estimated", "The server sent no usage: a chunk was taken for a token."),
    "simulated": ("The server is this project's simulator", "The figures say nothing about a provider or a model."),
    "written_out": ("Characters without a glyph", "No font of this machine has them: in charts they are written out."),
    "borrowed": ("Characters outside the bundled font", "Charts show them with a font of this machine."),
}


@dataclass(frozen=True, kw_only=True)
class Caution:
    """One thing to keep in mind.

    Attributes:
        kind: Which.
        cases: Where it was found: a run's name, and the figures.
    """

    kind: Kind
    cases: tuple[tuple[str, str], ...]

    @property
    def what(self) -> str:
        """What is the matter."""
        return _WORDS[self.kind][0]

    @property
    def advice(self) -> str:
        """What follows from it."""
        return _WORDS[self.kind][1]

    @property
    def where(self) -> str:
        """The cases in words, those with the same figures together; of many, the first."""
        by_figures: dict[str, list[str]] = {}
        for name, figures in self.cases:
            by_figures.setdefault(figures, []).append(name)
        said = [f"{', '.join(names)}: {figures}" if any(names) else figures for figures, names in by_figures.items()]
        more = len(said) - _CASES_AT_MOST
        return "; ".join(said[:_CASES_AT_MOST]) + (f"; and {more} more" if more > 0 else "")


def cautions(shown: Sequence[ShownRun], fonts: ChartFonts) -> tuple[Caution, ...]:
    """Return what a reader of these runs should know, the gravest first."""
    found: list[Caution] = []
    work = {str(item.run.manifest.workload.get("fingerprint")) for item in shown}
    models = {str(item.run.manifest.endpoint.get("model")) for item in shown}
    if len(work) > 1 or len(models) > 1:
        figures = f"{of_things(len(work), 'workload')}, {of_things(len(models), 'model')}"
        found.append(Caution(kind="different_work", cases=(("", figures),)))
    alone = len(shown) == 1
    for kind, check in _CHECKS.items():
        cases = [("" if alone else item.name, said) for item in shown if (said := check(item)) is not None]
        if cases:
            found.append(Caution(kind=kind, cases=_in_common(cases, len(shown))))
    if any(any(asked.get("provider") == "simulator" for asked in item.run.manifest.asked) for item in shown):
        found.append(Caution(kind="simulated", cases=()))
    # The page may be read where these characters have no glyph either: their numbers can always be read.
    special: tuple[tuple[Kind, dict[str, str]], ...] = (
        ("written_out", fonts.written_out),
        ("borrowed", fonts.borrowed),
    )
    for name, characters in special:
        if characters:
            cases = [(f"U+{ord(char):04X}", said) for char, said in sorted(characters.items())]
            found.append(Caution(kind=name, cases=tuple(cases)))
    return tuple(found)


def _in_common(cases: Sequence[tuple[str, str]], runs: int) -> tuple[tuple[str, str], ...]:
    """Return one case for all runs where each of them has the same figures."""
    if runs > 1 and len(cases) == runs and len({figures for _, figures in cases}) == 1:
        return (("all runs", cases[0][1]),)
    return tuple(cases)


def _unfinished(item: ShownRun) -> str | None:
    manifest, tasks = item.run.manifest, item.run.summary.tasks
    if manifest.status == "completed" and not tasks.not_started:
        return None
    recorded = count(tasks.ok + tasks.failed + tasks.cancelled + tasks.dropped)
    said = f"{manifest.status}, {recorded} of {of_things(tasks.total, 'task')} recorded"
    return said if manifest.error is None else f"{said}: {visible(manifest.error, at_most=300)}"


def _resumed(item: ShownRun) -> str | None:
    starts = len(item.run.manifest.segments)
    return f"{count(starts)} starts" if starts > 1 else None


def _refused_keys(item: ShownRun) -> str | None:
    warnings = [said for row in item.run.summary.routes if (said := row.warning) is not None]
    return visible("; ".join(warnings), at_most=300) if warnings else None


def _cached(item: ShownRun) -> str | None:
    cached = item.run.summary.cached
    if cached is None:
        return None
    saved = of_things(cached.prompt_tokens + cached.completion_tokens, "token")
    return f"{count(cached.tasks)} of {of_things(item.run.summary.tasks.ok, 'successful task')}, {saved} saved"


def _failures(item: ShownRun) -> str | None:
    tasks = item.run.summary.tasks
    return f"{count(tasks.failed)} of {of_things(tasks.ok + tasks.failed, 'task')}" if tasks.failed else None


def _short(item: ShownRun) -> str | None:
    wall_s = item.run.summary.wall_s
    return seconds(wall_s) if wall_s is not None and wall_s < _SHORT_S else None


def _few(item: ShownRun) -> str | None:
    n = item.run.summary.latency_s.n
    return of_things(n, "successful task") if 0 < n < max(SAMPLES_NEEDED.values()) else None


def _never_full(item: ShownRun) -> str | None:
    peak = item.run.summary.in_flight.peak
    if item.run.summary.routes:
        # What its providers take at once is less than N as a rule.
        return None
    return f"at most {count(peak)} of {count(item.concurrency)} in flight" if 0 < peak < item.concurrency else None


def _spread(item: ShownRun) -> str | None:
    latency = item.run.summary.latency_s
    if latency.sd is None or not latency.mean or latency.max is None or latency.sd < _WIDE * latency.mean:
        return None
    slowest = number(latency.max / latency.mean)
    return f"sd {percent(latency.sd / latency.mean)} of the mean, slowest {slowest} times the mean"


def _too_quick(item: ShownRun) -> str | None:
    least = item.run.summary.service_s.min
    return f"{seconds(least)}" if least is not None and least < _TOO_QUICK_S else None


def _stood_still(item: ShownRun) -> str | None:
    still_s = standstill_s(item.run.summary.harness.wakeup_lag_max_s)
    return None if still_s is None else f"for {seconds(still_s)}"


def _late(item: ShownRun) -> str | None:
    lag_s = item.run.summary.harness.wakeup_lag_p99_s
    return f"{seconds(lag_s)} (99th percentile)" if lag_s is not None and lag_s > _LATE_S else None


def _cut(item: ShownRun) -> str | None:
    cut = item.run.summary.cut_at_max_tokens
    return f"{count(cut)} of {of_things(item.run.summary.tasks.ok, 'successful task')}" if cut else None


def _estimated(item: ShownRun) -> str | None:
    tasks = item.run.summary.tokens.estimated_tasks
    return of_things(tasks, "task") if tasks else None


#: Checks of one run, in the order in which they matter; each returns the figures, or None where all is well.
_CHECKS: Final[dict[Kind, Callable[[ShownRun], str | None]]] = {
    "unfinished": _unfinished,
    "resumed": _resumed,
    "refused_keys": _refused_keys,
    "cached": _cached,
    "failures": _failures,
    "short": _short,
    "few": _few,
    "never_full": _never_full,
    "spread": _spread,
    "too_quick": _too_quick,
    "stood_still": _stood_still,
    "late": _late,
    "cut": _cut,
    "estimated": _estimated,
}
