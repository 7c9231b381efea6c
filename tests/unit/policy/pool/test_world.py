"""Whole runs in simulated time: limits that follow the server, rates that hold there, and routes that come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.policy.pool import Pool, PoolSettings, RouteInfo
from bench.providers import RouteLimits
from tests.poolworld import Server, World

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

SIXTY = RouteLimits(requests_per_min=60)


def most_in_a_minute(instants: Sequence[float]) -> int:
    """Return the most instants that lie in any 60 seconds, both ends included."""
    most = first = 0
    for last, at_s in enumerate(instants):
        while at_s - instants[first] > 60:
            first += 1
        most = max(most, last - first + 1)
    return most


def fewest_in_a_minute(instants: Sequence[float], from_s: float, to_s: float) -> int:
    """Return the fewest instants in any 60 seconds that begin right after one of them or at the beginning."""
    starts = [from_s, *(at_s for at_s in instants if from_s <= at_s <= to_s - 60)]
    return min(sum(start < at_s <= start + 60 for at_s in instants) for start in starts)


@pytest.mark.parametrize("retry_after_s", [None, 0.0, 1.0])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_limit_follows_the_server(retry_after_s: float | None, seed: int) -> None:
    """The limit stays within 10 % of the calls that a server takes at once, few are refused, and it follows a rise; no
    pause is longer than the server asks for, and while the limit is being found the server is kept busy.
    """
    pool = Pool([RouteInfo(provider="a")], PoolSettings(ceiling=64))
    begin_s = 1000.0
    server = Server(at_once=lambda now_s: 20 if now_s < begin_s + 90 else 60, retry_after_s=retry_after_s)
    world = World(pool, [server], lanes=64, seed=seed)
    world.run(180)
    assert world.mean_limit(0, 8, 30, 90) == pytest.approx(20, rel=0.1)
    assert world.share_refused(0, 30, 90) < 0.05
    assert world.mean_limit(0, 8, 130, 180) == pytest.approx(60, rel=0.1)
    assert world.share_refused(0, 90, 180) < 0.05
    assert all(change.reason for change in world.changes)
    pauses_s = {change.after for change in world.changes if change.kind == "cooldown"}
    assert pauses_s == ({retry_after_s} if retry_after_s else set())
    assert sum(at_s < begin_s + 10 for at_s in server.served_s) > 200


@pytest.mark.parametrize("retry_after_s", [None, 0.0, 1.0])
def test_the_limit_follows_a_fall(retry_after_s: float | None) -> None:
    """A server that takes less than before refuses few calls and is kept busy, and the limit comes down to it."""
    server = Server(at_once=lambda now_s: 60 if now_s < 1060 else 20, retry_after_s=retry_after_s)
    world = World(Pool([RouteInfo(provider="a")], PoolSettings(ceiling=64)), [server], lanes=64)
    world.run(120)
    assert world.mean_limit(0, 8, 40, 60) == pytest.approx(60, rel=0.1)
    assert world.mean_limit(0, 8, 80, 120) == pytest.approx(20, rel=0.1)
    assert world.share_refused(0, 60, 120) < 0.1
    assert sum(at_s > 1060 for at_s in server.served_s) > 60 * 25, "20 at once, each of 0.6 s"


def test_two_keys_keep_to_their_rates() -> None:
    """Two keys of 60 a minute give 114 to 120 in every minute at the server, and none is refused."""
    pool = Pool([RouteInfo(provider="a", key=key, limits=SIXTY) for key in (0, 1)], PoolSettings(ceiling=32))
    servers = [Server(per_min=60, jitter_s=0.02) for _ in range(2)]
    world = World(pool, servers, lanes=32)
    world.run(300)
    together = sorted(at_s for server in servers for at_s in server.arrived_s)
    assert most_in_a_minute(together) <= 120
    assert fewest_in_a_minute(together, 1000, 1300) >= 114
    assert [server.refused_s for server in servers] == [[], []]


def test_a_dead_key_leaves_the_other_its_rate() -> None:
    """With one of two keys revoked the other goes on at its own rate, and the reason is told once."""
    pool = Pool([RouteInfo(provider="a", key=key, limits=SIXTY) for key in (0, 1)], PoolSettings(ceiling=32))
    dead = Server(fails=lambda now_s, _: "auth" if now_s >= 1060 else None)
    world = World(pool, [Server(per_min=60, jitter_s=0.02), dead], lanes=32)
    world.run(400)
    assert len([at_s for at_s in dead.arrived_s if at_s >= 1060]) == 1
    alive = world.servers[0].arrived_s
    assert most_in_a_minute(alive) <= 60
    assert fewest_in_a_minute(alive, 1070, 1400) >= 57
    told = [change for change in world.changes if change.kind == "dead"]
    assert [change.route for change in told] == [1]
    assert "key 2 of a" in told[0].reason


@pytest.mark.parametrize("per_min", [300, 6000])
def test_bursts_are_small(per_min: int) -> None:
    """No more than 1 % of a minute's calls go out at once, however long nothing was asked for."""
    limits = RouteLimits(requests_per_min=per_min)
    pool = Pool([RouteInfo(provider="a", limits=limits)], PoolSettings(ceiling=10_000, start=10_000))
    server = Server(per_min=per_min, latency_s=(0.05, 0.05))
    world = World(pool, [server], lanes=500)
    world.now_s += 500
    world.begin_s = world.now_s
    world.run(70)
    assert sum(at_s <= world.begin_s for at_s in server.arrived_s) == per_min // 100
    assert most_in_a_minute(server.arrived_s) <= per_min
    assert sum(at_s <= world.begin_s + 60 for at_s in server.arrived_s) >= 0.95 * per_min


def test_a_failing_provider_is_rested_and_a_killed_one_replaced() -> None:
    """Of three providers the one that fails half its calls gets few; with the best one killed the slow one serves."""

    def half(_now_s: float, rng: random.Random) -> str | None:
        return "server_error" if rng.random() < 0.5 else None

    servers = [
        Server(latency_s=(0.1, 0.1), fails=lambda now_s, _: "connect" if now_s > 1100 else None),
        Server(latency_s=(1.0, 1.0)),
        Server(latency_s=(0.1, 0.1), fails=half),
    ]
    pool = Pool([RouteInfo(provider=name) for name in ("fast", "slow", "flaky")], PoolSettings(ceiling=32))
    world = World(pool, servers, lanes=32)
    world.run(200)
    before = [sum(at_s <= 1100 for at_s in server.arrived_s) for server in servers]
    assert before[2] < 0.1 * sum(before)
    rests = {change.route for change in world.changes if change.kind == "rest"}
    assert {0, 2} <= rests
    assert len([at_s for at_s in servers[0].arrived_s if at_s > 1110]) < 10, "only to see whether it is back"
    assert sum(at_s > 1110 for at_s in servers[1].arrived_s) > 1000


def test_rest_of_all_is_waited_out() -> None:
    """A server that is down for a while costs few calls, and is used again when it is back."""
    server = Server(fails=lambda now_s, _: "connect" if 1010 < now_s < 1030 else None)
    world = World(Pool([RouteInfo(provider="a")], PoolSettings(ceiling=16)), [server], lanes=16)
    world.run(100)
    assert sum(1010 < at_s < 1030 for at_s in server.arrived_s) < 40
    assert sum(at_s > 1060 for at_s in server.arrived_s) > 500
    assert [change.kind for change in world.changes if change.kind in {"rest", "revived"}][-1] == "revived"
    assert world.never is None
