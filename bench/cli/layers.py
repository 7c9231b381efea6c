"""Where a setting comes from if no option gives it: the environment, then the env file, then its default."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from bench.cli.envfile import find_env_file, read_env_file
from bench.cli.options import ENVIRONMENT_PREFIX, SETTINGS
from bench.endpoints.resolve import CUSTOM_KEYS
from bench.errors import ConfigError
from bench.providers import PROVIDERS
from bench.settings import option_name

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from bench.cli.envfile import EnvFile

#: Where the environment is meant, in messages.
ENVIRONMENT: Final = "the environment"

_SOURCES: Final = frozenset({"topics", "topics_file", "prompts"})

_KEYS: Final = frozenset({preset.key_env for preset in PROVIDERS.values() if preset.key_env} | set(CUSTOM_KEYS))

#: Names that other parts of the program read.
_OTHER_NAMES: Final = re.compile(
    r"(?:LANGSMITH|LANGCHAIN)_\w+|WRITER_(?:CHAPTER_VERSION_COUNT|PARALLEL_GENERATION|MAX_PARALLEL_REQUESTS)"
)


def variable_of(setting: str) -> str:
    """Return the environment variable of a setting: `max_tokens` is `CONCURRENT_MAX_TOKENS`."""
    return ENVIRONMENT_PREFIX + setting.upper()


_VARIABLES: Final = frozenset(map(variable_of, SETTINGS))


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a layer gives to a setting.

    Attributes:
        variable: The variable that gives it.
        place: The layer, in words.
        texts: The value, or the values of a list.
    """

    variable: str
    place: str
    texts: tuple[str, ...]


class Layers:
    """The environment over the env file.

    Args:
        environ: The process's environment; it is read and never changed.
        directory: The current directory.

    Attributes:
        values: Every variable of both, the environment's first; empty ones left out.
        origins: The settings that a layer gave, with the variable and where it stands, for messages.
        warnings: What is odd in the layers, by name only.
    """

    def __init__(self, environ: Mapping[str, str], directory: Path) -> None:
        self._environment = {name: value for name, value in environ.items() if value}
        self._directory = directory
        self.values: dict[str, str] = dict(self._environment)
        self.origins: dict[str, str] = {}
        self.warnings: list[str] = []

    def fill(self, given: Mapping[str, Sequence[str]], wanted: Collection[str]) -> dict[str, Given]:
        """Return what the layers give to settings that no option gave.

        What contradicts a setting from above (a file's topics, where an option names prompts) is left out.

        Args:
            given: The texts that options gave, by setting.
            wanted: The settings that the command takes.

        Raises:
            ConfigError: The env file cannot be read, or a list is no JSON array.
        """
        file = self._file(given.get("env_file"))
        layers = [(ENVIRONMENT, self._environment)]
        if file is not None:
            self.warnings += file.warnings
            self.values = {**file.values, **self._environment}
            layers.append((file.name, file.values))
        unknown = [name for name in self._environment if name.startswith(ENVIRONMENT_PREFIX) and not _is_known(name)]
        if unknown:
            self.warnings.append(f"{ENVIRONMENT}: unknown names, ignored: {', '.join(sorted(unknown))}")
        above: dict[str, Sequence[str]] = dict(given)
        filled: dict[str, Given] = {}
        for place, values in layers:
            filled |= _of_layer(place, values, above, wanted)
            above |= {name: each.texts for name, each in filled.items()}
        self.origins = {name: f"{each.variable} in {each.place}" for name, each in filled.items()}
        return filled

    def _file(self, option: Sequence[str] | None) -> EnvFile | None:
        named = option[-1] if option else self._environment.get(variable_of("env_file"))
        path = Path(named) if named else find_env_file(self._directory)
        return None if path is None else read_env_file(path, _is_known)


def _is_known(name: str) -> bool:
    return name in _VARIABLES or name in _KEYS or _OTHER_NAMES.fullmatch(name) is not None


def _of_layer(
    place: str, values: Mapping[str, str], above: Mapping[str, Sequence[str]], wanted: Collection[str]
) -> dict[str, Given]:
    """Return what one layer gives to settings that are wanted, not given above, and do not contradict what is."""
    given = {}
    for name in wanted:
        variable = variable_of(name)
        if name in SETTINGS and variable in values and name not in above and not _contradicts(name, above):
            value = values[variable]
            texts = _listed(value, f"{variable} in {place}") if isinstance(SETTINGS[name].default, tuple) else (value,)
            given[name] = Given(variable=variable, place=place, texts=texts)
    return given


def _listed(value: str, origin: str) -> tuple[str, ...]:
    try:
        return msgspec.json.decode(value, type=tuple[str, ...])
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise ConfigError(f'{origin} must be a JSON array of texts, like ["A", "B"]: {error}') from error


def _contradicts(name: str, above: Mapping[str, Sequence[str]]) -> bool:
    """Say whether a setting would exclude one that was given above it."""
    match name:
        case "topics" | "topics_file" | "prompts":
            return bool(_SOURCES & above.keys())
        case "provider":
            return "base_url" in above
        case "base_url":
            return "provider" in above
        case "simulator":
            return "base_url" in above or list(above.get("provider", ["simulator"])) != ["simulator"]
        case "concurrency":
            return list(above.get("mode", [])) == ["serial"]
        case _:
            return False


def origin_hint(message: str, origins: Mapping[str, str]) -> str:
    """Return where the settings that a message names come from, if not from options."""
    named = [said for setting, said in origins.items() if re.search(rf"{option_name(setting)}(?![\w-])", message)]
    return f"set by {' and '.join(named)}" if named else ""
