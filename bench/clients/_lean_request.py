"""Requests as bytes: everything that is the same for all of them is put together once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

import msgspec

from bench.clients._key import sendable
from bench.errors import CallError

if TYPE_CHECKING:
    from bench.clients._base import Request
    from bench.providers import Endpoint

_PORTS: Final = {"http": 80, "https": 443}

#: What a URL may hold as it stands, besides letters and digits.
_URL_CHARS: Final = "/%:@!$&'()*+,;=~-._"


class Composer:
    """Makes the requests for one endpoint.

    Args:
        endpoint: Whom to ask, as whom, and what each request carries besides.

    Attributes:
        host: Name or address to connect to.
        port: Port to connect to.
        tls: Whether the connection is to be secured.

    Raises:
        ConfigError: The key cannot be sent.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        url = urlsplit(endpoint.base_url)
        scheme = url.scheme.lower()
        self.tls = scheme == "https"
        self.host = url.hostname or ""
        self.port = url.port or _PORTS[scheme]
        self._extra_body = endpoint.extra_body
        self._encode = msgspec.json.Encoder().encode
        path = quote(url.path.rstrip("/") + "/chat/completions", safe=_URL_CHARS)
        target = f"{path}?{quote(url.query, safe=_URL_CHARS + '?')}" if url.query else path
        fields = {
            "Host": _authority(self.host, None if self.port == _PORTS[scheme] else self.port),
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "User-Agent": "concurrent-bigmodel",
            **endpoint.headers,
            "Authorization": f"Bearer {sendable(endpoint.api_key)}",
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self._head = f"POST {target} HTTP/1.1\r\n{lines}Content-Length: ".encode()

    def __call__(self, request: Request) -> bytes:
        """Return a request's head and body.

        Raises:
            CallError: It holds half a character (`bad_request`).
            TypeError: It holds what is no JSON.
        """
        fields: dict[str, object] = {"model": request.model, "messages": request.messages}
        if request.stream:
            fields["stream"] = True
            fields["stream_options"] = {"include_usage": True}
        fields |= self._extra_body
        fields |= request.params
        try:
            body = self._encode(fields)
        except UnicodeEncodeError as error:
            raise CallError(
                "bad_request", "the request cannot be sent: it holds half a character (a lone surrogate)"
            ) from error
        return b"%b%d\r\n\r\n%b" % (self._head, len(body), body)


def _authority(host: str, port: int | None) -> str:
    """Return the Host field's value."""
    if ":" in host:
        name = f"[{host}]"
    elif host.isascii():
        name = host
    else:
        name = host.encode("idna").decode()
    return name if port is None else f"{name}:{port}"
