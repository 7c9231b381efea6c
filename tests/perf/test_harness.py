"""What the harness itself costs: per task in each engine, per record, per call of the SDK."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar, get_args

import msgspec
import pytest
import uvloop

from bench.clients._base import ClientSettings, Request, Timeouts
from bench.clients.make import make_async_client, make_sync_client
from bench.config import ConcurrentConfig
from bench.executor import ConcurrentBigModelExecutor
from bench.journal import LineFile
from bench.providers import Endpoint
from bench.records import Mode
from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from tests.samples import make_result
from tests.workloads import CountedWorkload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

    from bench.clients._base import AsyncClient

MODES: tuple[Mode, ...] = get_args(Mode)
T = TypeVar("T")
CALLS = 50
DEADLINE_NS = 60 * 10**9
REQUEST = Request(model="m", messages=({"role": "user", "content": "hello"},), params={}, stream=True)


def measured(benchmark: BenchmarkFixture, action: Callable[[], T]) -> T:
    """Time five rounds of an action, after one to warm up, and return what the last one returned."""
    result: T = benchmark.pedantic(action, rounds=5, warmup_rounds=1)  # type: ignore[no-untyped-call] # no types there
    return result


@pytest.mark.parametrize("mode", MODES)
def test_engine(mode: Mode, tmp_path: Path, benchmark: BenchmarkFixture) -> None:
    """A run of 1,000 tasks with the scripted client, records written; the time includes its start-up."""
    tasks = 1000
    config = ConcurrentConfig(
        mode=mode, concurrency=1 if mode == "serial" else 4, client="scripted", results_dir=tmp_path
    )
    endpoint = Endpoint(provider="scripted", base_url="none", model="scripted")
    outcome = measured(benchmark, lambda: ConcurrentBigModelExecutor(config).run(CountedWorkload(tasks), endpoint))
    assert outcome.summary.tasks.ok == tasks
    benchmark.extra_info["cpu_us_per_task"] = outcome.summary.harness.cpu_us_per_task
    benchmark.extra_info["startup_s"] = outcome.summary.harness.startup_s


@pytest.fixture
def server() -> Iterator[Endpoint]:
    """A simulator that streams 16 tokens at once."""
    with SimulatorProcess(SimulatorSettings(tokens=16)) as simulator:
        yield Endpoint(provider="simulator", base_url=simulator.base_url, model="m")


def settings_for(transport: str) -> ClientSettings:
    """The SDK's client with one slot."""
    return ClientSettings(client="openai", transport=transport, slots=1, timeouts=Timeouts())


def test_sdk_sync(server: Endpoint, benchmark: BenchmarkFixture) -> None:
    """Fifty streamed calls of the SDK, one after the other, from a thread."""
    client = make_sync_client(settings_for("httpx2"), server)

    def calls() -> None:
        for _ in range(CALLS):
            assert client.call(REQUEST, time.perf_counter_ns() + DEADLINE_NS).error is None

    measured(benchmark, calls)
    client.close()


@pytest.mark.parametrize("transport", ["aiohttp", "httpx2"])
def test_sdk_async(transport: str, server: Endpoint, benchmark: BenchmarkFixture) -> None:
    """Fifty streamed calls of the SDK, one after the other, on an event loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:

        async def connect() -> AsyncClient:
            return make_async_client(settings_for(transport), server)

        client = runner.run(connect())

        async def calls() -> None:
            for _ in range(CALLS):
                reply = await client.call(REQUEST, time.perf_counter_ns() + DEADLINE_NS)
                assert reply.error is None

        measured(benchmark, lambda: runner.run(calls()))
        runner.run(client.aclose())


def test_encode(benchmark: BenchmarkFixture) -> None:
    """A record of 500 characters becomes a line."""
    encoder = msgspec.json.Encoder()
    result = make_result(content="字" * 500)
    benchmark(encoder.encode, result)


def test_append(tmp_path: Path, benchmark: BenchmarkFixture) -> None:
    """A line goes to the journal."""
    line = msgspec.json.encode(make_result(content="字" * 500))
    file = LineFile(tmp_path / "tasks.jsonl")
    benchmark(file.append, line)
    file.close()
