"""Versions: several samples of each request, each with a seed and a fingerprint of its own."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.config import ConcurrentConfig
from bench.errors import ConfigError
from bench.policy.fingerprint import task_fingerprint
from bench.workload import build_workload


def test_versions_follow_each_other() -> None:
    """The versions of an item come one after the other, iteration by iteration, and each is a request of its own."""
    config = ConcurrentConfig(topics=("A", "B"), versions=3, iterations=2, seed=7)
    tasks = list(build_workload(config, io.BytesIO()))
    ids = [f"{index}-i{iteration}-v{version}" for iteration in (0, 1) for index in (0, 1) for version in (0, 1, 2)]
    assert [task.task_id for task in tasks] == ids
    assert len({task_fingerprint(task) for task in tasks[:6]}) == 6
    assert [task.params.get("seed") for task in tasks[:3]] == [None, 8, 9]


def test_the_first_version_is_the_request_itself() -> None:
    """With several versions the first one is what it is without: its answer serves both."""
    (alone,) = build_workload(ConcurrentConfig(topics=("A",)), io.BytesIO())
    first, *_ = build_workload(ConcurrentConfig(topics=("A",), versions=10), io.BytesIO())
    assert first == alone


@pytest.mark.parametrize(("seed", "second"), [(5, 6), (2**63 - 1, 0), (None, 1), ("x", 1)])
def test_versions_of_prompts(seed: object, second: int) -> None:
    """A prompt with a seed of its own gets the ones behind it, within what providers take."""
    given_seed = f', "seed": {seed}' if isinstance(seed, int) else ', "seed": "x"' if seed else ""
    line = f'{{"body": {{"messages": [{{"role": "user", "content": "hi"}}]{given_seed}}}}}'
    tasks = list(build_workload(ConcurrentConfig(prompts=Path("-"), versions=2), io.BytesIO(line.encode())))
    assert [task.params.get("seed") for task in tasks] == [seed, second]


@pytest.mark.parametrize("versions", [0, 11])
def test_range(versions: int) -> None:
    """Fewer than one version and more than ten are refused."""
    with pytest.raises(ConfigError, match="--versions must be at least 1 and at most 10"):
        ConcurrentConfig(topics=("A",), versions=versions)


@given(items=st.integers(1, 4), iterations=st.integers(1, 3), versions=st.integers(1, 4))
def test_places(items: int, iterations: int, versions: int) -> None:
    """A workload knows at which place each of its tasks comes, and of no other."""
    config = ConcurrentConfig(topics=tuple("ABCD"[:items]), iterations=iterations, versions=versions)
    workload = build_workload(config, io.BytesIO())
    places = [workload.place(index=task.index, iteration=task.iteration, version=task.version) for task in workload]
    assert places == list(range(workload.count))
    beyond = [(items, 0, 0), (0, iterations, 0), (0, 0, versions), (-1, 0, 0), (0, -1, 0), (0, 0, -1)]
    assert not any(
        workload.place(index=index, iteration=iteration, version=version) for index, iteration, version in beyond
    )
    assert [workload.place(index=a, iteration=b, version=c) for a, b, c in beyond] == [None] * len(beyond)
