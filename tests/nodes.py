"""A cluster as a user starts it, with Dask's own commands, and a simulator that any machine of it can ask."""

from __future__ import annotations

import contextlib
import functools
import http.client
import re
import socket
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from bench.simulator.stats import SimulatorStats
from tests.command import COMMAND, ROOT, records, requests, wait_until, write_topics
from tests.hosts import Host, Machine, ThisMachine, network, program

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from bench.simulator.request_log import LogLine

    #: Gives a machine by its name, and makes it if there is none of that name.
    Machines = Callable[[str], Machine]

_SIMULATOR_AT: Final = re.compile(r"simulator: (http://\S+)")
_REGISTERED: Final = "Registered to:"

#: What a run and its nodes have in their environment: the key of the endpoint that is asked.
KEY: Final = {"CONCURRENT_API_KEY": "kanarie0123456789abcdef.0123456789"}

#: Prints what an address answers: the test run itself reaches no host.
_ASK: Final = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"

#: Dask's worker, which loads all that it needs and then waits for a file before it looks for its scheduler.
_HELD_BACK: Final = """
import pathlib, sys, time
from distributed.cli.dask_worker import main
signal = pathlib.Path(sys.argv.pop(1))
while not signal.exists():
    time.sleep(0.01)
main()
"""


@contextlib.contextmanager
def here() -> Iterator[Machines]:
    """Provide machines that are all this one."""
    machine = ThisMachine()
    try:
        yield lambda _name: machine
    finally:
        machine.close()


@contextlib.contextmanager
def hosts() -> Iterator[Machines]:
    """Provide machines that are hosts in a network of their own."""
    with network() as made:
        yield functools.cache(made.host)


class Simulator:
    """`simulate` on a machine."""

    def __init__(self, machine: Machine, folder: Path, *options: str) -> None:
        self._machine = machine
        self._folder = folder
        self._log = folder / "requests.jsonl"
        self._output = folder / "simulator.log"
        self._process = machine.start(
            *(*COMMAND, "simulate", "--public", "--host", machine.address, "--request-log", str(self._log), *options),
            cwd=folder,
            output=self._output,
        )

    def __repr__(self) -> str:
        """Show its log."""
        return f"<Simulator {self._log}>"

    @functools.cached_property
    def base_url(self) -> str:
        """Where it is asked."""
        return _said(self._output, _SIMULATOR_AT)

    def ended(self) -> list[LogLine]:
        """The requests that have ended."""
        return requests(self._log) if self._log.exists() else []

    @property
    def authority(self) -> str:
        """Its address and port."""
        return self.base_url.removeprefix("http://").removesuffix("/v1")

    @property
    def asked(self) -> tuple[str, ...]:
        """The options of a run that asks it."""
        return ("--base-url", self.base_url, "--model", "m", "--allow-insecure-http")

    def stats(self) -> SimulatorStats:
        """What it counts."""
        if isinstance(self._machine, Host):
            asked = self._machine.start(sys.executable, "-c", _ASK, f"http://{self.authority}/stats", cwd=self._folder)
            answer, error = asked.communicate(timeout=20)
            assert asked.returncode == 0, error
        else:
            with contextlib.closing(http.client.HTTPConnection(self.authority, timeout=20)) as connection:
                connection.request("GET", "/stats")
                answer = connection.getresponse().read().decode()
        return msgspec.json.decode(answer, type=SimulatorStats)

    def stop(self) -> SimulatorStats:
        """End it and return what it counted."""
        program(self._process).terminate()
        self._process.wait(20)
        last = self._output.read_bytes().splitlines()[-1]
        return msgspec.json.decode(last, type=SimulatorStats)


class Node(NamedTuple):
    """A worker of Dask's, and what it writes."""

    name: str
    process: subprocess.Popen[str]
    output: Path

    def kill(self) -> None:
        """Kill it."""
        program(self.process).kill()


class Cluster:
    """A scheduler of Dask's and its workers, all of which start at the same time."""

    def __init__(
        self, machine: Machine, folder: Path, *, protocol: str = "tcp", env: Mapping[str, str] | None = None
    ) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        port = _free_port()
        self.address = f"{protocol}://{machine.address}:{port}"
        self._process = machine.start(
            *(sys.executable, "-m", "distributed.cli.dask_scheduler"),
            *("--protocol", protocol, "--host", machine.address, "--port", str(port), "--no-dashboard"),
            cwd=ROOT,
            env=env,
            output=folder / "scheduler.log",
        )

    def __repr__(self) -> str:
        """Show where its scheduler listens."""
        return f"<Cluster {self.address}>"

    def node(
        self,
        machine: Machine,
        name: str,
        *options: str,
        project: Path = ROOT,
        env: Mapping[str, str] = KEY,
        held_back_until: Path | None = None,
    ) -> Node:
        """Start a worker on a machine, without waiting for it.

        Args:
            machine: Where.
            name: The worker's name.
            options: Of Dask's command.
            project: The folder with the project that it imports.
            env: What its environment has besides.
            held_back_until: A file: before it is there the worker does not look for its scheduler.
        """
        begun = ["-m", "distributed.cli.dask_worker"]
        if held_back_until is not None:
            begun = ["-c", _HELD_BACK, str(held_back_until)]
        output = self._folder / f"{name}.log"
        process = machine.start(
            *(sys.executable, *begun, self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--name", name),
            *("--local-directory", str(self._folder), *options),
            cwd=project,
            env={**env, "PYTHONPATH": str(project)},
            output=output,
        )
        return Node(name, process, output)

    def kill_scheduler(self) -> None:
        """Kill the scheduler."""
        program(self._process).kill()

    def scheduler_cpu_s(self) -> float:
        """CPU time of the scheduler until now, user and system."""
        times = program(self._process).cpu_times()
        return float(times.user + times.system)


def registered(*nodes: Node) -> None:
    """Wait until the nodes' scheduler knows them."""
    for node in nodes:
        wait_until(lambda node=node: _REGISTERED in _text(node.output), f"{node.name} at its scheduler")  # type: ignore[misc]


def begin(
    machine: Machine,
    folder: Path,
    cluster: Cluster,
    *options: str,
    tasks: int,
    slots: int,
    env: Mapping[str, str] = KEY,
) -> subprocess.Popen[str]:
    """Begin a run on a cluster, from a machine; the options say whom it asks."""
    topics = write_topics(folder / "topics.txt", tasks)
    return machine.start(
        *(*COMMAND, "-m", "distributed", "--scheduler", cluster.address, "-c", str(slots), "--client", "lean"),
        *("--topics-file", str(topics), "--retry-delay", "0", "--no-report", "--quiet", *options),
        cwd=folder,
        env=env,
    )


def wait_for(condition: Callable[[], bool], what: str, *, during: subprocess.Popen[str]) -> None:
    """Wait for something that a run brings about.

    Raises:
        AssertionError: The run has ended before; with what it said.
        TimeoutError: It did not come about.
    """
    wait_until(lambda: condition() or during.poll() is not None, what)
    assert condition(), f"the run ended before {what}: {during.communicate()}"


def each_done_once(run: Path, tasks: int) -> int:
    """Check that every task of a run has one record, a success; return how many attempts were lost with nodes."""
    kept = records(run)
    assert len({record.task_id for record in kept}) == len(kept) == tasks
    assert {record.status for record in kept} == {"ok"}
    return sum(attempt.error_type == "worker_lost" for record in kept for attempt in record.attempts)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _said(output: Path, what: re.Pattern[str]) -> str:
    """Wait until a program has said something, and return it."""
    found: list[str] = []

    def look() -> bool:
        found[:] = what.findall(_text(output))
        return bool(found)

    wait_until(look, f"{what.pattern} in {output}: {_text(output)}")
    return found[0]


def _text(output: Path) -> str:
    return output.read_text(encoding="utf-8") if output.exists() else ""
