"""One connection: HTTP/1.1 read with httptools, answers in the order of their requests."""

import asyncio
import socket
import struct
import time
from collections import deque
from http import HTTPStatus
from typing import Final, cast

import httptools

from bench.simulator.exchange import Exchange
from bench.simulator.replies import Reply, problem
from bench.simulator.service import Received, Service
from bench.simulator.stats import Outcome

#: Largest request body: beyond any prompt, and little enough to hold many.
MAX_BODY_BYTES: Final = 16 * 1024 * 1024
#: Largest request target; ours are 20 bytes long.
MAX_TARGET_BYTES: Final = 8 * 1024
#: How long what a refused client still sends is read and dropped: closing at once would reset the connection, and the
#: client would lose the reply.
_LINGER_S: Final = 2.0
#: SO_LINGER on, with no time: closing resets the connection.
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class Connection(asyncio.Protocol):
    """A client's connection.

    Requests that arrive while one is being answered wait in a queue, and reading pauses.
    """

    def __init__(self, service: Service, *, number: int, among: set["Connection"]) -> None:
        """Make a connection.

        Args:
            service: What answers its requests.
            number: Its number in the order of accepting, from 1.
            among: The open connections: it is one of them from now until it is lost.
        """
        self.number = number
        self.exchange: Exchange | None = None
        self._service = service
        self._among = among
        self._parser = httptools.HttpRequestParser(self)
        self._read_ns = 0
        self._target = b""
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._answering: Received | None = None
        self._waiting: deque[Received] = deque()
        self._deaf = False
        self._lost = False
        self._used = False
        self._backed_up = False
        self._ending: Outcome | None = None

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: every byte that the socket does not take at once is to be noticed."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=0)
        self._among.add(self)
        self._service.stats.connection_opened()

    def connection_lost(self, error: Exception | None) -> None:
        """End: what was being answered has lost its client."""
        del error
        self._lost = True
        self._among.discard(self)
        self._service.stats.connection_closed()
        if self.exchange is not None:
            self._finish(self.exchange, self.exchange.outcome)
        self._waiting.clear()
        del self._parser  # it holds this connection's methods: without a cycle, both are freed at once

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self._deaf:
            return
        self._read_ns = time.perf_counter_ns()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._deaf = True  # the request was read and is answered as it stands, the last on this connection
        except httptools.HttpParserError as error:
            self._refuse(problem(HTTPStatus.BAD_REQUEST, f"this is not an HTTP/1.1 request: {error}"))

    def pause_writing(self) -> None:
        """Note that the socket is full."""
        self._backed_up = True

    def resume_writing(self) -> None:
        """Note that the socket took everything."""
        self._backed_up = False
        if self._ending is not None:
            self._complete_now(self._ending)

    # What the parser calls.

    def on_url(self, part: bytes) -> None:
        """Read on in the target."""
        self._target += part
        if len(self._target) > MAX_TARGET_BYTES:
            message = f"the target is longer than {MAX_TARGET_BYTES} bytes"
            self._refuse(problem(HTTPStatus.REQUEST_URI_TOO_LONG, message))

    def on_body(self, part: bytes) -> None:
        """Read on in the body."""
        self._body_bytes += len(part)
        if self._body_bytes <= MAX_BODY_BYTES:
            self._body.append(part)
        else:
            message = f"the body is longer than {MAX_BODY_BYTES} bytes"
            self._refuse(problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message))

    def on_message_complete(self) -> None:
        """Answer the request, or let it wait for its turn."""
        if self._deaf:
            return
        keep_alive = self._parser.should_keep_alive() and not self._parser.should_upgrade()
        if not keep_alive and self._parser.get_http_version() != "1.1":
            self._refuse(problem(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "only HTTP/1.1 is spoken here"))
            return
        received = self._received(keep_alive=keep_alive)
        self._target = b""
        self._body = []
        self._body_bytes = 0
        self._accept(received)

    # What the service calls.

    def send(self, data: bytes) -> None:
        """Hand bytes to the socket; after the connection was lost, do nothing."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def complete(self, outcome: Outcome) -> None:
        """End the answer once the socket took all its bytes."""
        if self._backed_up:
            self._ending = outcome
        elif not self._transport.is_closing():  # else the last write failed, and `connection_lost` is on its way
            self._complete_now(outcome)

    def reset(self) -> None:
        """Break the connection off with a reset."""
        if self._transport.is_closing():
            return
        if self.exchange is not None:
            self._finish(self.exchange, "cut")
        self._deaf = True
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    def close(self) -> None:
        """Give the connection up at once."""
        self._transport.abort()

    # The rest.

    def _received(self, *, keep_alive: bool, refusal: Reply | None = None) -> Received:
        body = b"" if refusal else self._body[0] if len(self._body) == 1 else b"".join(self._body)
        return Received(
            method=self._parser.get_method(),
            path=self._target.partition(b"?")[0],
            body=body,
            keep_alive=keep_alive,
            refusal=refusal,
        )

    def _refuse(self, reply: Reply) -> None:
        """Give up reading: what follows cannot be understood, or is not wanted."""
        if not self._deaf:
            self._deaf = True
            self._accept(self._received(keep_alive=False, refusal=reply))

    def _accept(self, received: Received) -> None:
        if self._answering is None and not self._waiting:
            self._answering = received
            self._service.answer(self, received, at_ns=self._read_ns)
        else:
            self._waiting.append(received)
            self._transport.pause_reading()

    def _complete_now(self, outcome: Outcome) -> None:
        self._ending = None
        if self.exchange is not None:
            self._finish(self.exchange, outcome)
        answered, self._answering = self._answering, None
        if answered is not None and not answered.keep_alive:
            self._close_after(answered)
        elif self._waiting:
            asyncio.get_running_loop().call_soon(self._answer_next)

    def _answer_next(self) -> None:
        if self._lost or self._answering is not None:
            return
        self._answering = self._waiting.popleft()
        self._service.answer(self, self._answering, at_ns=time.perf_counter_ns())
        if not self._waiting:
            self._transport.resume_reading()

    def _close_after(self, answered: Received) -> None:
        self._deaf = True
        if answered.refusal is None:
            self._transport.close()
            return
        self._transport.write_eof()
        self._transport.resume_reading()
        asyncio.get_running_loop().call_later(_LINGER_S, self.close)

    def _finish(self, exchange: Exchange, outcome: Outcome) -> None:
        self.exchange = None
        if not self._used:
            self._used = True
            self._service.stats.connection_used()
        self._service.ended(exchange, outcome)
