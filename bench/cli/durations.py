"""Durations as they are written in options."""

from __future__ import annotations

import math
from typing import Final

from bench.errors import ConfigError

_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def duration_s(text: str, option: str) -> float:
    """Read a duration such as 90s, 10m, 1.5h or 2d; a plain number is seconds.

    Args:
        text: The duration.
        option: Named where it is none.

    Raises:
        ConfigError: It is none, or not above 0.
    """
    number, factor = (text[:-1], _UNITS_S[text[-1]]) if text[-1:] in _UNITS_S else (text, 1)
    try:
        value = float(number) * factor
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ConfigError(f"{option} must be a duration such as 90s, 10m, 1.5h or 2d, got {text!r}")
    return value
