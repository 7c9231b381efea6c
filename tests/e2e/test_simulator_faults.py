"""The simulator's limits and faults, as a bare socket sees them, and what it counts and logs about them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import socket
import struct
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.simulator_socket import (
    PROMPT,
    STREAM_END,
    chat,
    connected,
    read_into,
    read_reply,
    read_until,
    request,
    settled,
    simulator,
)

if TYPE_CHECKING:
    from pathlib import Path


# Limits.


@pytest.mark.parametrize("parallel", [1, 8, 64])
def test_the_peak_in_flight_is_the_number_of_clients(parallel: int) -> None:
    """With N clients that each ask again as soon as they are answered, the peak is exactly N and the mean nearly so."""
    rounds = 2
    with simulator("ttft=0.4", "itl=0.01", "tokens=11") as process, contextlib.ExitStack() as opened:
        connections = [opened.enter_context(connected(process)) for _ in range(parallel)]
        process.reset()
        for _ in range(rounds):
            for connection in connections:
                connection.sendall(chat())
            for connection in connections:
                assert read_until(connection, STREAM_END).endswith(STREAM_END)
        stats = process.stats()
    assert stats.peak_in_flight == parallel
    assert stats.in_flight == 0
    assert stats.outcomes["ok"] == stats.requests == rounds * parallel
    # Each answer takes 500 ms from its request on; what is more is the lateness of its last token.
    assert rounds * parallel * 0.5 <= stats.in_flight_s
    assert stats.mean_in_flight <= parallel


def test_one_more_than_the_most_in_flight_is_told_to_come_back() -> None:
    """Beyond `max-in-flight` a request is answered 429 at once, and the peak is the limit, reached and not passed."""
    with simulator("stall-rate=1", "max-in-flight=3", "retry-after=2.5") as process:
        with contextlib.ExitStack() as opened:
            connections = [opened.enter_context(connected(process)) for _ in range(5)]
            for connection in connections[:3]:
                connection.sendall(chat())
            assert settled(process, lambda stats: stats.in_flight == 3).in_flight == 3
            for connection in connections[3:]:
                connection.sendall(chat())
                status, head, body = read_reply(connection)
                assert status == 429
                assert b"\r\nretry-after: 2.5\r\n" in head
                assert json.loads(body)["error"]["type"] == "rate_limit_exceeded"
        stats = settled(process, lambda stats: stats.in_flight == 0)
    assert (stats.peak_in_flight, stats.outcomes["stalled"], stats.outcomes["rejected"]) == (3, 3, 2)


def test_the_rate_limit_names_the_time_until_the_next_token() -> None:
    """At 30 requests a minute the second one is told to wait nearly two seconds, or what is left of them."""
    with simulator("requests-per-minute=30") as process, connected(process) as connection:
        connection.sendall(chat())
        began_ns = time.perf_counter_ns()
        read_until(connection, STREAM_END)
        waits_s = []
        for _ in range(2):
            connection.sendall(chat())
            status, head, _ = read_reply(connection)
            assert status == 429
            waits_s.append(float(re.findall(rb"retry-after: ([0-9.]+)", head)[0]))
        elapsed_s = (time.perf_counter_ns() - began_ns) / 1e9
    assert 2.0 - elapsed_s - 0.05 <= waits_s[1] <= waits_s[0] <= 2.0


def test_who_waits_as_told_is_admitted() -> None:
    """A client that comes back after its Retry-After gets its answer."""
    with simulator("requests-per-minute=60") as process, connected(process) as connection:
        connection.sendall(chat(stream=False))
        assert read_reply(connection)[0] == 200
        connection.sendall(chat(stream=False))
        status, head, _ = read_reply(connection)
        assert status == 429
        until_ns = time.perf_counter_ns() + int(float(re.findall(rb"retry-after: ([0-9.]+)", head)[0]) * 1e9)
        while (left_ns := until_ns - time.perf_counter_ns()) > 0:
            time.sleep(left_ns / 1e9)
        connection.sendall(chat(stream=False))
        assert read_reply(connection)[0] == 200


# Faults. Of 16 tokens eight are sent before the fault; the role's chunk has an empty content of its own.


def test_a_cut_stream_is_reset_in_its_middle() -> None:
    """A cut stream sends half of its tokens, then the connection is reset."""
    with simulator("cut-rate=1", "itl=0.005") as process, connected(process) as connection:
        connection.sendall(chat())
        read = bytearray()
        with pytest.raises(ConnectionResetError):
            read_into(read, connection)
        assert read.count(b'"content":') == 1 + 8
        stats = process.stats()
    assert (stats.outcomes["cut"], stats.in_flight, stats.requests) == (1, 0, 1)


def test_a_cut_answer_is_reset_in_its_body() -> None:
    """A cut answer that is not streamed announces its whole length and is reset after half of it."""
    with simulator("cut-rate=1") as process, connected(process) as connection:
        connection.sendall(chat(stream=False))
        read = bytearray()
        with pytest.raises(ConnectionResetError):
            read_into(read, connection)
    head, _, body = read.partition(b"\r\n\r\n")
    length = int(re.findall(rb"content-length: (\d+)", head)[0])
    assert len(body) == length - length // 2


def test_a_truncated_stream_ends_cleanly_and_incompletely() -> None:
    """A truncated stream ends as HTTP wants it, with neither a finish reason nor [DONE], and the connection lives."""
    with simulator("truncate-rate=1", "itl=0.002") as process, connected(process) as connection:
        for _ in range(2):
            connection.sendall(chat())
            read = read_until(connection, b"\r\n0\r\n\r\n")
            assert read.count(b'"content":') == 1 + 8
            assert b'"finish_reason":"' not in read
            assert b"[DONE]" not in read
        assert process.stats().outcomes["truncated"] == 2


def test_a_truncated_answer_is_half_a_document() -> None:
    """A truncated answer that is not streamed has the length that it announces and is no JSON."""
    with simulator("truncate-rate=1") as process, connected(process) as connection:
        connection.sendall(chat(stream=False))
        status, _, body = read_reply(connection)
    assert status == 200
    assert body.startswith(b'{"id":"chatcmpl-')
    with pytest.raises((json.JSONDecodeError, UnicodeDecodeError)):
        json.loads(body)


def test_a_malformed_stream_holds_one_chunk_that_is_not_json() -> None:
    """A malformed stream runs to its end with all its tokens, and exactly one of its events is no JSON."""
    with simulator("malformed-rate=1") as process, connected(process) as connection:
        connection.sendall(chat())
        read = read_until(connection, STREAM_END)
        assert process.stats().outcomes["malformed"] == 1
    events = re.findall(rb"data: (.*)\n\n", read)
    wrong = 0
    for event in events:
        try:
            json.loads(event)
        except json.JSONDecodeError:
            wrong += event != b"[DONE]"
    assert wrong == 1
    assert len(events) == 1 + 16 + 1 + 1 + 1


def test_a_malformed_answer_is_a_page_in_place_of_json() -> None:
    """A malformed answer that is not streamed is what a broken proxy sends: 200, JSON announced, HTML delivered."""
    with simulator("malformed-rate=1") as process, connected(process) as connection:
        connection.sendall(chat(stream=False))
        status, head, body = read_reply(connection)
    assert status == 200
    assert b"content-type: application/json" in head
    assert body.startswith(b"<html>")


@pytest.mark.parametrize("stream", [True, False])
def test_a_stalled_answer_goes_silent_and_keeps_its_connection(*, stream: bool) -> None:
    """A stalled answer stops in its middle, stays in flight while the client waits, and ends when the client leaves."""
    with simulator("stall-rate=1") as process:
        with connected(process) as connection:
            connection.sendall(chat(stream=stream))
            stats = settled(process, lambda stats: stats.sends > 0)
            connection.settimeout(0.3)
            read = bytearray()
            with pytest.raises(TimeoutError):
                read_into(read, connection)
            assert b'"content":' in read
            assert (stats.in_flight, stats.outcomes["stalled"]) == (1, 0)
        stats = settled(process, lambda stats: stats.in_flight == 0)
    assert (stats.in_flight, stats.outcomes["stalled"], stats.outcomes["client_gone"]) == (0, 1, 0)


@pytest.mark.parametrize("stream", [True, False])
def test_an_error_comes_when_the_first_token_was_due(*, stream: bool) -> None:
    """A failing request is answered 500 after the first-token time, in flight until then; its connection lives on."""
    with simulator("error-rate=1", "ttft=0.1", "itl=5") as process, connected(process) as connection:
        for _ in range(2):
            began_ns = time.perf_counter_ns()
            connection.sendall(chat(stream=stream))
            status, _, body = read_reply(connection)
            assert status == 500
            assert json.loads(body)["error"]["type"] == "server_error"
            assert time.perf_counter_ns() - began_ns >= 99_000_000
        stats = process.stats()
    assert (stats.outcomes["error"], stats.peak_in_flight) == (2, 1)


def test_a_rejection_by_draw_costs_no_time() -> None:
    """A request that is drawn to be rejected is answered 429 at once, with the Retry-After that is set."""
    with simulator("reject-rate=1", "retry-after=7", "ttft=5") as process, connected(process) as connection:
        connection.sendall(chat())
        status, head, _ = read_reply(connection)
        assert status == 429
        assert b"\r\nretry-after: 7\r\n" in head
        assert process.stats().outcomes["rejected"] == 1


# What is counted and written down.


def test_a_client_that_leaves_is_noticed_at_once() -> None:
    """A client that closes its connection before the answer is counted as gone, long before the answer was due."""
    with simulator("ttft=60") as process:
        with connected(process) as connection:
            connection.sendall(chat())
            assert settled(process, lambda stats: stats.in_flight == 1).in_flight == 1
        stats = settled(process, lambda stats: stats.in_flight == 0)
    assert (stats.in_flight, stats.outcomes["client_gone"], stats.sends) == (0, 1, 0)
    assert (stats.connections_used, stats.connections_open) == (1, 1)  # the one that asks is open


def test_an_answer_that_could_not_be_delivered_is_no_success() -> None:
    """A client that resets its connection before its request is even read is counted as gone, not as answered."""
    with simulator() as process, connected(process) as connection:
        server = psutil.Process(process.pid)
        server.suspend()
        connection.sendall(chat())
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        server.resume()
        stats = settled(process, lambda stats: stats.requests == 1 and stats.in_flight == 0)
    assert (stats.outcomes["client_gone"], stats.outcomes["ok"]) == (1, 0)


def test_an_answer_is_in_flight_until_the_socket_took_it() -> None:
    """An answer that a slow client does not read stays in flight until its last byte is out of the server's hands."""
    with simulator("tokens=60000") as process, connected(process) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        connection.sendall(chat())
        stats = settled(process, lambda stats: stats.sends > 0)
        assert (stats.in_flight, stats.outcomes["ok"]) == (1, 0)
        assert read_until(connection, STREAM_END).count(b'"content":') == 1 + 60_000
        stats = settled(process, lambda stats: stats.in_flight == 0)
    assert (stats.in_flight, stats.outcomes["ok"]) == (0, 1)


def test_the_log_has_one_line_for_each_request_that_ended(tmp_path: Path) -> None:
    """Every request that ended is one line of the log, with its digest, status, outcome and times in order."""
    log = tmp_path / "requests.jsonl"
    with simulator(f"request-log={log}", "itl=5", "seed=5", "reject-rate=0.2", "error-rate=0.2") as process:
        with connected(process) as connection:
            for _ in range(30):
                connection.sendall(chat(stream=False, max_tokens=1))
                read_reply(connection)
            connection.sendall(request(body=b"not json"))
            read_reply(connection)
            connection.sendall(chat())
        stats = settled(process, lambda stats: stats.in_flight == 0)
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [line["seq"] for line in lines] == list(range(32))
    assert {line["digest"] for line in lines[:30]} == {hashlib.sha256(PROMPT.encode()).hexdigest()[:16]}
    assert {line["connection"] for line in lines} == {1}
    for outcome in ("ok", "rejected", "error", "invalid", "client_gone"):
        count = sum(line["outcome"] == outcome for line in lines)
        assert count == stats.outcomes[outcome] > 0
    status = {"ok": 200, "rejected": 429, "error": 500, "invalid": 400, "client_gone": 200}
    for line in lines:
        assert line["http_status"] == status[line["outcome"]]
        assert (line["retry_after_s"] == 1.0) == (line["outcome"] == "rejected")
        assert line["received_ns"] <= (line["first_sent_ns"] or line["received_ns"]) <= line["finished_ns"]
        assert line["first_sent_ns"] is not None or line["outcome"] == "client_gone"
        assert line["finished_ns"] < time.perf_counter_ns()  # one clock for both processes
