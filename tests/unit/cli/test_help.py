"""Help pages: that they tell of every option, and fit."""

from __future__ import annotations

import importlib.util
import inspect
import tomllib
from pathlib import Path

import pytest

from bench.cli.commands import COMMANDS
from bench.cli.help import requested_page
from bench.config import MODES

ROOT = Path(__file__).parents[3]


def page(*argv: str, columns: int = 100) -> str:
    """Return the page that is asked for."""
    text = requested_page(argv, columns)
    assert text is not None
    return text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_told(name: str) -> None:
    """A command's page has each of its options with its help, and says what its environment is."""
    text = page(name, "--help", columns=10_000)
    for option in COMMANDS[name].options():
        assert f"{option.name} " in text or f"{option.name}," in text
        assert option.help, option.name
        assert option.help[:40] in text
    assert ("environment variable" in text) == COMMANDS[name].layered


def test_root_page() -> None:
    """The first page names all commands, the options of a run with choices and defaults, and the exit codes."""
    for flag in ("--help", "-h"):
        text = " ".join(page(flag).split())
        assert all(f" {name} {COMMANDS[name].summary}" in text for name in COMMANDS)
        assert all(mode in text for mode in MODES)
        assert "-c, --concurrency N" in text
        assert "--stream, --no-stream" in text
        assert "(default: 512)" in text
        assert "130 interrupted" in text


@pytest.mark.parametrize("columns", [10, 40, 80, 300])
def test_width(columns: int) -> None:
    """Lines fit the terminal, from 40 columns on, and never get too long to read."""
    widest = max(len(line) for line in page("-h", columns=columns).splitlines())
    assert widest <= min(max(columns, 40), 100)


def test_version() -> None:
    """The version is the project's."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert page("--version").strip() == project["project"]["version"]


@pytest.mark.parametrize("argv", [[], ["run"], ["--topics", "A"], ["--", "--help"], ["-c", "--version"]])
def test_no_page(argv: list[str]) -> None:
    """Arguments that ask for no page get none."""
    assert requested_page(argv) is None


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_code(name: str) -> None:
    """Each command is a module of its name with a function that takes settings and context and returns a code."""
    spec = importlib.util.find_spec(f"bench.cli.{name}")
    assert spec is not None
    assert spec.origin is not None
    assert "def execute(settings: Mapping[str, Any], " in Path(spec.origin).read_text(encoding="utf-8")
    assert inspect.getdoc(COMMANDS[name].options) is not None or name in {"demo", "quick", "performance"}
