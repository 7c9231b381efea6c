"""What of a body the SDK is given: it would hold a line without end, and parse an answer without end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bench.clients._limits import BYTE_ORDER_MARK, MAX_ERROR_BYTES, MAX_EVENT_BYTES, check_size
from bench.errors import CallError

if TYPE_CHECKING:
    from bench.clients._collect import Collector

#: The blank line that ends an event: its own line end and the one before it.
_EVENT_ENDS: Final = (b"\n\n", b"\n\r\n", b"\r\r")

_OK: Final = 200
_REDIRECTION: Final = 300


class Gauge:
    """Measures one body as it comes.

    Args:
        collector: Knows the answer's head.
    """

    __slots__ = ("_event_bytes", "_is_error", "_is_stream", "_size_bytes", "_tail")

    def __init__(self, collector: Collector) -> None:
        status = collector.http_status
        self._is_error = status is not None and not _OK <= status < _REDIRECTION
        self._is_stream = collector.content_type.startswith("text/event-stream")
        self._size_bytes = 0
        #: Since the last event's end; and what may be the first part of such an end.
        self._event_bytes = 0
        self._tail = b""

    def stripped(self, part: bytes) -> bytes:
        """Return a part that was not measured yet, without the mark that a stream may begin with.

        The SDK would take it for a part of the first field's name, and drop the first event without a word.
        """
        if self._size_bytes or not self._is_stream:
            return part
        return part.removeprefix(BYTE_ORDER_MARK)

    def wants_more(self, part: bytes) -> bool:
        """Measure the next part; return False where what came of an error's body is enough.

        Raises:
            CallError: The answer, or an event of it, is too long (`too_large`).
        """
        self._size_bytes += len(part)
        if self._is_error:
            return self._size_bytes <= MAX_ERROR_BYTES
        check_size(self._size_bytes)
        if self._is_stream:
            self._measure_event(part)
        return True

    def _measure_event(self, part: bytes) -> None:
        window = self._tail + part
        end = max(map(window.rfind, _EVENT_ENDS))
        self._event_bytes = self._event_bytes + len(part) if end < 0 else len(window) - end
        self._tail = window[-2:]
        if self._event_bytes > MAX_EVENT_BYTES:
            raise CallError("too_large", f"an event of the stream is longer than {MAX_EVENT_BYTES // 1024} KiB")
