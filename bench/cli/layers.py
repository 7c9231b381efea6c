"""Where a setting comes from if no option gives it: the environment, then the env file, then its default."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from bench.cli.envfile import find_env_file, read_env_file
from bench.cli.options import ENVIRONMENT_PREFIX, SERVICE_SETTINGS, SETTINGS
from bench.cli.writer_variables import WRITER_VARIABLES, writer_settings
from bench.config import SOURCES
from bench.config.service import TOKEN_VARIABLE
from bench.endpoints.providers_file import DEFAULT_FILE
from bench.endpoints.resolve import CUSTOM_KEYS
from bench.errors import ConfigError
from bench.providers import PROVIDERS, is_key_variable
from bench.settings import option_name

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from bench.cli.envfile import EnvFile

#: Where the environment is meant, in messages.
ENVIRONMENT: Final = "the environment"

_KEYS: Final = frozenset(
    {preset.key_env for preset in PROVIDERS.values() if preset.key_env} | {*CUSTOM_KEYS, TOKEN_VARIABLE}
)

#: Every setting that a variable may give.
_SETTINGS: Final = {**SETTINGS, **SERVICE_SETTINGS}

#: Names that other parts of the program read.
_OTHER_NAMES: Final = re.compile(rf"(?:LANGSMITH|LANGCHAIN)_\w+|{'|'.join(WRITER_VARIABLES)}")

#: What a further key's name has behind that of the first.
_FURTHER: Final = re.compile(r"_[0-9]+")

#: What a measurement refuses.
_NOT_MEASURED: Final = ("cache", "adaptive", "race", "hedge_delay", "warm_first")

#: Lists of names, which hold no blanks: they need not be JSON.
_NAMES: Final = frozenset({"provider"})


def variable_of(setting: str) -> str:
    """Return the environment variable of a setting: `max_tokens` is `CONCURRENT_MAX_TOKENS`."""
    return ENVIRONMENT_PREFIX + setting.upper()


_VARIABLES: Final = frozenset(map(variable_of, _SETTINGS))


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

    def fill(
        self, given: Mapping[str, Sequence[str]], wanted: Collection[str], *, real_work: bool = False
    ) -> dict[str, Given]:
        """Return what the layers give to settings that no option gave.

        What contradicts a setting from above (a file's topics, where an option names prompts) is left out.

        Args:
            given: The texts that options gave, by setting.
            wanted: The settings that the command takes.
            real_work: Whether the command does real work, so that the WRITER_ variables count; else they do if the
                profile is `prod`.

        Raises:
            ConfigError: The env file cannot be read, a list is no JSON array, or a WRITER_ variable is out of range.
        """
        file = self._file(given)
        layers = [(ENVIRONMENT, self._environment)]
        if file is not None:
            self.warnings += file.warnings
            self.values = {**file.values, **self._environment}
            layers.append((file.name, file.values))
        unknown = [name for name in self._environment if name.startswith(ENVIRONMENT_PREFIX) and not _is_known(name)]
        if unknown:
            self.warnings.append(f"{ENVIRONMENT}: unknown names, ignored: {', '.join(sorted(unknown))}")
        real_work = real_work or ("profile" in wanted and self._of("profile", given) == "prod")
        above: dict[str, Sequence[str]] = dict(given)
        filled: dict[str, Given] = {}
        for place, values in layers:
            filled |= _of_layer(place, values, above, wanted)
            above |= {name: each.texts for name, each in filled.items()}
            if real_work:
                filled |= _of_writer(place, values, above, wanted)
                above |= {name: each.texts for name, each in filled.items()}
        self.origins = {name: f"{each.variable} in {each.place}" for name, each in filled.items()}
        return filled

    def _of(self, setting: str, given: Mapping[str, Sequence[str]]) -> str | None:
        """Return what a setting of one value is, as far as it is known by now."""
        option = given.get(setting)
        return option[-1] if option else self.values.get(variable_of(setting))

    def _file(self, given: Mapping[str, Sequence[str]]) -> EnvFile | None:
        named = self._of("env_file", given)
        path = Path(named) if named else find_env_file(self._directory)
        if path is None:
            return None
        file = read_env_file(path, _is_known)
        variable = variable_of("providers_file")
        if self._of("providers_file", given) or variable in file.values or (self._directory / DEFAULT_FILE).is_file():
            # Such a file may name any key.
            return read_env_file(path, lambda name: _is_known(name) or is_key_variable(name))
        return file


def _is_known(name: str) -> bool:
    first = _FURTHER.sub("", name) if is_key_variable(name) else name
    return name in _VARIABLES or first in _KEYS or _OTHER_NAMES.fullmatch(name) is not None


def _of_layer(
    place: str, values: Mapping[str, str], above: Mapping[str, Sequence[str]], wanted: Collection[str]
) -> dict[str, Given]:
    """Return what one layer gives to settings that are wanted, not given above, and do not contradict what is."""
    given = {}
    for name in wanted:
        variable = variable_of(name)
        if name in _SETTINGS and variable in values and name not in above and not _contradicts(name, above):
            given[name] = Given(variable=variable, place=place, texts=_texts(name, values[variable], variable, place))
    return given


def _of_writer(
    place: str, values: Mapping[str, str], above: Mapping[str, Sequence[str]], wanted: Collection[str]
) -> dict[str, Given]:
    """Return what one layer's WRITER_ variables give to settings that nothing above gave."""
    return {
        name: Given(variable=variable, place=place, texts=(text,))
        for name, (variable, text) in writer_settings(values, place, wanted).items()
        if name not in above and not _contradicts(name, above)
    }


def _texts(name: str, value: str, variable: str, place: str) -> tuple[str, ...]:
    """Return the value of a setting, or the values of a list."""
    if not isinstance(_SETTINGS[name].default, tuple):
        return (value,)
    if name in _NAMES and not value.lstrip().startswith("["):
        return tuple(value.split())
    return _listed(value, f"{variable} in {place}")


def _listed(value: str, origin: str) -> tuple[str, ...]:
    try:
        return msgspec.json.decode(value, type=tuple[str, ...])
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise ConfigError(f'{origin} must be a JSON array of texts, like ["A", "B"]: {error}') from error


def _contradicts(name: str, above: Mapping[str, Sequence[str]]) -> bool:
    """Say whether a setting would exclude one that was given above it."""
    if name in SOURCES:
        return any(source in above for source in SOURCES)
    # What is not given above stands at what excludes nothing.
    providers = above.get("provider", [])
    excluded = {
        "provider": "base_url" in above,
        "base_url": "provider" in above,
        "model": len(providers) > 1,
        "simulator": "base_url" in above or ("provider" in above and "simulator" not in providers),
        "concurrency": list(above.get("mode", [])) == ["serial"],
        **dict.fromkeys(_NOT_MEASURED, list(above.get("profile", [])) == ["bench"]),
    }
    return excluded.get(name, False)


def origin_hint(message: str, origins: Mapping[str, str]) -> str:
    """Return where the settings that a message names come from, if not from options."""
    named = [said for setting, said in origins.items() if re.search(rf"{option_name(setting)}(?![\w-])", message)]
    return f"set by {' and '.join(named)}" if named else ""
