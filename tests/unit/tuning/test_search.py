"""The search for N against endpoints of which the answer is known, with and without chance."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.tuning.answer import next_step
from bench.tuning.asking import Ask
from bench.tuning.records import Answer, Goal
from tests.tuning_endpoints import SyntheticEndpoint

#: The one that N is searched with, and three to choose from.
GOAL = Goal(modes=("asyncio", "threading", "multiprocessing", "hybrid"))
ALONE = Goal(modes=("asyncio",))


def is_near(found: int | None, knee: int) -> bool:
    """Whether an N is the knee within 15 %, or the next whole number."""
    return found is not None and abs(found - knee) <= max(0.15 * knee, 1)


@given(places=st.integers(1, 64))
@settings(max_examples=30, deadline=None)
def test_a_sharp_knee_is_found_with_few_requests(places: int) -> None:
    """Whatever N an endpoint takes at once, that N is found within 15 %, modes compared, in 500 + 25 N requests."""
    endpoint = SyntheticEndpoint(places)
    answer = endpoint.tune(GOAL)
    assert answer.outcome == "found"
    assert is_near(answer.concurrency, places)
    assert endpoint.sent <= 500 + 25 * places
    assert answer.mode is not None


# Chance is part of what is tried: the same numbers each time.
@pytest.mark.parametrize("jitter", [0.3, 0.5])
@pytest.mark.parametrize("places", [8, 40, 200])
def test_chance_does_not_hide_the_knee(places: int, jitter: float) -> None:
    """With times that vary by up to half, the knee is found all the same, and in no more requests."""
    for seed in range(3):
        endpoint = SyntheticEndpoint(places, jitter=jitter, seed=100 * seed)
        answer = endpoint.tune(GOAL)
        assert answer.outcome == "found", (seed, answer.words)
        assert is_near(answer.concurrency, places), (seed, answer.words)
        assert endpoint.sent <= 500 + 25 * places


@given(
    places=st.integers(1, 60),
    jitter=st.floats(0, 1),
    slowing=st.floats(0, 3),
    limit=st.none() | st.integers(1, 60),
    good_within_s=st.sampled_from([0.1, 0.25, 0.5, 1e9]),
    p95_within_s=st.none() | st.sampled_from([0.1, 0.3]),
    holds=st.sampled_from([3, 100_000]),
    goodput=st.none() | st.floats(1, 500),
    budget=st.integers(1, 3000),
    most=st.integers(1, 128),
)
@settings(max_examples=60, deadline=None)
def test_every_search_ends_and_keeps_its_bounds(
    places: int,
    jitter: float,
    slowing: float,
    limit: int | None,
    good_within_s: float,
    p95_within_s: float | None,
    holds: int,
    goodput: float | None,
    budget: int,
    most: int,
) -> None:
    """Whatever the endpoint and the goal, there is an answer within budget and N, and what is found was seen to do."""
    endpoint = SyntheticEndpoint(
        places,
        jitter=jitter,
        slowing=slowing,
        limit=limit,
        good_within_s=good_within_s,
        p95_within_s=p95_within_s,
        holds=holds,
    )
    goal = Goal(modes=("asyncio", "hybrid"), goodput_per_s=goodput, max_concurrency=most, budget=budget)
    answer = endpoint.tune(goal)
    assert endpoint.sent <= budget
    assert len(endpoint.probes) <= 43
    assert max((probe.concurrency for probe in endpoint.probes), default=1) <= most
    assert answer.words
    if answer.outcome == "found":
        at_n = [
            probe for probe in endpoint.probes if (probe.mode, probe.concurrency) == ("asyncio", answer.concurrency)
        ]
        assert all(probe.is_within for probe in at_n)
        assert answer.goodput_per_s is not None
        assert answer.goodput_per_s >= 0.98 * (goodput or 0)


@given(places=st.integers(4, 100), share=st.floats(0.1, 0.9))
@settings(max_examples=20, deadline=None)
def test_a_wanted_goodput_takes_as_many_as_it_needs(places: int, share: float) -> None:
    """N for a goodput below the most is that goodput times the latency; the next lower N that was seen misses it."""
    endpoint = SyntheticEndpoint(places)
    wanted = share * places / endpoint.service_s
    answer = endpoint.tune(Goal(modes=("asyncio",), goodput_per_s=wanted))
    assert answer.outcome == "found"
    assert answer.concurrency is not None
    exact = wanted * endpoint.service_s
    assert exact * 0.98 <= answer.concurrency <= max(1.2 * exact, exact + 2)
    assert answer.above < exact


def test_a_goodput_beyond_the_most_is_out_of_reach() -> None:
    """Twice what the endpoint does at most is said to be out of reach, with the most that was seen."""
    answer = SyntheticEndpoint(10).tune(Goal(modes=("asyncio",), goodput_per_s=100))
    assert answer.outcome == "unreachable"
    assert answer.goodput_per_s == pytest.approx(50, rel=0.02)
    assert "100 good requests a second are not to be had" in answer.words


@pytest.mark.parametrize("bound", [{"p95_within_s": 0.1}, {"good_within_s": 0.1}], ids=["percentile", "each"])
def test_objectives_that_a_lone_request_misses_are_out_of_reach_at_once(bound: dict[str, float]) -> None:
    """An objective below the latency of a lone request costs no more than the first probe."""
    endpoint = SyntheticEndpoint(10, **bound)  # type: ignore[arg-type]
    answer = endpoint.tune(GOAL)
    assert answer.outcome == "unreachable"
    assert endpoint.sent <= 10


@pytest.mark.parametrize("bound", [{"p95_within_s": 0.3}, {"good_within_s": 0.3}], ids=["percentile", "each"])
def test_an_objective_that_breaks_past_the_knee_does_not_hide_it(bound: dict[str, float]) -> None:
    """Where all goodput is lost half above the knee, it is found between the N that rose and the one that broke."""
    for places in (8, 10, 12, 40):
        endpoint = SyntheticEndpoint(places, **bound)  # type: ignore[arg-type]
        answer = endpoint.tune(ALONE)
        assert answer.outcome == "found"
        assert is_near(answer.concurrency, places)


@pytest.mark.parametrize("limit", [8, 40, 90])
def test_a_limit_of_the_provider_is_a_knee(limit: int) -> None:
    """Where more than so many at once are refused, no more are found, and at least 85 % of them."""
    endpoint = SyntheticEndpoint(1000, limit=limit)
    answer = endpoint.tune(ALONE)
    assert answer.outcome == "found"
    assert 0.85 * limit <= (answer.concurrency or 0) <= limit
    assert endpoint.sent <= 500 + 25 * limit


@pytest.mark.parametrize("slowing", [0.3, 1.0, 2.0])
def test_a_soft_knee_takes_more_and_is_found(slowing: float) -> None:
    """Where each request makes the others slower, the N found gives nearly all there is, and is below its most."""
    endpoint = SyntheticEndpoint(60, slowing=slowing, jitter=0.1)
    answer = endpoint.tune(Goal(modes=("asyncio",), budget=4000))
    most_per_s = 60 / endpoint.service_s / (1 + slowing)
    assert answer.outcome == "found"
    assert (answer.goodput_per_s or 0) >= 0.9 * most_per_s
    assert (answer.concurrency or 0) <= 66


def test_what_may_not_be_probed_is_not_shown() -> None:
    """Below the knee by order, by budget or by what the machine holds, the answer is that it was not shown, and why."""
    by_order = SyntheticEndpoint(100).tune(Goal(modes=("asyncio",), max_concurrency=50))
    by_budget = SyntheticEndpoint(100).tune(Goal(modes=("asyncio",), budget=300))
    by_machine = SyntheticEndpoint(100, holds=40).tune(ALONE)
    assert [answer.outcome for answer in (by_order, by_budget, by_machine)] == ["not_shown"] * 3
    assert "--max-concurrency" in by_order.words
    assert "budget" in by_budget.words
    assert "too many open files" in by_machine.words


def test_a_search_begins_with_the_fewest_that_its_mode_takes() -> None:
    """The first probe has one in flight, of hybrid two, which is the least that it shares among processes."""
    for mode, fewest in (("threading", 1), ("hybrid", 2)):
        step = next_step((), Goal(modes=(mode,)))  # type: ignore[arg-type]
        assert isinstance(step, Ask)
        assert (step.mode, step.concurrency, step.purpose) == (mode, fewest, "growing")


def test_the_answer_follows_from_the_probes_alone() -> None:
    """Asked again with the same probes, the search gives the same step: it keeps nothing to itself."""
    endpoint = SyntheticEndpoint(20, jitter=0.4)
    answer = endpoint.tune(GOAL)
    for count in range(len(endpoint.probes)):
        step = next_step(endpoint.probes[:count], GOAL)
        assert isinstance(step, Ask)
        assert step.concurrency == endpoint.probes[count].concurrency
    assert next_step(endpoint.probes, GOAL) == answer
    assert isinstance(answer, Answer)
