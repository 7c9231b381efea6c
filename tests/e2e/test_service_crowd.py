"""Many clients at once: as many as there are places get one, by class, and the others come back as told."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from itertools import cycle
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import pytest

from bench.journal import iter_lines
from bench.service.values import PRIORITIES
from tests.asking import ask
from tests.desks import held, until
from tests.serving import serving

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.service.values import Kind
    from tests.conftest import Show
    from tests.desks import HeldProvider

TARGETS: Final[dict[Kind, str]] = {
    "optimize": "/content/optimize/stream/async",
    "generate": "/content/generate/stream/async",
    "chat": "/chat/stream/async",
}


class Client:
    """A client that asks for one pooled task.

    Attributes:
        kind: Of which kind.
        topic: What tells its task from others.
        status: What was answered last.
        retry_after_s: When it is to come back.
        answer: The body of that answer, when it is whole.
    """

    def __init__(self, url: str, number: int, kind: Kind) -> None:
        self.kind = kind
        self.topic = f"{kind} {number}"
        parts = urlsplit(url)
        self._where = (parts.hostname, parts.port)
        body = json.dumps({"topic": self.topic}).encode()
        head = (
            f"POST {TARGETS[kind]} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        self._request = head.encode() + body
        self.status = 0
        self.retry_after_s: int | None = None
        self.answer = b""

    async def ask(self) -> None:
        """Ask once, and read the whole answer."""
        reader, writer = await asyncio.open_connection(*self._where)
        writer.write(self._request)
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:] if b": " in line)
        self.retry_after_s = int(fields[b"retry-after"]) if b"retry-after" in fields else None
        self.status = int(head.split()[1])
        self.answer = await reader.read()
        writer.close()

    async def come_back(self) -> None:
        """Ask again after the time that the service told."""
        await asyncio.sleep(self.retry_after_s or 0)
        await self.ask()

    @property
    def is_served(self) -> bool:
        """Whether it has its whole answer."""
        return self.status == 200 and b"event: complete" in self.answer


class Crowd:
    """Clients of all kinds, and the provider behind the service, whose answers go on as this lets them.

    Args:
        url: The service.
        provider: Whom it asks.
        size: How many clients there are.
        slots: How many tasks the service has done at the same time.
        service_s: How long the provider takes for an answer while the service learns that, and when clients come back.
    """

    def __init__(self, url: str, provider: HeldProvider, *, size: int, slots: int, service_s: float) -> None:
        self._provider = provider
        self._slots = slots
        self._service_s = service_s
        self._teachers = [Client(url, -number, "chat") for number in range(slots)]
        self.clients = [Client(url, number, kind) for number, kind in zip(range(size), cycle(TARGETS), strict=False)]

    @property
    def begun(self) -> list[str]:
        """The topics of the clients' tasks in the order in which the provider was asked."""
        return [asked.rpartition("\n\n")[2] for asked in self._provider.asked[self._slots :]]

    async def teach(self) -> None:
        """Let the service know how long a task takes."""
        asking = [asyncio.ensure_future(client.ask()) for client in self._teachers]
        await asyncio.sleep(self._service_s)
        self._provider.let(self._slots)
        await asyncio.gather(*asking)

    async def come(self) -> list[Client]:
        """Ask, all at once; let one answer after the other go on until everybody is served who got a place."""
        asking = [asyncio.ensure_future(client.ask()) for client in self.clients]
        await until(lambda: all(client.status for client in self.clients))
        admitted = [client for client in self.clients if client.status == 200]
        for begun in range(self._slots, len(admitted) + 1):
            await until(lambda begun=begun: len(self.begun) == begun)  # type: ignore[misc] # bound as it is now
            self._provider.let(1)
        self._provider.let(self._slots)
        await asyncio.gather(*asking)
        return admitted

    async def come_back(self, clients: Sequence[Client]) -> None:
        """Ask again, each when it was told to, of a provider that answers as often as it did before."""
        coming = asyncio.gather(*(client.come_back() for client in clients))
        while not coming.done():
            await asyncio.wait([coming], timeout=self._service_s / self._slots)
            self._provider.let(1)
        await coming


def accepted(folder: Path) -> list[str]:
    """Return the topics of what a service accepted, in that order."""
    (workload,) = folder.glob("results/service/*/workload.jsonl")
    return [json.loads(line)["topic"] for line in iter_lines(workload)]


def kind_of(topic: str) -> str:
    """Return the kind of a client's task."""
    return topic.partition(" ")[0]


def class_of(topic: str) -> int:
    """Return its class."""
    return {str(kind): priority for kind, priority in PRIORITIES.items()}[kind_of(topic)]


@pytest.mark.parametrize(
    ("size", "slots", "queue", "service_s"),
    [(12, 1, 6, 0.3), pytest.param(200, 3, 20, 1.2, marks=(pytest.mark.full, pytest.mark.timeout(600)))],
)
def test_a_crowd(size: int, slots: int, queue: int, service_s: float, tmp_path: Path, show: Show) -> None:
    """Of all clients at once as many as there are places are admitted; of the others nine in ten when they come back.

    Those who wait begin by their class, and within it in the order in which they were accepted. No client that was
    admitted is lost, and the service has refused as many as it says.
    """

    async def work() -> tuple[list[Client], list[Client], list[str]]:
        await crowd.teach()
        admitted = await crowd.come()
        begun = crowd.begun
        refused = [client for client in crowd.clients if client.status == 429]
        assert len(admitted) + len(refused) == size
        assert all(client.is_served for client in admitted)
        assert all(client.retry_after_s and b'"code":"full"' in client.answer for client in refused)
        await crowd.come_back(refused)
        return admitted, refused, begun

    places = slots + queue
    with held() as (provider, server):
        asking = ("--base-url", server.base_url, "--model", "m", "--client", "lean", "--no-cache", "--no-adaptive")
        room = ("--agent-slots", str(slots), "--agent-queue", str(queue))
        with serving(tmp_path, *asking, *room) as service:
            crowd = Crowd(service.url, provider, size=size, slots=slots, service_s=service_s)
            admitted, refused, begun = asyncio.run(work())
            pools = {pool["name"]: pool for pool in ask(service.url, "GET", "/system/pools").json["pools"]}
            ended = ask(service.url, "GET", "/system/status").json["ended"]
        waited = [topic for topic in accepted(tmp_path)[slots : slots + places] if topic not in begun[:slots]]
    assert len(admitted) == places
    # It is stable: those of one class stay in the order in which they were accepted.
    assert begun[slots:] == sorted(waited, key=class_of)
    assert waited != sorted(waited, key=class_of)
    back = [client for client in refused if client.is_served]
    assert len(back) >= 0.9 * len(refused)
    assert pools["agent"]["rejected"] == 2 * len(refused) - len(back)
    assert ended == {"succeeded": slots + len(admitted) + len(back)}
    kinds = dict(Counter(map(kind_of, begun[slots:])))
    show(
        f"{size} clients at {slots} slots and {queue} places",
        f"{len(admitted)} admitted, {len(back)} of {len(refused)} came back; in the order of their class: {kinds}",
    )
