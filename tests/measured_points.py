"""Measured points with chosen times, for tests of what is planned from them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from bench.planning.measured import Block, Call, Conditions, Point
from bench.policy.retry import RetryPolicy

if TYPE_CHECKING:
    from bench.records import Mode


def make_point(  # a point has as many facts
    n: int,
    hold_s: float,
    *,
    tasks: int = 200,
    blocks: int = 4,
    jitter: float = 0.0,
    failing: float = 0.0,
    retries: int = 3,
    mode: Mode = "asyncio",
    client: str = "lean",
    cpu_s: float | None = 1e-4,
    ceiling_per_s: float | None = None,
    tokens: tuple[float, float] | None = (20.0, 100.0),
) -> Point:
    """Return a point whose calls take `hold_s` on average, half of that if they fail; waits are 0.1 s, fixed."""
    rng = random.Random(n)
    found = []
    for number in range(blocks):
        calls = [
            Call(duration_s=hold_s / 2, ok=False, retryable=True)
            if rng.random() < failing
            else Call(duration_s=hold_s * (1 + jitter * (2 * rng.random() - 1)))
            for _ in range(tasks)
        ]
        again = failing / (1 - failing)
        found.append(
            Block(
                run_id=f"run-{n}-{number}",
                tasks=tuple((call,) for call in calls),
                hold_s=hold_s + again * (hold_s / 2 + 0.1),
                around_s=0.0,
                prompt_tokens=tokens and tokens[0],
                completion_tokens=tokens and tokens[1],
                cpu_s=cpu_s,
            )
        )
    retry = RetryPolicy(retries=retries, delay_s=0.1, backoff="fixed")
    conditions = Conditions(mode=mode, client=client, n=n, retry=retry)
    return Point(conditions=conditions, blocks=tuple(found), ceiling_per_s=ceiling_per_s)
