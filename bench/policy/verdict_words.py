"""A verdict in plain words: the better arm first, always as a ratio, always with its interval and its blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bench.policy.paired import times

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.policy.verdict import Verdict

#: What an arm does x times as much of as another, by metric.
_RATES: Final = {
    "throughput": "finishes {times} times as many tasks a second as",
    "tokens_per_s": "delivers {times} times as many tokens a second as",
    "goodput": "finishes {times} times as many tasks a second within the objectives as",
}

#: What a metric is called; one that is not here is called by its own name.
_NAMES: Final = {
    "throughput": "tasks a second",
    "tokens_per_s": "tokens a second",
    "goodput": "tasks a second within the objectives",
    "success_rate": "success rate",
    "cpu_us_per_task": "CPU time a task",
    "peak_pss_mb": "peak memory",
    "cold": "time from start to last result",
}

_PERCENTILED: Final = {
    "latency": "latency",
    "service": "service time",
    "ttft": "time to first token",
    "tpot": "time per output token",
    "client_lag": "delay that the client adds to the first token",
}


def metric_words(metric: str) -> str:
    """Return what a metric is called in a sentence: `ttft_p95` is "p95 time to first token"."""
    name, _, percentile = metric.partition("_p")
    if name in _PERCENTILED:
        return f"p{percentile} {_PERCENTILED[name]}" if percentile else _PERCENTILED[name]
    return _NAMES.get(metric, metric)


def sentence(
    verdict: Verdict, a_name: str, b_name: str, metric_name: str, *, client_limited: Sequence[str] = ()
) -> str:
    """Return a verdict as one or two sentences, without the full stop of the last.

    Args:
        verdict: Of arm a against arm b.
        a_name: As shown.
        b_name: As shown.
        metric_name: `throughput`, `latency_p95`, ..
        client_limited: Which of the two were held up by their client: what is said is about the clients alone.
    """
    ratio, low, high = verdict.ratio.ratio, verdict.judged.low, verdict.judged.high
    words = metric_words(metric_name)
    if verdict.outcome == "no_verdict" or ratio is None or low is None or high is None:
        return _no_verdict(verdict, f"{a_name} and {b_name} on {words}")
    if verdict.outcome == "equivalent":
        same = f"{a_name} and {b_name} are equivalent in {words}"
        return f"{same}: the ratio is {times(ratio)} ({_interval(verdict, low, high)}){_about(client_limited)}"
    better, worse = a_name, b_name
    if verdict.outcome == "b_faster":
        better, worse, ratio, low, high = b_name, a_name, 1 / ratio, 1 / high, 1 / low
    evidence = f"({_interval(verdict, low, high)}){_about(client_limited)}"
    if metric_name in _RATES:
        return f"{better} {_RATES[metric_name].format(times=times(ratio))} {worse} {evidence}"
    return f"the {words} of {better} is {times(ratio)} times that of {worse} {evidence}"


def _about(client_limited: Sequence[str]) -> str:
    """Say what a verdict is about where a client was the limit: it ranks clients, and tells nothing of the server."""
    if not client_limited:
        return ""
    are = "are" if len(client_limited) > 1 else "is"
    return f"; {' and '.join(client_limited)} {are} client-limited: this ranks clients, not the server"


def _interval(verdict: Verdict, low: float, high: float) -> str:
    """Name the interval that was judged, what it is shared by, and the blocks behind it."""
    shared = f" over {verdict.comparisons} comparisons" if verdict.comparisons > 1 else ""
    level = f"{verdict.ratio.confidence * 100:g} %"
    return f"{level} interval{shared} {times(low)} to {times(high)}, {verdict.ratio.n} blocks"


def _no_verdict(verdict: Verdict, between: str) -> str:
    """Say that there is no verdict, why, what was seen, and what would give one."""
    ratio, low, high = verdict.ratio.ratio, verdict.judged.low, verdict.judged.high
    seen = ""
    if ratio is not None and low is not None and high is not None:
        seen = f"; the ratio is {times(ratio)} ({_interval(verdict, low, high)})"
    needed = "" if verdict.blocks_needed is None else f". About {verdict.blocks_needed} blocks would give one"
    return f"no verdict between {between}: {'; '.join(verdict.reasons)}{seen}{needed}"
