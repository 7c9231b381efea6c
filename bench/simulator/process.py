"""A simulator in a process of its own, started and stopped by the program that uses it."""

import contextlib
import http.client
import os
import selectors
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Final, Self

import msgspec

from bench.simulator.handshake import Ready
from bench.simulator.settings import SimulatorSettings
from bench.simulator.stats import SimulatorStats

_ROOT: Final = Path(__file__).resolve().parents[2]
#: All of the environment that the process gets: nothing that could be a key.
_PASSED_ON: Final = frozenset(
    {"HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH"}
    | {"PYTHONPYCACHEPREFIX", "TMPDIR", "TZ"}
)
#: It starts in a quarter of a second; a machine that is busy with everything else gets forty times that.
_START_TIMEOUT_S: Final = 10.0
#: How long it may take to end by itself, and then again when it is told to.
_STOP_TIMEOUT_S: Final = 2.0
_ASK_TIMEOUT_S: Final = 10.0
#: A process whose pipe broke is about to end: long enough to learn how it did.
_END_TIMEOUT_S: Final = 0.5
_NS_PER_S: Final = 1_000_000_000
#: Addresses that stand for every address of the machine: a client needs one of them.
_ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - asked for with `public`


class SimulatorError(RuntimeError):
    """The simulator's process did not start, or does not answer."""


class SimulatorProcess:
    """A simulator that runs as long as this context manager is open, and no longer than the process that opened it.

    Any thread may call its methods, one at a time.
    """

    def __init__(self, settings: SimulatorSettings) -> None:
        log = settings.request_log
        # The process works in another directory.
        absolute = log if log is None else os.path.abspath(log)  # noqa: PTH100 - a link is to stay one
        self._settings = msgspec.structs.replace(settings, request_log=absolute)
        self._process: subprocess.Popen[bytes] | None = None
        self._port = settings.port

    def __repr__(self) -> str:
        """Show where it listens."""
        return f"<SimulatorProcess {self.base_url if self._process else 'not running'}>"

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()

    @property
    def base_url(self) -> str:
        """What a client of the OpenAI protocol takes as its base URL."""
        return f"http://{self._authority}/v1"

    @property
    def pid(self) -> int:
        """The process's id.

        Raises:
            SimulatorError: It is not running.
        """
        return self._running().pid

    def start(self) -> None:
        """Start the process and wait until it listens.

        Raises:
            SimulatorError: It cannot listen, or did not say within ten seconds that it does.
        """
        if self._process is not None:
            raise SimulatorError(f"the simulator already runs at {self.base_url}; stop it first")
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `stop`
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.simulator.child"],
            cwd=_ROOT,
            env={name: value for name, value in os.environ.items() if name in _PASSED_ON},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        try:
            self._port = self._handshake(self._process)
        except BaseException:
            self.stop()
            raise

    def stats(self) -> SimulatorStats:
        """Return the counts since the start or the last reset.

        Raises:
            SimulatorError: It does not answer.
        """
        return self._ask("GET", "/stats")

    def reset(self) -> SimulatorStats:
        """Begin to count anew; return the counts until now.

        Raises:
            SimulatorError: It does not answer.
        """
        return self._ask("POST", "/stats/reset")

    def stop(self) -> None:
        """Stop the process, within a few seconds; does nothing when it is not running."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(OSError):  # what the process never read cannot be flushed
            _pipe(process.stdin).close()
        for stronger in (process.terminate, process.kill):
            try:
                process.wait(_STOP_TIMEOUT_S)
                break
            except subprocess.TimeoutExpired:
                stronger()
        process.wait()
        _pipe(process.stdout).close()
        self._errors.close()

    @property
    def _authority(self) -> str:
        host = _ANY_ADDRESS.get(self._settings.host, self._settings.host)
        return f"[{host}]:{self._port}" if ":" in host else f"{host}:{self._port}"

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise SimulatorError("the simulator is not running; start it first")
        return self._process

    def _handshake(self, process: subprocess.Popen[bytes]) -> int:
        stdin = _pipe(process.stdin)
        with contextlib.suppress(BrokenPipeError):  # it ended: what it wrote says why
            stdin.write(msgspec.json.encode(self._settings) + b"\n")
            stdin.flush()
        line = _first_line(_pipe(process.stdout).fileno(), timeout_s=_START_TIMEOUT_S)
        try:
            ready = msgspec.json.decode(line, type=Ready)
        except msgspec.DecodeError:
            ready = Ready(error=f"it {self._end(process)} without saying where it listens")
        if ready.port is None:
            raise SimulatorError(f"the simulator did not start on {self._authority}: {ready.error}")
        return ready.port

    def _ask(self, method: str, path: str) -> SimulatorStats:
        process = self._running()
        connection = http.client.HTTPConnection(self._authority, timeout=_ASK_TIMEOUT_S)
        try:
            connection.request(method, path)
            return msgspec.json.decode(connection.getresponse().read(), type=SimulatorStats)
        except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
            raise SimulatorError(f"the simulator does not answer {path} ({error}): it {self._end(process)}") from error
        finally:
            connection.close()

    def _end(self, process: subprocess.Popen[bytes]) -> str:
        """Say what became of the process, with what it wrote about that."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_TIMEOUT_S)
        if process.returncode is None:
            return "is still running"
        self._errors.seek(0)
        written = self._errors.read().decode(errors="replace").strip()
        return f"ended with code {process.returncode}" + (f" and wrote: {written}" if written else "")


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise SimulatorError("the simulator was started without a pipe")
    return stream


def _first_line(fd: int, *, timeout_s: float) -> bytes:
    """Read up to the first line's end; less where the writer ended or the time is up."""
    deadline_ns = time.perf_counter_ns() + round(timeout_s * _NS_PER_S)
    line = b""
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            left_s = (deadline_ns - time.perf_counter_ns()) / _NS_PER_S
            if left_s <= 0 or not selector.select(left_s):
                break
            read = os.read(fd, 4096)
            if not read:
                break
            line += read
    return line
