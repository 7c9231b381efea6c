"""Names of a book's files: safe on every file system, whatever a title holds."""

from __future__ import annotations

import unicodedata
from typing import Final

#: File systems take 255 bytes; what is put before and behind a name by those who copy it needs some of them.
MAX_NAME_BYTES: Final = 200

#: Chapters are counted with at least two digits, so that they sort as they stand in the book.
_LEAST_DIGITS: Final = 2

_ENDING: Final = ".md"

#: Categories of characters that a name keeps: letters, marks on them, and digits. All others become a dash.
_KEPT: Final = frozenset({"Ll", "Lm", "Lo", "Lt", "Lu", "Mc", "Mn", "Nd"})


def chapter_file(number: int, title: str, *, chapters: int, version: int = 0) -> str:
    """Return the name of a chapter's file, as `01-what-the-title-says.md`, or `..-v2.md` of its second version.

    The number comes first: so no two chapters share a name, also where case does not count, and none is a name that
    some system keeps for itself.

    Args:
        number: The chapter's place in the book, from 1.
        title: Its title, any text.
        chapters: How many chapters the book has.
        version: Which version it is, from 0.
    """
    digits = max(_LEAST_DIGITS, len(str(chapters)))
    head = f"{number:0{digits}d}"
    tail = f"-v{version + 1}{_ENDING}" if version else _ENDING
    slug = _slug(title, MAX_NAME_BYTES - len(head) - len("-") - len(tail))
    return f"{head}-{slug}{tail}" if slug else f"{head}{tail}"


def _slug(title: str, at_most_bytes: int) -> str:
    """Return the letters and digits of a title in lower case, with a dash for all that is between them."""
    # The form in which both kinds of file systems, those that compose letters and those that do not, agree.
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", title).lower())
    kept = "".join(char if unicodedata.category(char) in _KEPT else "-" for char in plain)
    words = "-".join(part for part in kept.split("-") if part)
    cut = words.encode()[:at_most_bytes].decode(errors="ignore")
    return cut.strip("-")
