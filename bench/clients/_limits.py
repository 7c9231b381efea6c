"""How much of an answer is taken, of what kind, and how long an idle connection is kept: the same for every client."""

from __future__ import annotations

from typing import Final

from bench.errors import CallError

#: Idle connections are kept this long: as long as the longest backoff, no longer than most servers keep them.
KEEP_ALIVE_S: Final = 60.0

#: An answer is given up past this size: many times the longest real one, and little enough for hundreds at once.
MAX_BODY_BYTES: Final = 32 * 1024 * 1024

#: Of an error's body no more is read than this: its message is cut to a few hundred characters anyway.
MAX_ERROR_BYTES: Final = 1024 * 1024

#: A line of a stream, or the lines of one event together, may be this long: a chunk has a few hundred bytes.
MAX_EVENT_BYTES: Final = 1024 * 1024

#: What a stream may begin with, as the format has it, and what is no part of its first event.
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


def check_size(size_bytes: int) -> None:
    """Check how much of a body has come.

    Raises:
        CallError: Too much.
    """
    if size_bytes > MAX_BODY_BYTES:
        raise CallError("too_large", f"the answer is longer than {MAX_BODY_BYTES // 1024 // 1024} MiB")


def check_encoding(encoding: str) -> None:
    """Check the content encoding that an answer's head announces.

    Raises:
        CallError: It announces a compressed body although none was asked for; unpacked it may have any size.
    """
    if encoding.strip().lower() not in ("", "identity"):
        raise CallError("bad_content_type", f"the answer is compressed ({encoding[:20]!r}), which was not asked for")
