"""The lean client for event loops while a connection is being made."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest
import uvloop

from bench.clients._base import ClientSettings, Request, Timeouts
from bench.clients.lean import LeanAsyncClient
from bench.clock import NS_PER_S
from bench.providers import Endpoint

#: Longer than it takes the loop to make a connection to this machine.
MOST_TURNS = 10


@pytest.mark.parametrize("turns", range(MOST_TURNS))
def test_a_call_cut_short_while_it_connects_holds_nothing_up(turns: int) -> None:
    """However far a connection has come when its call is given up, it is closed, and so is the client, at once."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(asyncio.wait_for(give_up_after(turns, server.getsockname()[1]), 5))


async def give_up_after(turns: int, port: int) -> None:
    """Begin three calls, cancel them after so many turns of the loop, and close the client."""
    settings = ClientSettings(client="lean", transport="protocol", slots=3, timeouts=Timeouts())
    client = LeanAsyncClient(settings, Endpoint(provider="mute", base_url=f"http://127.0.0.1:{port}/v1", model="m"))
    request = Request(model="m", messages=({"role": "user", "content": "?"},), params={}, stream=True)
    calls = [asyncio.ensure_future(client.call(request, time.perf_counter_ns() + 60 * NS_PER_S)) for _ in range(3)]
    for _ in range(turns):
        await asyncio.sleep(0)
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    await client.aclose()
