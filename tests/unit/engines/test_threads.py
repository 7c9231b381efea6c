"""Threads that the machine does not give."""

from __future__ import annotations

import threading

import pytest

from bench.engines.threads import _start_all
from bench.errors import WorkerError
from bench.stop import StopSignal


class RefusedThread(threading.Thread):
    """A thread that the machine refuses, as it does beyond its limit on processes."""

    def start(self) -> None:
        """Refuse."""
        raise RuntimeError("can't start new thread")


def test_too_few_threads_stop_the_run() -> None:
    """Where the machine gives fewer threads than slots the run is cancelled, and the error names both numbers."""
    stop = StopSignal()
    threads = [threading.Thread(target=stop.wait_draining, args=(60,)) for _ in range(2)]
    started: list[threading.Thread] = []
    with pytest.raises(WorkerError, match=r"^this machine gave 2 threads where 4 were asked for: can't start"):
        _start_all([*threads, RefusedThread(), RefusedThread()], started, stop)
    assert started == threads
    for thread in threads:
        thread.join()
    assert stop.cancelled
