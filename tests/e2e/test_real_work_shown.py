"""What a run over several providers tells of itself, checked against what their servers counted."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from bench.config import ConcurrentConfig
from bench.endpoints.simulated import simulated_server, simulator_settings
from bench.executor import ConcurrentBigModelExecutor
from bench.journal import read_manifest
from bench.workload import build_workload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.endpoints.simulated import SimulatedServer
    from bench.executor import RunOutcome
    from bench.records import Mode

SERVERS: Final = {
    "fast": ("ttft=0.02", "itl=0.001", "tokens=4", "max-in-flight=3", "retry-after=0"),
    "slow": ("ttft=0.4", "itl=0.001", "tokens=4"),
}


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, SimulatedServer]]:
    """Run a fast server, which refuses calls beyond three at once, and a slow one."""
    with contextlib.ExitStack() as running:
        yield {
            name: running.enter_context(simulated_server(simulator_settings(settings)))
            for name, settings in SERVERS.items()
        }


def do(
    servers: dict[str, SimulatedServer], folder: Path, topics: tuple[str, ...], mode: Mode, *, race: bool
) -> RunOutcome:
    """Do a run over both, the fast one at a price, after their counts were set to 0; it races, or it has a cache."""
    for server in servers.values():
        server.reset()
    endpoints = [
        msgspec.structs.replace(
            server.endpoint, provider=name, **({"price_in": 1.0, "price_out": 2.0} if first else {})
        )
        for first, (name, server) in zip((True, False), servers.items(), strict=True)
    ]
    config = ConcurrentConfig(
        topics=topics,
        mode=mode,
        concurrency=6,
        client="lean",
        profile="prod",
        results_dir=folder,
        race=race,
        cache=not race,
    )
    return ConcurrentBigModelExecutor(config).run(build_workload(config, io.BytesIO()), *endpoints)


@pytest.mark.parametrize("mode", ["asyncio", "threading"])
def test_races_are_counted_as_such(servers: dict[str, SimulatedServer], tmp_path: Path, mode: Mode) -> None:
    """Every call that a server read is in its row; races, the ones given up, and retries after 429 are told apart."""
    outcome = do(servers, tmp_path, tuple(f"topic {number}" for number in range(20)), mode, race=True)
    summary = outcome.summary
    assert (outcome.status, summary.tasks.ok) == ("completed", 20)
    rows = {row.provider: row for row in summary.routes}
    # One that is given up before its server has read it is a call all the same.
    for name, server in servers.items():
        assert rows[name].calls - rows[name].beaten <= server.reset().requests <= rows[name].calls
        assert rows[name].calls == rows[name].ok + rows[name].failed + rows[name].beaten
    assert summary.hedges == sum(row.hedges for row in rows.values()) > 0
    assert summary.beaten == sum(row.beaten for row in rows.values()) > 0
    assert summary.attempts == 20 + summary.retries + summary.hedges
    assert "cancelled" not in {error.type for error in summary.errors}
    assert rows["fast"].cost is not None
    assert rows["slow"].cost is None
    assert [route.get("price_in") for route in read_manifest(outcome.directory).routes] == [1.0, None]


def test_the_second_run_is_of_the_cache(servers: dict[str, SimulatedServer], tmp_path: Path) -> None:
    """The same work again makes no call, and says of no time, rate or worker that it was measured."""
    topics = tuple(f"work {number}" for number in range(6))
    first = do(servers, tmp_path, topics, "asyncio", race=False).summary
    again = do(servers, tmp_path, topics, "asyncio", race=False)
    assert [server.reset().requests for server in servers.values()] == [0, 0]
    summary = again.summary
    assert (first.cached, summary.tasks.ok, summary.attempts) == (None, 6, 0)
    assert summary.cached is not None
    saved = (summary.cached.tasks, summary.cached.prompt_tokens, summary.cached.completion_tokens)
    assert saved == (6, first.tokens.prompt, first.tokens.completion)
    assert (summary.latency_s.n, summary.throughput_tasks_per_s, summary.workers) == (0, None, ())
    assert [(row.calls, row.share) for row in summary.routes] == [(0, None), (0, None)]
