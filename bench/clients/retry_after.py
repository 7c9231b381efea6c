"""How long a server asks to be left alone."""

from __future__ import annotations

import math
import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d*)?")


def retry_after_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """Read how long the server asks to wait, in seconds; None if it does not say or cannot be understood.

    Args:
        headers: The answer's headers, by lower-case name.
        now_s: UTC seconds since 1970; taken for a date only if the answer does not say what time it is at the server.
    """
    wait_ms = _number(headers.get("retry-after-ms"))
    if wait_ms is not None:
        return max(0.0, wait_ms / 1000)
    value = headers.get("retry-after")
    wait_s = _number(value)
    if wait_s is None and (date_s := _date_s(value)) is not None:
        sent_s = _date_s(headers.get("date"))
        wait_s = date_s - (now_s if sent_s is None else sent_s)
    return None if wait_s is None else max(0.0, wait_s)


def _number(value: str | None) -> float | None:
    """Read a decimal number; float() alone would also take nan, inf and 1_000."""
    if value is None or not _NUMBER.fullmatch(value.strip()):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _date_s(value: str | None) -> float | None:
    """Read an HTTP date as UTC seconds since 1970."""
    if value is None:
        return None
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError, OSError):
        return None
