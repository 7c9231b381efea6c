"""Comparability: what differs between the work of two arms is said, and what is the same is not."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest

from bench.policy.comparability import WorkFacts, differences

FACTS: Final = WorkFacts(
    name="threading",
    tasks=100,
    workload_fingerprint="abc",
    output_tokens_p50=100,
    output_tokens_p95=400,
    finish_reasons={"stop": 90, "length": 10},
    errors={},
    cached=0,
    server_models=("glm-4", "glm-4-air"),
    in_flight_mean=63.5,
)


def against(**changes: object) -> tuple[str, ...]:
    """Compare an arm that did the same but for the changes."""
    return differences(FACTS, msgspec.structs.replace(FACTS, name="asyncio", **changes))


def test_the_same_work_has_no_difference() -> None:
    """Equal work, and work that differs by no more than draws of a server do, is not spoken of."""
    assert against() == ()
    assert against(output_tokens_p50=105, output_tokens_p95=420, in_flight_mean=61) == ()
    assert against(server_models=("glm-4-air", "glm-4"), cached=1, errors={"timeout_total": 1}) == ()
    assert against(tasks=200, finish_reasons={"stop": 180, "length": 20}) == ()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"workload_fingerprint": "abd"}, "threading and asyncio were not given the same prompts"),
        ({"server_models": ("glm-4",)}, "the server answered threading with glm-4, glm-4-air, asyncio with glm-4"),
        ({"server_models": ()}, "the server answered threading with glm-4, glm-4-air, asyncio with no model"),
        ({"output_tokens_p50": 94}, "the median answer of threading had 100 tokens, of asyncio 94"),
        ({"output_tokens_p95": 500}, "the p95 answer of threading had 400 tokens, of asyncio 500"),
        ({"in_flight_mean": 32.0}, "threading had 63.5 requests in flight on average, asyncio 32"),
        (
            {"finish_reasons": {"stop": 90}},
            "threading's answers were cut at max_tokens in 10 % of tasks, asyncio's in 0 %",
        ),
        (
            {"finish_reasons": {"stop": 90, "length": 10, "tool_calls": 2}},
            "threading's answers ended as 'tool_calls' in 0 % of tasks, asyncio's in 2 %",
        ),
        ({"errors": {"rate_limited": 5}}, "threading failed with rate_limited in 0 % of tasks, asyncio in 5 %"),
        ({"cached": 30}, "threading was answered from the cache in 0 % of tasks, asyncio in 30 %"),
    ],
)
def test_what_differs_is_said(changes: dict[str, object], sentence: str) -> None:
    """Each difference is one sentence with both arms and both figures."""
    assert against(**changes) == (sentence,)


def test_what_was_not_measured_is_compared_with_nothing() -> None:
    """A fact that one arm lacks gives no sentence, and neither does an arm without tasks."""
    assert differences(FACTS, WorkFacts(name="asyncio", tasks=100)) == ()
    assert against(tasks=0, finish_reasons={}) == ()
