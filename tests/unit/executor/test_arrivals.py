"""Arrivals as a configuration asks for them."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import pytest

from bench.config import ConcurrentConfig
from bench.errors import ConfigError
from bench.executor.arrivals import arrivals

if TYPE_CHECKING:
    from pathlib import Path


def first(config: ConcurrentConfig, count: int) -> list[float]:
    """The first arrivals."""
    offsets = arrivals(config, count)
    assert offsets is not None
    return list(islice(offsets.times_s, count))


def test_a_closed_loop_has_none() -> None:
    """Without a rate and without times nothing arrives by itself."""
    assert arrivals(ConcurrentConfig(), 5) is None


def test_by_rate() -> None:
    """A constant rate gives equal distances from 0 on; a random one the same mean, decided by the seed."""
    assert first(ConcurrentConfig(rate=4.0), 4) == [0.0, 0.25, 0.5, 0.75]
    random = first(ConcurrentConfig(rate=4.0, arrival="poisson"), 4000)
    assert random == first(ConcurrentConfig(rate=4.0, arrival="poisson"), 4000)
    assert random != first(ConcurrentConfig(rate=4.0, arrival="poisson", seed=1), 4000)
    assert random[-1] == pytest.approx(1000, rel=0.1)


def test_by_file(tmp_path: Path) -> None:
    """A file of times gives offsets after the first of them."""
    trace = tmp_path / "trace"
    trace.write_text("7\n7.5\n9\n", encoding="utf-8")
    assert first(ConcurrentConfig(arrival_times=trace), 3) == [0.0, 0.5, 2.0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"1\nsoon\n", "line 2"),
        (b"2\n1\n", "line 2"),
        (b"1\n2\n", "2 times for 3 tasks"),
        (b"1\n\xff\n", "no UTF-8"),
    ],
)
def test_a_file_that_cannot_be_used(content: bytes | None, said: str, tmp_path: Path) -> None:
    """A file that is not there, is wrong or too short is refused by its name, before anything is sent."""
    trace = tmp_path / "trace"
    if content is not None:
        trace.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        arrivals(ConcurrentConfig(arrival_times=trace), 3)
    assert said in str(refused.value)
    assert str(trace) in str(refused.value)
