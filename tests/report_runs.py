"""Run directories for tests of the report: a small closed loop in virtual time that writes real records, repeatably."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, get_args

import msgspec

from bench.manifest import HarnessCost, NodeFacts, RunManifest, Segment
from bench.records import Attempt, ErrorInfo, Mode, RouteChange, RunStatus, TaskResult, WorkerId

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.errors import ErrorType

MODES: Final[tuple[Mode, ...]] = get_args(Mode)
TOPICS: Final = ("AI技术", "新能源", "医疗科技", "智能制造")
REFUSAL: Final = "服务器繁忙，请稍后再试 (server busy, try again later)"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a made run is like; the defaults are a demo's: 24 tasks in 8 slots, all of them answered."""

    mode: Mode = "asyncio"
    concurrency: int = 8
    tasks: int = 24
    topics: tuple[str, ...] | None = TOPICS
    streamed: bool = True
    error_rate: float = 0.0
    retries: int = 3
    error_type: ErrorType = "server_error"
    error_status: int | None = 503
    error_message: str = REFUSAL
    provider: str = "simulator"
    model: str = "simulated"
    status: RunStatus = "completed"
    recorded: int | None = None
    first_token_s: float = 0.2
    token_s: float = 0.01
    tokens: int = 16
    seed: int = 0
    routes: tuple[tuple[str, int], ...] = ()
    nodes: tuple[str, ...] = ()
    command: str = (
        "python concurrent_bigmodel.py run --provider simulator --topics AI技术 新能源 医疗科技 智能制造 --iterations 6"
    )


def make_run(root: Path, plan: Plan) -> Path:
    """Write a run directory as the plan says and return it."""
    run_id = f"20261122T0305{plan.seed % 60:02d}Z-{plan.mode}-{(plan.seed * 7919 + plan.concurrency) % 65536:04x}"
    run = root / run_id
    run.mkdir(parents=True)
    encoder = msgspec.json.Encoder()
    (run / "run.json").write_bytes(msgspec.json.format(encoder.encode(_manifest(run_id, plan)), indent=2))
    with (run / "tasks.jsonl").open("wb") as file:
        for result in results(plan):
            file.write(encoder.encode(_over_routes(plan, result)) + b"\n")
    if plan.routes:
        (run / "routes.jsonl").write_bytes(b"".join(encoder.encode(change) + b"\n" for change in _changes(plan)))
    return run


def _over_routes(plan: Plan, result: TaskResult) -> TaskResult:
    """Return a record whose calls went over the plan's routes in turn; every tenth answer was raced for."""
    if not plan.routes:
        return result
    number = result.index + result.iteration
    attempts = []
    for place, attempt in enumerate(result.attempts):
        provider, key = plan.routes[(number + place) % len(plan.routes)]
        attempts.append(msgspec.structs.replace(attempt, provider=provider, key=key))
    if result.status == "ok" and number % 10 == 0:
        last = attempts[-1]
        provider, key = next(route for route in plan.routes if route[0] != last.provider)
        beaten = Attempt(
            provider=provider,
            key=key,
            status="cancelled",
            error_type="cancelled",
            error_message="another provider answered first",
            sent_s=last.sent_s + 0.01,
            end_s=last.end_s,
        )
        attempts.insert(-1, beaten)
    return msgspec.structs.replace(result, provider=attempts[-1].provider, attempts=tuple(attempts))


def _changes(plan: Plan) -> Iterator[RouteChange]:
    """Yield what a pool would have said: limits that rise and are cut, a pause, a rest, and the last key refused."""
    kinds: list[tuple[str, float | None, float | None]] = [
        ("limit", 8, 16),
        ("limit", 16, 12),
        ("cooldown", None, 0.5),
        ("cooldown", None, 0.5),
        ("rest", None, 5.0),
        ("revived", None, None),
    ]
    for step, (kind, before, after) in enumerate(kinds):
        for place, (provider, key) in enumerate(plan.routes):
            at_s = 0.1 + 0.2 * step + 0.01 * place
            yield RouteChange(
                segment=0, at_s=at_s, provider=provider, key=key, kind=kind, before=before, after=after,
                reason=f"{plan.error_message} ({kind})",
            )  # fmt: skip
    provider, key = plan.routes[-1]
    reason = f"key {key + 1} of {provider} is not accepted (401 or 403)"
    yield RouteChange(
        segment=0, at_s=1e6, provider=provider, key=key, kind="dead", before=None, after=600.0, reason=reason
    )


def _manifest(run_id: str, plan: Plan) -> RunManifest:
    return RunManifest(
        run_id=run_id,
        status=plan.status,
        error="the disk is full" if plan.status == "failed" else None,
        mode=plan.mode,
        concurrency=plan.concurrency,
        tasks=plan.tasks,
        config={"mode": plan.mode, "concurrency": plan.concurrency, "stream": plan.streamed, "max_tokens": 512},
        command=f"{plan.command} -m {plan.mode} -c {plan.concurrency}",
        endpoint={"provider": plan.provider, "model": plan.model, "base_url": "http://127.0.0.1:8000/v1"},
        routes=tuple(
            {
                "provider": provider,
                "model": plan.model,
                "base_url": "http://127.0.0.1:8000/v1",
                "key": key,
                **({"price_in": 0.5, "price_out": 1.5, "currency": "USD"} if place == 0 else {}),
            }
            for place, (provider, key) in enumerate(plan.routes)
        ),
        workload={"kind": "topics" if plan.topics else "prompts", "count": plan.tasks, "fingerprint": "3f" * 32},
        environment={"python": "3.11.7", "cores": 2, "packages": {"openai": "3.54.0", "uvloop": "0.23.1"}},
        segments=(
            Segment(
                started_at="2026-11-22T03:05:06Z",
                host="bench-host",
                pid=4242,
                ended_at="2026-11-22T03:05:09Z",
                cost=HarnessCost(startup_s=0.31, cpu_s=0.8, peak_pss_bytes=96_000_000, wakeup_lag_p99_s=0.0011),
                nodes=tuple(_node(plan, place) for place in range(len(plan.nodes))),
            ),
        ),
    )


def _node(plan: Plan, place: int) -> NodeFacts:
    """Return what a run would have said of a node: the second one has no bound and was lost in mid-run."""
    name = plan.nodes[place]
    facts = NodeFacts(name=name, host=f"{name}.lan", address=f"tcp://10.0.0.{place}:4000", pid=7, slots=32, cpu_s=0.25)
    return msgspec.structs.replace(facts, slots=None, cpu_s=None, left_s=1.0, lost=3) if place == 1 else facts


def results(plan: Plan) -> Iterator[TaskResult]:
    """Yield the records of a run in order of completion, as the plan's slots would have made them."""
    draw = random.Random(plan.seed)
    slots = [(0.002 * slot if slot < 64 else 0.128, slot) for slot in range(plan.concurrency)]
    heapq.heapify(slots)
    done: list[tuple[float, int, TaskResult]] = []
    for index in range(plan.tasks if plan.recorded is None else plan.recorded):
        free_s, slot = heapq.heappop(slots)
        result = _result(plan, index, slot, free_s, draw)
        heapq.heappush(slots, (result.ended_s + 0.001, slot))
        heapq.heappush(done, (result.ended_s, index, result))
        while done and done[0][0] <= slots[0][0]:
            yield heapq.heappop(done)[2]
    while done:
        yield heapq.heappop(done)[2]


def _attempts(plan: Plan, start_s: float, draw: random.Random) -> tuple[Attempt, ...]:
    made: list[Attempt] = []
    sent_s, wait_s = start_s + 0.0005, 0.0
    while True:
        last = len(made) == plan.retries
        if draw.random() < plan.error_rate:
            end_s = sent_s + draw.uniform(0.01, 0.05)
            made.append(
                Attempt(
                    provider=plan.provider,
                    status="failed",
                    http_status=plan.error_status,
                    error_type=plan.error_type,
                    error_message=plan.error_message,
                    wait_before_s=wait_s,
                    sent_s=sent_s,
                    end_s=end_s,
                )
            )
            if last:
                return tuple(made)
            wait_s = draw.uniform(0.0, 0.2 * 2 ** len(made))
            sent_s = end_s + wait_s
            continue
        first_s = sent_s + plan.first_token_s * draw.lognormvariate(0.0, 0.15)
        end_s = first_s + plan.token_s * (plan.tokens - 1) * draw.lognormvariate(0.0, 0.1)
        made.append(
            Attempt(
                provider=plan.provider,
                status="ok",
                http_status=200,
                wait_before_s=wait_s,
                sent_s=sent_s,
                headers_s=first_s - 0.001 if plan.streamed else end_s,
                first_content_s=first_s if plan.streamed else None,
                last_content_s=end_s if plan.streamed else None,
                end_s=end_s,
            )
        )
        return tuple(made)


def _result(plan: Plan, index: int, slot: int, start_s: float, draw: random.Random) -> TaskResult:
    attempts = _attempts(plan, start_s, draw)
    last = attempts[-1]
    ok = last.status == "ok"
    streamed = ok and plan.streamed
    iteration, place = divmod(index, len(plan.topics)) if plan.topics else (0, index)
    ended_s = last.end_s + 0.0002
    return TaskResult(
        task_id=f"{place}-i{iteration}-v0",
        segment=0,
        fingerprint="ab" * 32,
        index=place,
        topic=plan.topics[place] if plan.topics else None,
        chapter=None,
        iteration=iteration,
        version=0,
        custom_id=None,
        mode=plan.mode,
        client="openai",
        transport="aiohttp" if plan.mode == "asyncio" else "httpx2",
        provider=plan.provider,
        model=plan.model,
        status="ok" if ok else "failed",
        content="word " * plan.tokens if ok else None,
        finish_reason="stop" if ok else None,
        error=None
        if ok
        else ErrorInfo(type=plan.error_type, message=plan.error_message, http_status=plan.error_status, retryable=True),
        attempts=attempts,
        cached=False,
        prompt_tokens=12 if ok else None,
        completion_tokens=plan.tokens if ok else None,
        reasoning_tokens=None,
        token_source="server" if ok else None,
        scheduled_s=start_s,
        started_s=start_s + 0.0001,
        first_token_s=last.first_content_s if streamed else None,
        last_token_s=last.last_content_s if streamed else None,
        ended_s=ended_s,
        queue_s=0.0001,
        ttft_s=last.first_content_s - last.sent_s if streamed and last.first_content_s is not None else None,
        latency_s=ended_s - start_s,
        service_s=ended_s - start_s - 0.0001,
        tpot_s=plan.token_s if streamed else None,
        chunks=plan.tokens if streamed else None,
        icl_p50_s=plan.token_s if streamed else None,
        icl_p99_s=plan.token_s if streamed else None,
        icl_max_s=plan.token_s if streamed else None,
        chunk_times_s=None,
        started_at="2026-11-22T03:05:06.000Z",
        worker=WorkerId(
            pid=4242 if plan.mode != "multiprocessing" else 5000 + slot,
            thread="MainThread" if plan.mode in {"serial", "asyncio"} else f"slot-{slot}",
            slot=slot,
            node=plan.nodes[slot % len(plan.nodes)] if plan.nodes else msgspec.UNSET,
        ),
        trace_id=None,
    )
