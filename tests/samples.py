"""Records for tests: one of each kind with plain values, changed where a test says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bench.journal import MANIFEST, TASKS
from bench.manifest import RunManifest, Segment
from bench.records import Attempt, ErrorInfo, Task, TaskResult, WorkerId

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from bench.errors import ErrorType


def make_task(index: int = 0, /, **changes: object) -> Task:
    """Return a task of one message."""
    plain = Task(index=index, messages=({"role": "user", "content": f"question {index}"},))
    return msgspec.structs.replace(plain, **changes)


def make_attempt(**changes: object) -> Attempt:
    """Return a successful attempt from 0 to 1 s."""
    plain = Attempt(provider="alpha", status="ok", http_status=200, sent_s=0.0, end_s=1.0)
    return msgspec.structs.replace(plain, **changes)


def failed_attempt(error_type: ErrorType = "server_error", /, **changes: object) -> Attempt:
    """Return an attempt that failed with status 503, from 0 to 1 s."""
    failed = {"status": "failed", "http_status": 503, "error_type": error_type, "error_message": "busy"}
    return make_attempt(**(failed | changes))


def make_result(index: int = 0, /, **changes: object) -> TaskResult:
    """Return a streamed success that was scheduled and started at 0 and ended at 1 s."""
    plain = TaskResult(
        task_id=f"{index}-i0-v0",
        segment=0,
        fingerprint="ab" * 32,
        index=index,
        topic=None,
        chapter=None,
        iteration=0,
        version=0,
        custom_id=None,
        mode="asyncio",
        client="openai",
        transport="aiohttp",
        provider="alpha",
        model="m-1",
        status="ok",
        content="an answer",
        finish_reason="stop",
        error=None,
        attempts=(make_attempt(),),
        cached=False,
        prompt_tokens=5,
        completion_tokens=10,
        reasoning_tokens=None,
        token_source="server",
        scheduled_s=0.0,
        started_s=0.0,
        first_token_s=0.1,
        last_token_s=1.0,
        ended_s=1.0,
        queue_s=0.0,
        ttft_s=0.1,
        latency_s=1.0,
        service_s=1.0,
        tpot_s=0.1,
        chunks=10,
        icl_p50_s=0.1,
        icl_p99_s=0.1,
        icl_max_s=0.1,
        chunk_times_s=None,
        started_at="2026-11-22T03:05:06.000Z",
        worker=WorkerId(pid=42, thread="MainThread", slot=0),
        trace_id=None,
    )
    return msgspec.structs.replace(plain, **changes)


def failed_result(index: int = 0, error_type: ErrorType = "server_error", /, **changes: object) -> TaskResult:
    """Return a failure without any answer, from 0 to 1 s."""
    return make_result(index, **(_unanswered("failed", error_type) | changes))


def cancelled_result(index: int = 0, /, **changes: object) -> TaskResult:
    """Return a cancelled task without any answer, from 0 to 1 s."""
    return make_result(index, **(_unanswered("cancelled", "cancelled") | {"attempts": ()} | changes))


def _unanswered(status: str, error_type: ErrorType) -> dict[str, object]:
    nothing = (
        "content",
        "finish_reason",
        "first_token_s",
        "last_token_s",
        "ttft_s",
        "tpot_s",
        "chunks",
        "token_source",
    )
    no_numbers = ("prompt_tokens", "completion_tokens", "icl_p50_s", "icl_p99_s", "icl_max_s")
    return dict.fromkeys(nothing + no_numbers) | {
        "status": status,
        "error": ErrorInfo(type=error_type, message="busy", http_status=503 if status == "failed" else None),
        "attempts": (failed_attempt(error_type),),
    }


def make_segment(**changes: object) -> Segment:
    """Return a segment that was started and has not ended."""
    return msgspec.structs.replace(Segment(started_at="2026-11-22T03:05:06Z", host="bench-host", pid=42), **changes)


def make_manifest(tasks: int = 1, /, **changes: object) -> RunManifest:
    """Return the manifest of a run that is under way."""
    plain = RunManifest(
        run_id="20261122T030506Z-asyncio-0a1b",
        status="running",
        mode="asyncio",
        concurrency=8,
        tasks=tasks,
        config={"mode": "asyncio", "concurrency": 8},
        command="python concurrent_bigmodel.py run",
        endpoint={"provider": "alpha", "model": "m-1", "base_url": "http://127.0.0.1:8000/v1"},
        workload={"kind": "topics", "tasks": tasks, "fingerprint": "cd" * 32},
        environment={"python": "3.11.7"},
        segments=(make_segment(),),
    )
    return msgspec.structs.replace(plain, **changes)


def write_run(directory: Path, results: Iterable[TaskResult], manifest: RunManifest | None = None) -> Path:
    """Write a run's manifest and records into a new directory and return it."""
    directory.mkdir()
    (directory / MANIFEST).write_bytes(msgspec.json.encode(manifest or make_manifest()))
    (directory / TASKS).write_bytes(b"".join(msgspec.json.encode(result) + b"\n" for result in results))
    return directory
