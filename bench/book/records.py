"""What is stored of a book: `manifest.json`; and what is read of the records of its runs."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from bench.records import ErrorInfo, Status

#: Version of `manifest.json`. 1: first version.
BOOK_SCHEMA_VERSION: Final = 1

#: Which pass a text is of: the first, or the one that knows the neighbours' summaries.
Pass = Literal["first", "second"]

Coherence = Literal["outline", "summary"]


class Answer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is read of a TaskResult."""

    task_id: str
    index: int
    version: int
    custom_id: str | None
    status: Status
    content: str | None
    finish_reason: str | None
    error: ErrorInfo | None
    provider: str
    model: str
    prompt_tokens: int | None
    completion_tokens: int | None
    server_model: str | None = None


class ChapterEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What `manifest.json` says of a version of a chapter.

    Attributes:
        number: The chapter's place in the book, from 1.
        module: Its module, or an empty string.
        title: Its title.
        row_id: Made of the texts of its row.
        version: Which version, from 1 as in the file's name.
        status: `ok` where there is a text; `failed`, `cancelled` or `missing` (no answer yet) where there is none.
        file: The file, in the book's folder.
        sha256: Of the file's bytes as it was written.
        of_pass: Which pass the text is of.
        provider: Who answered.
        model: The model that was asked for.
        server_model: The model that the server says has answered.
        finish_reason: As the server said it; `length` where the text was cut at max_tokens.
        prompt_tokens: Tokens of the request.
        completion_tokens: Tokens of the answer.
        run: The run's id, below `runs/`.
        task_id: The task within the run.
        error: Why there is no text, or none of the second pass.
    """

    number: int
    module: str
    title: str
    row_id: str
    version: int
    status: Literal["ok", "failed", "cancelled", "missing"]
    file: str | None = None
    sha256: str | None = None
    of_pass: Pass | None = msgspec.field(default=None, name="pass")
    provider: str | None = None
    model: str | None = None
    server_model: str | None = None
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    run: str | None = None
    task_id: str | None = None
    error: ErrorInfo | None = None


class BookManifest(msgspec.Struct, frozen=True, kw_only=True):
    """`manifest.json`.

    Attributes:
        title: The book's title.
        outline: The outline's file, as it was named.
        versions: Versions of each chapter.
        coherence: What holds the chapters together.
        complete: Whether every version of every chapter has its text, of the last pass that was asked for.
        book_sha256: Of the bytes of `book.md` as it was written; None before.
        chapters: A row for each version of each chapter, in order.
    """

    schema_version: int = BOOK_SCHEMA_VERSION
    title: str
    outline: str
    versions: int
    coherence: Coherence
    complete: bool
    book_sha256: str | None = None
    chapters: tuple[ChapterEntry, ...]
