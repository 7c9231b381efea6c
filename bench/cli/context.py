"""What every command is given besides its settings, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

OK: Final = 0
FAILED: Final = 1
WRONG_USAGE: Final = 2
GATE_FAILED: Final = 3
INTERRUPTED: Final = 130


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a command is given besides its settings.

    Attributes:
        environment: The environment over the env file: where keys come from.
        words: The arguments without a dash.
        given: The settings that the arguments give, and not the environment, the env file or a default.
    """

    environment: Mapping[str, str]
    words: tuple[str, ...] = ()
    given: frozenset[str] = frozenset()
