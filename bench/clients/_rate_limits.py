"""What the head of an answer says of the limits that the provider counts by."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bench.records import RateLimits

if TYPE_CHECKING:
    from collections.abc import Mapping

#: A count, or seconds; longer ones are no limits of a minute.
_NUMBER: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?")

#: A duration as providers write it: 1s, 120ms, 6m0s, 1h2m3.5s, 1d.
_DURATION: Final = re.compile(
    r"(?=[0-9])(?:([0-9]{1,9})d)?(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m(?!s))?(?:([0-9.]{1,19})s)?(?:([0-9.]{1,19})ms)?"
)

#: Seconds of each part of a duration.
_UNITS_S: Final = (86_400.0, 3_600.0, 60.0, 1.0, 0.001)


def rate_limits_in(headers: Mapping[str, str]) -> RateLimits | None:
    """Return the limits that are named in an answer's headers, which are found by lower-case names; None for none.

    What cannot be understood counts as not said.
    """
    found = RateLimits(
        limit_requests=_number(headers.get("x-ratelimit-limit-requests")),
        limit_tokens=_number(headers.get("x-ratelimit-limit-tokens")),
        remaining_requests=_number(headers.get("x-ratelimit-remaining-requests")),
        remaining_tokens=_number(headers.get("x-ratelimit-remaining-tokens")),
        reset_requests_s=_duration_s(headers.get("x-ratelimit-reset-requests")),
        reset_tokens_s=_duration_s(headers.get("x-ratelimit-reset-tokens")),
    )
    return None if found == _NOTHING else found


def _number(value: str | None) -> float | None:
    if value is None or not _NUMBER.fullmatch(value.strip()):
        return None
    return float(value)


def _duration_s(value: str | None) -> float | None:
    """Read a duration in seconds, with or without units."""
    if value is None:
        return None
    if (plain_s := _number(value)) is not None:
        return plain_s
    match = _DURATION.fullmatch(value.strip().lower())
    if match is None:
        return None
    parts = [_number(part) if part is not None else 0.0 for part in match.groups()]
    total_s = 0.0
    for part, unit_s in zip(parts, _UNITS_S, strict=True):
        if part is None:
            return None
        total_s += part * unit_s
    return total_s


_NOTHING: Final = RateLimits()
