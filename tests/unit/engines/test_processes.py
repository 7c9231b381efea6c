"""A worker process at the end of its pipe, and what its parent makes of its end; no network is needed."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import re
import signal
import socket
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from bench.clients._base import ClientSettings, Timeouts
from bench.clock import MonotonicClock
from bench.engines import process_worker as child
from bench.engines._base import Job
from bench.engines.processes import ProcessesEngine, _context, _how_it_ended
from bench.errors import WorkerError
from bench.providers import Endpoint
from bench.records import TaskResult
from bench.stop import StopSignal
from bench.worker import Assignment
from tests.flows import make_spec
from tests.samples import make_task

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    from bench.worker import WorkerSpec


@contextlib.contextmanager
def started_worker(spec: WorkerSpec) -> Iterator[tuple[BaseProcess, Connection]]:
    """Start a worker, wait until it stands ready, and make sure that it ends."""
    ours, theirs = _context().Pipe()
    process = _context().Process(target=child.serve, args=(theirs, spec, 0, logging.WARNING), daemon=True)
    process.start()
    theirs.close()
    assert ours.recv_bytes() == child.READY
    try:
        yield process, ours
    finally:
        process.kill()
        process.join()
        ours.close()


@pytest.fixture
def worker() -> Iterator[tuple[BaseProcess, Connection]]:
    """Start a worker with the scripted client."""
    with started_worker(make_spec()) as (process, connection):
        yield process, connection


def send_task(connection: Connection, index: int) -> None:
    """Give a worker a task."""
    assignment = Assignment(task=make_task(index), scheduled_ns=MonotonicClock().now_ns())
    connection.send_bytes(child.ASSIGN + msgspec.msgpack.encode(assignment))


def receive_result(connection: Connection) -> TaskResult:
    """Wait for a result."""
    message = connection.recv_bytes()
    assert message[:1] == child.RESULT
    return msgspec.json.decode(message[1:], type=TaskResult)


def test_tasks_go_in_and_results_come_out(worker: tuple[BaseProcess, Connection]) -> None:
    """A worker does the tasks that it is given, in its own process, and at its end hands in its CPU time."""
    process, connection = worker
    for index in range(3):
        send_task(connection, index)
        result = receive_result(connection)
        assert (result.index, result.status) == (index, "ok")
        assert (result.worker.pid, result.worker.slot) == (process.pid, 0)
        assert result.worker.pid != os.getpid()
    connection.send_bytes(child.END)
    message = connection.recv_bytes()
    assert message[:1] == child.CPU
    assert float(message[1:]) > 0
    process.join()
    assert process.exitcode == 0


def test_a_worker_ends_with_its_parent(worker: tuple[BaseProcess, Connection]) -> None:
    """A worker whose pipe closes, as it does when its parent is killed, ends at once and says why by its exit code."""
    process, connection = worker
    connection.close()
    process.join()
    assert process.exitcode == child.EXIT_ORPHANED


def test_a_busy_worker_ends_with_its_parent() -> None:
    """A worker that waits for an answer does not outlive its parent until the answer's timeout."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings = ClientSettings(client="openai", transport="httpx2", slots=1, timeouts=Timeouts())
        endpoint = Endpoint(provider="mute", base_url=f"http://127.0.0.1:{server.getsockname()[1]}/v1", model="m")
        with started_worker(make_spec(client=settings, endpoint=endpoint)) as (process, connection):
            send_task(connection, 0)
            request, _ = server.accept()
            with request:
                assert request.recv(4).startswith(b"POST")
                connection.close()
                process.join()
                assert process.exitcode == child.EXIT_ORPHANED


def test_a_worker_leaves_the_stop_to_its_parent(worker: tuple[BaseProcess, Connection]) -> None:
    """Ctrl+C, which reaches the whole group, ends no worker: it goes on with what its parent gives it."""
    process, connection = worker
    assert process.pid is not None
    os.kill(process.pid, signal.SIGINT)
    send_task(connection, 0)
    assert receive_result(connection).status == "ok"


def test_how_a_worker_ended_is_told() -> None:
    """A worker's end is told by its process id and its signal's name or its exit code."""
    context = multiprocessing.get_context("spawn")
    for target, argument, how in (
        (sys.exit, 7, "ended with exit code 7"),
        (signal.raise_signal, signal.SIGKILL, "was killed by SIGKILL"),
        (signal.raise_signal, signal.SIGTERM, "was killed by SIGTERM"),
    ):
        process = context.Process(target=target, args=(argument,))
        process.start()
        process.join()
        assert _how_it_ended(process) == f"worker process {process.pid} {how}"


def test_workers_that_do_not_start_end_the_run() -> None:
    """Where workers die before they stand ready the run ends with how they died, and leaves no process behind."""
    nobody = ClientSettings(client="nobody", transport="none", slots=2, timeouts=Timeouts())
    events: list[object] = []
    job = Job(
        slots=2,
        spec=make_spec(client=nobody),
        clock=MonotonicClock(),
        stop=StopSignal(),
        draw=lambda: events.append("draw"),
        emit=events.append,
        ready=lambda: events.append("ready"),
        worker_cpu=events.append,
    )
    with pytest.raises(WorkerError) as caught:
        ProcessesEngine().run(job)
    assert re.fullmatch(
        r"workers of slot [01] do not start, 3 in a row; the last: worker process \d+ ended with exit code 1",
        str(caught.value),
    )
    assert events == []
    assert multiprocessing.active_children() == []
