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
from bench.clock import NS_PER_S, MonotonicClock
from bench.engines import pipe
from bench.engines._base import Job
from bench.engines.launch import how_it_ended, worker_context
from bench.engines.process_worker import EXIT_ORPHANED, serve_blocking, serve_on_loop
from bench.engines.processes import HybridEngine, ProcessesEngine, shares
from bench.errors import WorkerError
from bench.providers import Endpoint
from bench.records import TaskResult
from bench.stop import StopSignal
from bench.worker import Assignment
from tests.flows import make_spec
from tests.samples import make_task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.process import BaseProcess

    from bench.engines._base import Engine
    from bench.worker import WorkerSpec


class Parent:
    """The parent's end of a pipe."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._unframer = pipe.Unframer()
        self._messages: list[tuple[bytes, bytes]] = []

    def send(self, kind: bytes, content: bytes = b"") -> None:
        """Send a message."""
        self.connection.sendall(pipe.framed(kind, content))

    def assign(self, *indexes: int, slots: Sequence[int] = (0, 1, 2, 3), after_ns: int = 0) -> None:
        """Give the worker tasks by one message, to begin at once or later."""
        due_ns = MonotonicClock().now_ns() + after_ns
        tasks = [Assignment(task=make_task(index), scheduled_ns=due_ns) for index in indexes]
        self.send(pipe.ASSIGN, pipe.pack_given(list(zip(slots, tasks, strict=False))))

    def receive(self) -> tuple[bytes, bytes]:
        """Wait for a message."""
        while not self._messages:
            data = self.connection.recv(pipe.READ_BYTES)
            assert data, "the worker closed its pipe"
            self._messages += self._unframer.feed(data)
        return self._messages.pop(0)

    def results(self, count: int) -> list[TaskResult]:
        """Wait for results, in as many messages as they come."""
        results: list[TaskResult] = []
        while len(results) < count:
            kind, content = self.receive()
            assert kind == pipe.RESULT
            for slot, line in pipe.unpack_done(content):
                results.append(msgspec.json.decode(line, type=TaskResult))
                assert results[-1].worker.slot == slot
        return results


@contextlib.contextmanager
def started_worker(
    serve: Callable[..., None], spec: WorkerSpec, slots: range = range(1)
) -> Iterator[tuple[BaseProcess, Parent]]:
    """Start a worker, wait until it stands ready, and make sure that it ends."""
    ours, theirs = socket.socketpair()
    process = worker_context("scripted").Process(target=serve, args=(theirs, spec, slots, logging.WARNING), daemon=True)
    process.start()
    theirs.close()
    parent = Parent(ours)
    assert parent.receive() == (pipe.READY, b"")
    try:
        yield process, parent
    finally:
        process.kill()
        process.join()
        ours.close()


SERVES = (serve_blocking, serve_on_loop)


@pytest.fixture(params=SERVES)
def worker(request: pytest.FixtureRequest) -> Iterator[tuple[BaseProcess, Parent]]:
    """Start a worker of either kind with the scripted client."""
    with started_worker(request.param, make_spec()) as (process, parent):
        yield process, parent


def test_tasks_go_in_and_results_come_out(worker: tuple[BaseProcess, Parent]) -> None:
    """A worker does the tasks that it is given, in its own process, and at its end hands in its CPU time."""
    process, parent = worker
    for index in range(3):
        parent.assign(index)
        (result,) = parent.results(1)
        assert (result.index, result.status) == (index, "ok")
        assert (result.worker.pid, result.worker.slot) == (process.pid, 0)
        assert result.worker.pid != os.getpid()
    parent.send(pipe.END)
    kind, content = parent.receive()
    assert kind == pipe.CPU
    assert float(content) > 0
    process.join()
    assert process.exitcode == 0


def test_a_worker_with_a_loop_does_several_tasks_at_once() -> None:
    """A worker with three slots begins three tasks that come by one message, each in its own slot, and returns all."""
    with started_worker(serve_on_loop, make_spec(), range(5, 8)) as (process, parent):
        parent.assign(0, 1, 2, slots=(5, 6, 7), after_ns=200_000_000)
        results = parent.results(3)
        assert {result.index for result in results} == {0, 1, 2}
        assert {result.worker.slot for result in results} == {5, 6, 7}
        assert {result.worker.pid for result in results} == {process.pid}
        assert len({result.scheduled_s for result in results}) == 1
        assert max(result.started_s for result in results) < min(result.ended_s for result in results) + 0.2


def test_a_long_record_passes_the_pipe() -> None:
    """A task and a result larger than any one read arrive whole, and the worker ends as others do."""
    long = "x" * (3 * pipe.READ_BYTES)
    for serve in SERVES:
        with started_worker(serve, make_spec()) as (process, parent):
            task = make_task(0, topic=long)
            parent.send(pipe.ASSIGN, pipe.pack_given([(0, Assignment(task=task, scheduled_ns=0))]))
            (result,) = parent.results(1)
            assert result.topic == long
            parent.send(pipe.END)
            assert parent.receive()[0] == pipe.CPU
            process.join()
            assert process.exitcode == 0


@pytest.mark.parametrize("stage", [pipe.DRAIN, pipe.CANCEL])
def test_a_stop_ends_the_wait_for_an_arrival(worker: tuple[BaseProcess, Parent], stage: bytes) -> None:
    """A task whose time has not come when the run stops is cancelled at once, without any attempt or wait of its own.

    The stop follows the task so closely that the task may not have begun to wait.
    """
    _, parent = worker
    parent.assign(0, after_ns=1000 * NS_PER_S)
    parent.send(stage)
    (result,) = parent.results(1)
    assert (result.status, result.error and result.error.type) == ("cancelled", "cancelled")
    assert result.attempts == ()
    assert (result.queue_s, result.latency_s) == (0, 0)


def test_a_cancellation_right_behind_a_task_cancels_it() -> None:
    """A task whose cancellation comes by the same read, before its first step, has its record, and as cancelled."""
    with started_worker(serve_on_loop, make_spec()) as (_, parent):
        given = pipe.pack_given([(0, Assignment(task=make_task(0), scheduled_ns=MonotonicClock().now_ns()))])
        parent.connection.sendall(pipe.framed(pipe.ASSIGN, given) + pipe.framed(pipe.CANCEL))
        (result,) = parent.results(1)
    assert (result.status, result.error and result.error.type) == ("cancelled", "cancelled")


def test_a_worker_ends_with_its_parent(worker: tuple[BaseProcess, Parent]) -> None:
    """A worker whose pipe closes, as it does when its parent is killed, ends at once and says why by its exit code."""
    process, parent = worker
    parent.connection.close()
    process.join()
    assert process.exitcode == EXIT_ORPHANED


@pytest.mark.parametrize(("serve", "transport"), [(serve_blocking, "httpx2"), (serve_on_loop, "aiohttp")])
def test_a_busy_worker_ends_with_its_parent(serve: Callable[..., None], transport: str) -> None:
    """A worker that waits for an answer does not outlive its parent until the answer's timeout."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings = ClientSettings(client="openai", transport=transport, slots=1, timeouts=Timeouts())
        endpoint = Endpoint(provider="mute", base_url=f"http://127.0.0.1:{server.getsockname()[1]}/v1", model="m")
        with started_worker(serve, make_spec(client=settings, endpoints=(endpoint,))) as (process, parent):
            parent.assign(0)
            request, _ = server.accept()
            with request:
                assert request.recv(4).startswith(b"POST")
                parent.connection.close()
                process.join()
                assert process.exitcode == EXIT_ORPHANED


def test_a_worker_leaves_the_stop_to_its_parent(worker: tuple[BaseProcess, Parent]) -> None:
    """Ctrl+C, which reaches the whole group, ends no worker: it goes on with what its parent gives it."""
    process, parent = worker
    assert process.pid is not None
    os.kill(process.pid, signal.SIGINT)
    parent.assign(0)
    assert parent.results(1)[0].status == "ok"


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
        assert how_it_ended(process) == f"worker process {process.pid} {how}"


@pytest.mark.parametrize("engine", [ProcessesEngine(), HybridEngine()])
def test_workers_that_do_not_start_end_the_run(engine: Engine) -> None:
    """Where workers die before they stand ready the run ends with how they died, and leaves no process behind."""
    nobody = ClientSettings(client="nobody", transport="none", slots=2, timeouts=Timeouts())
    events: list[object] = []
    job = Job(
        slots=2,
        processes=2,
        spec=make_spec(client=nobody),
        clock=MonotonicClock(),
        stop=StopSignal(),
        draw=lambda: events.append("draw"),
        emit=events.append,
        ready=lambda: events.append("ready"),
        worker_cpu=events.append,
        canary=events.append,
        by_turns=lambda _at_turns_end: contextlib.nullcontext(),
    )
    with pytest.raises(WorkerError) as caught:
        engine.run(job)
    assert re.fullmatch(
        r"worker [01] does not start, 3 times in a row; the last: worker process \d+ ended with exit code 1",
        str(caught.value),
    )
    assert events == []
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("slots", "processes", "widths"), [(8, 2, [4, 4]), (7, 3, [3, 2, 2]), (3, 3, [1, 1, 1]), (5, 1, [5])]
)
def test_slots_are_shared_out(slots: int, processes: int, widths: list[int]) -> None:
    """Every slot is in one process, in order, and no process has more than one slot more than another."""
    ranges = shares(slots, processes)
    assert [len(each) for each in ranges] == widths
    assert [slot for each in ranges for slot in each] == list(range(slots))


@pytest.mark.parametrize("piece_bytes", [1, 3, 7, 1000])
def test_messages_arrive_in_any_pieces(piece_bytes: int) -> None:
    """However the bytes of messages are cut, the same messages come out, in order, an empty one too."""
    sent = [(pipe.LOG, b"a" * 300), (pipe.READY, b""), (pipe.RESULT, b"b"), (pipe.LOG, b"c" * 5000)]
    wire = b"".join(pipe.framed(*message) for message in sent)
    unframer = pipe.Unframer()
    received: list[tuple[bytes, bytes]] = []
    for at in range(0, len(wire), piece_bytes):
        received += unframer.feed(wire[at : at + piece_bytes])
    assert received == sent
