"""What each choice comes to: duration with its interval, tokens, money, the limit that binds; and which to take."""

from __future__ import annotations

import math
import random
import statistics
from typing import TYPE_CHECKING, Final

from bench.planning.course import Course, course, relaxed
from bench.planning.curve import Untold
from bench.planning.records import Answer, Choice, Row
from bench.planning.simulate import SAMPLE, shortened, whole
from bench.policy.student import student_t_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.planning.measured import Point
    from bench.planning.records import Bound, Prices, Wanted

#: Draws of blocks that an interval comes from, and tasks that are simulated in each.
_DRAWS: Final = 40
_DRAWN_TASKS: Final = 10_000

#: Tasks with which limits are tried, and by how much a run has to be shorter without one that binds.
_TRIED_TASKS: Final = 20_000
_SHORTER: Final = 0.01

#: Choices whose durations differ by less than this are as good as each other.
_ALIKE: Final = 0.05


def plan(points: Sequence[Point], choices: Sequence[Choice], wanted: Wanted) -> tuple[tuple[Row, ...], int | None]:
    """Return what each choice comes to, and the place of the one to take; None where none will do.

    The one to take is simulated to its last task, the others as far as their pace needs.

    Args:
        points: What was measured.
        choices: What is possible.
        wanted: What is to be done.
    """
    rows = [answered(points, choice, wanted) for choice in choices]
    best = recommended(rows, wanted)
    if best is not None and wanted.tasks > SAMPLE:
        rows[best] = answered(points, choices[best], wanted, in_full=True)
    return tuple(rows), best


def answered(points: Sequence[Point], choice: Choice, wanted: Wanted, *, in_full: bool = False) -> Row:
    """Return what a choice comes to, or why that is not told."""
    found = course(points, choice, wanted)
    if isinstance(found, Untold):
        return Row(choice=choice, reason=found.reason, settle_n=found.settle_n)
    simulate = whole if in_full else shortened
    duration_s = simulate(found.setting, wanted.tasks, wanted.seed)
    low, high = _interval(found, wanted)
    return Row(choice=choice, answer=_answer(found, wanted, (duration_s, duration_s * low, duration_s * high)))


def recommended(rows: Sequence[Row], wanted: Wanted) -> int | None:
    """Return the place of the choice to take: of those that keep to what is wanted the one on the fewest machines.

    Of these the quickest, and of those as quick the one with the smallest N, then the least CPU time. Where nothing is
    wanted but the work, more machines are taken only for what they shorten.
    """
    good = [(place, row.choice, row.answer) for place, row in enumerate(rows) if row.answer and keeps(row, wanted)]
    if not good:
        return None
    if wanted.within_s is not None:
        fewest = min(choice.machines for _, choice, _ in good)
        good = [each for each in good if each[1].machines == fewest]
    quickest_s = min(answer.duration_s for _, _, answer in good)
    alike = [each for each in good if each[2].duration_s <= (1 + _ALIKE) * quickest_s]

    def cost(each: tuple[int, Choice, Answer]) -> tuple[int, int, float, int]:
        place, choice, answer = each
        return choice.machines, choice.n, math.inf if answer.cpu_s is None else answer.cpu_s, place

    return min(alike, key=cost)[0]


def keeps(row: Row, wanted: Wanted) -> bool:
    """Tell whether a choice keeps to the time and the money that are wanted, also at the end of its interval."""
    answer = row.answer
    if answer is None:
        return False
    in_time = wanted.within_s is None or answer.high_s <= wanted.within_s
    return in_time and (wanted.money is None or (answer.money is not None and answer.money <= wanted.money))


def _answer(found: Course, wanted: Wanted, duration_s: tuple[float, float, float]) -> Answer:
    tasks, own = wanted.tasks, found.own
    done = tasks * (1 - found.held.failed)
    prompts, answers = (
        None if mean is None else mean * done for mean in (own.figure("prompt_tokens"), own.figure("completion_tokens"))
    )
    cpu_s = own.figure("cpu_s")
    return Answer(
        duration_s=duration_s[0],
        low_s=duration_s[1],
        high_s=duration_s[2],
        bound=_binds(found, wanted),
        busy=_busy(found, tasks, duration_s[0]),
        prompt_tokens=prompts,
        completion_tokens=answers,
        money=_money(prompts, answers, wanted.prices, found.choice.machines * duration_s[0]),
        failed=found.held.failed,
        calls=found.held.calls,
        cpu_s=None if cpu_s is None else cpu_s * tasks,
    )


def _money(prompts: float | None, answers: float | None, prices: Prices, machines_s: float) -> float | None:
    """Return what tokens and machines cost; None where a price or the tokens are not known."""
    if prompts is None or answers is None or prices.per_million_in is None or prices.per_million_out is None:
        return None
    tokens = (prompts * prices.per_million_in + answers * prices.per_million_out) / 1e6
    return tokens + prices.machine_per_hour * machines_s / 3600


def _busy(found: Course, tasks: int, duration_s: float) -> dict[Bound, float]:
    """Return how much of each limit is used; what tasks do on average over what there is."""
    busy: dict[Bound, float] = {found.room: tasks * found.setting.held.mean_s / (found.slots * duration_s)}
    for bound, gap_s in found.gaps_s.items():
        busy[bound] = tasks * gap_s / duration_s
    cpu_s = found.own.figure("cpu_s")
    if cpu_s is not None:
        busy["client"] = tasks * cpu_s / (found.own.conditions.cores * found.choice.machines * duration_s)
    return busy


def _binds(found: Course, wanted: Wanted) -> Bound:
    """Return the limit without which a sample of the work would be done soonest.

    Where it would be no sooner without any one of them, the slots are just as many as the endpoint can use.
    """
    tasks = min(wanted.tasks, max(_TRIED_TASKS, 20 * found.slots))
    now_s = shortened(found.setting, tasks, wanted.seed)
    without = {
        bound: shortened(setting, tasks, wanted.seed, sample=_TRIED_TASKS) for bound, setting in relaxed(found).items()
    }
    best = min(without, key=lambda bound: without[bound])
    return best if without[best] < (1 - _SHORTER) * now_s else found.room


def _interval(found: Course, wanted: Wanted) -> tuple[float, float]:
    """Return the ends of the 95 % interval of a duration, as shares of it.

    Blocks are drawn anew, with other seeds, and the spread of the logarithm taken with Student's t for as many blocks
    as there are: percentiles of so few blocks' draws are too narrow (Efron and Tibshirani, "An Introduction to the
    Bootstrap", 1993, 12.5). Where bounds for N between two measured ones are apart, they widen it.
    """
    holds_s = found.near.holds_s()
    rng = random.Random(wanted.seed)  # noqa: S311 - no secret
    tasks = min(wanted.tasks, _DRAWN_TASKS)
    middle_s = statistics.median(holds_s)

    def drawn_s(growth: float, seed: int) -> float:
        return shortened(found.changed(growth=growth), tasks, seed, sample=_DRAWN_TASKS)

    logs = []
    for seed in range(wanted.seed, wanted.seed + _DRAWS):
        drawn = statistics.median(rng.choices(holds_s, k=len(holds_s)))
        logs.append(math.log(drawn_s(found.growth * drawn / middle_s, seed)))
    spread = statistics.stdev(logs) * math.sqrt(len(holds_s) / (len(holds_s) - 1))
    half = math.exp(student_t_quantile(0.975, len(holds_s) - 1) * spread)
    low_s, now_s, high_s = (
        drawn_s(growth, wanted.seed) for growth in (found.growth_low, found.growth, found.growth_high)
    )
    return low_s / now_s / half, high_s / now_s * half
