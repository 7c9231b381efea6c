"""The openai client: the SDK as applications use it, less its retries, redirects and proxies; no other file imports it.

Compressed answers are not asked for: unpacking would blur when chunks arrive, and a small body may unpack to any size.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import httpcore2
import httpx2
import openai

from bench.clients._calls import Calls
from bench.clients._collect import Collector
from bench.clients._key import sendable
from bench.clients._limits import KEEP_ALIVE_S
from bench.clients._read import not_a_stream, take_answer, take_chunk
from bench.clients._translate import Translator
from bench.clients._transport import AsyncBody, Transport, take_head
from bench.clients._watch import Watch
from bench.errors import CallError

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionChunk

    from bench.clients._base import ClientSettings, Reply, Request, Sink
    from bench.providers import Endpoint

#: What a connection that failed or broke comes as: through the SDK, or past it where it does not know the type.
_BROKEN: Final = (
    openai.APIConnectionError,
    httpx2.TransportError,
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    aiohttp.ClientError,
    OSError,
)

#: What of it means that there never was a connection, and what that it was not made in time.
_UNCONNECTED: Final = (httpx2.ConnectError, aiohttp.ClientConnectorError)
_LATE: Final = (httpcore2.ConnectTimeout, httpcore2.PoolTimeout)

#: What aiohttp says where a connection closes before the request's first byte is handed to it. It writes a head and a
#: body that are all there in one piece: with these words nothing of the request has left.
_UNSENT: Final = "Cannot write to closing transport"

_HEADERS: Final = {"Accept-Encoding": "identity"}


class OpenAISyncClient:
    """The SDK's client for threads, over httpx2.

    Raises:
        ConfigError: The key cannot be sent.
    """

    def __init__(self, settings: ClientSettings, endpoint: Endpoint) -> None:
        self._timeouts = settings.timeouts
        self._reads_limits = settings.reads_limits
        self._extra_body = endpoint.extra_body
        self._translator = Translator(endpoint.api_key, unconnected=_UNCONNECTED, late=_LATE)
        self._calls = Calls(settings.timeouts.connect_s)
        self._sdk = openai.OpenAI(
            **_identity(endpoint),
            timeout=_sdk_timeout(settings),
            http_client=httpx2.Client(
                transport=Transport(self._calls, connections=settings.slots, ssl_context=_trust(endpoint)),
                headers=_HEADERS,
                trust_env=False,
                follow_redirects=False,
                event_hooks={"response": [self._on_head]},
            ),
        )
        _forget_environment(self._sdk)
        self._create: Any = self._sdk.chat.completions.create

    def __repr__(self) -> str:
        """Show whom it asks, and how busily."""
        return f"<OpenAISyncClient {self._sdk.base_url.host} {self._calls}>"

    def call(self, request: Request, deadline_ns: int) -> Reply:
        """Send one request and wait for its end, at the latest until `deadline_ns` on `perf_counter_ns`."""
        body = _body(request, self._extra_body)
        collector = Collector(
            stream=request.stream,
            timeouts=self._timeouts,
            sent_ns=time.perf_counter_ns(),
            deadline_ns=deadline_ns,
            reads_limits=self._reads_limits,
        )
        call = self._calls.begin(collector)
        try:
            call.left_s()
            if request.stream:
                self._read_stream(self._create(**body), collector)
            else:
                take_answer(self._create(**body), collector, self._translator)
        except Exception as error:  # noqa: BLE001 - the call's edge: a failure is data
            collector.fail(_translated(error, collector, self._translator, stream=request.stream))
        finally:
            self._calls.end()
        return collector.finish(time.perf_counter_ns(), cancelled=call.cancelled, connect_ns=call.connect_ns)

    def cancel_all(self) -> None:
        """Give up every call under way, from any thread, and every later one."""
        self._calls.cancel_all()

    def close(self) -> None:
        """Close the connections; no call may be under way."""
        self._sdk.close()

    def _read_stream(self, stream: openai.Stream[ChatCompletionChunk], collector: Collector) -> None:
        """Feed a stream to the collector."""
        with stream:
            if not collector.is_event_stream:
                raise not_a_stream(stream.response.read(), collector, self._translator)
            for chunk in stream:
                take_chunk(chunk, collector, time.perf_counter_ns())

    def _on_head(self, response: httpx2.Response) -> None:
        take_head(response, self._calls.current().collector)


class OpenAIAsyncClient:
    """The SDK's client for one event loop, over aiohttp or httpx2.

    Raises:
        ConfigError: The key cannot be sent.
    """

    def __init__(self, settings: ClientSettings, endpoint: Endpoint) -> None:
        self._transport = settings.transport
        self._timeouts = settings.timeouts
        self._reads_limits = settings.reads_limits
        self._extra_body = endpoint.extra_body
        self._translator = Translator(endpoint.api_key, unconnected=_UNCONNECTED, late=_LATE)
        self._collectors: dict[asyncio.Task[Any] | None, Collector] = {}
        make = openai.DefaultAioHttpClient if settings.transport == "aiohttp" else openai.DefaultAsyncHttpxClient
        self._sdk = openai.AsyncOpenAI(
            **_identity(endpoint),
            timeout=_sdk_timeout(settings),
            http_client=make(
                verify=_trust(endpoint),
                limits=httpx2.Limits(
                    max_connections=settings.slots,
                    max_keepalive_connections=settings.slots,
                    keepalive_expiry=KEEP_ALIVE_S,
                ),
                headers=_HEADERS,
                trust_env=False,
                follow_redirects=False,
                event_hooks={"response": [self._on_head]},
            ),
        )
        _forget_environment(self._sdk)
        self._create: Any = self._sdk.chat.completions.create

    def __repr__(self) -> str:
        """Show whom it asks, over what, and how busily."""
        return f"<OpenAIAsyncClient {self._sdk.base_url.host} {self._transport} {len(self._collectors)} under way>"

    async def call(self, request: Request, deadline_ns: int, sink: Sink | None = None) -> Reply:
        """Send one request and wait for its end, at the latest until `deadline_ns` on `perf_counter_ns`."""
        body = _body(request, self._extra_body)
        collector = Collector(
            stream=request.stream,
            timeouts=self._timeouts,
            sent_ns=time.perf_counter_ns(),
            deadline_ns=deadline_ns,
            reads_limits=self._reads_limits,
            sink=sink,
        )
        task = asyncio.current_task()
        self._collectors[task] = collector
        scope = asyncio.timeout(None)
        watch = Watch(collector, scope)
        try:
            async with scope:
                watch.begin()
                if request.stream:
                    await self._read_stream(await self._ask(body), collector)
                else:
                    take_answer(await self._ask(body), collector, self._translator)
        except Exception as error:  # noqa: BLE001 - the call's edge: a failure is data
            if isinstance(error, TimeoutError) and scope.expired():
                error = collector.timed_out()
            collector.fail(_translated(error, collector, self._translator, stream=request.stream))
        finally:
            watch.end()
            del self._collectors[task]
        return collector.finish(time.perf_counter_ns())

    async def aclose(self) -> None:
        """Close the connections; no call may be under way."""
        await self._sdk.close()

    async def _ask(self, body: dict[str, object]) -> Any:  # noqa: ANN401 - a stream or an answer, as `create` has it
        """Send a request, once more where its connection closed before anything of it left.

        aiohttp takes an idle connection whose end the event loop has not read yet. It reads the ends of all of them
        before it writes, so that the second time finds a connection that stands, or makes one.
        """
        try:
            return await self._create(**body)
        except openai.APIConnectionError as error:
            if not _unsent(error):
                raise
        return await self._create(**body)

    async def _read_stream(self, stream: openai.AsyncStream[ChatCompletionChunk], collector: Collector) -> None:
        """Feed a stream to the collector."""
        async with stream:
            if not collector.is_event_stream:
                raise not_a_stream(await stream.response.aread(), collector, self._translator)
            async for chunk in stream:
                take_chunk(chunk, collector, time.perf_counter_ns())

    async def _on_head(self, response: httpx2.Response) -> None:
        collector = self._collectors[asyncio.current_task()]
        take_head(response, collector)
        response.stream = AsyncBody(response, collector)


def _identity(endpoint: Endpoint) -> dict[str, Any]:
    """Return the arguments that say whom the SDK asks, and as whom."""
    key = sendable(endpoint.api_key)
    # Named among the headers too, or the SDK prefers one from the environment's OPENAI_CUSTOM_HEADERS.
    headers = {**endpoint.headers, "Authorization": f"Bearer {key}"}
    return {"base_url": endpoint.base_url, "api_key": key, "default_headers": headers, "max_retries": 0}


def _forget_environment(sdk: openai.OpenAI | openai.AsyncOpenAI) -> None:
    """Drop what the SDK took from OPENAI_ORG_ID and OPENAI_PROJECT_ID: it is nothing for other providers."""
    sdk.organization = None
    sdk.project = None


def _sdk_timeout(settings: ClientSettings) -> httpx2.Timeout:
    """Return the limits that the SDK is to hold: only those for connecting; a call's own limits bound the rest."""
    connect_s = settings.timeouts.connect_s
    return httpx2.Timeout(None, connect=connect_s, pool=connect_s)


def _trust(endpoint: Endpoint) -> ssl.SSLContext:
    """Return what the SDK would trust; for plain HTTP nothing: to read the system's certificates takes 20 ms."""
    if endpoint.base_url.lower().startswith("https:"):
        return httpx2.create_ssl_context()
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _body(request: Request, extra_body: dict[str, object]) -> dict[str, object]:
    """Return the arguments of the SDK's `create`; parameters go past its list of known ones, as they are."""
    body: dict[str, object] = {
        "model": request.model,
        "messages": request.messages,
        "extra_body": extra_body | request.params,
    }
    if request.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def _unsent(error: BaseException | None) -> bool:
    """Return whether a connection closed before anything of the request left."""
    while error is not None and not isinstance(error, aiohttp.ClientConnectionResetError):
        error = error.__cause__
    return error is not None and str(error) == _UNSENT


def _translated(error: Exception, collector: Collector, translator: Translator, *, stream: bool) -> CallError:
    """Put whatever broke a call off into our own words."""
    match error:
        case CallError():
            ours = error
        case openai.APIStatusError():
            ours = translator.status(error.status_code, error.body, error.response.headers)
        case _ if isinstance(error, _BROKEN):
            ours = translator.network(error, head_seen=collector.http_status is not None)
        case openai.APIError():
            ours = translator.in_200(error.body)
        case UnicodeEncodeError() if error.object.startswith("{"):
            ours = CallError("bad_request", "the request cannot be sent: it holds half a character (a lone surrogate)")
        case ValueError() | RecursionError():
            ours = translator.undecodable(error, stream=stream)
        case _:
            ours = translator.internal(error)
    return ours
