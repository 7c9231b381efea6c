"""What a summary says of each provider."""

from __future__ import annotations

import statistics
from array import array
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.policy.statistics import distribution
from bench.summary.providers import ProviderTallies

if TYPE_CHECKING:
    from collections.abc import Sequence


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 10), st.booleans()), max_size=60))
def test_latencies_are_kept_apart_from_the_second_provider_on(rows: Sequence[tuple[str, float, bool]]) -> None:
    """However providers follow each other, each median is of its own successes."""
    latencies = array("d")
    tallies = ProviderTallies(latencies)
    own: dict[str, list[float]] = {}
    for name, latency_s, is_ok in rows:
        own.setdefault(name, [])
        tallies.of(name).count("ok" if is_ok else "failed")
        if is_ok:
            latencies.append(latency_s)
            tallies.succeeded(name, latency_s)
            own[name].append(latency_s)
    for row in tallies.rows(distribution(latencies)):
        mine = own[row.provider]
        assert (row.ok, row.ok + row.failed) == (len(mine), row.tasks)
        assert row.latency_p50_s == (pytest.approx(statistics.median(mine)) if len(mine) >= 11 else None)
