"""A scheduler and two nodes on this machine that all tests of mode `distributed` in a test run share."""

from __future__ import annotations

import functools
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec

from bench.engines.cluster.local_host import LocalReady, LocalSettings
from bench.environment import ROOT

if TYPE_CHECKING:
    from bench.records import Mode


def scheduler_for(mode: Mode) -> str | None:
    """Return where the shared scheduler listens, or None in a mode that needs none."""
    return _started()[1] if mode == "distributed" else None


@functools.cache
def _started() -> tuple[subprocess.Popen[bytes], str]:
    """Start it; it ends with the test run, whose end closes its standard input."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.engines.cluster.local_host"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    settings = LocalSettings(nodes=2, client="lean", keys={})
    process.stdin.write(msgspec.json.encode(settings) + b"\n")
    process.stdin.flush()
    return process, msgspec.json.decode(process.stdout.readline(), type=LocalReady).address
