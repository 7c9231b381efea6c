"""What an experiment will do: arms, work and budget."""

from __future__ import annotations

from typing import Final

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bench.experiment.plan import as_in_baseline, cell_seed, cell_tasks, estimate_s, make_arms, make_plan
from bench.experiment.records import Arm, Pace, Plan
from bench.policy.schedule import schedule

PACE: Final = Pace(ttft_s=0.2, icl_s=0.01, tokens=16, latency_s=0.35)
MODES: Final = ("serial", "threading", "multiprocessing", "asyncio", "hybrid")


def plan_of(arms: tuple[Arm, ...], budget_s: float | None = None, repeats: int = 6) -> Plan:
    """Return a plan on the pace above."""
    tasks = cell_tasks(arms, tasks_per_slot=6, min_duration_s=2.0, latency_s=PACE.latency_s)
    return make_plan(arms, repeats=repeats, seed=3, tasks=tasks, pace=PACE, cores=2, calibrations=1, budget_s=budget_s)


def test_r26_one_arm_runs_twice() -> None:
    """There is an A/A arm: the first of the highest N, under a second name."""
    arms = make_arms(("asyncio", "threading"), (1, 8), ("openai", "lean"))
    again = [arm for arm in arms if arm.again is not None]
    assert [(arm.again, arm.mode, arm.concurrency) for arm in again] == [("openai/asyncio@8", "asyncio", 8)]


def test_serial_has_one_slot_and_hybrid_two_or_more() -> None:
    """Serial is one arm whatever the levels, and hybrid takes part where there are slots to share."""
    arms = make_arms(MODES, (1, 8), ("lean",))
    assert [arm.concurrency for arm in arms if arm.mode == "serial"] == [1]
    assert [arm.concurrency for arm in arms if arm.mode == "hybrid"] == [8]


@given(st.integers(1, 40), st.floats(0.1, 20), st.floats(0.001, 5))
def test_r19_arms_of_one_n_get_the_same_work(per_slot: int, min_duration_s: float, latency_s: float) -> None:
    """The number of tasks depends on N alone, and lets each slot have its share."""
    arms = make_arms(MODES, (1, 8, 64), ("openai", "lean"))
    counts = cell_tasks(arms, tasks_per_slot=per_slot, min_duration_s=min_duration_s, latency_s=latency_s)
    assert set(counts) == {1, 8, 64}
    assert all(count >= per_slot * n for n, count in counts.items())


def test_the_fastest_client_has_enough_to_do() -> None:
    """Tasks last the fastest client for the steady part; the slowest does not get many times as much as it needs."""
    arms = make_arms(("asyncio",), (100,), ("openai", "lean"))
    (paced,) = cell_tasks(arms, tasks_per_slot=1, min_duration_s=2.0, latency_s=0.35).values()
    assert paced / (100 / 0.35) > 2.0
    (instant,) = cell_tasks(arms, tasks_per_slot=1, min_duration_s=2.0, latency_s=0.0).values()
    assert instant < 6 * 2.0 / 6e-3 + 300


def test_r25_every_block_runs_every_arm_once() -> None:
    """The order is by block, each arm once, and not always the same."""
    arms = make_arms(("asyncio", "threading", "multiprocessing"), (8,), ("openai",))
    plan = plan_of(arms)
    names = {arm.name for arm in arms}
    assert len(plan.order) == 6
    assert all(set(order) == names and len(order) == len(names) for order in plan.order)
    assert len(set(plan.order)) > 1


def test_an_open_loop_has_the_tasks_that_arrive() -> None:
    """At a given rate every N gets the tasks that arrive in the time needed, and a cell lasts until the last one."""
    arms = make_arms(("asyncio",), (1, 64), ("lean",))
    tasks = cell_tasks(arms, tasks_per_slot=6, min_duration_s=10.0, latency_s=0.35, rate_per_s=50.0)
    assert set(tasks) == {1, 64}
    assert len(set(tasks.values())) == 1
    assert tasks[64] / 50.0 > 10.0
    few = cell_tasks(arms, tasks_per_slot=6, min_duration_s=1.0, latency_s=0.35, rate_per_s=1.0)
    assert few[1] >= 40, "ten parts of them tell whether they pile up"
    assert estimate_s(arms[1], tasks[64], latency_s=0.35, cores=2, rate_per_s=50.0) > tasks[64] / 50.0


def test_r43_every_seed_is_kept() -> None:
    """A stored plan holds the seeds of order, arrivals and jitter, from which its order is made again."""
    plan = msgspec.json.decode(msgspec.json.encode(plan_of(make_arms(MODES, (8,), ("lean",)))), type=Plan)
    assert plan.seeds is not None
    assert schedule([arm.name for arm in plan.arms], len(plan.order), plan.seeds.order) == plan.order
    assert plan.seeds.samples is None, "tasks come in the order of their source"
    assert len(set(plan.seeds.arrivals)) == len(set(plan.seeds.jitter)) == len(plan.order)
    assert plan.seeds.arrivals == tuple(cell_seed(plan.seed, block) for block in range(len(plan.order)))
    assert cell_seed(plan.seed, -1) not in plan.seeds.arrivals


def test_the_dearest_arms_are_left_out_first() -> None:
    """A budget is kept by leaving out what costs most; the control stays, and each arm left out is named."""
    arms = make_arms(MODES, (1, 8, 64), ("openai", "lean"))
    whole = plan_of(arms)
    plan = plan_of(arms, budget_s=whole.estimate_s / 2)
    assert plan.estimate_s <= whole.estimate_s / 2
    assert {arm.name for arm in plan.arms} | set(plan.dropped) == {arm.name for arm in arms}
    kept = {arm.name for arm in plan.arms}
    assert {arm.again for arm in plan.arms if arm.again} <= kept
    cheapest_left_out = min(plan.dropped.values())
    costs = {
        arm.name: 7 * estimate_s(arm, whole.tasks[arm.concurrency], latency_s=PACE.latency_s, cores=2) for arm in arms
    }
    control = {arm.name for arm in arms if arm.again} | {arm.again for arm in arms}
    assert all(costs[name] <= cheapest_left_out for name in kept - control)


def test_more_slots_of_more_processes_cost_more_time_to_start() -> None:
    """The estimate knows that worker processes are started one by one."""
    few, many = (Arm(name="a", mode="multiprocessing", concurrency=n, client="lean") for n in (8, 64))
    assert estimate_s(many, 64, latency_s=0.0, cores=2) > estimate_s(few, 64, latency_s=0.0, cores=2) + 3


def test_r40_tasks_of_a_baseline_are_kept_where_they_are_enough() -> None:
    """Cells get the baseline's tasks on a slower server and on one a little faster, and more where those would not do.

    An N that the baseline does not have gets what the pace asks for.
    """
    assert as_in_baseline({8: 64, 16: 120}, {8: 69}) == {8: 69, 16: 120}
    assert as_in_baseline({8: 75}, {8: 69}) == {8: 69}
    assert as_in_baseline({8: 140}, {8: 69}) == {8: 140}
