"""How a setting is declared: its option, help text and range; and whether a value fits, in words where it does not."""

from __future__ import annotations

import types
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Union, get_args, get_origin

from bench.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Transport = Literal["aiohttp", "httpx2"]
Arrival = Literal["constant", "poisson"]
LogLevel = Literal["debug", "info", "warning", "error"]
Group = Literal["Service", "What to run", "How", "Whom to ask", "Real work", "Limits", "Output"]

#: The groups of options, in the order of the help page.
GROUPS: Final[tuple[Group, ...]] = get_args(Group)

#: The longest timeout, a week: a longer one, or an infinite one, would overflow clocks without ever being of use.
MAX_TIMEOUT_S: Final = 604_800

_PLAIN_KINDS: Final[tuple[tuple[type, str], ...]] = (
    (str, "a text"),
    (bool, "true or false"),
    (Path, "a pathlib.Path"),
    (type(None), "None"),
)


def about(  # noqa: PLR0913 - a table row: each argument is one column
    help_text: str,
    *,
    group: Group,
    alias: str = "",
    metavar: str = "",
    at_least: float | None = None,
    at_most: float | None = None,
    above: float | None = None,
) -> Mapping[str, Any]:
    """Return what a field says of its setting: help text, place in the help page, short name, range in its own unit."""
    return {
        "help": help_text,
        "group": group,
        "alias": alias,
        "metavar": metavar,
        "at_least": at_least,
        "at_most": at_most,
        "above": above,
    }


def option_name(field_name: str) -> str:
    """Return the command-line name of a setting: `max_tokens` is `--max-tokens`."""
    return "--" + field_name.replace("_", "-")


def from_json(hint: object, value: object) -> object:
    """Return a value that went through JSON as the kind that a setting has.

    What was one text, or none, where there are texts now is a list of that.
    """
    if get_origin(hint) is tuple:
        return () if value is None else tuple(value) if isinstance(value, list) else (value,)
    return Path(value) if Path in _alternatives(hint) and isinstance(value, str) else value


def check_kind(option: str, hint: object, value: object) -> None:
    """Refuse a value that an annotation does not allow, for those who build a configuration in Python.

    Raises:
        ConfigError: It is of another kind; names option, kind and value.
    """
    kinds = [_kind(part) for part in _alternatives(hint)]
    if not any(matches(value) for matches, _ in kinds):
        raise ConfigError(f"{option} must be {' or '.join(words for _, words in kinds)}, got {value!r}")


def check_range(option: str, bounds: Mapping[str, Any], value: object) -> None:
    """Refuse a number outside `at_least`, `above` and `at_most` of `bounds`, each None where there is no such bound.

    Raises:
        ConfigError: It is outside; names option, bounds and value.
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        return
    low, above, high = (bounds[name] for name in ("at_least", "above", "at_most"))
    # Asked so that nan is wrong too.
    right = (low is None or value >= low) and (above is None or value > above) and (high is None or value <= high)
    if not right:
        named = (("at least", low), ("above", above), ("at most", high))
        words = [f"{text} {bound}" for text, bound in named if bound is not None]
        raise ConfigError(f"{option} must be {' and '.join(words)}, got {value}")


def _alternatives(hint: object) -> tuple[object, ...]:
    """Return the members of a union, or the annotation itself."""
    return get_args(hint) if get_origin(hint) in {Union, types.UnionType} else (hint,)


def _kind(hint: object) -> tuple[Callable[[object], bool], str]:
    """Return a check for one annotation, and what it wants in words."""
    if get_origin(hint) is Literal:
        choices = get_args(hint)
        return (lambda value: value in choices), f"one of {', '.join(choices)}"
    if get_origin(hint) is tuple:
        return (lambda value: isinstance(value, tuple) and all(isinstance(part, str) for part in value)), "texts"
    if hint is float or hint is int:
        kinds = int | float if hint is float else int
        words = "a number" if hint is float else "a whole number"
        return (lambda value: isinstance(value, kinds) and not isinstance(value, bool)), words
    kind, words = next((kind, words) for kind, words in _PLAIN_KINDS if kind is hint)
    return (lambda value: isinstance(value, kind)), words
