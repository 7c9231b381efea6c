"""What a choice comes to, which limit binds, what is recommended, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from bench.planning.measured import Point, client_has_room
from bench.planning.plan import answered, plan
from bench.planning.records import Choice, Limits, Prices, Wanted
from tests.measured_points import make_point

if TYPE_CHECKING:
    from bench.planning.records import Answer, Bound

#: Answers of 1 s, of which a server works on 40 at once.
ENDPOINT = (make_point(8, 1.0, jitter=0.3), make_point(32, 1.0, jitter=0.3), make_point(80, 2.0), make_point(160, 4.0))

WANTED = Wanted(tasks=10_000, prices=Prices(per_million_in=1.0, per_million_out=2.0))


def choice(n: int, machines: int = 1) -> Choice:
    """A choice of the mode and client of the points."""
    return Choice(mode="asyncio", client="lean", n=n, machines=machines)


def told(points: tuple[Point, ...], chosen: Choice, wanted: Wanted = WANTED) -> Answer:
    """What a choice comes to."""
    row = answered(points, chosen, wanted)
    assert row.answer is not None, row.reason
    return row.answer


@pytest.mark.parametrize(
    ("chosen", "limits", "bound", "per_s"),
    [
        (choice(16), Limits(), "slots", 16.0),
        (choice(120), Limits(), "endpoint", 40.0),
        (choice(8, machines=4), Limits(), "slots", 32.0),
        (choice(80, machines=2), Limits(), "endpoint", 40.0),
        (choice(32), Limits(requests_per_min=606.0), "requests per minute", 10.0),
        (choice(160, machines=8), Limits(requests_per_min=606.0), "requests per minute", 10.0),
        (choice(32), Limits(tokens_per_min=60.6 * 120 * 5), "tokens per minute", 5.0),
        (choice(32), Limits(in_flight=8), "in flight", 8.0),
        (choice(32), Limits(in_flight=64, requests_per_min=1e6), "slots", 32.0),
    ],
)
def test_what_binds(chosen: Choice, limits: Limits, bound: Bound, per_s: float) -> None:
    """The limit that holds the work up is named, all of it is used, and the duration is what it lets through."""
    answer = told(ENDPOINT, chosen, msgspec.structs.replace(WANTED, limits=limits))
    assert answer.bound == bound
    assert answer.duration_s == pytest.approx(10_000 / per_s, rel=0.02)
    assert answer.low_s <= answer.duration_s <= answer.high_s
    if bound != "endpoint":
        assert answer.busy[bound] == pytest.approx(1.0, abs=0.03)


def test_a_busy_client_binds() -> None:
    """Where a client has no room, that tasks take longer at more N is its own doing; and on several machines nothing is
    told of the endpoint at more N than a client with room has measured.
    """
    busy = tuple(make_point(n, max(0.02, n / 100), cpu_s=0.008, ceiling_per_s=105.0) for n in (1, 4, 16))
    assert not client_has_room(busy[2])
    assert told(busy, choice(8)).bound == "client"
    row = answered(busy, choice(8, machines=2), WANTED)
    assert row.answer is None
    light = make_point(16, 0.02, client="light", cpu_s=1e-5)
    both = told((*busy, light), choice(8, machines=2))
    assert both.bound == "client"
    assert both.duration_s == pytest.approx(10_000 / 210, rel=0.05)


@pytest.mark.parametrize(
    ("points", "chosen", "wanted", "said"),
    [
        (ENDPOINT, Choice(mode="threading", client="lean", n=8), WANTED, "threading with client lean was not measured"),
        (ENDPOINT, Choice(mode="asyncio", client="openai", n=8), WANTED, "asyncio with client openai was not"),
        (ENDPOINT, choice(8), msgspec.structs.replace(WANTED, answer_tokens=400.0), "answers of 400 tokens"),
        ((make_point(8, 1.0, tasks=10),), choice(8), WANTED, "N = 8 was measured with 40 tasks"),
        (ENDPOINT[:2], choice(64), WANTED, "beyond 1.25 x N = 32"),
        (ENDPOINT[:2], choice(32, machines=2), WANTED, "beyond 1.25 x N = 32"),
        (ENDPOINT[:1], choice(40, machines=2), WANTED, "what one asyncio client can do beyond 1.25 x N = 8"),
        (
            (make_point(8, 1.0, tokens=None),),
            choice(8),
            msgspec.structs.replace(WANTED, limits=Limits(tokens_per_min=100.0)),
            "the tokens of a task were not counted",
        ),
    ],
)
def test_what_is_not_told(points: tuple[Point, ...], chosen: Choice, wanted: Wanted, said: str) -> None:
    """What the measurement does not tell is refused with its reason, and the N at which a run would tell."""
    row = answered(points, chosen, wanted)
    assert row.answer is None
    assert said in row.reason
    assert row.settle_n


def test_a_published_limit_that_binds_first_needs_no_run_beyond() -> None:
    """Beyond what was measured a choice is told where a limit holds it to what was seen."""
    wanted = msgspec.structs.replace(WANTED, limits=Limits(requests_per_min=606.0))
    assert told(ENDPOINT[:2], choice(32, machines=40), wanted).duration_s == pytest.approx(1000, rel=0.02)


def test_money_is_what_tokens_and_machines_cost() -> None:
    """Tokens times prices, and machines by the hour; without a price or a count it is not known, and never 0."""
    prices = Prices(per_million_in=1.0, per_million_out=2.0, machine_per_hour=36.0)
    answer = told(ENDPOINT, choice(8, machines=4), msgspec.structs.replace(WANTED, prices=prices))
    assert (answer.prompt_tokens, answer.completion_tokens) == (200_000.0, 1_000_000.0)
    assert answer.money == pytest.approx(0.2 + 2.0 + 4 * 36 * answer.duration_s / 3600)
    for unknown in (Prices(), Prices(per_million_in=1.0)):
        assert told(ENDPOINT, choice(8), msgspec.structs.replace(WANTED, prices=unknown)).money is None
    uncounted = (make_point(8, 1.0, tokens=None),)
    assert told(uncounted, choice(8)).money is None


@pytest.mark.parametrize(
    ("wanted", "place"),
    [
        (WANTED, 3),
        (msgspec.structs.replace(WANTED, within_s=1500.0), 0),
        (msgspec.structs.replace(WANTED, within_s=700.0), 1),
        (msgspec.structs.replace(WANTED, within_s=100.0), None),
        (msgspec.structs.replace(WANTED, money=2.3), 3),
        (msgspec.structs.replace(WANTED, money=2.1), None),
    ],
)
def test_what_is_recommended(wanted: Wanted, place: int | None) -> None:
    """The quickest on the fewest machines of what keeps to time and money at the end of its interval; else nothing."""
    choices = [choice(8), choice(16), choice(8, machines=4), choice(80), choice(120), choice(80, machines=2)]
    if wanted.within_s is not None and wanted.within_s > 500:
        # Two on one machine, and one that is quicker on four.
        choices = [choice(8), choice(8, machines=2)]
    _, best = plan(ENDPOINT, choices, wanted)
    assert best == place


def test_intervals_follow_the_blocks() -> None:
    """Blocks that differ give a wide interval, blocks that do not a narrow one; a lone block's comes of its parts."""
    point = make_point(8, 1.0, jitter=0.2)
    wide = msgspec.structs.replace(
        point,
        blocks=tuple(
            msgspec.structs.replace(block, hold_s=block.hold_s * (1 + 0.1 * place))
            for place, block in enumerate(point.blocks)
        ),
    )
    alone = msgspec.structs.replace(point, blocks=point.blocks[:1])
    spreads = {}
    for name, each in (("alike", point), ("apart", wide), ("alone", alone)):
        answer = told((each,), choice(8))
        spreads[name] = answer.high_s / answer.low_s
    assert spreads["alike"] < 1.02
    assert spreads["apart"] > 1.2
    assert 1.0 < spreads["alone"] < 1.1


def test_a_seed_makes_the_same_plan() -> None:
    """The same measurement, wish and seed give the same plan to the last digit, and another seed another one."""
    choices = [choice(16), choice(120)]
    assert plan(ENDPOINT, choices, WANTED) == plan(ENDPOINT, choices, WANTED)
    assert plan(ENDPOINT, choices, WANTED) != plan(ENDPOINT, choices, msgspec.structs.replace(WANTED, seed=1))
