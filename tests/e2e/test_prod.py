"""Real work over several providers, through the command: who does it, what is not asked twice, and what races."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, get_args

import pytest

from bench.journal import read_manifest
from bench.records import Mode, RateLimits
from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from bench.summary import summarise
from tests.command import records, requests, the_run, wait_until
from tests.faultserver import FaultServer
from tests.modes import modes
from tests.realwork import Judge, Provider, begin, changes_of, most_within, told

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import StartCommand

MODES: tuple[Mode, ...] = get_args(Mode)

#: Longer than any test waits: a server so slow answers nothing.
NEVER_S = 3000.0

FIRST = "sk-first-0123456789"
SECOND = "sk-second-0123456789"


@pytest.mark.parametrize("mode", modes("threading", "asyncio", "hybrid"))
def test_a_provider_that_fails_and_one_that_dies(mode: Mode, tmp_path: Path, start: StartCommand) -> None:
    """With one provider that fails half of its calls and one that is gone in mid-run, every task has its answer, and
    the failing one is hardly asked.
    """
    with (
        SimulatorProcess(SimulatorSettings(ttft_s=0.02, tokens=2)) as fast,
        SimulatorProcess(SimulatorSettings(ttft_s=0.06, tokens=2)) as slow,
        SimulatorProcess(SimulatorSettings(ttft_s=0.02, tokens=2, error_rate=0.5)) as bad,
    ):
        addresses: dict[str, Provider] = {
            "fast": (fast.base_url, {}),
            "slow": (slow.base_url, {}),
            "bad": (bad.base_url, {}),
        }
        command = begin(start, tmp_path, addresses, 60, mode=mode)
        wait_until(lambda: fast.stats().requests >= 15, "no progress")
        fast.stop()
        _, err = command.communicate(timeout=60)
        asked_bad = bad.stats().requests
    assert command.returncode == 0, err
    run = the_run(tmp_path / "results")
    results = records(run)
    assert len({result.task_id for result in results}) == len(results) == 60
    assert {result.status for result in results} == {"ok"}
    by = Counter(attempt.provider for result in results for attempt in result.attempts)
    rests = [change.reason for change in changes_of(run) if change.kind == "rest"]
    told("three providers", mode=mode, calls=dict(by), rests=rests)
    assert by["bad"] == asked_bad
    assert by["fast"] >= 15
    assert by["slow"] > by["bad"]
    again = [result for result in results if len(result.attempts) > 1]
    assert again
    # What failed goes elsewhere at once; only where the others had failed it too it waited.
    assert all(result.attempts[1].provider != result.attempts[0].provider for result in again)
    # Once it is gone it is asked by those calls that are under way, and hardly again.
    assert 1 <= sum(each.provider == "fast" and each.status == "failed" for r in results for each in r.attempts) <= 12


@pytest.mark.parametrize("mode", ["threading", "asyncio"])
def test_the_loser_of_a_race_is_cut_off(mode: Mode, tmp_path: Path, start: StartCommand) -> None:
    """Of two providers the quick one's answer counts, and the other sees its connection closed long before it would
    have answered; what the race cost is in the record. Who loses is not asked first again: otherwise the extra calls
    that a run may make would not last for so many tasks.
    """
    with (
        SimulatorProcess(SimulatorSettings(ttft_s=NEVER_S)) as slow,
        SimulatorProcess(SimulatorSettings(ttft_s=0.05, tokens=2)) as fast,
    ):
        addresses: dict[str, Provider] = {"slow": (slow.base_url, {}), "fast": (fast.base_url, {})}
        options = ("--race", "--hedge-delay", "0.1", "--no-cache")
        command = begin(start, tmp_path, addresses, 60, *options, mode=mode, slots=2)
        _, err = command.communicate(timeout=60)
        stats = slow.stats()
    assert command.returncode == 0, err
    results = records(the_run(tmp_path / "results"))
    assert {(result.status, result.provider) for result in results} == {("ok", "fast")}
    losers = [attempt for result in results for attempt in result.attempts if attempt.provider == "slow"]
    told("race", mode=mode, lost=len(losers), median_s=sorted(result.latency_s for result in results)[30])
    assert 1 <= len(losers) <= 8
    assert {attempt.status for attempt in losers} == {"cancelled"}
    assert (stats.requests, stats.in_flight, stats.outcomes["client_gone"]) == (len(losers), 0, len(losers))
    assert all(result.latency_s < NEVER_S / 10 for result in results)


@pytest.mark.parametrize("mode", ["threading", "hybrid"])
def test_the_first_call_warms(mode: Mode, tmp_path: Path, start: StartCommand) -> None:
    """With --warm-first the first request to a provider is answered before it gets another, which then come at once."""
    log = tmp_path / "requests.jsonl"
    with SimulatorProcess(SimulatorSettings(ttft_s=0.2, tokens=2, request_log=str(log))) as server:
        providers: dict[str, Provider] = {"one": (server.base_url, {})}
        command = begin(start, tmp_path, providers, 12, "--warm-first", "--no-cache", mode=mode)
        _, err = command.communicate(timeout=60)
        stats = server.stats()
    assert command.returncode == 0, err
    first, *others = sorted(requests(log), key=lambda line: line.received_ns)
    assert first.finished_ns is not None
    assert first.finished_ns <= min(line.received_ns for line in others)
    assert (stats.requests, stats.peak_in_flight) == (12, 6)


def test_keys_share_the_work_within_their_limits(tmp_path: Path, start: StartCommand) -> None:
    """Two keys are used up to what each allows and not beyond it; a key that is not accepted is said once and left
    alone, and the other goes on within its own limit.
    """
    judge = Judge(revoked=frozenset({SECOND}))
    env = {"MINE_API_KEY": FIRST, "MINE_API_KEY_2": SECOND}
    fields: dict[str, object] = {"keys": [*env], "requests_per_min": 1200}
    with FaultServer(judge.script) as server:
        providers = {"mine": (server.base_url, fields)}
        command = begin(start, tmp_path, providers, 30, "--no-stream", "--no-cache", mode="hybrid", slots=8, env=env)
        _, err = command.communicate(timeout=60)
        assert command.returncode == 0, err
        # 20 calls a second and 12 at once: fewer come in a second than twice as many by two keys.
        assert most_within(judge.arrived_s[FIRST], 1.0) <= 20 + 12
        assert len(judge.arrived_s[SECOND]) <= 8
    run = the_run(tmp_path / "results")
    assert {result.status for result in records(run)} == {"ok"}
    dead = [change for change in changes_of(run) if change.kind == "dead"]
    assert [(change.provider, change.key) for change in dead] == [("mine", 1)]
    assert "key 2 of mine is not accepted" in dead[0].reason
    assert FIRST not in err
    assert SECOND not in err


@pytest.mark.parametrize("profile", ["prod", "bench"])
def test_f37_a_refused_key_stops_the_run(profile: str, tmp_path: Path, start: StartCommand) -> None:
    """Where the server accepts no key the run stops with the reason and exit code 1, before every task was sent."""
    judge = Judge(revoked=frozenset({FIRST}))
    fields: dict[str, object] = {"keys": ["MINE_API_KEY"]}
    with FaultServer(judge.script) as server:
        providers = {"mine": (server.base_url, fields)}
        options = ("--no-stream",)
        command = begin(
            start, tmp_path, providers, 200, *options, profile=profile, slots=4, env={"MINE_API_KEY": FIRST}
        )
        _, err = command.communicate(timeout=60)
        asked = len(judge.arrived_s[FIRST])
    assert command.returncode == 1
    assert "401 or 403" in err
    assert asked <= 16
    results = records(the_run(tmp_path / "results"))
    assert len(results) <= 24
    assert {result.error.type for result in results if result.error} <= {"auth", "cancelled"}
    assert read_manifest(the_run(tmp_path / "results")).status == "failed"


@pytest.mark.parametrize("mode", ["threading", "hybrid"])
def test_a_second_run_asks_nobody(mode: Mode, tmp_path: Path, start: StartCommand) -> None:
    """The same run a second time takes every answer from the cache, and says so in each record; with another
    temperature every call is made.
    """
    with SimulatorProcess(SimulatorSettings(tokens=2)) as server:
        asked, contents = [], []
        for place, options in enumerate([(), (), ("--temperature", "0.3")]):
            results = f"results-{place}"
            paths = ("--results-dir", results, "--cache-file", "answers.sqlite")
            command = begin(start, tmp_path, {"one": (server.base_url, {})}, 20, *paths, *options, mode=mode)
            _, err = command.communicate(timeout=60)
            assert command.returncode == 0, err
            found = records(the_run(tmp_path / results))
            asked.append(server.stats().requests)
            contents.append({result.task_id: result.content for result in found})
            assert [result.cached for result in found] == [place == 1] * 20
            assert all(result.attempts == () for result in found if result.cached)
    assert asked == [20, 20, 40]
    assert contents[0] == contents[1]


def test_equal_prompts_are_asked_once(tmp_path: Path, start: StartCommand) -> None:
    """Equal prompts that are under way at once are one call, and a slot that waits for it does other work."""
    with SimulatorProcess(SimulatorSettings(ttft_s=0.2, tokens=2)) as server:
        prompts = ['{"prompt": "same"}\n'] * 200 + [f'{{"prompt": "other {number}"}}\n' for number in range(8)]
        (tmp_path / "prompts.jsonl").write_text("".join(prompts), encoding="utf-8")
        options = ("--prompts", "prompts.jsonl", "-c", "4", "-m", "asyncio", "--client", "lean")
        command = start(
            *("--profile", "prod", "--base-url", server.base_url, "--model", "m", "--no-report", *options),
            cwd=tmp_path,
        )
        _, err = command.communicate(timeout=60)
        stats = server.stats()
    assert command.returncode == 0, err
    results = records(the_run(tmp_path / "results"))
    assert len(results) == 208
    assert {result.status for result in results} == {"ok"}
    assert stats.requests == 9
    assert stats.peak_in_flight == 4


def test_a_provider_s_own_limit(tmp_path: Path, start: StartCommand) -> None:
    """An attempt that takes longer than its provider's limit is given up, and the task goes to another provider."""
    with (
        SimulatorProcess(SimulatorSettings(ttft_s=NEVER_S)) as stuck,
        SimulatorProcess(SimulatorSettings(tokens=2)) as good,
    ):
        addresses: dict[str, Provider] = {"stuck": (stuck.base_url, {"timeout_s": 0.3}), "good": (good.base_url, {})}
        command = begin(start, tmp_path, addresses, 8, mode="asyncio", slots=4)
        _, err = command.communicate(timeout=60)
    assert command.returncode == 0, err
    results = records(the_run(tmp_path / "results"))
    assert {(result.status, result.provider) for result in results} == {("ok", "good")}
    tried = {attempt.error_type for result in results for attempt in result.attempts if attempt.provider == "stuck"}
    assert tried == {"timeout_total"}


@pytest.mark.parametrize("mode", ["threading", "hybrid"])
def test_limits_that_the_server_tells(mode: Mode, tmp_path: Path, start: StartCommand) -> None:
    """A rate that the server names in its answers is kept to from then on, without a word in the providers' file, and
    what it said is in the record of each call.
    """
    fields = (
        "x-ratelimit-limit-requests: 600",
        "x-ratelimit-remaining-requests: 500",
        "x-ratelimit-reset-requests: 9s",
    )
    judge = Judge(fields=fields)
    with FaultServer(judge.script) as server:
        providers: dict[str, Provider] = {"mine": (server.base_url, {})}
        command = begin(start, tmp_path, providers, 40, "--no-stream", "--no-cache", mode=mode, slots=4)
        _, err = command.communicate(timeout=60)
    assert command.returncode == 0, err
    run = the_run(tmp_path / "results")
    told = [(change.before, change.after) for change in changes_of(run) if change.kind == "requests_per_min"]
    assert told == [(None, 600.0)]
    assert [row.learnt_requests_per_min for row in summarise(run).routes] == [600.0]
    # Ten a second, six at once, and those that were under way when it was told.
    assert most_within(judge.all_s, 1.0) <= 10 + 6 + 4
    said = [attempt.rate_limits for result in records(run) for attempt in result.attempts]
    assert said == [RateLimits(limit_requests=600, remaining_requests=500, reset_requests_s=9.0)] * 40
