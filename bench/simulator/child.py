"""The process that a `SimulatorProcess` starts.

It reads its settings as one line of JSON from standard input, answers with one line (`Ready`) on standard output, and
serves until standard input ends: so it never outlives its parent, however that one ends. It ignores SIGINT: Ctrl+C is
the parent's to handle.
"""

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from typing import Final

import msgspec
import uvloop

from bench.simulator.handshake import Ready
from bench.simulator.server import serve
from bench.simulator.settings import SimulatorSettings

#: How long serving may take to end once the parent is gone.
_END_GRACE_S: Final = 2.0


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
    threading.Thread(target=_end_with_stdin, args=(loop, serving), name="lifeline", daemon=True).start()
    # `wait` and not `await serving`: the cancelling was meant, and an error is to be raised.
    await asyncio.wait([serving])
    if not serving.cancelled():
        serving.result()


def _end_with_stdin(loop: asyncio.AbstractEventLoop, serving: asyncio.Task[None]) -> None:
    """Wait for the end of standard input, and end the process: in order, or without, where the loop does not answer.

    A thread of its own, because a loop with a thousand streams to serve may look at its pipes too late.
    """
    while os.read(0, 1024):
        pass
    with contextlib.suppress(RuntimeError):  # closed already
        loop.call_soon_threadsafe(serving.cancel)
    time.sleep(_END_GRACE_S)
    os._exit(1)


def _tell_port(port: int) -> None:
    _tell(Ready(port=port, pid=os.getpid()))


def _tell(ready: Ready) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(ready) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
