"""Whether two arms did the same work: what differs between their answers, said before either is called faster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Shares of tasks that differ by no more than this are the same, for a server that draws its answers.
_SHARE: Final = 0.01

#: The same for numbers of tokens and of requests in flight, relative.
_RELATIVE: Final = 0.05

#: What a finish reason means to a reader; one that is not here is quoted.
_FINISHES: Final = {"length": "were cut at max_tokens", "stop": "ended by themselves"}


class WorkFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What an arm was asked and answered; None is not measured, and is compared with nothing.

    Attributes:
        name: As shown.
        tasks: Tasks that ended.
        workload_fingerprint: Of the prompts and their parameters, in their order.
        prompt_set: Of the different ones among them, in no order: the same for two lists of which one is longer.
        output_tokens_p50: Median tokens of an answer; beside it the 95th percentile.
        finish_reasons: Answers by finish reason.
        errors: Failed tasks by type of error.
        cached: Tasks answered from the cache.
        server_models: Models that the server said it answered with.
        in_flight_mean: Requests in flight in the steady window.
    """

    name: str
    tasks: int
    workload_fingerprint: str | None = None
    prompt_set: str | None = None
    output_tokens_p50: float | None = None
    output_tokens_p95: float | None = None
    finish_reasons: dict[str, int] | None = None
    errors: dict[str, int] | None = None
    cached: int | None = None
    server_models: tuple[str, ...] | None = None
    in_flight_mean: float | None = None


def differences(a: WorkFacts, b: WorkFacts) -> tuple[str, ...]:
    """Return what differs between the work of two arms, a sentence each; empty where they did the same.

    Shares of tasks are the same within one per cent of all tasks, tokens and requests in flight within 5 %.
    """
    return (*_identities(a, b), *_sizes(a, b), *_shares(a, b))


def _identities(a: WorkFacts, b: WorkFacts) -> Iterator[str]:
    """Compare what has to be the same to the letter."""
    if len({a.workload_fingerprint, b.workload_fingerprint} - {None}) > 1:
        yield f"{a.name} and {b.name} were not given the same prompts"
    if a.server_models is not None and b.server_models is not None and {*a.server_models} != {*b.server_models}:
        mine, theirs = (", ".join(sorted(arm.server_models or ())) or "no model" for arm in (a, b))
        yield f"the server answered {a.name} with {mine}, {b.name} with {theirs}"


def _sizes(a: WorkFacts, b: WorkFacts) -> Iterator[str]:
    """Compare what has to be about as large."""
    if _apart(a.output_tokens_p50, b.output_tokens_p50):
        yield f"the median answer of {a.name} had {a.output_tokens_p50:g} tokens, of {b.name} {b.output_tokens_p50:g}"
    if _apart(a.output_tokens_p95, b.output_tokens_p95):
        yield f"the p95 answer of {a.name} had {a.output_tokens_p95:g} tokens, of {b.name} {b.output_tokens_p95:g}"
    if _apart(a.in_flight_mean, b.in_flight_mean):
        yield f"{a.name} had {a.in_flight_mean:.3g} requests in flight on average, {b.name} {b.in_flight_mean:.3g}"


def _shares(a: WorkFacts, b: WorkFacts) -> Iterator[str]:
    """Compare how often something happened."""
    if a.finish_reasons is not None and b.finish_reasons is not None:
        for reason in sorted({*a.finish_reasons, *b.finish_reasons}):
            what = f"'s answers {_FINISHES.get(reason, f'ended as {reason!r}')}"
            yield from _share(a, b, what, a.finish_reasons.get(reason, 0), b.finish_reasons.get(reason, 0))
    if a.errors is not None and b.errors is not None:
        for error in sorted({*a.errors, *b.errors}):
            yield from _share(a, b, f" failed with {error}", a.errors.get(error, 0), b.errors.get(error, 0))
    if a.cached is not None and b.cached is not None:
        yield from _share(a, b, " was answered from the cache", a.cached, b.cached)


def _share(a: WorkFacts, b: WorkFacts, what: str, in_a: int, in_b: int) -> Iterator[str]:
    """Compare one share of all tasks; `what` follows the name of an arm, or begins with its genitive."""
    if not (a.tasks and b.tasks):
        return
    mine, theirs = in_a / a.tasks, in_b / b.tasks
    if abs(mine - theirs) > _SHARE:
        again = f"{b.name}'s" if what.startswith("'s") else b.name
        yield f"{a.name}{what} in {mine * 100:.3g} % of tasks, {again} in {theirs * 100:.3g} %"


def _apart(one: float | None, other: float | None) -> bool:
    """Tell whether two sizes were measured and differ by more than a twentieth of the larger."""
    return one is not None and other is not None and abs(one - other) > _RELATIVE * max(abs(one), abs(other))
