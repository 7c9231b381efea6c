"""The WRITER_ variables: settings of a book, under the names and within the ranges that its users know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bench.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

VERSIONS: Final = "WRITER_CHAPTER_VERSION_COUNT"
PARALLEL: Final = "WRITER_PARALLEL_GENERATION"
REQUESTS: Final = "WRITER_MAX_PARALLEL_REQUESTS"

WRITER_VARIABLES: Final = (VERSIONS, PARALLEL, REQUESTS)

#: Both counts have this range.
_LEAST: Final = 1
_MOST: Final = 10

#: What a switch is written like, as for options.
_YES: Final = frozenset({"true", "yes", "y", "on", "1"})
_NO: Final = frozenset({"false", "no", "n", "off", "0"})


def writer_settings(values: Mapping[str, str], place: str, wanted: Collection[str]) -> dict[str, tuple[str, str]]:
    """Return the settings that the variables of one layer give, each with its variable and its value as text.

    Args:
        values: The layer's variables.
        place: The layer in words, for messages.
        wanted: The settings that the command takes. The requests in flight are its `workers`, if it has such a setting.

    Raises:
        ConfigError: A value is out of its range or no value; names variable, value and range.
    """
    flight = "workers" if "workers" in wanted else "concurrency"
    found: dict[str, tuple[str, str]] = {}
    if values.get(VERSIONS):
        found["versions"] = VERSIONS, _count(VERSIONS, values[VERSIONS], place)
    if values.get(REQUESTS):
        found[flight] = REQUESTS, _count(REQUESTS, values[REQUESTS], place)
    if values.get(PARALLEL) and not _switch(PARALLEL, values[PARALLEL], place):
        # One after the other, whatever number of requests stands beside it.
        found.pop(flight, None)
        found |= {"mode": (PARALLEL, "serial")} if "mode" in wanted else {flight: (PARALLEL, "1")}
    return {name: given for name, given in found.items() if name in wanted}


def _count(variable: str, text: str, place: str) -> str:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not _LEAST <= number <= _MOST:
        raise ConfigError(f"{variable} in {place} must be a whole number from {_LEAST} to {_MOST}, got {text!r}")
    return str(number)


def _switch(variable: str, text: str, place: str) -> bool:
    if text.lower() not in _YES | _NO:
        raise ConfigError(f"{variable} in {place} must be true or false, got {text!r}")
    return text.lower() in _YES
