"""Who may ask the service, how often and how much: checked before a request reaches the application."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ipaddress
import math
import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench.clock import NS_PER_S
from bench.service.pages import PAGE_PATHS
from bench.service.problems import Problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from bench.config.service import ServiceConfig
    from bench.providers import Secret

#: A browser sends half of this at most.
MAX_HEAD_BYTES: Final = 16_384

#: How long a body may take: the largest one over a slow line.
BODY_S: Final = 10.0

#: How much of a body that is refused is read all the same, in largest bodies, and for how long.
_DISCARDED: Final = 8
_DISCARD_S: Final = 1.0

#: Most requests of an address in a minute, where other machines can ask and nothing else is said.
_DEFAULT_PER_MINUTE: Final = 600

#: Addresses that are remembered at once; whoever has more of them is not held back by forgetting them.
_MOST_ADDRESSES: Final = 10_000

#: An IPv6 client has a whole network of this length for itself.
_CLIENT_PREFIX: Final = 64

#: What anybody may see: the page itself, that the service is there, and how it is asked.
_OPEN_PATHS: Final = PAGE_PATHS | {"/health", "/openapi.json"}

_PORT: Final = re.compile(r":[0-9]*$")


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What the gate holds requests to.

    Attributes:
        token: What a client has to know, if anything.
        hosts: The names under which the service may be addressed; None where a token tells who may ask.
        max_body_bytes: The largest body.
        per_minute: Most requests of one address in a minute; 0 for no bound.
        now_ns: The clock, in nanoseconds.
    """

    token: Secret | None
    hosts: frozenset[str] | None
    max_body_bytes: int
    per_minute: int
    now_ns: Callable[[], int]


def rules_for(config: ServiceConfig, token: Secret | None, now_ns: Callable[[], int]) -> Rules:
    """Return the rules of a service.

    Without a token nobody but this machine may ask. A web page that a user looks at could make its own name mean this
    machine, and then read what the service answers; so the request has to name this machine by one of its own names.
    """
    per_minute = config.requests_per_minute
    if per_minute is None:
        per_minute = 0 if config.is_local else _DEFAULT_PER_MINUTE
    own = {"localhost", "127.0.0.1", "[::1]", config.host, f"[{config.host}]"}
    return Rules(
        token=token,
        hosts=frozenset(own) if token is None else None,
        max_body_bytes=config.max_body_bytes,
        per_minute=per_minute,
        now_ns=now_ns,
    )


class Rates:
    """How many requests each address may make: a bucket of a minute's worth that fills as time passes.

    Args:
        per_minute: Most requests of one address in a minute.
    """

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        # Left requests and the time of that count, the address that asked last at the end.
        self._left: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def __repr__(self) -> str:
        """Show how many addresses are remembered."""
        return f"<Rates {self._per_minute}/min, {len(self._left)} addresses>"

    def wait_s(self, address: str, now_ns: int) -> int:
        """Count a request and return 0, or return after how many seconds one would be taken."""
        who = _client(address)
        left, counted_ns = self._left.pop(who, (float(self._per_minute), now_ns))
        left = min(self._per_minute, left + (now_ns - counted_ns) / NS_PER_S * self._per_minute / 60)
        taken = left >= 1
        self._left[who] = (left - 1 if taken else left, now_ns)
        if len(self._left) > _MOST_ADDRESSES:
            self._left.popitem(last=False)
        return 0 if taken else max(1, math.ceil((1 - left) * 60 / self._per_minute))


def _client(address: str) -> str:
    """Return what one client's addresses have in common."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    return str(ipaddress.IPv6Network((parsed, _CLIENT_PREFIX), strict=False))


class Gate:
    """Refuses what may not pass, before anything of it is worked on.

    Args:
        app: The application behind it.
        rules: What requests are held to.
    """

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app = app
        self._rules = rules
        self._rates = Rates(rules.per_minute) if rules.per_minute else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with what is wrong; see ASGI."""
        if scope["type"] != "http":
            return
        body = _Body(receive, self._rules.max_body_bytes)
        try:
            headers = _headers(scope)
            self._check_rate(scope)
            self._check_host(headers)
            self._check_token(scope, headers)
            if scope["method"] == "POST":
                await body.read(headers)
                receive = body.hand_over
        except Problem as problem:
            await body.discard()
            await problem.response(close=not body.is_read)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _check_rate(self, scope: Scope) -> None:
        if self._rates is None or scope["client"] is None:
            return
        wait_s = self._rates.wait_s(scope["client"][0], self._rules.now_ns())
        if wait_s:
            message = f"more than {self._rules.per_minute} requests in a minute; ask again after Retry-After"
            raise Problem(429, message, code="rate", retry_after_s=wait_s)

    def _check_host(self, headers: Mapping[bytes, bytes]) -> None:
        if self._rules.hosts is None:
            return
        host = _PORT.sub("", headers.get(b"host", b"").decode("latin-1").lower())
        if host not in self._rules.hosts:
            raise Problem(421, "this service is asked as localhost, or needs a token to be asked by another name")

    def _check_token(self, scope: Scope, headers: Mapping[bytes, bytes]) -> None:
        if self._rules.token is None or scope["path"] in _OPEN_PATHS:
            return
        kind, _, given = headers.get(b"authorization", b"").partition(b" ")
        wanted = self._rules.token.reveal().encode()
        # In constant time: how long the comparison takes would tell how much of a guess is right.
        if kind.lower() != b"bearer" or not hmac.compare_digest(given.strip(), wanted):
            raise Problem(401, "send the service's token as Authorization: Bearer TOKEN")


def _headers(scope: Scope) -> dict[bytes, bytes]:
    """Return the headers by name; of one that is given twice the last.

    Raises:
        Problem: They are too large.
    """
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    size = len(scope.get("raw_path") or b"") + len(scope["query_string"])
    size += sum(len(name) + len(value) for name, value in headers)
    if size > MAX_HEAD_BYTES:
        raise Problem(431, f"address and headers may have {MAX_HEAD_BYTES} bytes")
    return dict(headers)


class _Body:
    """A request's body, read within its bounds before it is worked on."""

    def __init__(self, receive: Receive, most_bytes: int) -> None:
        self._receive = receive
        self._most_bytes = most_bytes
        self._message: Message | None = None
        self.is_read = False

    async def read(self, headers: Mapping[bytes, bytes]) -> None:
        """Read it.

        Raises:
            Problem: It is larger than allowed or takes too long.
        """
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > self._most_bytes:
            raise self._too_large()
        data = bytearray()
        try:
            async with asyncio.timeout(BODY_S):
                async for part in self._parts():
                    data += part
                    if len(data) > self._most_bytes:
                        raise self._too_large()
        except TimeoutError:
            raise Problem(408, f"the body did not arrive within {BODY_S:g} s") from None
        self._message = {"type": "http.request", "body": bytes(data), "more_body": False}

    async def discard(self) -> None:
        """Read what is on its way: a client that is still sending would not see the answer."""
        left = _DISCARDED * self._most_bytes
        with contextlib.suppress(TimeoutError, Problem):
            async with asyncio.timeout(_DISCARD_S):
                async for part in self._parts():
                    left -= len(part)
                    if left < 0:
                        return

    async def hand_over(self) -> Message:
        """Return the body, and from then on what the server says."""
        message, self._message = self._message, None
        return message or await self._receive()

    def _too_large(self) -> Problem:
        return Problem(413, f"the body may have {self._most_bytes} bytes")

    async def _parts(self) -> AsyncIterator[bytes]:
        while not self.is_read:
            message = await self._receive()
            self.is_read = not message.get("more_body", False)
            if message["type"] != "http.request":
                raise Problem(400, "the client left before the end of its request")
            yield message.get("body", b"")
