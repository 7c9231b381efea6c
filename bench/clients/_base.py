"""The contract of a client: send one request, time what comes back, return a Reply; a failure is a Reply too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

import msgspec

from bench.errors import CallError
from bench.records import JsonObject, RateLimits, TokenSource

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one attempt, in seconds; the task's own deadline comes with each call."""

    ttft_s: float = 60.0
    idle_s: float = 60.0
    connect_s: float = 5.0


class Request(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is sent: the body of a chat completion.

    Attributes:
        route: To which of a run's endpoints it goes, from 0.
    """

    model: str
    messages: tuple[JsonObject, ...]
    params: JsonObject
    stream: bool
    route: int = 0


class Contender(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One of several requests that race for the same answer.

    Attributes:
        request: What is sent.
        after_s: How long after the one before it is sent, in seconds, unless that one has failed before.
    """

    request: Request
    after_s: float = 0.0


class Reply(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What came back, whole or not; instants are `perf_counter_ns`, None where the client cannot see them.

    Attributes:
        sent_ns: When the call was handed to the client.
        end_ns: When the client was done with it.
        error: Why it is a failure; None means a whole answer: content, and a finish reason other than
            `content_filter`.
        cancelled: True if it was given up because the run was cancelled; then `error` is set too.
        content: Text that arrived; of a failure what there was.
        server_model: The model that the server says has answered.
        content_ns: Instants of the chunks with content or reasoning, in order; empty where nothing was streamed.
        connect_ns: Duration of making the connection, in nanoseconds.
        parse_ns: Duration of parsing, in nanoseconds, where it is done apart.
        rate_limits: What the answer's head says of the provider's limits, if that was to be read.
    """

    sent_ns: int
    end_ns: int
    error: CallError | None = None
    cancelled: bool = False
    http_status: int | None = None
    content: str | None = None
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    token_source: TokenSource | None = None
    server_model: str | None = None
    headers_ns: int | None = None
    first_chunk_ns: int | None = None
    content_ns: tuple[int, ...] = ()
    connect_ns: int | None = None
    parse_ns: int | None = None
    rate_limits: RateLimits | None = None


#: What each contender of a race came to that was sent, with its place; the one that decides is the last.
Outcomes = list[tuple[int, Reply]]


#: Takes a piece of text; on the event loop of the call, neither blocking nor raising.
Sink: TypeAlias = "Callable[[str], None]"


class SyncClient(Protocol):
    """Sends requests from threads; one object serves all threads of its process and is made in that process."""

    def call(self, request: Request, deadline_ns: int) -> Reply:
        """Send one request and wait for its end, at the latest until `deadline_ns` on `perf_counter_ns`.

        Never raises for anything that the server, the network or `cancel_all` does: that is in `Reply.error`.
        Callable from many threads at once.
        """

    def cancel_all(self) -> None:
        """Give up every call under way, from any thread, and every later one.

        Each returns at once as cancelled, its connection closed.
        """

    def close(self) -> None:
        """Close the connections."""


class AsyncClient(Protocol):
    """Sends requests from one event loop, on which it is made, used and closed."""

    async def call(self, request: Request, deadline_ns: int, sink: Sink | None = None) -> Reply:
        """Send one request and wait for its end, at the latest until `deadline_ns` on `perf_counter_ns`.

        Text goes to `sink` as it arrives, the whole answer's text in the end: never half a character, nothing twice.
        Never raises for anything that the server or the network does. Cancelling the coroutine closes the connection
        and raises CancelledError; whoever cancelled decides what that means.
        """

    async def aclose(self) -> None:
        """Close the connections."""


class SyncRacer(Protocol):
    """A client for threads that has several routes."""

    def race(self, contenders: Sequence[Contender], deadline_ns: int) -> Outcomes:
        """Send the first request, each next one when it is time or the one before has failed; the first success wins.

        The losers' connections are closed at once. Where all fail, the last failure decides.
        """


class AsyncRacer(Protocol):
    """A client for an event loop that has several routes."""

    async def race(self, contenders: Sequence[Contender], deadline_ns: int) -> Outcomes:
        """Do what `SyncRacer.race` does."""


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a client is made from, apart from the endpoint; picklable.

    Attributes:
        client: Which client.
        transport: HTTP library below it, where there is a choice.
        slots: How many calls may be under way at once; connection limits never bind below it.
        timeouts: Limits of an attempt.
        reads_limits: Whether what answers say of the provider's limits is read: nobody asks for it in a measurement.
    """

    client: str
    transport: str
    slots: int
    timeouts: Timeouts
    reads_limits: bool = False
