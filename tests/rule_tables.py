"""Tables of the documents that name a test for each rule, and the tests that are named after rules."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]

#: A rule's number, the file of a test of it, and the test's name.
Held = tuple[int, str, str]


def sources() -> dict[str, str]:
    """Return the text of every file of tests, by its path below the project's folder."""
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/*.py")}


def listed(document: str, heading: str, letter: str) -> set[Held]:
    """Return what the table below a heading names.

    Args:
        document: Its path below the project's folder.
        heading: The beginning of the heading.
        letter: The rules' own, capital: R for `R-01`.
    """
    table = (ROOT / document).read_text(encoding="utf-8").partition(f"\n## {heading}")[2]
    return {
        (int(rule), file, name)
        for rule, cells in re.findall(rf"^\| {letter}-(\d\d) \|(.*)$", table, re.MULTILINE)
        for file, name in re.findall(r"`(\S+?)::(\w+)`", cells)
    }


def named(letter: str) -> set[Held]:
    """Return the tests that are named after rules of a letter; one may be named after several."""
    small = letter.lower()
    return {
        (int(rule), file, name)
        for file, text in sources().items()
        for name in re.findall(rf"^def (test_{small}\d\d_\w+)", text, re.MULTILINE)
        for rule in re.findall(rf"_{small}(\d\d)(?=_)", name)
    }


def absent(held: set[Held]) -> set[tuple[str, str]]:
    """Return the tests among those that a table names which are not there."""
    texts = sources()
    return {(file, name) for _, file, name in held if f"def {name}(" not in texts.get(file, "")}


def unlisted(letter: str, held: set[Held]) -> set[tuple[int, str]]:
    """Return the rules and files of tests named after a rule whose row does not name that file."""
    return {each[:2] for each in named(letter)} - {each[:2] for each in held}
