"""Limits that providers set, kept to over minutes: calls at once, which the run finds out, and calls a minute."""

from __future__ import annotations

import html
import os
import signal
import time
from typing import TYPE_CHECKING, Final

import pytest

from bench.clock import NS_PER_S
from bench.report.build import build_report
from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from bench.summary import summarise
from tests.command import records, the_run, wait_until
from tests.faultserver import FaultServer
from tests.realwork import Judge, begin, changes_of, most_within, told

if TYPE_CHECKING:
    from pathlib import Path

    from bench.records import RouteChange
    from tests.command import StartCommand
    from tests.realwork import Provider

FIRST: Final = "sk-first-0123456789"
SECOND: Final = "sk-second-0123456789"


def mean_limit(changes: list[RouteChange], from_s: float, to_s: float) -> float:
    """The mean over time of the calls that were allowed at once, on the run's clock."""
    limit, at_s, area = 0.0, from_s, 0.0
    for change in changes:
        if change.kind == "limit" and change.after is not None:
            upto_s = min(max(change.at_s, from_s), to_s)
            area += limit * (upto_s - at_s)
            limit, at_s = change.after, upto_s
    return (area + limit * (to_s - at_s)) / (to_s - from_s)


def refused_share(judge: Judge, from_s: float, to_s: float) -> float:
    """The share of the requests between two instants that were refused."""
    came = sum(from_s <= at_s < to_s for at_s in judge.all_s)
    return sum(from_s <= at_s < to_s for at_s in judge.refused_s) / came


@pytest.mark.full
@pytest.mark.timeout(400)
def test_calls_at_once_follow_the_server(tmp_path: Path, start: StartCommand) -> None:
    """Where a server takes 20 calls at once, a run of 3 processes and 100 slots makes about 20, of which few are
    refused; when it takes 60, the run follows.
    """
    judge = Judge(at_once=20, lasts_s=0.3)
    with FaultServer(judge.script) as server:
        options = ("--no-stream", "--no-cache", "--processes", "3")
        command = begin(start, tmp_path, {"one": (server.base_url, {})}, 60_000, *options, mode="hybrid", slots=100)
        wait_until(lambda: bool(judge.all_s), "no request")
        begun_s = judge.all_s[0]
        wait_until(lambda: time.perf_counter_ns() / NS_PER_S >= begun_s + 90, "time stands still", 200)
        judge.at_once = 60
        wait_until(lambda: time.perf_counter_ns() / NS_PER_S >= begun_s + 210, "time stands still", 200)
        os.killpg(command.pid, signal.SIGINT)
        _, err = command.communicate(timeout=60)
    assert command.returncode == 130, err
    run = the_run(tmp_path / "results")
    changes = changes_of(run)
    # The run's clock began a little before its first request.
    lead_s = min(each.sent_s for result in records(run) for each in result.attempts)
    before, after = mean_limit(changes, lead_s + 30, lead_s + 90), mean_limit(changes, lead_s + 170, lead_s + 210)
    refused = refused_share(judge, begun_s + 30, begun_s + 90), refused_share(judge, begun_s + 170, begun_s + 210)
    told(
        "calls at once",
        mean_limit_of_20=before,
        refused_share_after_30_s=refused[0],
        mean_limit_of_60=after,
        refused_share_of_60=refused[1],
        longest_pause_s=max((change.after or 0.0 for change in changes if change.kind == "cooldown"), default=0.0),
        served_a_second=(sum(begun_s + 30 <= at_s < begun_s + 90 for at_s in judge.all_s) / 60) * (1 - refused[0]),
    )
    assert 18 <= before <= 22
    assert 54 <= after <= 66
    assert max(refused) < 0.05
    assert {result.status for result in records(run)} <= {"ok", "cancelled"}


@pytest.mark.full
@pytest.mark.timeout(200)
def test_who_fails_is_rested(tmp_path: Path, start: StartCommand) -> None:
    """Of a quick, a slow and a failing provider the failing one is rested, and so is the quick one once it is gone; all
    tasks succeed, and the run's page has the share of each and why it was rested.
    """
    with (
        SimulatorProcess(SimulatorSettings(ttft_s=0.05, tokens=2)) as quick,
        SimulatorProcess(SimulatorSettings(ttft_s=0.5, tokens=2)) as slow,
        SimulatorProcess(SimulatorSettings(ttft_s=0.05, tokens=2, error_rate=0.5)) as bad,
    ):
        providers: dict[str, Provider] = {
            name: (server.base_url, {}) for name, server in (("quick", quick), ("slow", slow), ("bad", bad))
        }
        command = begin(start, tmp_path, providers, 1500, mode="hybrid", slots=24)
        wait_until(lambda: quick.stats().requests >= 700, "no progress", 100)
        quick.stop()
        _, err = command.communicate(timeout=150)
    assert command.returncode == 0, err
    run = the_run(tmp_path / "results")
    rests: dict[str, str] = {}
    for change in changes_of(run):
        if change.kind == "rest":
            rests.setdefault(change.provider, change.reason)
    shares = {row.provider: row.share or 0.0 for row in summarise(run).routes}
    told("three providers", shares=shares, rests=rests)
    assert {result.status for result in records(run)} == {"ok"}
    assert {"bad", "quick"} <= rests.keys()
    assert shares["bad"] < 0.1
    page = build_report([run], run).read_text(encoding="utf-8")
    assert all(html.escape(reason) in page for reason in rests.values())


@pytest.mark.full
@pytest.mark.timeout(400)
@pytest.mark.parametrize(("revoked", "most"), [(frozenset(), 120), (frozenset({SECOND}), 60)])
def test_requests_a_minute(revoked: frozenset[str], most: int, tmp_path: Path, start: StartCommand) -> None:
    """Two keys with 60 requests a minute each: at the server never more than 120 in any minute and at least 114, in
    threads and with one call at a time for each key; with one key revoked 60, and it is said.
    """
    judge = Judge(revoked=revoked, lasts_s=0.05)
    env = {"MINE_API_KEY": FIRST, "MINE_API_KEY_2": SECOND}
    with FaultServer(judge.script) as server:
        fields = {"keys": [*env], "requests_per_min": 60}
        tasks = most * 2 + 20
        options = ("--no-stream", "--no-cache")
        command = begin(
            start, tmp_path, {"mine": (server.base_url, fields)}, tasks, *options, mode="threading", slots=16, env=env
        )
        _, err = command.communicate(timeout=300)
    assert command.returncode == 0, err
    served_s = [at_s for key, instants in judge.arrived_s.items() if key not in revoked for at_s in instants]
    served_s.sort()
    whole = [at_s for at_s in served_s if at_s + 60 <= served_s[-1]]
    least = min(sum(at_s < each <= at_s + 60 for each in served_s) for at_s in whole)
    peak = most_within(served_s, 60.0)
    told(
        "requests a minute",
        keys=len(judge.arrived_s),
        revoked=len(revoked),
        least_in_a_minute=least,
        most_in_a_minute=peak,
        answered_401=sum(len(judge.arrived_s[key]) for key in revoked),
    )
    assert peak <= most
    assert least >= 0.95 * most
    assert {result.status for result in records(the_run(tmp_path / "results"))} == {"ok"}
    assert all(most_within(judge.arrived_s[key], 60.0) <= 60 for key in judge.arrived_s)
    dead = [change.key for change in changes_of(the_run(tmp_path / "results")) if change.kind == "dead"]
    assert dead == [1] * len(revoked)
