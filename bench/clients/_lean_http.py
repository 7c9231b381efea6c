"""The answers on one connection, read with httptools."""

from __future__ import annotations

from typing import Final

import httptools

from bench.errors import CallError

#: A head may be this large, and what stands between two parts of a body: many times what servers and the proxies before
#: them send.
MAX_HEAD_BYTES: Final = 64 * 1024

_OK: Final = 200


class Reader:
    """Reads answers from one connection, one at a time; `begin` before each.

    Attributes:
        headers: Fields of the answer's head as they came; of a repeated one the last.
        parts: Pieces of the body since they were last taken.
        http_status: Set once the head is there; answers below 200 announce another one and are passed over.
        head_bytes: Bytes that came up to the read in which the head ended; 0 means that the server said nothing.
        complete: Whether the answer came to its end.
        keep_alive: Whether the connection can be used again then.
    """

    __slots__ = (
        "_bare_bytes",
        "_parser",
        "complete",
        "head_bytes",
        "headers",
        "http_status",
        "keep_alive",
        "on_body",
        "on_header",
        "parts",
    )

    def __init__(self) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.parts: list[bytes] = []
        # The parser calls these for each field and each piece: without a frame of Python in between.
        self.on_header = self.headers.__setitem__
        self.on_body = self.parts.append
        self._parser = httptools.HttpResponseParser(self)
        self.begin()

    def begin(self) -> None:
        """Forget the last answer."""
        self.headers.clear()
        self.parts.clear()
        self.http_status: int | None = None
        self.head_bytes = 0
        #: Bytes since the last part of the body: sizes of chunks, and the fields that may follow the last one.
        self._bare_bytes = 0
        self.complete = self.keep_alive = False

    def feed(self, data: bytes) -> None:
        """Read on.

        Raises:
            HttpParserError: This is not HTTP.
            CallError: The head is too large, or what stands between two parts of the body (`too_large`).
        """
        try:
            if self.http_status is not None:
                self._parser.feed_data(data)
                self._bare_bytes = 0 if self.parts else self._bare_bytes + len(data)
                if self._bare_bytes > MAX_HEAD_BYTES:
                    raise _too_large("what follows a part of the answer's body")
            else:
                self.head_bytes += len(data)
                self._parser.feed_data(data)
                if self.head_bytes > MAX_HEAD_BYTES:
                    self._check_head()
        except httptools.HttpParserError:
            if not self.complete:
                raise
            self.keep_alive = False  # what follows an answer that nobody asked for

    def ends_with_connection(self) -> bool:
        """Return whether the body's end is the connection's, as the head has it."""
        fields = {name.lower(): value for name, value in self.headers.items()}
        coding = fields.get(b"transfer-encoding", b"").lower().rpartition(b",")[2].strip()
        return coding != b"chunked" if coding else b"content-length" not in fields

    def on_message_begin(self) -> None:
        """Refuse an answer after the answer."""
        if self.complete:
            raise ValueError("an answer that nobody asked for")

    def on_headers_complete(self) -> None:
        """Take the head, or pass over one that only announces another."""
        status = self._parser.get_status_code()
        if status >= _OK:
            self.http_status = status
        else:
            self.headers.clear()

    def on_message_complete(self) -> None:
        """Take the end."""
        if self.http_status is not None:
            self.complete = True
            self.keep_alive = self._parser.should_keep_alive()

    def _check_head(self) -> None:
        """Measure a head that came with much else, or has not ended."""
        size_bytes = sum(len(name) + len(value) for name, value in self.headers.items())
        if self.http_status is None or size_bytes > MAX_HEAD_BYTES:
            raise _too_large("the answer's head")


def _too_large(what: str) -> CallError:
    return CallError("too_large", f"{what} is larger than {MAX_HEAD_BYTES // 1024} KiB")
