"""N means N, counted at the server: the slots are reached, held and never passed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from tests.command import requests, write_topics

if TYPE_CHECKING:
    from pathlib import Path

    from bench.records import Mode
    from bench.simulator.request_log import LogLine
    from tests.command import StartCommand


def steady_mean(served: list[LogLine], slots: int) -> float:
    """The mean number in flight from when all slots were first busy until the first of them found no more work."""
    starts = sorted(line.received_ns for line in served)
    ends = sorted(line.finished_ns or 0 for line in served)
    begin, end = starts[slots - 1], starts[-1]
    inside = [
        max(0, min(line.finished_ns or 0, end) - max(line.received_ns, begin)) for line in served if line.finished_ns
    ]
    assert ends[0] < end, "no slot was used twice"
    return math.fsum(inside) / (end - begin)


@pytest.mark.full
@pytest.mark.parametrize("slots", [1, 8, 64])
@pytest.mark.parametrize("mode", ["threading", "multiprocessing", "asyncio", "hybrid"])
def test_r20_n_is_reached_held_and_never_passed(mode: Mode, slots: int, tmp_path: Path, start: StartCommand) -> None:
    """With answers of 500 ms and 4 N tasks the server's peak is exactly N and its steady mean at least 0.95 N.

    With the client that costs little: what is tested are the slots, and not how fast the SDK is on this machine.
    """
    log = tmp_path / "requests.jsonl"
    topics = write_topics(tmp_path / "topics.txt", 4 * slots)
    settings = SimulatorSettings(ttft_s=0.35, itl_s=0.01, tokens=16, request_log=str(log))
    with SimulatorProcess(settings) as server:
        command = start(
            *["-m", mode, "-c", str(slots), "--topics-file", str(topics), "--no-report"],
            *["--base-url", server.base_url, "--model", "m", "--client", "lean"],
            cwd=tmp_path,
        )
        _, err = command.communicate(timeout=110)
        peak = server.stats().peak_in_flight
    assert command.returncode == 0, err
    assert peak == slots
    assert steady_mean(requests(log), slots) >= 0.95 * slots
