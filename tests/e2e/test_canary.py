"""The canary: what the client adds, told in every mode by requests of known delay beside the run's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from bench.journal import SUMMARY
from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from bench.summary import Summary
from tests.command import records, the_run
from tests.modes import OF_ONE_MACHINE, modes

if TYPE_CHECKING:
    from pathlib import Path

    from bench.records import Mode
    from tests.command import StartCommand


@pytest.mark.parametrize("mode", modes(*OF_ONE_MACHINE))
def test_r31_a_canary_beside_the_run(mode: Mode, tmp_path: Path, start: StartCommand) -> None:
    """The canary's answers are counted and take longer than the server's delay; the run's server never sees one."""
    slots = 1 if mode == "serial" else 4
    with SimulatorProcess(SimulatorSettings(ttft_s=0.05, itl_s=0.005, tokens=6)) as server:
        command = start(
            *["-m", mode, "-c", str(slots), "--client", "lean", "--canary", "--iterations", str(8 * slots)],
            *["--base-url", server.base_url, "--model", "m", "--no-report"],
            cwd=tmp_path,
        )
        _, err = command.communicate(timeout=110)
        assert command.returncode == 0, err
        stats = server.stats()
    run = the_run(tmp_path / "results")
    assert stats.requests == len(records(run)) == 24 * slots
    assert stats.peak_in_flight == slots
    harness = msgspec.json.decode((run / SUMMARY).read_bytes(), type=Summary).harness
    assert harness.canaries is not None
    assert harness.canary_p50_s is not None
    assert harness.canary_p99_s is not None
    assert harness.canaries >= 5
    assert 0 < harness.canary_p50_s <= harness.canary_p99_s
