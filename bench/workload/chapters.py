"""What a book is to be: its chapters in order."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """A row of an outline.

    Attributes:
        number: Its place in the book, from 1.
        module: The module it belongs to, or an empty string.
        topic: Its title.
        outline: What it covers, or an empty string.
        description: Notes on it, or an empty string.
        row_id: Made of its four texts; of rows that are alike, the later ones have a number behind it.
    """

    number: int
    module: str
    topic: str
    outline: str
    description: str
    row_id: str


@dataclass(frozen=True, kw_only=True)
class Outline:
    """The outline of a book.

    Attributes:
        name: The file, for messages.
        title: The book's title: the sheet's name, or the file's where the sheet has none.
        chapters: Its chapters in order, at least one.
    """

    name: str
    title: str
    chapters: tuple[Chapter, ...]
