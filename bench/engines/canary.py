"""The canary: a request every 100 ms to a server of known delay, beside the slots, to tell what the client itself adds.

It goes through a client of the same kind, on the same event loop or in a thread beside the slots, over a connection of
its own. What its first token takes beyond the server's delay is the client's: at the same load it is in every first
token that the run measures.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Final

import msgspec

from bench.clients._base import Request
from bench.clients.make import make_async_client, make_sync_client
from bench.clock import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from bench.clients._base import ClientSettings, Reply
    from bench.clock import Clock
    from bench.worker import WorkerSpec
    from bench.worker.spec import Canary

#: Ten a second: a hundred in a run of ten seconds, and no load worth speaking of.
_EVERY_NS: Final = NS_PER_S // 10

#: A canary that takes longer has told enough.
_LONGEST_NS: Final = 5 * NS_PER_S


@contextlib.asynccontextmanager
async def canary_on_loop(spec: WorkerSpec, clock: Clock, seen: Callable[[float], None]) -> AsyncIterator[None]:
    """Send canaries from this event loop inside the block, if the run has any.

    Args:
        spec: What the workers share.
        clock: The clock.
        seen: Takes what the client added, in seconds.
    """
    if spec.canary is None:
        yield
        return
    singing = asyncio.get_running_loop().create_task(_sing(spec, spec.canary, clock, seen))
    try:
        yield
    finally:
        singing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await singing


async def _sing(spec: WorkerSpec, canary: Canary, clock: Clock, seen: Callable[[float], None]) -> None:
    client = make_async_client(_settings(spec), canary.endpoint)
    request, due_ns, warm = _request(canary), clock.now_ns(), False
    try:
        while True:
            reply = await client.call(request, clock.now_ns() + _LONGEST_NS)
            if warm:
                _tell(reply, canary, seen)
            warm = True
            due_ns = max(due_ns + _EVERY_NS, clock.now_ns())
            await asyncio.sleep((due_ns - clock.now_ns()) / NS_PER_S)
    finally:
        await client.aclose()


@contextlib.contextmanager
def canary_in_thread(spec: WorkerSpec, clock: Clock, seen: Callable[[float], None]) -> Iterator[None]:
    """Send canaries from a thread of this process inside the block, if the run has any; see `canary_on_loop`."""
    if spec.canary is None:
        yield
        return
    canary = spec.canary
    client = make_sync_client(_settings(spec), canary.endpoint)
    ended = threading.Event()

    def sing() -> None:
        request, due_ns, warm = _request(canary), clock.now_ns(), False
        while not ended.wait(max(0.0, (due_ns - clock.now_ns()) / NS_PER_S)):
            reply = client.call(request, clock.now_ns() + _LONGEST_NS)
            if warm:
                _tell(reply, canary, seen)
            warm = True
            due_ns = max(due_ns + _EVERY_NS, clock.now_ns())

    thread = threading.Thread(target=sing, name="canary", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        client.cancel_all()
        thread.join()
        client.close()


def _settings(spec: WorkerSpec) -> ClientSettings:
    return msgspec.structs.replace(spec.client, slots=1)


def _request(canary: Canary) -> Request:
    return Request(
        model=canary.endpoint.model,
        messages=({"role": "user", "content": "canary"},),
        params={"max_tokens": 1},
        stream=True,
    )


def _tell(reply: Reply, canary: Canary, seen: Callable[[float], None]) -> None:
    if reply.error is None and reply.content_ns:
        seen((reply.content_ns[0] - reply.sent_ns) / NS_PER_S - canary.delay_s)
