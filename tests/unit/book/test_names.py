"""Names of files: safe whatever a title holds."""

from __future__ import annotations

import unicodedata
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.book.names import MAX_NAME_BYTES, chapter_file

#: Names that Windows keeps for itself, whatever ending they have.
RESERVED: Final = {"con", "prn", "aux", "nul", *(f"{name}{digit}" for name in ("com", "lpt") for digit in range(10))}

TITLES: Final = st.text(max_size=300) | st.sampled_from(
    ["../../etc/passwd", "con", "NUL.txt", "-rf *", "~root", ".hidden", "a\0b", "a\nb", "章" * 200, "é" * 150, "İ" * 99]
)


@given(title=TITLES, number=st.integers(1, 2000), version=st.integers(0, 9))
def test_safe_whatever_the_title(title: str, number: int, version: int) -> None:
    """A name has no separator, no control, nothing that an option or a hidden file begins with, no reserved word, and
    fits everywhere.
    """
    name = chapter_file(number, title, chapters=2000, version=version)
    assert name.endswith(".md")
    assert name.startswith(f"{number:04d}")
    assert not set(name) & set("/\\:*?\"<>|\0\n\r\t~$`&;'")
    assert all(char.isprintable() and not char.isspace() for char in name)
    assert len(name.encode()) <= MAX_NAME_BYTES
    assert name.partition(".")[0].lower() not in RESERVED
    assert unicodedata.normalize("NFC", name) == name


@given(titles=st.lists(TITLES, min_size=1, max_size=30), versions=st.integers(1, 3))
def test_no_two_are_the_same(titles: list[str], versions: int) -> None:
    """No two chapters or versions share a name, also where case and composition of letters do not count."""
    names = [
        chapter_file(number, title, chapters=len(titles), version=version)
        for number, title in enumerate(titles, 1)
        for version in range(versions)
    ]
    assert len({unicodedata.normalize("NFD", name).casefold() for name in names}) == len(names)


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("茶从哪里来？", "03-茶从哪里来.md"),
        ("What is  C++/CLI?", "03-what-is-c-cli.md"),
        ("../../etc/passwd", "03-etc-passwd.md"),
        ("???", "03.md"),
        ("Ｆｕｌｌ width", "03-full-width.md"),
    ],
)
def test_it_says_what_the_title_says(title: str, name: str) -> None:
    """A name is made of the words of its title."""
    assert chapter_file(3, title, chapters=12) == name
    assert chapter_file(3, title, chapters=12, version=1) == name.replace(".md", "-v2.md")
