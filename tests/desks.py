"""A desk of the service in the test's own process, and a provider whose answers go on when the test lets them."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

import msgspec
import uvloop

from bench.config import ConcurrentConfig
from bench.config.service import ServiceConfig
from bench.providers import Endpoint
from bench.service.desk import Desk
from bench.service.values import Event, TaskView, Wish
from tests.faultserver import FaultServer
from tests.wire import DONE, STOP, chunk, chunked, event, head

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path
    from typing import TypeVar

    from bench.config import ClientName
    from tests.faultserver import Exchange

    T = TypeVar("T")

#: Longer than anything here takes; what hangs is told by the test that did.
PATIENCE_S: Final = 20.0

HEAD: Final = head("200 OK", "text/event-stream", "Transfer-Encoding: chunked")


class HeldProvider:
    """A provider that sends the first piece of each answer, and the rest when it is let.

    Attributes:
        asked: What was asked, in order.
        gone: How many calls were closed by who made them before their end.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gone = 0
        self._let = 0

    def let(self, answers: int = 1_000_000) -> None:
        """Let so many more answers go on to their ends, in the order in which they were asked for."""
        self._let += answers

    def let_all_asked(self) -> None:
        """Let every answer go on that was asked for, and no other."""
        self._let = len(self.asked)

    async def script(self, exchange: Exchange) -> None:
        """Answer a request."""
        place = len(self.asked)
        self.asked.append(question(exchange))
        await exchange.send(HEAD + chunked(event(chunk("one ")), end=False))
        gone = asyncio.ensure_future(exchange.gone())
        while place >= self._let and not gone.done():
            await asyncio.wait({gone}, timeout=0.005)
        if gone.done():
            self.gone += 1
            exchange.close()
            return
        gone.cancel()
        await asyncio.wait({gone})
        await exchange.send(chunked(event(chunk("two")), STOP, DONE))


def question(exchange: Exchange) -> str:
    """Return what a request asks."""
    messages = msgspec.json.decode(exchange.body)["messages"]
    return str(messages[0]["content"])


@contextlib.contextmanager
def held() -> Iterator[tuple[HeldProvider, FaultServer]]:
    """Serve a provider whose answers wait."""
    provider = HeldProvider()
    with FaultServer(provider.script) as server:
        yield provider, server


def desk(results: Path, *urls: str, client: ClientName = "lean", cache: bool = False, **service: object) -> Desk:
    """Return a desk that asks the servers at these addresses, each a provider."""
    endpoints = [Endpoint(provider=f"p{place}", base_url=url, model="m") for place, url in enumerate(urls)]
    run = ConcurrentConfig(
        profile="prod", client=client, cache=cache, adaptive=False, retry_delay=0.01, results_dir=results
    )
    return Desk(ServiceConfig(**service), run, endpoints)  # type: ignore[arg-type] # checked by the configuration


def wish(text: str = "hi", **changes: object) -> Wish:
    """Return a wish for a pooled chat."""
    plain = Wish(kind="chat", path="pooled", topic=text, messages=({"role": "user", "content": text},), params={})
    return msgspec.structs.replace(plain, **changes)


def run(work: Callable[[], Coroutine[object, object, T]]) -> T:
    """Do asynchronous work on the service's kind of event loop."""

    async def timed() -> T:
        async with asyncio.timeout(PATIENCE_S):
            return await work()

    return uvloop.run(timed())


async def read(at: Desk, task_id: str, after: int = 0) -> list[Event]:
    """Return the events of a task until its end."""
    async with aclosing(at.events(task_id, after)) as events:
        return [each async for each in events]


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something has come about."""
    while not condition():  # noqa: ASYNC110 - servers in other threads bring it about
        await asyncio.sleep(0.005)


def text_of(events: list[Event]) -> str:
    """Return the text that was told."""
    return "".join(str(each.data["text"]) for each in events if each.name == "chunk")


def error_code(events: list[Event]) -> object:
    """Return the code of the error that a task's events end with."""
    assert events[-1].name == "error"
    return events[-1].data["code"]


def view(at: Desk, task_id: str) -> TaskView:
    """Return how a task stands that is known."""
    found = at.view(task_id)
    assert isinstance(found, TaskView)
    return found
