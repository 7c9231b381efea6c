"""From arguments to the command's code; and every error as one message and an exit code, never a traceback."""

from __future__ import annotations

import importlib
import os
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.arguments import parse
from bench.cli.context import FAILED, INTERRUPTED, WRONG_USAGE, Context
from bench.cli.layers import Layers, origin_hint
from bench.cli.messages import fail, fail_with, note, prepare_streams, warn
from bench.environment import raise_open_files
from bench.errors import BenchError, ConfigError
from bench.logcontext import Scrubber
from bench.observe.text import printable
from bench.providers import is_key_variable

if TYPE_CHECKING:
    from collections.abc import Sequence


def dispatch(argv: Sequence[str]) -> int:
    """Run the command that the arguments name, and return the exit code."""
    prepare_streams()
    layers = Layers(os.environ, Path())
    try:
        return _execute(argv, layers)
    except ConfigError as error:
        _warn_of(layers)
        fail_with(error, _scrubber(layers), origin_hint(error.message, layers.origins))
        return WRONG_USAGE
    except BenchError as error:
        fail_with(error, _scrubber(layers))
        return FAILED
    except KeyboardInterrupt:
        note("interrupted")
        return INTERRUPTED
    except Exception as bug:  # noqa: BLE001 - the command's edge: the user gets a message, the file the traceback
        _report_crash(bug, layers)
        return FAILED


def _execute(argv: Sequence[str], layers: Layers) -> int:
    parsed = parse(argv, layers)
    if not parsed.settings.get("quiet", False):
        _warn_of(layers)
    # Now, because the servers that a command starts inherit it.
    raise_open_files()
    # By name: of the commands' modules, each with libraries of its own, only one is needed.
    module = importlib.import_module(f"bench.cli.{parsed.command.name}")
    context = Context(environment=layers.values, words=parsed.words, given=parsed.given)
    code: int = module.execute(parsed.settings, context)
    return code


def _warn_of(layers: Layers) -> None:
    """Say what is odd about the environment and the env file, once."""
    while layers.warnings:
        warn(printable(layers.warnings.pop(0)))


def _scrubber(layers: Layers) -> Scrubber:
    """Return what takes out every key that the command was given, of whatever provider."""
    return Scrubber(value for name, value in layers.values.items() if is_key_variable(name))


def _report_crash(bug: Exception, layers: Layers) -> None:
    """Keep the traceback of a failure outside any run, without secrets, and say where it is."""
    scrub = _scrubber(layers)
    descriptor, path = tempfile.mkstemp(prefix="concurrent_bigmodel-", suffix=".log")
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(scrub("".join(traceback.format_exception(bug))))
    fail(printable(scrub(f"this program failed ({type(bug).__name__}: {bug})")), f"the traceback is in {path}")
