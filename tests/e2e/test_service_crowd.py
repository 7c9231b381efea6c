"""Many clients at once: as many as there are places get one, and the others come back when they are told to."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import pytest

from tests.asking import ask, topic
from tests.serving import serving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Show

#: An answer takes so long that all clients have asked before the first one ends.
SIMULATOR: Final = ("--provider", "simulator", "--simulator", "ttft=1.5", "itl=0", "tokens=2", "--client", "lean")

CLIENTS: Final = 200
PLACES: Final = 23


class Client:
    """A client that asks for one pooled task."""

    def __init__(self, url: str, number: int) -> None:
        parts = urlsplit(url)
        self._where = (parts.hostname, parts.port)
        body = json.dumps(topic(f"client {number}")).encode()
        head = (
            "POST /content/generate/stream/async HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
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
        self.status = int(head.split()[1])
        fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:] if b": " in line)
        self.retry_after_s = int(fields[b"retry-after"]) if b"retry-after" in fields else None
        self.answer = await reader.read()
        writer.close()

    async def come_back(self) -> None:
        """Ask again after the time that the service told."""
        await asyncio.sleep(self.retry_after_s or 0)
        await self.ask()


async def _all_at_once(url: str) -> tuple[list[Client], list[Client]]:
    clients = [Client(url, number) for number in range(CLIENTS)]
    await asyncio.gather(*(client.ask() for client in clients))
    admitted = [client for client in clients if client.status == 200]
    refused = [client for client in clients if client.status == 429]
    assert len(admitted) + len(refused) == CLIENTS
    assert all(b"event: complete" in client.answer for client in admitted)
    assert all(client.retry_after_s and b'"code":"full"' in client.answer for client in refused)
    await asyncio.gather(*(client.come_back() for client in refused))
    return admitted, refused


@pytest.mark.full
@pytest.mark.timeout(600)
def test_two_hundred_clients(tmp_path: Path, show: Show) -> None:
    """Of 200 clients at once exactly 23 are admitted; of the others at least nine in ten when they come back as told.

    No client that was admitted is lost, and the service has refused as many as it says.
    """
    with serving(tmp_path, *SIMULATOR, "--no-cache") as service:
        for _ in range(3):
            # So that the service knows how long a task takes.
            ask(service.url, "POST", "/chat/stream/async", topic())
        admitted, refused = asyncio.run(_all_at_once(service.url))
        (agent,) = (pool for pool in ask(service.url, "GET", "/system/pools").json["pools"] if pool["name"] == "agent")
        ended = ask(service.url, "GET", "/system/status").json["ended"]
    assert len(admitted) == PLACES
    back = [client for client in refused if client.status == 200]
    assert len(back) >= 0.9 * len(refused)
    assert all(b"event: complete" in client.answer for client in back)
    assert agent["rejected"] == len(refused) + len(refused) - len(back)
    assert ended == {"succeeded": 3 + len(admitted) + len(back)}
    show("200 clients at 3 slots and 20 places", f"{len(admitted)} admitted, {len(back)} of {len(refused)} came back")
