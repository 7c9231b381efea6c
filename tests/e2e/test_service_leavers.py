"""Readers that leave: the call to the provider is closed at once, unless the request was one to come back to."""

from __future__ import annotations

import contextlib
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from tests.asking import ask, streaming, topic
from tests.command import wait_until
from tests.desks import held
from tests.http2 import http2_stream
from tests.serving import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.desks import HeldProvider
    from tests.faultserver import FaultServer

CERTIFICATE: Final = Path(__file__).parents[1] / "data" / "loopback.pem"

#: The promise is one second, and it is kept in some hundredths of one; a machine that is busy may stall for longer.
#: Far less than the ten seconds that the service waits for readers who can come back.
AT_ONCE_S: Final = 1.0
AT_MOST_S: Final = 5.0

PATHS: Final = ("/chat/stream", "/chat/stream/async")


class World(NamedTuple):
    """A service with its own defaults, and the provider that it asks."""

    url: str
    provider: HeldProvider
    server: FaultServer

    def closed_after_s(self, leave: Callable[[], None]) -> float:
        """Leave, and return how long it took until the provider saw the connection of its one call closed."""
        assert self.server.wait_until(lambda seen: seen.in_flight == 1)
        begun_ns = time.perf_counter_ns()
        leave()
        assert self.server.wait_until(lambda seen: seen.in_flight == 0, AT_MOST_S), "the call goes on"
        return (time.perf_counter_ns() - begun_ns) / 1e9

    def state(self, task_id: str) -> str:
        """Return how a task stands."""
        return str(ask(self.url, "GET", f"/tasks/{task_id}/status").json["state"])


@contextlib.contextmanager
def world(folder: Path, *options: str) -> Iterator[World]:
    """Serve with a provider that holds each answer back after its first piece."""
    with held() as (provider, server):
        asking = ("--base-url", server.base_url, "--model", "m", "--client", "lean", "--no-cache")
        with serving(folder, *asking, *options) as service:
            yield World(service.url, provider, server)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A service over HTTP/1.1."""
    with world(tmp_path_factory.mktemp("plain")) as running:
        yield running


def test_http1(plain: World) -> None:
    """A client that leaves in either path ends its task, and the provider sees its connection closed within 1 s."""
    took_s = []
    for path in PATHS * 2:
        with contextlib.ExitStack() as leaving:
            stream = leaving.enter_context(streaming(plain.url, path, topic()))
            start, *_ = stream.until("chunk")
            took_s.append(plain.closed_after_s(leaving.close))
        assert start.data["reconnect_grace_s"] == 0
        assert plain.state(stream.task_id) == "cancelled"
    assert sorted(took_s)[1] < AT_ONCE_S, took_s


def test_a_client_that_can_come_back(plain: World) -> None:
    """A task with a key goes on without its reader, who comes back for the events behind the last one that it had."""
    for path in PATHS:
        with streaming(plain.url, path, topic(), Idempotency_Key=uuid.uuid4().hex) as stream:
            had = stream.until("chunk")
        assert had[0].data["reconnect_grace_s"] == 10
        wait_until(lambda: ask(plain.url, "GET", "/system/status").json["readers"] == 0, "the reader did not leave")
        assert plain.state(stream.task_id) == "running"
        target = f"/tasks/{stream.task_id}/stream"
        with streaming(plain.url, target, Last_Event_ID=str(had[-1].number)) as again:
            plain.provider.let_all_asked()
            told = [*had, *again]
        assert [event.number for event in told] == list(range(1, len(told) + 1))
        assert [event.data["text"] for event in told if event.name == "chunk"] == ["one ", "two"]
        assert told[-1].name == "complete"


def test_http2(tmp_path: Path) -> None:
    """Over HTTP/2 it is the same, whether a client ends its stream alone or the connection."""
    options = ("--http2", "--tls-cert", str(CERTIFICATE), "--tls-key", str(CERTIFICATE))
    took_s = []
    with world(tmp_path, *options) as secured:
        for path in PATHS:
            for is_reset in (True, False):
                with contextlib.ExitStack() as leaving:
                    stream = leaving.enter_context(http2_stream(secured.url, CERTIFICATE, path, topic()))
                    stream.read_until("event: chunk")
                    took_s.append(secured.closed_after_s(stream.reset if is_reset else leaving.close))
    assert sorted(took_s)[1] < AT_ONCE_S, took_s
