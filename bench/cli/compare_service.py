"""`compare --target service`: the service in front of each server of an experiment, in a process of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import psutil

from bench.cli.compare_options import ALL_MODES
from bench.cli.options import PROGRAM
from bench.clients.service import ADDRESSES
from bench.errors import ConfigError, EndpointError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bench.endpoints.simulated import ServerWindow
    from bench.experiment.cell import Server
    from bench.experiment.conduct import Target
    from bench.experiment.records import CellKind

_ROOT: Final = Path(__file__).resolve().parents[2]

#: Where the service says that it listens.
_LISTENS: Final = re.compile(r"^service: (http://\S+?)/ ")

#: How long it may take to end once it was told to: no task is under way then.
_STOP_TIMEOUT_S: Final = 10.0

_MODES: Final = ("asyncio",)

#: Below an experiment's directory: the records of its services.
_SERVICES: Final = "services"


class Places(NamedTuple):
    """What the services of an experiment are given.

    Attributes:
        slots: As many as any arm has: a full queue is not what the paths are compared in.
        directory: The experiment's; the services keep their records there.
    """

    slots: int
    directory: Path


def for_target(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings of an experiment; where the service is its target, its arms are the service's two paths.

    Raises:
        ConfigError: They ask for what the service's client does not have.
    """
    if settings["target"] != "service":
        return settings
    if settings["modes"] not in {ALL_MODES, _MODES}:
        raise ConfigError(
            f"--target service is asked from one event loop, got --modes {' '.join(settings['modes'])}",
            "leave --modes out",
        )
    if settings["base_url"] is not None or settings["provider"] not in {(), ("simulator",)}:
        raise ConfigError(
            f"--target service compares the service's paths in front of the simulator, got {_whom(settings)}",
            "leave --provider and --base-url out",
        )
    # A canary's server is none of the service's: the simulator's stamps tell what is added on the way.
    return {**settings, "modes": _MODES, "clients": tuple(ADDRESSES), "canary": False}


def _whom(settings: Mapping[str, Any]) -> str:
    return " ".join(settings["provider"]) or str(settings["base_url"])


def behind_services(
    target: Target, nulls: Mapping[CellKind, Target], servers: contextlib.ExitStack, places: Places
) -> tuple[Target, dict[CellKind, Target]]:
    """Start a service in front of whom the measurements ask and of each null server, and return whom to ask instead.

    Raises:
        EndpointError: One did not come up.
    """

    def behind(server: Target, name: str) -> Target:
        folder = places.directory / _SERVICES / name
        return servers.enter_context(behind_service(server, most_slots=places.slots, folder=folder))

    return behind(target, "measurement"), {kind: behind(null, kind) for kind, null in nulls.items()}


class _Behind:
    """A server and the service in front of it, counted as one: none of the two is the client's."""

    def __init__(self, server: Server, process: psutil.Process) -> None:
        self._server = server
        self._process = process
        self._cpu_s = self._used_s()

    def reset(self) -> ServerWindow:
        """Begin to count anew; return the counts until now."""
        window, before_s = self._server.reset(), self._cpu_s
        self._cpu_s = self._used_s()
        return msgspec.structs.replace(window, cpu_s=window.cpu_s + self._cpu_s - before_s)

    def _used_s(self) -> float:
        times = self._process.cpu_times()
        return times.user + times.system


@contextlib.contextmanager
def behind_service(target: Target, *, most_slots: int, folder: Path) -> Iterator[Target]:
    """Run a service in front of a simulator inside the block, with as many slots as any arm has.

    Args:
        target: The simulator.
        most_slots: So many are asked at once, and may wait.
        folder: Where the service keeps its records.

    Yields:
        Whom to ask instead.

    Raises:
        EndpointError: It did not come up.
    """
    process = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, str(_ROOT / PROGRAM), "serve", *_options(target, most_slots, folder)],
        env={name: value for name, value in os.environ.items() if not name.startswith("CONCURRENT_")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        # Ctrl+C is for the experiment, which ends it when its cells have ended.
        start_new_session=True,
    )
    try:
        address = _address(process)
        server = None if target.server is None else _Behind(target.server, psutil.Process(process.pid))
        named = dict(zip(target.options[::2], target.options[1::2], strict=True))
        options = ("--base-url", address, "--model", named["--model"])
        yield dataclasses.replace(target, options=options, server=server)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _options(target: Target, most_slots: int, folder: Path) -> tuple[str, ...]:
    slots = str(most_slots)
    places = ("--agent-slots", slots, "--agent-queue", slots, "--max-streams", slots)
    # Each answer is to come from the simulator, and none to wait for a limit that is still being looked for.
    plain = ("--client", "lean", "--no-cache", "--no-adaptive")
    return (*target.options, *plain, *places, "--port", "0", "--results-dir", str(folder))


def _address(process: subprocess.Popen[str]) -> str:
    """Wait until the service says where it listens.

    Raises:
        EndpointError: It ended without.
    """
    said = ""
    for line in process.stderr or ():
        if (found := _LISTENS.match(line)) is not None:
            return found[1]
        said += line
    raise EndpointError(f"the service did not come up: {said.strip()}")
