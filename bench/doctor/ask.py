"""One tiny request to each route, all at once: whether it answers, and after how long."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from bench.clients._base import ClientSettings, Request, Timeouts
from bench.clients.make import make_sync_client
from bench.clock import NS_PER_S
from bench.doctor.findings import Answer
from bench.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.clients._base import SyncClient
    from bench.providers import Endpoint
    from bench.records import JsonObject

#: Whoever takes longer for one token is no use.
_DEADLINE_S: Final = 20.0

_TIMEOUTS: Final = Timeouts(connect_s=5.0, ttft_s=_DEADLINE_S, idle_s=_DEADLINE_S)

_SETTINGS: Final = ClientSettings(client="lean", transport="httpx2", slots=1, timeouts=_TIMEOUTS)

#: As small as a request can be: it costs some ten tokens.
_MESSAGES: Final[tuple[JsonObject, ...]] = ({"role": "user", "content": "Hi"},)
_PARAMS: Final[JsonObject] = {"max_tokens": 1}


def ask_all(routes: Sequence[Endpoint]) -> list[Answer]:
    """Ask every route at once, each for one token, and return their answers in the same order.

    A key that cannot be sent is a failure of its route. It takes 20 seconds at most.
    """
    clients: list[SyncClient] = []

    def ask(route: Endpoint) -> Answer:
        try:
            client = make_sync_client(_SETTINGS, route)
        except ConfigError as error:
            return Answer(latency_s=0.0, connect_s=None, http_status=None, error_type="auth", error=error.message)
        clients.append(client)
        try:
            return _asked(client, route)
        finally:
            client.close()

    with ThreadPoolExecutor(max(1, len(routes))) as threads:
        try:
            return list(threads.map(ask, routes))
        except BaseException:
            # Ctrl+C is not to wait for the slowest.
            for client in clients.copy():
                client.cancel_all()
            raise


def _asked(client: SyncClient, route: Endpoint) -> Answer:
    request = Request(model=route.model, messages=_MESSAGES, params=_PARAMS, stream=True)
    reply = client.call(request, time.perf_counter_ns() + int(_DEADLINE_S * NS_PER_S))
    error = reply.error
    if error is not None and error.error_type == "empty":
        # One token may have no text: a model that reasons spends it on that.
        error = None
    return Answer(
        latency_s=(reply.end_ns - reply.sent_ns) / NS_PER_S,
        connect_s=None if reply.connect_ns is None else reply.connect_ns / NS_PER_S,
        http_status=reply.http_status,
        error_type=None if error is None else error.error_type,
        error=None if error is None else error.message,
    )
