"""Limits that the head of an answer names, as providers write them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.clients._base import Reply, Timeouts
from bench.clients._rate_limits import rate_limits_in
from bench.records import RateLimits
from tests.clientdriver import KINDS, ask, drive
from tests.faultserver import Exchange, FaultServer
from tests.wire import answer, completion

FIELDS = ("X-RateLimit-Limit-Requests: 60", "x-ratelimit-remaining-requests: 59", "x-ratelimit-reset-requests: 1s")


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("1s", 1.0),
        ("120ms", 0.12),
        ("6m0s", 360.0),
        ("1h2m3.5s", 3723.5),
        ("2m", 120.0),
        ("1d", 86_400.0),
        ("7", 7.0),
        (" 0.5 ", 0.5),
        ("", None),
        ("soon", None),
        ("s", None),
        ("-1s", None),
        ("1.2.3s", None),
        ("nan", None),
        ("2026-11-22T00:00:00Z", None),
    ],
)
def test_durations(written: str, seconds: float | None) -> None:
    """A duration is read in every form that providers write, and nothing is made of what is none."""
    found = rate_limits_in({"x-ratelimit-reset-tokens": written})
    assert (None if found is None else found.reset_tokens_s) == (None if seconds is None else pytest.approx(seconds))


@given(st.dictionaries(st.sampled_from([f"x-ratelimit-{n}" for n in ("limit-requests", "reset-tokens")]), st.text()))
def test_whatever_is_written(headers: dict[str, str]) -> None:
    """Whatever a server writes, each limit is a number from 0 on, or not said."""
    found = rate_limits_in(headers) or RateLimits()
    for value in (found.limit_requests, found.reset_tokens_s):
        assert value is None or (math.isfinite(value) and value >= 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", ["200 OK", "429 Too Many Requests"])
def test_every_client_reads_them_when_asked_to(kind: str, status: str) -> None:
    """Every client tells what an answer's head says of limits, a refusal's too, and looks for it only when told to."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(answer(completion("hi"), status, "application/json", *FIELDS))

    replies: list[Reply] = []
    with FaultServer(script) as server:
        for reads_limits in (True, False):
            driver = drive(kind, server.base_url, timeouts=Timeouts(), reads_limits=reads_limits)
            try:
                replies.append(driver.call(ask(stream=False)))
            finally:
                driver.close()
    said = RateLimits(limit_requests=60, remaining_requests=59, reset_requests_s=1.0)
    assert [reply.rate_limits for reply in replies] == [said, None]
