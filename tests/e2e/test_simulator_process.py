"""The simulator's process: how it starts, and that it ends whatever becomes of its parent."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil
import pytest

from bench.simulator.process import SimulatorError, SimulatorProcess
from bench.simulator.settings import SimulatorSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT: Final = Path(__file__).resolve().parents[2]

#: Starts a simulator, says its process id, and does nothing more.
_PARENT: Final = """
import signal
from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
with SimulatorProcess(SimulatorSettings()) as simulator:
    print(simulator.pid, flush=True)
    signal.pause()
"""


@pytest.fixture
def parent() -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """A process that runs a simulator, in a process group of its own, and that simulator."""
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT], cwd=_ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process, psutil.Process(int(process.stdout.readline()))
        finally:
            process.kill()


def test_it_ends_with_a_parent_that_was_killed(parent: tuple[subprocess.Popen[str], psutil.Process]) -> None:
    """Kill -9 of the parent ends the simulator within five seconds."""
    process, simulator = parent
    process.kill()
    gone, alive = psutil.wait_procs([simulator], timeout=5)
    assert (gone, alive) == ([simulator], [])


def test_ctrl_c_is_left_to_the_parent(parent: tuple[subprocess.Popen[str], psutil.Process]) -> None:
    """SIGINT to the whole process group does not end the simulator by itself: the parent ends it, cleanly."""
    process, simulator = parent
    simulator.send_signal(signal.SIGINT)
    assert process.poll() is None
    assert simulator.is_running()
    assert _serves(simulator)
    os.killpg(process.pid, signal.SIGINT)
    process.wait(10)
    gone, _ = psutil.wait_procs([simulator], timeout=5)
    assert gone == [simulator]


def _serves(simulator: psutil.Process) -> bool:
    (listening,) = (one for one in simulator.net_connections() if one.status == psutil.CONN_LISTEN)
    connection = http.client.HTTPConnection("127.0.0.1", listening.laddr.port, timeout=10)
    connection.request("GET", "/health")
    answer = connection.getresponse().read()
    connection.close()
    return answer == b'{"status":"ok"}'


def test_sigterm_ends_it_in_the_middle_of_answers(tmp_path: Path) -> None:
    """SIGTERM ends the simulator with requests in flight, and the log has a line for each of them."""
    log = tmp_path / "requests.jsonl"
    settings = SimulatorSettings(ttft_s=60, request_log=str(log))
    with SimulatorProcess(settings) as simulator:
        address = simulator.base_url.removeprefix("http://").removesuffix("/v1")
        connection = http.client.HTTPConnection(address, timeout=10)
        connection.request("POST", "/v1/chat/completions", b'{"model":"m","messages":[{"role":"user"}]}')
        while simulator.stats().in_flight == 0:
            time.sleep(0.01)
        process = psutil.Process(simulator.pid)
        process.terminate()
        assert process.wait(5) is None or not process.is_running()
        connection.close()
    assert log.read_text(encoding="utf-8").count('"outcome":"client_gone"') == 1


def test_stopping_is_quick_and_may_be_repeated() -> None:
    """Stopping ends the process within a second, with requests in flight too; stopping again does nothing."""
    simulator = SimulatorProcess(SimulatorSettings(ttft_s=60))
    simulator.start()
    process = psutil.Process(simulator.pid)
    address = simulator.base_url.removeprefix("http://").removesuffix("/v1")
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request("POST", "/v1/chat/completions", b'{"model":"m","messages":[{"role":"user"}]}')
    simulator.stop()
    simulator.stop()
    connection.close()
    assert not process.is_running()
    with pytest.raises(SimulatorError, match="not running"):
        simulator.stats()


def test_a_frozen_simulator_is_stopped_all_the_same() -> None:
    """A simulator that does not react (here: SIGSTOP) is killed in the end."""
    with SimulatorProcess(SimulatorSettings()) as simulator:
        process = psutil.Process(simulator.pid)
        process.suspend()
    assert not process.is_running()


def test_a_port_in_use_is_a_clear_error() -> None:
    """A port that is taken is named in the error, with the reason."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SimulatorError, match=rf"127\.0\.0\.1:{port}.*address already in use"):
            SimulatorProcess(SimulatorSettings(port=port)).start()


def test_a_log_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    """A request log in a folder that does not exist is named in the error."""
    with pytest.raises(SimulatorError, match=r"did not start.*No such file.*missing"):
        SimulatorProcess(SimulatorSettings(request_log=str(tmp_path / "missing" / "log"))).start()


def test_a_simulator_that_died_is_a_clear_error() -> None:
    """Asking a simulator that was killed says how it ended."""
    with SimulatorProcess(SimulatorSettings()) as simulator:
        os.kill(simulator.pid, signal.SIGKILL)
        with pytest.raises(SimulatorError, match="ended with code -9"):
            simulator.stats()


def test_no_key_reaches_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process's environment holds none of the parent's variables that could be a secret."""
    monkeypatch.setenv("BIGMODEL_API_KEY", "canary")
    monkeypatch.setenv("SOMETHING", "canary")
    with SimulatorProcess(SimulatorSettings()) as simulator:
        environment = psutil.Process(simulator.pid).environ()
    assert "canary" not in environment.values()
    assert "PATH" in environment


def test_it_starts_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a folder that has a `bench` of its own the right one runs, and a relative log lands in that folder."""
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "__init__.py").write_text("raise RuntimeError('the wrong package')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with SimulatorProcess(SimulatorSettings(request_log="requests.jsonl")):
        assert (tmp_path / "requests.jsonl").exists()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_every_loopback_address_can_be_asked(host: str) -> None:
    """The base URL of each loopback address is one that answers."""
    with SimulatorProcess(SimulatorSettings(host=host)) as simulator:
        assert simulator.stats().settings.host == host


def test_nothing_is_left_open() -> None:
    """Starting and stopping leaves no descriptor and no child behind."""
    own = psutil.Process()
    # Other tests of this process may have left it a fork server.
    descriptors, children = own.num_fds(), set(own.children())
    with SimulatorProcess(SimulatorSettings()):
        assert own.num_fds() > descriptors
        assert len(set(own.children()) - children) == 1
    assert own.num_fds() == descriptors
    assert set(own.children()) == children
