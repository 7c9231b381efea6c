"""The rules of the house that no linter holds: sizes, clocks, who may print and exit, and what the locks hold."""

from __future__ import annotations

import ast
import dataclasses
import itertools
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bench.cli.writer_variables import WRITER_VARIABLES
from bench.config import ConcurrentConfig
from bench.config.service import TOKEN_VARIABLE, ServiceConfig
from bench.providers import PROVIDERS
from tests.rule_tables import listed, named, unlisted

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
MAX_FILE_LINES: Final = 300
MAX_TEST_FILE_LINES: Final = 400
MAX_FUNCTION_LINES: Final = 40

#: Where the wall clock is read for a label in UTC, never for a duration.
WALL_CLOCK_LABELS: Final = frozenset({"bench/clock.py", "bench/simulator/exchange.py"})

#: Names after which a value is wall time, and so no good for a duration.
WALL_CLOCKS: Final = frozenset({"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today"})

#: What only the command may do; `bench/cli` is the command.
COMMAND_ONLY: Final = frozenset({"print", "sys.exit", "os._exit", "exit", "quit"})

#: Where a process must end without unwinding: with its parent gone it has nobody to report to.
EXITS: Final = frozenset(
    {"bench/engines/cluster/local_nodes.py", "bench/engines/process_worker.py"}
    | {"bench/endpoints/local_server.py", "bench/simulator/child.py"}
)

BENCH: Final = [*sorted(ROOT.glob("bench/**/*.py")), *ROOT.glob("concurrent_bigmodel.py")]
TESTS: Final = sorted(ROOT.glob("tests/**/*.py"))
LOCKS: Final = [f"requirements{part}.lock" for part in ("", "-serve", "-distributed", "-all", "-local")]


def relative(path: Path) -> str:
    """Return the path below the project's folder, with slashes."""
    return path.relative_to(ROOT).as_posix()


def functions_over(source: str, most_lines: int) -> Iterator[str]:
    """Yield each function of a source that is longer than allowed, its docstring not counted, as `name: lines`."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = node.body[0]
        has_docstring = ast.get_docstring(node) is not None
        docstring_lines = (first.end_lineno or 0) - first.lineno + 1 if has_docstring else 0
        lines = (node.end_lineno or 0) - node.lineno + 1 - docstring_lines
        if lines > most_lines:
            yield f"{node.name}: {lines}"


def names_used(source: str, names: frozenset[str]) -> list[str]:
    """Return which of the given dotted names, by their last two parts, a source reads, as `name, line`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name | ast.Attribute):
            dotted = ".".join(ast.unparse(node).rsplit(".", 2)[-2:])
            if dotted in names:
                found.append(f"{dotted}, line {node.lineno}")
    return found


def locked(lock: str) -> dict[str, list[Requirement]]:
    """Return the pinned requirements of a lock file, by name; one package may be pinned once for each Python."""
    pins: dict[str, list[Requirement]] = {}
    for line in (ROOT / lock).read_text(encoding="utf-8").splitlines():
        if re.match(r"[A-Za-z0-9]", line):
            requirement = Requirement(line.rstrip("\\ "))
            pins.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return pins


@pytest.mark.parametrize(("paths", "most_lines"), [(BENCH, MAX_FILE_LINES), (TESTS, MAX_TEST_FILE_LINES)])
def test_file_sizes(paths: list[Path], most_lines: int) -> None:
    """No file is longer than one can hold in the head."""
    lines = {relative(path): len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    assert {name: count for name, count in lines.items() if count > most_lines} == {}


def test_function_sizes() -> None:
    """No function is longer than a screen, its docstring not counted."""
    long = {relative(path): [*functions_over(path.read_text(encoding="utf-8"), MAX_FUNCTION_LINES)] for path in BENCH}
    assert {name: functions for name, functions in long.items() if functions} == {}


def test_function_sizes_are_seen() -> None:
    """A function's length is its lines without its docstring, also for a method and for a coroutine."""
    body = "\n".join(["        x = 1"] * 4)
    source = f'class A:\n    async def short(self):\n        """One.\n\n        Two."""\n{body}\n'
    assert list(functions_over(source, 5)) == []
    assert list(functions_over(source, 4)) == ["short: 5"]


def test_r06_wall_clock() -> None:
    """Durations never come from the wall clock: it is read only where a label in UTC is made."""
    sources = {relative(path): path.read_text(encoding="utf-8") for path in BENCH}
    assert {name for name, text in sources.items() if names_used(text, WALL_CLOCKS)} == WALL_CLOCK_LABELS
    from_time = [name for name, text in sources.items() if re.search(r"^\s*from time import", text, re.MULTILINE)]
    assert from_time == [], "import the module, so that the reader sees which clock is read"


def test_names_are_seen() -> None:
    """A forbidden name is seen with and without the modules before it, and not in strings or longer names."""
    source = "import datetime\nx = datetime.datetime.now()\ny = 'time.time'\nz = sprint()\nprint(1)\n"
    assert names_used(source, WALL_CLOCKS | COMMAND_ONLY) == ["datetime.now, line 2", "print, line 5"]


def test_only_the_command_prints_and_exits() -> None:
    """Below the command nothing prints, exits or asserts: it returns records and raises errors."""
    below = {path: relative(path) for path in BENCH if not relative(path).startswith(("bench/cli/", "concurrent_"))}
    sources = {name: path.read_text(encoding="utf-8") for path, name in below.items()}
    used = {name: names_used(text, COMMAND_ONLY) for name, text in sources.items() if name not in EXITS}
    assert {name: uses for name, uses in used.items() if uses} == {}
    asserts = {
        name: [node.lineno for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Assert)]
        for name, text in sources.items()
    }
    assert {name: lines for name, lines in asserts.items() if lines} == {}


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_name_no_address(lock: str) -> None:
    """A lock pins versions by hash and leaves open from where they come."""
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert "://" not in text
    assert all("==" in str(pin.specifier) for pins in locked(lock).values() for pin in pins)
    assert text.count("--hash=sha256:") >= len(locked(lock))


def test_locks_hold_what_is_declared() -> None:
    """Every declared package is in its lock, in a version that the declaration allows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    plain = project["project"]["dependencies"]
    extras = project["project"]["optional-dependencies"]
    declared = {
        "requirements.lock": plain,
        "requirements-serve.lock": [*plain, *extras["serve"]],
        "requirements-distributed.lock": [*plain, *extras["distributed"]],
        "requirements-all.lock": [
            *plain,
            *extras["serve"],
            *extras["distributed"],
            *itertools.chain.from_iterable(project["dependency-groups"].values()),
        ],
        "requirements-local.lock": extras["local"],
    }
    for lock, requirements in declared.items():
        pins = locked(lock)
        for requirement in map(Requirement, requirements):
            versions = [str(pin.specifier).removeprefix("==") for pin in pins[canonicalize_name(requirement.name)]]
            assert all(requirement.specifier.contains(version) for version in versions), (lock, str(requirement))


@pytest.mark.parametrize("smaller", ["requirements.lock", "requirements-serve.lock", "requirements-distributed.lock"])
def test_the_larger_lock_holds_the_smaller(smaller: str) -> None:
    """Whoever installs the development lock has the other locks' versions: the set-up script relies on it."""
    development = locked("requirements-all.lock")
    environment = {str(key): str(value) for key, value in default_environment().items()}
    for name, pins in locked(smaller).items():
        mine = [pin.specifier for pin in pins if pin.marker is None or pin.marker.evaluate(environment)]
        theirs = [pin.specifier for pin in development[name] if pin.marker is None or pin.marker.evaluate(environment)]
        assert mine == theirs, name


def test_the_settings_template_names_what_is_read() -> None:
    """The template of the env file sets nothing, and names every preset's key, every option and nothing else."""
    lines = (ROOT / "concurrent_config.env.example").read_text(encoding="utf-8").split()
    assert not [line for line in lines if re.match(r"[A-Z0-9_]+=", line)]
    names = {line[1:].partition("=")[0] for line in lines if re.match(r"#[A-Z0-9_]+=", line)}
    keys = {preset.key_env for preset in PROVIDERS.values() if preset.key_env} | {"CONCURRENT_API_KEY"}
    settings = (*dataclasses.fields(ConcurrentConfig), *dataclasses.fields(ServiceConfig))
    options = {f"CONCURRENT_{field.name.upper()}" for field in settings}
    assert names == keys | options | set(WRITER_VARIABLES) | {TOKEN_VARIABLE}


def test_every_rule_has_its_test() -> None:
    """The table of rules names, for each rule, a test in every file that has one, and no test that is not there."""
    held = listed("docs/measuring.md", "Which test holds which rule", "R")
    assert held - named("R") == set()
    assert unlisted("R", held) == set()
    # The twenty-ninth is about what tracing costs, which a script measures: no test can on a machine that is shared.
    assert {rule for rule, *_ in held} == {*range(1, 50)} - {29}
