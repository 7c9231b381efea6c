"""Whole HTTP replies as bytes: JSON documents, and errors in the shape that OpenAI gives them."""

from http import HTTPStatus
from typing import Final

import msgspec

_HEADS: Final = {
    status: f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n".encode()
    for status in HTTPStatus
}
_CLOSE: Final = b"connection: close\r\n"


class Reply(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One reply that needs no stream.

    Attributes:
        body: The document that its content type (JSON) announces, or what stands in its place.
        headers: Further header lines, each with its line end.
    """

    status: HTTPStatus = HTTPStatus.OK
    body: bytes
    headers: bytes = b""

    def encode(self, *, keep_alive: bool) -> bytes:
        """Return the reply as it goes over the wire."""
        length = b"content-length: %d\r\n" % len(self.body)
        close = b"" if keep_alive else _CLOSE
        return b"".join((_HEADS[self.status], length, self.headers, close, b"\r\n", self.body))


def document(value: object) -> Reply:
    """Return a value as a JSON reply."""
    return Reply(body=msgspec.json.encode(value))


def problem(status: HTTPStatus, message: str, *, kind: str = "invalid_request_error", headers: bytes = b"") -> Reply:
    """Return an error as OpenAI words them: `{"error": {"message", "type", "param", "code"}}`."""
    code = status.phrase.lower().replace(" ", "_")
    error = {"message": message, "type": kind, "param": None, "code": code}
    return Reply(status=status, body=msgspec.json.encode({"error": error}), headers=headers)


def nowhere(path: bytes, *, known: tuple[bytes, ...]) -> Reply:
    """Return the reply to a path that does not exist."""
    message = f"there is no {path.decode('latin-1')}; possible are {b', '.join(known).decode()}"
    return problem(HTTPStatus.NOT_FOUND, message)


def wrong_method(method: bytes, path: bytes, *, allowed: bytes) -> Reply:
    """Return the reply to a method that a known path does not have."""
    message = f"{method.decode()} is not possible on {path.decode()}; use {allowed.decode()}"
    return problem(HTTPStatus.METHOD_NOT_ALLOWED, message, headers=b"allow: %b\r\n" % allowed)


def too_many(message: str, retry_after_s: float, request_id: bytes) -> Reply:
    """Return the reply to a request beyond a limit, with the Retry-After to obey: decimals only where it has them."""
    headers = b"retry-after: %b\r\n%b" % (f"{retry_after_s:.12g}".encode(), request_id)
    return problem(HTTPStatus.TOO_MANY_REQUESTS, message, kind="rate_limit_exceeded", headers=headers)
