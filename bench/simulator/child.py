"""The process that a `SimulatorProcess` starts.

It reads its settings as one line of JSON from standard input, answers with one line (`Ready`) on standard output, and
serves until standard input ends: so it never outlives its parent, however that one ends. It ignores SIGINT: Ctrl+C is
the parent's to handle.
"""

import asyncio
import os
import signal
import sys

import msgspec
import uvloop

from bench.simulator.handshake import Ready
from bench.simulator.server import serve
from bench.simulator.settings import SimulatorSettings


class _Lifeline(asyncio.Protocol):
    """Standard input: its end is the end of the process."""

    def __init__(self, serving: asyncio.Task[None]) -> None:
        self._serving = serving

    def connection_lost(self, error: Exception | None) -> None:
        del error
        self._serving.cancel()


def main() -> None:
    """Serve as standard input says, until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        settings = msgspec.json.decode(sys.stdin.buffer.readline(), type=SimulatorSettings)
        uvloop.run(_serve(settings))
    except (msgspec.DecodeError, OSError) as error:
        _tell(Ready(error=str(error)))


async def _serve(settings: SimulatorSettings) -> None:
    loop = asyncio.get_running_loop()
    serving = loop.create_task(serve(settings, on_ready=_tell_port))
    loop.add_signal_handler(signal.SIGTERM, serving.cancel)
    await loop.connect_read_pipe(lambda: _Lifeline(serving), sys.stdin)
    # `wait` and not `await serving`: the cancelling was meant, and an error is to be raised.
    await asyncio.wait([serving])
    if not serving.cancelled():
        serving.result()


def _tell_port(port: int) -> None:
    _tell(Ready(port=port, pid=os.getpid()))


def _tell(ready: Ready) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(ready) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
