"""What the service tells after a restart, however the start before it ended; nothing is done twice."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

import pytest

from bench.journal import WORKLOAD, iter_lines, read_manifest
from bench.service.past import ACCEPTED
from bench.service.refusals import Conflict, EventsGone
from bench.service.values import TaskError
from tests.desks import desk, error_code, held, read, run, until, view, wish

if TYPE_CHECKING:
    from pathlib import Path


def test_the_state_of_tasks_outlives_a_service_that_is_killed(tmp_path: Path) -> None:
    """Over the files as a kill leaves them, each task has the state that it had if it had ended, and one that was
    under way or waited has failed as interrupted; none is asked for again, and keys name the same tasks as before.
    """
    lived, killed = tmp_path / "lived", tmp_path / "killed"

    async def before() -> dict[str, str]:
        async with desk(lived, server.base_url, agent_slots=1) as at:
            tasks = {"done": at.submit(wish("done", idempotency_key="k")).task_id}
            provider.let(1)
            await read(at, tasks["done"])
            tasks |= {name: at.submit(wish(name, idempotency_key=name)).task_id for name in ("running", "waiting")}
            tasks["cancelled"] = at.submit(wish("cancelled")).task_id
            at.cancel(tasks["cancelled"])
            await until(lambda: view(at, tasks["running"]).chunks == 1)
            tasks["cut off"] = at.submit(wish("cut off", path="direct")).task_id
            await until(lambda: view(at, tasks["cut off"]).chunks == 1)
            at.cancel(tasks["cut off"])
            await until(lambda: at.status().ended == {"succeeded": 1, "cancelled": 2})
            # What was appended is in the system's hands: these are the files that a kill would leave.
            await asyncio.to_thread(shutil.copytree, lived, killed)
            return tasks

    async def after(tasks: dict[str, str]) -> None:
        async with desk(killed, server.base_url) as at:
            views = {name: view(at, task_id) for name, task_id in tasks.items()}
            assert {name: each.state for name, each in views.items()} == {
                "done": "succeeded",
                "running": "failed",
                "waiting": "failed",
                "cancelled": "cancelled",
                "cut off": "cancelled",
            }
            assert {views[name].error and views[name].error.code for name in ("running", "waiting")} == {"interrupted"}  # type: ignore[union-attr] # "and" has seen to it
            requested = TaskError("cancelled", "the task was cancelled on request")
            assert views["cancelled"].error == views["cut off"].error == requested
            assert (views["done"].chunks, views["running"].chunks) == (2, None)
            assert None not in {views["done"].started_at, views["done"].ended_at}
            assert {views["running"].ended_at, views["cancelled"].started_at} == {None}
            for name in ("running", "waiting", "cancelled"):
                assert error_code(await read(at, tasks[name])) == views[name].error.code  # type: ignore[union-attr] # the same
            with pytest.raises(EventsGone):
                at.events(tasks["done"])
            again = at.submit(wish("running", idempotency_key="running"))
            assert (again.task_id, again.again) == (tasks["running"], True)
            with pytest.raises(Conflict):
                at.submit(wish("another", idempotency_key="k"))
            assert at.status().tasks == {"succeeded": 1, "failed": 2, "cancelled": 2}
            assert at.cancel(tasks["running"]) == views["running"]

    with held() as (provider, server):
        tasks = run(before)
        asked = list(provider.asked)
        run(lambda: after(tasks))
        assert provider.asked == asked == ["done", "running", "cut off"]


def test_what_was_accepted_is_on_file_before_it_is_told(tmp_path: Path) -> None:
    """As soon as a wish is accepted, its request and its id are in the files of the start; each start has files of its
    own, which say how it ended.
    """

    async def work() -> None:
        for _ in range(2):
            async with desk(tmp_path, "http://127.0.0.1:9/v1") as at:
                at.submit(wish())
                directory = at._rooms.directory
                assert [len(list(iter_lines(directory / name))) for name in (WORKLOAD, ACCEPTED)] == [1, 1]
            assert (read_manifest(directory).status, read_manifest(directory).tasks) == ("completed", 1)

    run(work)
    assert len(list(tmp_path.glob("service/*/run.json"))) == 2


def test_files_that_cannot_be_read_do_not_keep_the_service_from_beginning(tmp_path: Path) -> None:
    """Of a start whose files are damaged nothing is known, of the others everything."""

    async def first() -> str:
        async with desk(tmp_path, server.base_url) as at:
            task_id = at.submit(wish()).task_id
            await read(at, task_id)
            return task_id

    async def second(task_id: str) -> None:
        async with desk(tmp_path, server.base_url) as at:
            assert view(at, task_id).state == "succeeded"

    with held() as (provider, server):
        provider.let()
        task_id = run(first)
        (tmp_path / "service" / "20200101T000000Z-asyncio-0000").mkdir()
        (tmp_path / "service" / "20200101T000000Z-asyncio-0000" / ACCEPTED).write_bytes(b"{damaged\n")
        run(lambda: second(task_id))


def test_a_task_is_known_for_a_while_and_then_only_that_it_was(tmp_path: Path) -> None:
    """After its time a task has expired, also in the next start; after as long again nobody knows of it."""

    async def first() -> str:
        async with desk(tmp_path, server.base_url, task_ttl=0.3) as at:
            task_id = at.submit(wish(idempotency_key="k")).task_id
            await read(at, task_id)
            assert view(at, task_id).state == "succeeded"
            await until(lambda: getattr(at.view(task_id), "state", None) is None)
            assert at.view(task_id) is not None
            assert not at.submit(wish(idempotency_key="k")).again
            await until(lambda: at.view(task_id) is None)
            return task_id

    async def second(task_id: str) -> None:
        async with desk(tmp_path, server.base_url, task_ttl=3600.0) as at:
            assert view(at, task_id).state == "succeeded"

    with held() as (provider, server):
        provider.let()
        task_id = run(first)
        run(lambda: second(task_id))
