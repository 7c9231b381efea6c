"""The order of arms: every block complete, no order favoured, the same again from the same seed."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.policy.schedule import order_faults, schedule

arm_lists = st.lists(st.text("abcdefgh", min_size=1), min_size=1, max_size=7, unique=True)
seeds = st.integers(0, 2**32)


@given(arm_lists, st.integers(1, 30), seeds)
def test_r25_every_block_runs_every_arm_once(arms: list[str], blocks: int, seed: int) -> None:
    """Each block holds every arm once, and there are as many blocks as were asked for."""
    orders = schedule(arms, blocks, seed)
    assert len(orders) == blocks
    assert all(sorted(order) == sorted(arms) for order in orders)


@given(arm_lists, st.integers(1, 30), seeds)
def test_r43_the_same_seed_gives_the_same_order(arms: list[str], blocks: int, seed: int) -> None:
    """An order can be made again from its seed, and more blocks only add to it."""
    orders = schedule(arms, blocks, seed)
    assert schedule(arms, blocks, seed) == orders
    assert schedule(arms, blocks + 3, seed)[:blocks] == orders


def test_r43_an_order_stays_the_same_from_version_to_version() -> None:
    """The order of a stored experiment is the one that its seed gave when it was run."""
    assert schedule(["asyncio", "serial", "threading"], 3, 7) == (
        ("serial", "threading", "asyncio"),
        ("threading", "asyncio", "serial"),
        ("asyncio", "serial", "threading"),
    )


@given(st.lists(st.text("abcdefgh", min_size=1), min_size=2, max_size=7, unique=True), seeds)
def test_r25_orders_differ_between_blocks(arms: list[str], seed: int) -> None:
    """No order comes twice in a group of as many blocks as there are arms, and each arm comes once at each place."""
    count = len(arms)
    orders = schedule(arms, 2 * count, seed)
    for group in (orders[:count], orders[count:]):
        assert len(set(group)) == count
        assert all(sorted(order[place] for order in group) == sorted(arms) for place in range(count))
    assert order_faults(orders) == ()


@given(st.sampled_from([2, 4, 6]), seeds)
def test_r25_no_arm_follows_another_more_often(count: int, seed: int) -> None:
    """With an even number of arms each follows each other one once in a group of blocks."""
    arms = [f"arm {number}" for number in range(count)]
    follows = Counter(pair for order in schedule(arms, count, seed) for pair in pairwise(order))
    assert set(follows.values()) == {1}
    assert len(follows) == count * (count - 1)


def test_r25_every_order_comes_up() -> None:
    """Of three arms all six orders open an experiment about equally often."""
    first = Counter(schedule(["a", "b", "c"], 1, seed)[0] for seed in range(1200))
    assert len(first) == 6
    assert all(140 <= count <= 260 for count in first.values())


@pytest.mark.parametrize(("arms", "blocks"), [([], 3), (["a", "a"], 3), (["a", "b"], 0)])
def test_impossible_schedules_are_refused(arms: list[str], blocks: int) -> None:
    """A schedule takes arms, told apart by name, and a block."""
    with pytest.raises(ValueError, match="got"):
        schedule(arms, blocks, 1)


def test_r25_a_fixed_order_has_a_fault() -> None:
    """Blocks that all ran in one order, or not completely, are told; one block alone has no order to fault."""
    fixed = order_faults([("a", "b")] * 6)
    assert fixed == ("all 6 blocks ran the arms in one fixed order, a, b",)
    assert order_faults([("a", "b"), ("b", "a"), ("a",)]) == ("not every block ran every arm once (see block 3)",)
    assert order_faults([("a", "a", "b")]) == ("not every block ran every arm once (see block 1)",)
    assert order_faults([("a", "b")]) == order_faults([("a",)] * 6) == order_faults([]) == ()
