"""The lean client: HTTP/1.1 over plain sockets, for measuring endpoints; it costs a fiftieth of the SDK's client.

What came and when is noted before anything is looked at. No redirects, no proxies, no compression; what an answer is
worth is decided by the same code as for every other client.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from bench.clients._calls import Calls
from bench.clients._collect import Collector
from bench.clients._lean_exchange import Exchange
from bench.clients._lean_protocol import ProtocolConnection, connected
from bench.clients._lean_request import Composer
from bench.clients._lean_socket import SocketConnection
from bench.clients._limits import KEEP_ALIVE_S
from bench.clients._translate import Translator
from bench.clock import NS_PER_S
from bench.errors import CallError

if TYPE_CHECKING:
    import ssl

    from bench.clients._base import ClientSettings, Reply, Request, Sink
    from bench.clients._calls import Call
    from bench.providers import Endpoint

#: An instant so far off that the limit always comes before: a finite number, for clocks of whole nanoseconds.
_LONGEST_BLIND_S = 1e9

_KEEP_ALIVE_NS = int(KEEP_ALIVE_S * NS_PER_S)


class LeanSyncClient:
    """The lean client for threads, over blocking sockets.

    Raises:
        ConfigError: The key cannot be sent.
    """

    def __init__(self, settings: ClientSettings, endpoint: Endpoint) -> None:
        self._timeouts = settings.timeouts
        self._reads_limits = settings.reads_limits
        self._slots = settings.slots
        self._compose = Composer(endpoint)
        self._translator = Translator(endpoint.api_key)
        self._ssl_context = _trust() if self._compose.tls else None
        self._calls = Calls(settings.timeouts.connect_s)
        # The last one used is the next one used. A list's append and pop are whole in themselves for all threads.
        self._idle: list[SocketConnection] = []

    def __repr__(self) -> str:
        """Show whom it asks, and how busily."""
        return f"<LeanSyncClient {self._compose.host} {len(self._idle)} idle {self._calls}>"

    def call(self, request: Request, deadline_ns: int) -> Reply:
        """Send one request and wait for its end, at the latest until `deadline_ns` on `perf_counter_ns`."""
        stream = request.stream
        collector = Collector(
            stream=stream,
            timeouts=self._timeouts,
            sent_ns=time.perf_counter_ns(),
            deadline_ns=deadline_ns,
            reads_limits=self._reads_limits,
        )
        exchange = Exchange(collector, self._translator, stream=stream)
        call = self._calls.begin(collector)
        try:
            call.left_s()
            self._converse(self._compose(request), call, exchange)
        except CallError as error:
            collector.fail(error)
        except Exception as error:  # noqa: BLE001 - the call's edge: a failure is data
            collector.fail(self._translator.internal(error))
        finally:
            self._calls.end()
        return _reply(exchange, self._translator, cancelled=call.cancelled, connect_ns=call.connect_ns)

    def cancel_all(self) -> None:
        """Give up every call under way, from any thread, and every later one."""
        self._calls.cancel_all()

    def close(self) -> None:
        """Close the connections; no call may be under way."""
        while self._idle:
            self._idle.pop().close()

    def _converse(self, data: bytes, call: Call, exchange: Exchange) -> None:
        """Send a request and take its answer; over a new connection if the kept one turns out to be closed.

        Raises:
            CallError: A limit was reached, the call was cut short, or no connection could be made.
        """
        connection = self._kept()
        if connection is not None:
            self._ask(connection, data, call, exchange)
            if not exchange.unanswered or call.cancelled:
                return
        connection = SocketConnection.made(self._compose.host, self._compose.port, self._ssl_context, call)
        self._ask(connection, data, call, exchange)

    def _ask(self, connection: SocketConnection, data: bytes, call: Call, exchange: Exchange) -> None:
        try:
            connection.converse(data, call, exchange)
        except BaseException:
            connection.close()
            raise
        if exchange.reusable and len(self._idle) < self._slots:
            connection.idle_since_ns = time.perf_counter_ns()
            self._idle.append(connection)
        else:
            connection.close()

    def _kept(self) -> SocketConnection | None:
        """Return the connection that was used last, if it still stands."""
        oldest_ns = time.perf_counter_ns() - _KEEP_ALIVE_NS
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.idle_since_ns > oldest_ns and not connection.stale:
                return connection
            connection.close()


class LeanAsyncClient:
    """The lean client for one event loop, over `asyncio.Protocol`.

    Raises:
        ConfigError: The key cannot be sent.
    """

    def __init__(self, settings: ClientSettings, endpoint: Endpoint) -> None:
        self._timeouts = settings.timeouts
        self._reads_limits = settings.reads_limits
        self._slots = settings.slots
        self._compose = Composer(endpoint)
        self._translator = Translator(endpoint.api_key)
        self._ssl_context = _trust() if self._compose.tls else None
        self._loop = asyncio.get_running_loop()
        self._open: set[ProtocolConnection] = set()
        self._idle: list[ProtocolConnection] = []
        self._under_way: dict[ProtocolConnection, Exchange] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due_ns = 0
        #: How long after a stream was asked for none of its limits can pass, but for the deadline.
        self._calm_ns = int(min(settings.timeouts.ttft_s, settings.timeouts.idle_s) * NS_PER_S)

    def __repr__(self) -> str:
        """Show whom it asks, and how busily."""
        return f"<LeanAsyncClient {self._compose.host} {len(self._idle)} idle {len(self._under_way)} under way>"

    async def call(self, request: Request, deadline_ns: int, sink: Sink | None = None) -> Reply:
        """Send one request and wait for its end, at the latest until `deadline_ns` on `perf_counter_ns`."""
        stream, sent_ns = request.stream, time.perf_counter_ns()
        collector = Collector(
            stream=stream,
            timeouts=self._timeouts,
            sent_ns=sent_ns,
            deadline_ns=deadline_ns,
            reads_limits=self._reads_limits,
            sink=sink,
        )
        exchange = Exchange(collector, self._translator, stream=stream)
        connect_ns = None
        try:
            due_ns = min(deadline_ns, sent_ns + self._calm_ns) if stream else deadline_ns
            if due_ns <= sent_ns:
                _refuse_late(collector, sent_ns)
            data = self._compose(request)
            connection = self._kept(sent_ns - _KEEP_ALIVE_NS)
            if connection is not None:
                await self._ask(connection, data, exchange, due_ns)
            if connection is None or exchange.unanswered:
                begun_ns = time.perf_counter_ns()
                connection = await self._connect(collector)
                connect_ns = time.perf_counter_ns() - begun_ns
                await self._ask(connection, data, exchange, due_ns)
        except CallError as error:
            collector.fail(error)
        except Exception as error:  # noqa: BLE001 - the call's edge: a failure is data
            collector.fail(self._translator.internal(error))
        return _reply(exchange, self._translator, connect_ns=connect_ns)

    async def aclose(self) -> None:
        """Close the connections; no call may be under way."""
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.gather(*(connection.closed() for connection in self._open))

    async def _ask(self, connection: ProtocolConnection, data: bytes, exchange: Exchange, due_ns: int) -> None:
        """Send a request and wait for its answer's end; its limit is `due_ns` as things stand."""
        over = connection.ask(data, exchange)
        self._under_way[connection] = exchange
        if due_ns < self._due_ns or self._timer is None:
            self._look_at(due_ns)
        try:
            await over
            while not connection.over(exchange):
                await connection.again()
        finally:
            del self._under_way[connection]
            if connection.rest() and len(self._idle) < self._slots:
                self._idle.append(connection)

    async def _connect(self, collector: Collector) -> ProtocolConnection:
        """Make a connection within what is left of the time.

        Raises:
            CallError: None could be made.
        """
        limit_s = (collector.limit()[0] - time.perf_counter_ns()) / NS_PER_S
        connect_s = self._timeouts.connect_s
        try:
            async with asyncio.timeout(min(limit_s, connect_s)):
                return await connected(self._compose.host, self._compose.port, self._ssl_context, self._open)
        except TimeoutError:
            if limit_s < connect_s:
                raise collector.timed_out() from None
            raise CallError("timeout_connect", f"no connection within {connect_s:g} s") from None

    def _kept(self, oldest_ns: int) -> ProtocolConnection | None:
        """Return the connection that was used last, if it still stands and was used since `oldest_ns`."""
        while self._idle:
            connection = self._idle.pop()
            if connection.idle_since_ns > oldest_ns and not connection.lost:
                return connection
            connection.close()
        return None

    def _look_at(self, due_ns: int) -> None:
        """Look at the limits at an instant; one timer serves all calls, and no call sets one of its own."""
        if self._timer is not None:
            self._timer.cancel()
        self._due_ns = due_ns
        self._timer = self._loop.call_later(max(0, due_ns - time.perf_counter_ns()) / NS_PER_S, self._look)

    def _look(self) -> None:
        """Give up the calls whose limit has passed; look again when the next one's does."""
        self._timer = None
        now_ns = time.perf_counter_ns()
        for connection in self._under_way:
            connection.look(now_ns)
        looks_ns = [_look_ns(exchange.collector, now_ns) for exchange in self._under_way.values() if exchange.open]
        if looks_ns:
            self._look_at(min(looks_ns))


def _reply(
    exchange: Exchange, translator: Translator, *, cancelled: bool = False, connect_ns: int | None = None
) -> Reply:
    """Judge an answer that has ended."""
    collector = exchange.collector
    try:
        exchange.judge()
    except Exception as error:  # noqa: BLE001 - the call's edge: a failure is data
        collector.fail(translator.internal(error))
    return collector.finish(
        time.perf_counter_ns(), cancelled=cancelled, connect_ns=connect_ns, parse_ns=exchange.parse_ns or None
    )


def _refuse_late(collector: Collector, now_ns: int) -> None:
    """Raise where the limit of a call that begins now has passed."""
    if collector.limit()[0] <= now_ns:
        raise collector.timed_out()


def _look_ns(collector: Collector, now_ns: int) -> int:
    """Return when to look at the limit of a call again."""
    return min(collector.limit()[0], now_ns + int(min(collector.blind_s, _LONGEST_BLIND_S) * NS_PER_S))


def _trust() -> ssl.SSLContext:
    """Return what the SDK's client trusts too."""
    import httpx2  # noqa: PLC0415 - 0.1 s that plain HTTP need not pay

    return httpx2.create_ssl_context()
