"""Tests of log records on their way from worker processes to the run's one log."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import os
import re
import threading
from typing import TYPE_CHECKING

from bench.logcontext import PipeLogHandler, Scrubber, logging_to_parent, replay, task_of, task_scope
from bench.observe.logs import run_logging
from bench.observe.terminal import Terminal

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path

    import pytest

PROCESSES = 4
LINES = 500
SECRET = "sk-0123456789"  # noqa: S105 - a made-up one


def _work(pipe: Connection, number: int) -> None:
    """Log many lines from two threads of a worker process, some of them long, and a traceback that holds a secret."""
    lock = threading.Lock()

    def send(record: bytes) -> None:
        with lock:
            pipe.send_bytes(record)

    log = logging.getLogger("bench.worker")

    def lines(thread: int) -> None:
        for line in range(LINES // 2):
            with task_scope(f"{number}-{thread}-{line}"):
                log.info("line %d of %d: %s end", line, number, "技\n" * (line % 97))

    with logging_to_parent(send, level=logging.INFO, secrets=(SECRET,)):
        threads = [threading.Thread(target=lines, args=(thread,), name=f"slot-{thread}") for thread in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        log.debug("below the level")
        logging.getLogger("httpx2").info("a request with %s", SECRET)
        try:
            os.environ[SECRET]
        except KeyError:
            log.exception("failed with %s", SECRET)
    pipe.close()


def _pump(pipe: Connection) -> None:
    """Log what a worker process sends until it ends."""
    with contextlib.suppress(EOFError):
        while True:
            record = pipe.recv_bytes()
            assert SECRET.encode() not in record
            replay(record)


def test_lines_of_many_processes(tmp_path: Path) -> None:
    """Lines that four processes log at once all arrive, each whole and with its own process, thread and task."""
    context = multiprocessing.get_context("forkserver")
    pipes = [context.Pipe(duplex=False) for _ in range(PROCESSES)]
    processes = [
        context.Process(target=_work, args=(sender, number), name=f"worker-{number}")
        for number, (_, sender) in enumerate(pipes)
    ]
    path = tmp_path / "run.log"

    with run_logging(path, run_id="r", terminal=Terminal(None)):
        for process, (_, sender) in zip(processes, pipes, strict=True):
            process.start()
            sender.close()
        readers = [threading.Thread(target=_pump, args=(receiver,)) for receiver, _ in pipes]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(60)
        for process in processes:
            process.join(60)

    pattern = re.compile(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO    pid=(\d+) worker-(\d)/slot-(\d) run=r task=(\d)-(\d)-(\d+) "
        r"bench\.worker: line (\d+) of (\d): ((?:技\\n)*) end"
    )
    lines = path.read_text(encoding="utf-8").splitlines()
    errors = [line for line in lines if " ERROR " in line]
    assert len(errors) == PROCESSES
    assert all(r"failed with ****\nTraceback" in line and "KeyError: '****'" in line for line in errors)
    found = set()
    for line in set(lines).difference(errors):
        match = pattern.fullmatch(line)
        assert match is not None, line
        pid, worker, slot, *task, number, of, text = match.groups()
        assert int(pid) == processes[int(worker)].pid
        assert (worker, slot, number, worker) == (*task, of)
        assert len(text) == 3 * (int(number) % 97)
        found.add((worker, slot, number))
    assert len(found) == len(lines) - len(errors) == PROCESSES * LINES


def test_tasks_of_coroutines() -> None:
    """Coroutines that run interleaved each log under their own task, and outside of a task there is none."""
    record = logging.makeLogRecord({})
    seen = {}

    async def do(task_id: str) -> None:
        with task_scope(task_id):
            await asyncio.sleep(0)
            seen[task_id] = task_of(record)

    async def do_all() -> None:
        await asyncio.gather(*(do(f"{number}-i0-v0") for number in range(10)))

    asyncio.run(do_all())
    assert seen == {task_id: task_id for task_id in seen}
    assert (len(seen), task_of(record)) == (10, "-")


def test_a_parent_that_is_gone() -> None:
    """A worker whose pipe is closed goes on as if its record had been taken."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    receiver.close()
    handler = PipeLogHandler(sender.send_bytes)
    record = logging.makeLogRecord({"name": "bench", "msg": "text", "levelno": logging.WARNING})
    handler.handle(record)
    sender.close()
    handler.handle(record)


def test_bytes_that_are_no_record(caplog: pytest.LogCaptureFixture) -> None:
    """Bytes that are no record become a warning."""
    replay(b"\x00torn")
    assert caplog.messages
    assert caplog.messages[0].startswith("a log record from a worker process cannot be read")


def test_the_parent_decides_what_it_keeps(caplog: pytest.LogCaptureFixture) -> None:
    """A record of a worker is kept only if the parent's own level lets it pass."""
    sent: list[bytes] = []
    handler = PipeLogHandler(sent.append)
    for level in (logging.DEBUG, logging.WARNING):
        handler.handle(logging.makeLogRecord({"name": "bench.x", "msg": "at %d", "args": (level,), "levelno": level}))
    with caplog.at_level(logging.INFO, logger="bench.x"):
        for record in sent:
            replay(record)
    assert caplog.messages == ["at 30"]


def test_scrubber() -> None:
    """Of two secrets of which one holds the other the longer goes whole, and placeholders of a letter or two stay."""
    scrub = Scrubber(["abcd", "abcdefgh", "x", ""])
    assert scrub("x abcdefgh abcd xx") == "x **** **** xx"


def test_f50_a_secret_in_disguise_goes_too() -> None:
    """Percent-encoded, escaped for HTML or JSON, or in other letters, a secret is replaced; text without one stays."""
    scrub = Scrubber(["aB+/=&<1>%é"])
    for form in ("aB+/=&<1>%é", "ab%2B%2f%3D%26%3C1%3E%25é", "AB+\\/=&amp;&lt;1&gt;%É", "aB&#43;&#x2f;=&#38;&#60;1>%é"):
        assert scrub(f"<{form}>") == "<****>", form
    assert scrub("aB+/=&<2>%é") == "aB+/=&<2>%é"
