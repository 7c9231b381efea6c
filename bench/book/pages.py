"""The pages of a book in Markdown: a chapter, and the whole book with its table of contents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bench.book.markdown import body_text, title_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bench.book.records import ChapterEntry
    from bench.workload.chapters import Chapter, Outline

#: Levels of headings: a chapter's title on its own page; and in the book, below its title and that of a module.
_PAGE_LEVEL: Final = 1
_MODULE_LEVEL: Final = 2
_CHAPTER_LEVEL: Final = 3


def chapter_page(chapter: Chapter, text: str) -> str:
    """Return the page of a chapter: its title, and its text below that."""
    return f"{_heading(_PAGE_LEVEL, chapter)}\n\n{body_text(text, below=_PAGE_LEVEL)}"


def book_page(outline: Outline, entries: Iterable[ChapterEntry], texts: Mapping[tuple[int, int], str]) -> str:
    """Return the whole book: title, contents with links to modules and chapters, and the text of each chapter.

    Of a chapter with several versions it has the first one that there is; the contents link the files of the others.

    Args:
        outline: The outline.
        entries: What is known of each version of each chapter.
        texts: The texts by chapter (from 1) and version (from 0).
    """
    versions: dict[int, list[ChapterEntry]] = {}
    for entry in entries:
        versions.setdefault(entry.number, []).append(entry)
    contents: list[str] = []
    body: list[str] = []
    modules = 0
    module = ""
    for chapter in outline.chapters:
        if chapter.module != module:
            module, modules = chapter.module, modules + 1
            contents.append(f"- [{title_text(module)}](#module-{modules})")
            body.append(f'<a id="module-{modules}"></a>\n\n{"#" * _MODULE_LEVEL} {title_text(module)}\n')
        of_chapter = versions[chapter.number]
        contents.append(f"{'  ' if module else ''}- {_line(chapter, of_chapter)}")
        first = next((entry for entry in of_chapter if entry.status == "ok"), None)
        if first is not None:
            text = texts[chapter.number, first.version - 1]
            body.append(
                f'<a id="{_anchor(chapter)}"></a>\n\n{_heading(_CHAPTER_LEVEL, chapter)}\n\n'
                f"{body_text(text, below=_CHAPTER_LEVEL)}"
            )
    return "\n".join([f"# {title_text(outline.title)}\n", *contents, "", *body])


def _line(chapter: Chapter, versions: Sequence[ChapterEntry]) -> str:
    """Return a chapter's line in the contents."""
    name = f"{chapter.number}\\. {title_text(chapter.topic)}"
    written = [entry for entry in versions if entry.status == "ok"]
    if not written:
        error = versions[0].error
        return f"{name} (not written: {title_text(versions[0].status if error is None else error.type)})"
    files = [f"[{'file' if len(versions) == 1 else f'version {entry.version}'}]({entry.file})" for entry in written]
    return f"[{name}](#{_anchor(chapter)}) ({', '.join(files)})"


def _anchor(chapter: Chapter) -> str:
    return f"chapter-{chapter.number}"


def _heading(level: int, chapter: Chapter) -> str:
    return f"{'#' * level} {chapter.number}\\. {title_text(chapter.topic)}"
