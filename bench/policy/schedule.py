"""In which order the arms of an experiment run: blocks of every arm once, each in an order of its own."""

from __future__ import annotations

import random
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def schedule(arms: Sequence[str], blocks: int, seed: int) -> tuple[tuple[str, ...], ...]:
    """Return for each block the order of the arms, the same for the same seed.

    The order of any one block is random. Over as many blocks as there are arms each arm comes once at each place, so
    that a drift of the machine falls on all alike; with an even number of arms each also follows each other one once.

    Args:
        arms: Their names, no two alike (an arm that is run twice has two names).
        blocks: How many, at least 1.
        seed: Of the order alone.

    Raises:
        ValueError: No arms, two of one name, or no blocks.
    """
    if not arms or len(set(arms)) < len(arms) or blocks < 1:
        msg = f"a schedule takes arms with names of their own and at least 1 block, got {list(arms)} and {blocks}"
        raise ValueError(msg)
    return tuple(islice(_orders(arms, random.Random(seed)), blocks))  # noqa: S311 - an order, no secret


def order_faults(orders: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return why the order in which blocks ran allows no verdict, a sentence each; empty where it does.

    Args:
        orders: For each block the arms as they ran.
    """
    faults = []
    every = Counter(orders[0]) if orders else Counter()
    unequal = [block for block, order in enumerate(orders, start=1) if Counter(order) != every]
    if unequal or any(runs > 1 for runs in every.values()):
        faults.append(f"not every block ran every arm once (see block {unequal[0] if unequal else 1})")
    if len(every) > 1 and len(orders) > 1 and len({tuple(order) for order in orders}) == 1:
        faults.append(f"all {len(orders)} blocks ran the arms in one fixed order, {', '.join(orders[0])}")
    return tuple(faults)


def _orders(arms: Sequence[str], rng: random.Random) -> Iterator[tuple[str, ...]]:
    """Yield orders without end, in balanced groups (Williams 1949): each is a shuffled Latin square of the arms."""
    count = len(arms)
    # 0, 1, n-1, 2, n-2, ..: the steps between neighbours are all different, so its shifts balance who follows whom.
    zigzag = [(place + 1) // 2 if place % 2 else (count - place // 2) % count for place in range(count)]
    while True:
        names, shifts = list(arms), list(range(count))
        rng.shuffle(names)
        rng.shuffle(shifts)
        for shift in shifts:
            yield tuple(names[(step + shift) % count] for step in zigzag)
