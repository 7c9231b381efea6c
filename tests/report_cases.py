"""The sets of runs that a report must be fit for: by name, as plans of made runs."""

from __future__ import annotations

from typing import Final

from tests.report_runs import MODES, Plan

HOSTILE: Final = (
    "<img src=x onerror=alert(1)></style><script>alert(1)</script>\"'`&amp;\u202e\x1b[31m$x^2$ {{ 7*7 }} \x00"
)
LONG: Final = "一个非常长的主题名称，用来检查标签不会互相覆盖" * 8

CASES: Final[dict[str, tuple[Plan, ...]]] = {
    "one": (Plan(),),
    "single task": (Plan(mode="serial", concurrency=1, tasks=1),),
    "four modes": tuple(
        Plan(mode=mode, concurrency=1 if mode == "serial" else 8, seed=place, error_rate=0.05)
        for place, mode in enumerate(MODES[:4])
    ),
    "twelve": tuple(
        Plan(mode=mode, concurrency=n, tasks=max(24, 4 * n), seed=3 * place + turn, error_rate=0.02)
        for place, mode in enumerate(MODES[:4])
        for turn, n in enumerate((1, 8, 64))
    ),
    "sweep": tuple(
        Plan(concurrency=2**power, tasks=max(24, 2 ** (power + 1)), topics=None, seed=power) for power in range(11)
    ),
    "repeats": tuple(Plan(seed=seed) for seed in range(12)),
    "all failed": (Plan(error_rate=1.0, error_type="auth", error_status=401, retries=0),),
    "one of two failed": (Plan(error_rate=1.0, retries=1), Plan(mode="threading", seed=1)),
    "nothing recorded": (Plan(recorded=0, status="failed"),),
    "interrupted": (Plan(recorded=11, status="interrupted", tasks=1000),),
    "not streamed": (Plan(streamed=False, topics=None, tasks=200),),
    "600 workers": (Plan(mode="multiprocessing", concurrency=600, tasks=2400),),
    "nodes": (Plan(mode="distributed", concurrency=60, tasks=700, nodes=("n1", "n2", "n3"), error_rate=0.02),),
    "slow and quick": (Plan(first_token_s=30.0), Plan(mode="threading", first_token_s=0.0004, token_s=0.00001, seed=1)),
    "real work": (
        Plan(
            tasks=400,
            error_rate=0.05,
            error_type="rate_limited",
            error_status=429,
            provider="fast",
            routes=(("fast", 0), ("slow", 0), ("slow", 1)),
        ),
    ),
    "hostile work": (
        Plan(
            error_rate=0.3,
            error_type="rate_limited",
            error_message=HOSTILE,
            provider=HOSTILE,
            routes=((HOSTILE, 0), (HOSTILE, 1), (LONG, 0), *((f"provider {number}", 0) for number in range(12))),
            nodes=(HOSTILE, LONG, "n1"),
        ),
        Plan(mode="threading", seed=1),
    ),
    "hostile": (
        Plan(
            topics=(HOSTILE, LONG, "🚀 火箭 😀", "𠮷野家 ﷽"),
            model=HOSTILE,
            provider=HOSTILE,
            error_rate=0.5,
            error_message=HOSTILE,
            command=HOSTILE,
        ),
        Plan(topics=(HOSTILE, LONG), model=LONG, seed=1, mode="threading"),
    ),
}
