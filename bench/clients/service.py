"""The streaming service as whom a run asks: requests are its tasks, timed as any client times them."""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import TYPE_CHECKING, Final, cast

import httpx2
import msgspec

from bench.clients._collect import Collector
from bench.clients._key import sendable
from bench.clients._limits import KEEP_ALIVE_S
from bench.clients._translate import Translator
from bench.clients._watch import Watch
from bench.clients.server_events import ServerEvents
from bench.clients.service_addresses import CHAT, POOLED
from bench.errors import ERROR_TYPES, CallError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.clients._base import ClientSettings, Reply, Request, Sink
    from bench.errors import ErrorType
    from bench.providers import Endpoint

#: Where a message is answered as it is, by client: at once, or by one of the service's slots.
ADDRESSES: Final[Mapping[str, str]] = {"service-direct": CHAT, "service-pooled": CHAT + POOLED}

_OK: Final = 200


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Told(msgspec.Struct, frozen=True):
    """What is read of an event's data, whichever event it is."""

    text: str | None = None
    finish_reason: str | None = None
    model: str | None = None
    usage: _Usage = _Usage()
    code: str = ""
    message: str = ""


class ServiceAsyncClient:
    """Has tasks done by the service, from one event loop, over httpx2.

    Raises:
        ConfigError: The token cannot be sent.
    """

    def __init__(self, settings: ClientSettings, endpoint: Endpoint) -> None:
        self._timeouts = settings.timeouts
        self._address = ADDRESSES[settings.client]
        self._translator = Translator(
            endpoint.api_key, unconnected=(httpx2.ConnectError,), late=(httpx2.ConnectTimeout, httpx2.PoolTimeout)
        )
        self._decoder = msgspec.json.Decoder(_Told)
        self._http = httpx2.AsyncClient(
            base_url=endpoint.base_url,
            headers={
                "Accept-Encoding": "identity",
                "Content-Type": "application/json",
                "Authorization": f"Bearer {sendable(endpoint.api_key)}",
            },
            verify=_trust(endpoint),
            timeout=httpx2.Timeout(None, connect=settings.timeouts.connect_s),
            limits=httpx2.Limits(
                max_connections=settings.slots,
                max_keepalive_connections=settings.slots,
                keepalive_expiry=KEEP_ALIVE_S,
            ),
            trust_env=False,
        )

    def __repr__(self) -> str:
        """Show whom it asks, and for what."""
        return f"<ServiceAsyncClient {self._http.base_url.host} {self._address}>"

    async def call(self, request: Request, deadline_ns: int, sink: Sink | None = None) -> Reply:
        """Have one task done and wait for its end, at the latest until `deadline_ns` on `perf_counter_ns`."""
        collector = Collector(
            stream=True,
            timeouts=self._timeouts,
            sent_ns=time.perf_counter_ns(),
            deadline_ns=deadline_ns,
            sink=sink,
        )
        scope = asyncio.timeout(None)
        watch = Watch(collector, scope)
        try:
            async with scope:
                watch.begin()
                await self._ask(_body(request), collector)
        except Exception as error:  # noqa: BLE001 - the call's edge: a failure is data
            if isinstance(error, TimeoutError) and scope.expired():
                error = collector.timed_out()
            collector.fail(self._translated(error, collector))
        finally:
            watch.end()
        return collector.finish(time.perf_counter_ns())

    async def aclose(self) -> None:
        """Close the connections; no call may be under way."""
        await self._http.aclose()

    async def _ask(self, body: bytes, collector: Collector) -> None:
        """Send a request and feed its stream to the collector."""
        async with self._http.stream("POST", self._address, content=body) as answer:
            collector.on_head(time.perf_counter_ns(), answer.status_code, answer.headers.get("content-type", ""))
            if answer.status_code != _OK:
                text = (await answer.aread()).decode(errors="replace")
                raise self._translator.status(answer.status_code, _parsed(text), answer.headers)
            if not collector.is_event_stream:
                text = (await answer.aread()).decode(errors="replace")
                raise self._translator.not_an_answer(collector.content_type, text, "text/event-stream")
            events = ServerEvents()
            async for data in answer.aiter_raw():
                now_ns = time.perf_counter_ns()
                for fields in events.take(data):
                    self._take(fields, collector, now_ns)

    def _take(self, fields: Mapping[bytes, bytes], collector: Collector, now_ns: int) -> None:
        """Feed an event, which came at `now_ns`.

        Raises:
            CallError: The task has failed.
        """
        told = self._decoder.decode(fields[b"data"])
        match fields.get(b"event"):
            case b"chunk":
                collector.on_chunk(now_ns, told.text, None, None)
            case b"complete":
                collector.finish_reason = told.finish_reason
                collector.server_model = told.model
                collector.on_usage(told.usage.prompt_tokens, told.usage.completion_tokens, None)
            case b"error":
                known = told.code in ERROR_TYPES
                raise CallError(cast("ErrorType", told.code) if known else "server_error", told.message)
            case _:
                pass

    def _translated(self, error: Exception, collector: Collector) -> CallError:
        match error:
            case CallError():
                return error
            case httpx2.TransportError():
                return self._translator.network(error, head_seen=collector.http_status is not None)
            case msgspec.MsgspecError() | UnicodeDecodeError():
                return CallError("bad_sse", f"an event that is none of the service's: {error}")
            case _:
                return self._translator.internal(error)


def _trust(endpoint: Endpoint) -> ssl.SSLContext:
    """Return what other clients trust too; for plain HTTP nothing: to read the system's certificates takes 20 ms."""
    if endpoint.base_url.lower().startswith("https:"):
        return httpx2.create_ssl_context()
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _parsed(text: str) -> object:
    """Return the body of a refusal: the service's are JSON."""
    try:
        return msgspec.json.decode(text)
    except msgspec.MsgspecError:
        return text


def _body(request: Request) -> bytes:
    """Return the service's request for a request of ours.

    Raises:
        CallError: It is more than the one message that the service takes.
    """
    texts = [message.get("content") for message in request.messages]
    if len(texts) != 1 or not isinstance(texts[0], str):
        raise CallError("bad_request", f"the service takes one message of text, got {len(texts)} messages")
    return msgspec.json.encode({"topic": texts[0]})
