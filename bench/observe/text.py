"""Text and numbers as a terminal or a log line may show them."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len, set_cell_size

if TYPE_CHECKING:
    from bench.policy.statistics import Distribution

#: Written in place of a number that was not measured.
NOT_MEASURED: Final = "n/a"

#: Format characters that change nothing but the letters beside them: scripts and joined emoji need them.
_JOINERS: Final = "\u200c\u200d"

#: Controls (Cc), invisible formatting such as bidirectional overrides (Cf), lone surrogates (Cs), separators of lines.
_ESCAPED_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def printable(text: str, limit: int | None = None) -> str:
    r"""Return text from outside so that it cannot act on a terminal: `\x1b` for a control, `\u202e` for a bidi mark.

    Args:
        text: Anything: a topic, a server's message, a model's name.
        limit: Most columns it may take; a longer text ends in an ellipsis.
    """
    # Few characters take no column, none takes less: of a long text, no more than this can be needed.
    shown = text if limit is None else text[: limit + 1]
    if not shown.isprintable():
        shown = "".join(_escaped(char) for char in shown)
    if limit is not None and (len(text) > limit + 1 or cell_len(shown) > limit):
        return set_cell_size(shown, limit - 1).rstrip() + "…"
    return shown


def _escaped(char: str) -> str:
    if unicodedata.category(char) not in _ESCAPED_CATEGORIES or char in _JOINERS:
        return char
    return char.encode("unicode_escape").decode()


def number(value: float | None) -> str:
    """Return a number with three significant digits, or whole from 100 on: `0.852`, `15.2`, `1,020`."""
    if value is None:
        return NOT_MEASURED
    for edge, digits in ((99.95, 0), (9.995, 1), (0.9995, 2)):
        if abs(value) >= edge:
            return f"{value:,.{digits}f}"
    return f"{value:.3f}" if value else "0"


def seconds(value_s: float | None) -> str:
    """Return a duration in the unit that suits it: `12.3 us`, `512 ms`, `1.23 s`."""
    if value_s is None:
        return NOT_MEASURED
    for edge_s, factor, unit in ((0.9995, 1, "s"), (0.0009995, 1e3, "ms")):
        if abs(value_s) >= edge_s:
            return f"{number(value_s * factor)} {unit}"
    return f"{number(value_s * 1e6)} us" if value_s else "0 s"


def percentile(values: Distribution, name: str) -> str:
    """Return a percentile (`p50`, `p90`, `p95` or `p99`), or why it is missing: `n/a (n=24)`."""
    value_s: float | None = getattr(values, name)
    return f"{NOT_MEASURED} (n={values.n})" if value_s is None and values.n else seconds(value_s)


def stopwatch(value_s: float) -> str:
    """Return whole seconds as `0:08`, `12:34` or `1:02:03`."""
    minutes, secs = divmod(int(value_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{secs:02}" if hours else f"{minutes}:{secs:02}"


def percent(share: float | None) -> str:
    """Return a share as a percentage; only all of them are `100 %`, only none of them `0 %`."""
    if share is None:
        return NOT_MEASURED
    if share in (0.0, 1.0):
        return f"{share * 100:.0f} %"
    clipped = min(max(share * 100, 0.1), 99.9) if 0 < share < 1 else share * 100
    return f"{clipped:.1f} %"


def size(value_bytes: float | None) -> str:
    """Return a number of bytes in MB (10^6) or GB."""
    if value_bytes is None:
        return NOT_MEASURED
    return f"{number(value_bytes / 1e9)} GB" if value_bytes >= 1e9 else f"{number(value_bytes / 1e6)} MB"  # noqa: PLR2004 - a GB
