"""The table of faults in docs/reliability.md and the tests that it names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]

#: About what is not there: a cache, an outline of chapters, a queue and a status service, a race of providers, tracing.
NOT_THERE: Final = frozenset({20, 41, 42, 48, 54, 55, 56})

#: Rows whose promise no test shows yet.
NO_TEST_YET: Final = frozenset({9})


def test_every_fault_has_its_test() -> None:
    """The table of faults names a test for each fault, every file with tests of it, and no test that is not there."""
    table = (ROOT / "docs/reliability.md").read_text(encoding="utf-8").partition("\n## Faults, ")[2]
    listed = {
        (int(row), file, name)
        for row, cells in re.findall(r"^\| F-(\d\d) \|(.*)$", table, re.MULTILINE)
        for file, name in re.findall(r"`(\S+?)::(\w+)`", cells)
    }
    sources = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/*.py")
    }
    missing = {(file, name) for _, file, name in listed if f"def {name}(" not in sources.get(file, "")}
    assert missing == set()
    named = {
        (int(row), file)
        for file, text in sources.items()
        for name in re.findall(r"^def (test_f\d\d_\w+)", text, re.MULTILINE)
        for row in re.findall(r"_f(\d\d)(?=_)", name)
    }
    assert named - {(row, file) for row, file, _ in listed} == set()
    assert {row for row, *_ in listed} == {*range(1, 59)} - NOT_THERE - NO_TEST_YET
