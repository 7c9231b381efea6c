"""Many processes on one cache: each call is made once, and one that is killed while it writes takes nothing along."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING

import msgspec
import pytest

from bench.cache import CachedAnswer
from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from tests.answers_kept import integrity, key_of, opened
from tests.caching import HUGE_BYTES, Plan, Said
from tests.command import ROOT, requests, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHARED = [f"shared {number}" for number in range(30)]
PROCESSES = 10


def started(plan: Plan) -> subprocess.Popen[bytes]:
    """Start a process over the cache."""
    command = [sys.executable, "-m", "tests.caching", msgspec.json.encode(plan).decode()]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def lines(process: subprocess.Popen[bytes]) -> Iterator[Said]:
    """What a process says, until it ends."""
    assert process.stdout is not None
    for line in process.stdout:
        yield msgspec.json.decode(line, type=Said)


def until(process: subprocess.Popen[bytes], event: str) -> None:
    """Read what a process says until it says that."""
    assert any(said.event == event for said in lines(process)), f"it ended without {event}"


def plan_of(number: int, path: Path, base_url: str) -> Plan:
    """Return what one of the processes does: all that is shared and some of its own, in an order of its own."""
    prompts = [*SHARED, *(f"own {number} {own}" for own in range(10))]
    random.Random(number).shuffle(prompts)
    return Plan(path=str(path), base_url=base_url, prompts=tuple(prompts))


def test_ten_processes_and_one_killed_in_a_write(tmp_path: Path) -> None:
    """Each call is made once, counted at the server; that of the killed one is made again, and no answer is lost."""
    path, log = tmp_path / "cache.sqlite", tmp_path / "requests.jsonl"
    with ExitStack() as open_now:
        server = open_now.enter_context(SimulatorProcess(SimulatorSettings(ttft_s=0.01, request_log=str(log))))
        plan = Plan(path=str(path), base_url=server.base_url, prompts=(SHARED[0],), dies_at=SHARED[0])
        doomed = open_now.enter_context(started(plan))
        until(doomed, "claimed")
        plans = [plan_of(number, path, server.base_url) for number in range(1, PROCESSES)]
        others = [open_now.enter_context(started(plan)) for plan in plans]
        # Now all are at work, the doomed one's key is waited for, and it begins to write.
        wait_until(lambda: log.exists() and len(requests(log)) > 20, "nobody works")
        assert doomed.stdin is not None
        doomed.stdin.write(b"go on\n")
        doomed.stdin.flush()
        until(doomed, "writing")
        torn_bytes = path.with_name("cache.sqlite-wal").stat().st_size
        doomed.kill()
        said = [list(lines(process)) for process in others]
        assert [process.wait() for process in others] == [0] * len(others)
        calls = Counter(line.digest for line in requests(log))
    assert torn_bytes > HUGE_BYTES / 2, "the write had not reached the disk"
    contents = {each.prompt: each.content for each in said[0]}
    distinct = set(SHARED) | {prompt for plan in plans for prompt in plan.prompts}
    assert [sorted(each.prompt for each in one if each.event != "claimed") for one in said] == [
        sorted(plan.prompts) for plan in plans
    ]
    made = Counter(each.prompt for one in said for each in one if each.event == "made")
    assert made == dict.fromkeys(distinct, 1)
    assert sorted(calls.values()) == [1] * (len(distinct) - 1) + [2]
    check_kept(path, {each.prompt: each.content for one in said for each in one if each.event == "made"})
    assert all(each.content == contents.get(each.prompt, each.content) for one in said for each in one if each.content)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(20))
def test_killed_at_any_moment(seed: int, tmp_path: Path) -> None:
    """Whatever a process said that it stored is there after it was killed, whenever that was."""
    path = tmp_path / "cache.sqlite"
    plan = Plan(path=str(path), prompts=tuple(f"{number}" for number in range(2_000)), padding_bytes=100_000)
    stored: dict[str, str] = {}
    with started(plan) as process:
        for said in lines(process):
            if said.event == "made":
                stored[said.prompt] = said.content + "x" * plan.padding_bytes
            if len(stored) == 20 + 7 * seed:
                process.kill()
    assert process.returncode == -9
    check_kept(path, stored)


def check_kept(path: Path, contents: dict[str, str]) -> None:
    """The file is whole, each answer is in it as it was made, and nobody holds a claim any more."""
    with opened(path) as cache:
        for prompt, content in contents.items():
            found = cache.look(key_of(prompt))
            assert isinstance(found, CachedAnswer)
            assert found.content == content
        assert cache.stats().under_way == 0
    assert integrity(path) == "ok"
    assert not list(path.parent.glob("*damaged*"))
