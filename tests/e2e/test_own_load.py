"""The load that a run puts on its own machine: limits are raised, or said before anything is sent."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from tests.command import COMMAND, records, the_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.records import Mode

FITS: Final = re.compile(r"--concurrency (\d+) is the most that fits")

#: Starts a program as a user whom limits bind, but who may read what root may.
AS_NOBODY: Final = (
    *("setpriv", "--reuid=65534", "--clear-groups"),
    *("--inh-caps=+dac_override", "--ambient-caps=+dac_override"),
)


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatorProcess]:
    """A server whose answers take long enough that all slots have one under way."""
    with SimulatorProcess(SimulatorSettings(ttft_s=0.2, tokens=2)) as process:
        yield process


def limited(soft: int, hard: int) -> Callable[[], None]:
    """Return what gives a program about to start a limit of open files."""
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def run(
    *arguments: str, cwd: Path, before: Callable[[], None], prefix: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end under limits."""
    return subprocess.run(
        [*prefix, *COMMAND, "--no-report", "--quiet", "--iterations", "70", "--topics", "甲", *arguments],
        cwd=cwd,
        env=dict(os.environ),
        preexec_fn=before,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("mode", "client", "limit"),
    [
        ("threading", "lean", 70),
        ("asyncio", "lean", 70),
        pytest.param("multiprocessing", "lean", 70, marks=pytest.mark.full),
        # The limit is that of each process, and half of the slots are in each.
        pytest.param("hybrid", "lean", 50, marks=pytest.mark.full),
        pytest.param("threading", "openai", 70, marks=pytest.mark.full),
        pytest.param("asyncio", "openai", 70, marks=pytest.mark.full),
    ],
)
def test_f11_too_few_open_files_are_said_before_anything_is_sent(
    mode: Mode, client: str, limit: int, tmp_path: Path, server: SimulatorProcess
) -> None:
    """Where N takes more open files than may be had the run ends with 2, naming limit, need and an N that does work."""
    server.reset()
    processes = ("--processes", "2") if mode == "hybrid" else ()
    to = ("--base-url", server.base_url, "--model", "m", "-m", mode, "--client", client, *processes)
    refused = run(*to, "-c", "64", cwd=tmp_path, before=limited(limit, limit))
    assert refused.returncode == 2, refused.stderr
    assert f"RLIMIT_NOFILE {limit}" in refused.stderr
    assert re.search(r"needs \d+ open files", refused.stderr)
    assert (server.stats().requests, list((tmp_path / "results").glob("*"))) == (0, [])
    (fits,) = FITS.findall(refused.stderr)
    done = run(*to, "-c", fits, cwd=tmp_path, before=limited(limit, limit))
    assert done.returncode == 0, done.stderr
    assert server.stats().peak_in_flight == int(fits)


def test_f11_a_soft_limit_is_raised(tmp_path: Path, server: SimulatorProcess) -> None:
    """Where only the soft limit is too low, it is raised and all slots are used."""
    server.reset()
    to = ("--base-url", server.base_url, "--model", "m", "--client", "lean", "-c", "64")
    done = run(*to, cwd=tmp_path, before=limited(40, 400))
    assert done.returncode == 0, done.stderr
    assert server.stats().peak_in_flight == 64


@pytest.mark.root
@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("threading", ()),
        pytest.param("multiprocessing", (), marks=pytest.mark.full),
        pytest.param("hybrid", ("--processes", "4"), marks=pytest.mark.full),
    ],
)
def test_f10_too_few_threads_are_said_before_anything_is_sent(
    mode: Mode, options: tuple[str, ...], server: SimulatorProcess
) -> None:
    """Where N takes more threads than the user may have, the run ends with 2, and names an N that does work."""
    server.reset()
    to = ("--base-url", server.base_url, "--model", "m", "-m", mode, "--client", "lean")
    # Of a limit on its own user alone: other tests' processes are root's.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)

        def before() -> None:
            resource.setrlimit(resource.RLIMIT_NPROC, (60, 60))

        refused = run(*to, *options, "-c", "64", cwd=folder, before=before, prefix=AS_NOBODY)
        assert refused.returncode == 2, refused.stderr
        assert "RLIMIT_NPROC 60" in refused.stderr
        assert (server.stats().requests, list(folder.glob("results/*"))) == (0, [])
        (fits,) = FITS.findall(refused.stderr)
        (hint,) = re.findall(r"use ((?:--\w+ \d+ ?)+)", refused.stderr)
        done = run(*to, *hint.split(), cwd=folder, before=before, prefix=AS_NOBODY)
        assert done.returncode == 0, done.stderr
        assert len({record.worker.slot for record in records(the_run(folder / "results"))}) == int(fits)


def test_f12_memory_that_runs_out_while_slots_are_made(tmp_path: Path, server: SimulatorProcess) -> None:
    """Where the address space holds fewer threads than asked for, the run ends by itself with 1, says so, and sends
    nothing.
    """
    server.reset()
    to = ("--base-url", server.base_url, "--model", "m", "--client", "lean", "-m", "threading", "-c", "1000")

    def before() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))

    done = run(*to, cwd=tmp_path, before=before)
    assert done.returncode == 1, done.stderr
    assert "threads where 1000 were asked for" in done.stderr
    assert server.stats().requests == 0


@pytest.mark.parametrize("client", ["scripted", pytest.param("lean", marks=pytest.mark.full)])
def test_f13_ten_thousand_slots(client: str, tmp_path: Path) -> None:
    """10,000 requests are in flight at once on one event loop, each once, and none of the 10,000 tasks fails."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard == resource.RLIM_INFINITY or hard >= 10_100, "the machine allows too few open files for this test"
    # Long enough that all are on their way before the first is answered.
    simulator = SimulatorSettings(ttft_s=8.0 if client == "lean" else 0.0, tokens=2)
    with SimulatorProcess(simulator) as process:
        to = ("--base-url", process.base_url, "--model", "m", "--client", client)
        done = subprocess.run(
            [
                *COMMAND,
                *to,
                "-c",
                "10000",
                "--topics",
                "甲",
                "--iterations",
                "10000",
                "--no-report",
                "--quiet",
                "--connect-timeout",
                "30",
            ],
            cwd=tmp_path,
            capture_output=True,
            encoding="utf-8",
            timeout=100,
            check=False,
        )
        stats = process.stats()
    assert done.returncode == 0, done.stderr
    if client == "lean":
        assert (stats.requests, stats.peak_in_flight) == (10_000, 10_000)
    slots = {record.worker.slot for record in records(the_run(tmp_path / "results"))}
    assert len(slots) == 10_000
