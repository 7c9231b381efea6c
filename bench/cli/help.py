"""The help pages, as plain text made from the table of options.

They are made here and not by the library that parses the arguments, because that takes four times as long: a help page
should be there at once, and costs 0.1 s of CPU this way.
"""

from __future__ import annotations

import shutil
import textwrap
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.cli.commands import COMMANDS, DEFAULT, Command
from bench.cli.options import ENVIRONMENT_PREFIX, PROGRAM, Option, negative
from bench.settings import GROUPS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_HELP_FLAGS: Final = frozenset({"--help", "-h"})

#: Lines longer than this are hard to follow, however wide the terminal.
_MOST_COLUMNS: Final = 100
_FEWEST_COLUMNS: Final = 40

#: On a narrower terminal a text begins below its option, not beside it.
_FEWEST_COLUMNS_BESIDE: Final = 70

#: An option whose name takes more columns has its text begin on the next line.
_NAME_COLUMNS: Final = 26

_ABOUT: Final = "Run a batch of LLM work over any OpenAI-compatible API, under the concurrency model of your choice."

_SETTINGS: Final = (
    "An option on the command line goes before the environment variable of its name "
    f"({ENVIRONMENT_PREFIX}MAX_TOKENS for --max-tokens), that before the env file, and that before the default. "
    "Keys are set in the environment or the env file only: BIGMODEL_API_KEY and its like, and "
    f"{ENVIRONMENT_PREFIX}API_KEY for --base-url."
)

_EXIT_CODES: Final = (
    "Exit codes: 0 every task succeeded; 1 some task failed, or the run had to stop; 2 wrong usage or configuration, "
    "nothing was sent; 130 interrupted, records kept."
)


def requested_page(argv: Sequence[str], columns: int | None = None) -> str | None:
    """Return the page that the arguments ask for with `--help`, `-h` or `--version`, or None.

    Args:
        argv: The arguments, without the program's name.
        columns: Width of the page; the terminal's when None.
    """
    options = argv[: argv.index("--")] if "--" in argv else argv
    if _HELP_FLAGS & set(options):
        width = columns or shutil.get_terminal_size().columns
        width = min(max(width, _FEWEST_COLUMNS), _MOST_COLUMNS)
        named = COMMANDS.get(argv[0])
        return "\n".join(_root_page(width) if named is None else _command_page(named, width)) + "\n"
    if argv and argv[0] == "--version":
        return f"{version()}\n"
    return None


def version() -> str:
    """Return the program's version."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    return str(project["project"]["version"])


def _root_page(width: int) -> Iterator[str]:
    yield from textwrap.wrap(f"Usage: {PROGRAM} [COMMAND] [OPTIONS]", width, subsequent_indent="  ")
    yield from ("", *textwrap.wrap(_ABOUT, width), "", "Commands")
    for command in COMMANDS.values():
        yield from _entry(command.name, command.summary, width)
    yield from _entry("COMMAND --help", "the options of a command; below are those of run", width)
    yield from _options(DEFAULT.options(), width)
    yield from ("", *textwrap.wrap(_SETTINGS, width), "", *textwrap.wrap(_EXIT_CODES, width))


def _command_page(command: Command, width: int) -> Iterator[str]:
    words = f" {command.words}" if command.words else ""
    yield from textwrap.wrap(f"Usage: {PROGRAM} {command.name}{words} [OPTIONS]", width, subsequent_indent="  ")
    summary = f"{command.summary[0].upper()}{command.summary[1:]}."
    yield from ("", *textwrap.wrap(f"{summary} {command.details}", width))
    yield from _options(command.options(), width)
    if command.layered:
        yield from ("", *textwrap.wrap(_SETTINGS, width))


def _options(options: Sequence[Option], width: int) -> Iterator[str]:
    # A command's own groups come first, then those of a run.
    present = dict.fromkeys(option.group for option in options)
    shared = (*GROUPS, "Options")
    for group in (*(group for group in present if group not in shared), *(g for g in shared if g in present)):
        yield from ("", group)
        for option in options:
            if option.group == group:
                yield from _entry(_names(option), _text(option), width)


def _names(option: Option) -> str:
    name = f"{option.alias}, {option.name}" if option.alias else option.name
    if option.is_switch:
        # What is off can only be switched on; what is on, or is what something else makes it, can be switched off.
        return name if option.default is False else f"{name}, {negative(option.name)}"
    kind = "CHOICE" if option.choices else "N" if option.hint in {int, int | None, float, float | None} else "TEXT"
    return f"{name} {option.metavar or kind}"


def _text(option: Option) -> str:
    text = option.help
    if option.choices:
        text += f": {', '.join(option.choices)}"
    if option.hint is bool:
        return f"{text} (default: {option.name})" if option.default else text
    if option.default in {None, ()}:
        return text
    shown = " ".join(map(str, option.default)) if isinstance(option.default, tuple) else option.default
    if isinstance(shown, float):
        shown = f"{shown:g}"
    return f"{text} (default: {shown})"


def _entry(name: str, text: str, width: int) -> Iterator[str]:
    beside = width >= _FEWEST_COLUMNS_BESIDE
    indent = " " * (_NAME_COLUMNS + 4 if beside else 6)
    lines = textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
    if beside and len(name) <= _NAME_COLUMNS and lines:
        lines[0] = f"  {name:<{_NAME_COLUMNS}}  {lines[0].strip()}"
    else:
        yield from textwrap.wrap(name, width, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)
    yield from lines
