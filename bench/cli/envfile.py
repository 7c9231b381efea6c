"""The env file: one file of KEY=VALUE lines, read as a layer of settings; the process's environment stays as it is."""

from __future__ import annotations

import io
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dotenv.parser import parse_stream

from bench.errors import ConfigError
from bench.providers import is_key_variable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from dotenv.parser import Binding

#: Where settings are looked for when no file is named, in this order; only in the current directory.
DEFAULT_NAMES: Final = ("concurrent_config.env", ".env")

_READABLE_BY_OTHERS: Final = stat.S_IRGRP | stat.S_IROTH


@dataclass(frozen=True, kw_only=True)
class EnvFile:
    """What an env file says.

    Attributes:
        name: What it is called in messages.
        values: Its settings and keys, without those left empty.
        warnings: What is odd about it, by names and line numbers only: a value may be a secret.
    """

    name: str
    values: dict[str, str]
    warnings: tuple[str, ...] = ()


def find_env_file(directory: Path) -> Path | None:
    """Return the env file of a directory, never of its parents, or None."""
    return next((path for name in DEFAULT_NAMES if (path := directory / name).is_file()), None)


def read_env_file(path: Path, is_known: Callable[[str], bool]) -> EnvFile:
    """Read an env file; `$X` in a value stands for itself.

    Args:
        path: The file.
        is_known: Tells whether anything reads a name.

    Raises:
        ConfigError: It cannot be read, or is not UTF-8.
    """
    try:
        data = path.read_bytes()
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigError(
            f"cannot read the env file {path}: {error.strerror}", "name another with --env-file"
        ) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"the env file {path} is not UTF-8 in line {line}", "save it as UTF-8") from error
    # A file of Windows or of the old Macintosh has the same lines.
    bindings = list(parse_stream(io.StringIO(text, newline=None)))
    values = {each.key: each.value for each in bindings if each.key is not None and each.value}
    shared = bool(mode & _READABLE_BY_OTHERS) and any(map(is_key_variable, values))
    warnings = [f"{path}{said}" for said in _oddities(bindings, is_known)]
    if shared:
        warnings.append(f"{path} holds a key and other users may read it: chmod 600 {path}")
    return EnvFile(name=str(path), values=values, warnings=tuple(warnings))


def _oddities(bindings: Sequence[Binding], is_known: Callable[[str], bool]) -> Iterator[str]:
    yield from _odd_lines(bindings)
    # What stands alone on a line may be a secret that lost its name: it is not repeated.
    given = [each for each in bindings if each.key is not None and each.value is not None]
    names = [each.key for each in given if each.key is not None]
    known = [name for name in dict.fromkeys(names) if is_known(name)]
    if unknown := [name for name in dict.fromkeys(names) if not is_known(name)]:
        yield f": unknown names, ignored: {', '.join(unknown)}"
    if twice := [name for name in known if names.count(name) > 1]:
        yield f": given more than once, the last one counts: {', '.join(twice)}"
    last = {each.key: each.value for each in given}
    if empty := [name for name in known if not last[name]]:
        yield f": empty, ignored: {', '.join(empty)}"


def _odd_lines(bindings: Sequence[Binding]) -> Iterator[str]:
    for each in bindings:
        text = each.original.string
        # The parser counts blank lines to what follows them.
        blank_lines = text[: len(text) - len(text.lstrip())].count("\n")
        first = each.original.line + blank_lines
        last = first + text.strip().count("\n")
        if each.error:
            where = f"line {first}" if first == last else f"lines {first} to {last}"
            yield f", {where}: not KEY=VALUE, or a quote that is not closed; ignored"
        elif each.key is not None and each.value is None:
            yield f", line {first}: no = in it; ignored"
        elif each.key is not None and first != last:
            yield f", line {first}: the value of {each.key} goes on over several lines; is a quote not closed?"
