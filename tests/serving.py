"""The service in a process of its own, started as a user starts it."""

from __future__ import annotations

import contextlib
import re
import signal
import threading
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.command import start

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

_ADDRESS: Final = re.compile(r"service: (https?://\S+?)/? ")

#: A loaded machine starts it in some seconds; one that hangs is told by what it said.
_START_TIMEOUT_S: Final = 60

#: A task that a failed test has left may go on for 30 s.
_STOP_TIMEOUT_S: Final = 60


class Serving(NamedTuple):
    """A service that runs."""

    url: str
    process: subprocess.Popen[str]


@contextlib.contextmanager
def serving(folder: Path, *options: str, env: dict[str, str] | None = None) -> Iterator[Serving]:
    """Run `serve` on a free port, with its records below a folder, and end it in order.

    Raises:
        AssertionError: It did not say where it listens.
    """
    process = start("serve", "--port", "0", *options, cwd=folder, env=env)
    assert process.stderr is not None
    assert process.stdout is not None
    watchdog = threading.Timer(_START_TIMEOUT_S, process.kill)
    watchdog.start()
    try:
        said = []
        for line in process.stderr:
            said.append(line)
            if (found := _ADDRESS.search(line)) is not None:
                break
        else:
            raise AssertionError(f"the service did not start: {''.join(said)}")
        watchdog.cancel()
        yield Serving(found[1], process)
    finally:
        watchdog.cancel()
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=_STOP_TIMEOUT_S)
        finally:
            process.kill()
