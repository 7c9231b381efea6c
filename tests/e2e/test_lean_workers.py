"""Worker processes start cheaply: they share the fork server's imports and load nothing that only a report needs."""

from __future__ import annotations

import json
import os
import signal
import socket
from typing import TYPE_CHECKING

import psutil

from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from tests.command import wait_until, write_topics

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import StartCommand

#: Loaded by every Python below: on SIGUSR1 it writes the names of its modules to a file.
TELL_MODULES = """
import json, os, signal, sys

def tell(*_):
    path = os.environ["TELL_MODULES_DIR"] + f"/{os.getpid()}"
    with open(path + ".part", "w") as file:
        json.dump(sorted(sys.modules), file)
    os.rename(path + ".part", path)

signal.signal(signal.SIGUSR1, tell)
"""

#: What a worker has no use for.
FOREIGN = {"pandas", "numpy", "matplotlib", "langsmith", "cyclopts", "rich", "jinja2"}


def test_modules_of_workers(tmp_path: Path, start: StartCommand) -> None:
    """After ten tasks, called from another folder, a worker has the SDK from its fork server and no foreign module."""
    (tmp_path / "sitecustomize.py").write_text(TELL_MODULES, encoding="utf-8")
    topics = write_topics(tmp_path / "topics.txt", 400)
    with SimulatorProcess(SimulatorSettings(ttft_s=0.05, tokens=2)) as server:
        command = start(
            *["-m", "multiprocessing", "-c", "2", "--topics-file", str(topics), "--no-report"],
            *["--base-url", server.base_url, "--model", "m"],
            cwd=tmp_path,
            env={"PYTHONPATH": str(tmp_path), "TELL_MODULES_DIR": str(tmp_path)},
        )
        wait_until(lambda: server.stats().outcomes["ok"] >= 20, "no answers")
        parent = psutil.Process(command.pid)
        family = parent.children(recursive=True)
        workers = [process for process in family if process.ppid() != command.pid]
        fork_servers = {process.ppid() for process in workers}
        for process in family:
            if process in workers or process.pid in fork_servers:
                process.send_signal(signal.SIGUSR1)
        told = [tmp_path / str(pid) for pid in (*fork_servers, *(worker.pid for worker in workers))]
        wait_until(lambda: all(path.exists() for path in told), "modules not told")
        os.killpg(command.pid, signal.SIGTERM)
        command.communicate(timeout=30)
    assert len(workers) == 2
    modules = {path.name: set(json.loads(path.read_text(encoding="utf-8"))) for path in told}
    for names in modules.values():
        assert {name.partition(".")[0] for name in names} & FOREIGN == set()
        assert {"openai", "bench.worker.flow"} <= names
    (server_modules,) = (modules[str(pid)] for pid in fork_servers)
    imported_later = {
        name for worker in workers for name in modules[str(worker.pid)] - server_modules if name != "__mp_main__"
    }
    assert len(imported_later) < 80, sorted(imported_later)


def test_the_first_request_waits_for_no_library_that_it_does_not_need(tmp_path: Path, start: StartCommand) -> None:
    """When the first request of the lean client comes, no SDK, HTTP library or library of the reports is loaded.

    They take longer to import than all the rest of the way from the command to its first request.
    """
    (tmp_path / "sitecustomize.py").write_text(TELL_MODULES, encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        command = start(
            *["--client", "lean", "--topics", "a", "--no-report", "--model", "m"],
            *["--base-url", f"http://127.0.0.1:{listener.getsockname()[1]}/v1"],
            cwd=tmp_path,
            env={"PYTHONPATH": str(tmp_path), "TELL_MODULES_DIR": str(tmp_path)},
        )
        connection, _ = listener.accept()
        with connection:
            command.send_signal(signal.SIGUSR1)
            told = tmp_path / str(command.pid)
            wait_until(told.exists, "modules not told")
            command.kill()
            command.communicate(timeout=30)
    modules = {name.partition(".")[0] for name in json.loads(told.read_text(encoding="utf-8"))}
    assert modules & (FOREIGN - {"rich", "cyclopts"} | {"openai", "aiohttp", "httpx2", "pydantic"}) == set()
    assert "httptools" in modules
