"""The simulator's places: how many requests it works on at once, and the queue for them, over bare sockets."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from tests.simulator_socket import STREAM_END, chat, connected, read_until, settled, simulator

if TYPE_CHECKING:
    import socket


def _answered_s(connections: list[socket.socket]) -> list[float]:
    """Return when each of several answers had come, in seconds from now; they are read in this order."""
    begun_ns = time.perf_counter_ns()
    ended = []
    for connection in connections:
        assert read_until(connection, STREAM_END).endswith(STREAM_END)
        ended.append((time.perf_counter_ns() - begun_ns) / 1e9)
    return ended


def test_what_finds_no_place_waits_for_its_turn_in_order_of_arrival() -> None:
    """Of six requests to two places, two begin at once and each further pair when the pair before it ends."""
    with simulator("ttft=0.2", "capacity=2") as process, contextlib.ExitStack() as opened:
        connections = [opened.enter_context(connected(process)) for _ in range(6)]
        for already, connection in enumerate(connections):
            connection.sendall(chat())
            settled(process, lambda stats, already=already: stats.in_flight > already)  # type: ignore[misc]
        waiting = process.stats()
        ended_s = _answered_s(connections)
        stats = process.stats()
    assert (waiting.in_flight, waiting.waiting) == (6, 4)
    assert ended_s[2] - ended_s[0] > 0.1
    assert ended_s[4] - ended_s[2] > 0.19
    assert (stats.peak_in_flight, stats.peak_waiting, stats.waiting) == (6, 4, 0)
    assert stats.outcomes["ok"] == 6


def test_who_leaves_frees_a_place_or_a_turn() -> None:
    """A client that goes while it is worked on frees its place, and one that goes while it waits is not waited for."""
    with simulator("stall-rate=1", "capacity=1") as process, contextlib.ExitStack() as opened:
        first, second, third = (opened.enter_context(connected(process)) for _ in range(3))
        for already, connection in enumerate((first, second, third)):
            connection.sendall(chat())
            settled(process, lambda stats, already=already: stats.in_flight > already)  # type: ignore[misc]
        second.close()
        assert settled(process, lambda stats: stats.waiting == 1).outcomes["client_gone"] == 1
        first.close()
        begun = third.recv(1)
        stats = process.stats()
    assert begun
    assert (stats.in_flight, stats.waiting, stats.peak_waiting) == (1, 0, 2)
