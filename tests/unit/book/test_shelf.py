"""A book's folder: what others changed is never written over, what is gone goes, and one process writes at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from bench.book.passes import Kept
from bench.book.records import Answer, BookManifest
from bench.book.shelf import Shelf, owned
from bench.errors import ConfigError, JournalError
from bench.records import ErrorInfo, Status
from bench.workload.chapters import Chapter, Outline
from tests.disks import files_limited_to

if TYPE_CHECKING:
    from pathlib import Path

OTHER_PROCESS: Final = """
import pathlib, sys
from bench.book.shelf import owned
with owned(pathlib.Path(sys.argv[1])):
    print("has it", flush=True)
    sys.stdin.read()
"""


def outline(*titles: str) -> Outline:
    """Return an outline."""
    return Outline(
        name="o.xlsx",
        title="A *book*",
        chapters=tuple(
            Chapter(number=number, module="M <b>", topic=title, outline="", description="", row_id=f"row-{title}")
            for number, title in enumerate(titles, 1)
        ),
    )


def answer(text: str | None, *, status: Status = "ok", version: int = 0) -> Kept:
    """Return an answer of a run."""
    return Kept(
        run="run-1",
        answer=Answer(
            task_id=f"0-i0-v{version}",
            index=0,
            version=version,
            custom_id=None,
            status=status,
            content=text,
            finish_reason="stop" if status == "ok" else None,
            error=None if status == "ok" else ErrorInfo(type="server_error", message="no *luck*"),
            provider="p",
            model="m",
            prompt_tokens=1,
            completion_tokens=2,
        ),
    )


class Book:
    """A folder, and what was said about it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: list[str] = []

    def shelf(self, *titles: str, versions: int = 1) -> Shelf:
        """Open it anew, as another call of the command does."""
        return Shelf(self.folder, outline(*titles), versions=versions, coherence="outline", tell=self.told.append)

    def files(self) -> dict[str, str]:
        """Return the chapters' files."""
        return {
            path.name: path.read_text(encoding="utf-8") for path in self.folder.glob("*.md") if path.name != "book.md"
        }

    def manifest(self) -> BookManifest:
        """Return what the manifest says."""
        return msgspec.json.decode((self.folder / "manifest.json").read_bytes(), type=BookManifest)


@pytest.fixture
def book(tmp_path: Path) -> Book:
    """Return an empty folder."""
    return Book(tmp_path)


def test_files_as_answers_come(book: Book) -> None:
    """A chapter's file is there as soon as its answer is; book and manifest are there at the end, and agree with it."""
    shelf = book.shelf("A", "B")
    shelf.put(answer("text of A"), 0, "first", fresh=True)
    assert book.files() == {"01-a.md": "# 1\\. A\n\ntext of A\n"}
    shelf.put(answer(None, status="failed"), 1, "first", fresh=True)
    shelf.finish()
    whole = (book.folder / "book.md").read_text(encoding="utf-8")
    assert (
        "- [M \\<b\\>](#module-1)\n  - [1\\. A](#chapter-1) ([file](01-a.md))\n  - 2\\. B (not written: server" in whole
    )
    assert '<a id="chapter-1"></a>\n\n### 1\\. A\n\ntext of A\n' in whole
    assert "chapter-2" not in whole
    a, b = book.manifest().chapters
    assert (a.status, a.file, a.of_pass, a.run, a.completion_tokens) == ("ok", "01-a.md", "first", "run-1", 2)
    assert (b.status, b.file) == ("failed", None)
    assert b.error == ErrorInfo(type="server_error", message="no *luck*")
    assert not shelf.complete


def test_chapters_stand_in_the_outlines_order(book: Book) -> None:
    """Whichever answer comes first, contents, texts and manifest have the chapters in the outline's order."""
    titles = ("A", "B", "C")
    shelf = book.shelf(*titles)
    for index in (2, 0, 1):
        shelf.put(answer(f"text of {titles[index]}"), index, "first", fresh=True)
    shelf.finish()
    whole = (book.folder / "book.md").read_text(encoding="utf-8")
    parts = [f"[{number}\\. {title}]" for number, title in enumerate(titles, 1)]
    parts += [f"text of {title}" for title in titles]
    assert sorted(parts, key=whole.index) == parts
    assert [each.title for each in book.manifest().chapters] == [*titles]


def test_an_error_is_no_text(book: Book) -> None:
    """What a failed answer carried is written into no file."""
    shelf = book.shelf("A")
    shelf.put(answer("half an answ", status="failed"), 0, "first", fresh=True)
    shelf.finish()
    assert not book.files()
    assert "half an answ" not in (book.folder / "book.md").read_text(encoding="utf-8")


def test_the_first_version_that_there_is(book: Book) -> None:
    """The book has the first version with a text, and links the files of all."""
    shelf = book.shelf("A", versions=3)
    shelf.put(answer(None, status="failed"), 0, "first", fresh=True)
    for version in (1, 2):
        shelf.put(answer(f"text {version + 1}", version=version), 0, "first", fresh=True)
    shelf.finish()
    whole = (book.folder / "book.md").read_text(encoding="utf-8")
    assert "text 2" in whole
    assert "text 3" not in whole
    assert "([version 2](01-a-v2.md), [version 3](01-a-v3.md))" in whole


def test_a_changed_file_stays(book: Book) -> None:
    """A file that somebody changed stays where its text is the old one; a new text stands beside what was changed."""
    shelf = book.shelf("A")
    shelf.put(answer("old"), 0, "first", fresh=True)
    shelf.finish()
    (book.folder / "01-a.md").write_text("mine", encoding="utf-8")
    again = book.shelf("A")
    again.put(answer("old"), 0, "first", fresh=False)
    again.finish()
    assert book.files() == {"01-a.md": "mine"}
    assert "left as it is" in book.told[-1]
    anew = book.shelf("A")
    anew.put(answer("new"), 0, "first", fresh=True)
    anew.finish()
    files = book.files()
    assert files.pop("01-a.md") == "# 1\\. A\n\nnew\n"
    assert list(files.values()) == ["mine"]
    assert "kept as 01-a.changed-" in book.told[-1]


def test_lost_files_come_back(book: Book) -> None:
    """A file that is gone, or a manifest that is damaged, is written again from the answers."""
    shelf = book.shelf("A", "B")
    for index in (0, 1):
        shelf.put(answer("text"), index, "first", fresh=True)
    shelf.finish()
    before = book.files()
    (book.folder / "02-b.md").unlink()
    (book.folder / "manifest.json").write_text("{", encoding="utf-8")
    again = book.shelf("A", "B")
    for index in (0, 1):
        again.put(answer("text"), index, "first", fresh=False)
    again.finish()
    assert book.files() == before
    assert again.complete
    assert not book.told


def test_chapters_that_are_gone(book: Book) -> None:
    """The file of a chapter that has another place or is gone is removed, unless somebody changed it."""
    shelf = book.shelf("A", "B", "C")
    for index in (0, 1, 2):
        shelf.put(answer("text"), index, "first", fresh=True)
    shelf.finish()
    (book.folder / "03-c.md").write_text("mine", encoding="utf-8")
    again = book.shelf("B")
    again.put(answer("text"), 0, "first", fresh=False)
    again.finish()
    assert set(book.files()) == {"01-b.md", "03-c.md"}
    assert "03-c.md is of no chapter any more" in book.told[-1]


def test_a_foreign_manifest_removes_nothing(book: Book, tmp_path: Path) -> None:
    """A manifest that names files outside of the folder is no reason to touch them."""
    shelf = book.shelf("A")
    shelf.put(answer("text"), 0, "first", fresh=True)
    shelf.finish()
    page = (book.folder / "01-a.md").read_bytes()
    outside = tmp_path.parent / "outside.md"
    outside.write_bytes(page)
    path = book.folder / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"01-a.md"', b'"../outside.md"'))
    book.shelf("B").finish()
    assert outside.read_bytes() == page


def test_unwritable(book: Book) -> None:
    """A file that cannot be written is an error with its name."""
    (book.folder / "01-a.md").mkdir()
    with pytest.raises(JournalError, match=r"01-a\.md"):
        book.shelf("A").put(answer("text"), 0, "first", fresh=True)


def test_a_full_disk_tears_no_file(book: Book) -> None:
    """Where a new text cannot be written whole, the file of the one before stays whole."""
    shelf = book.shelf("One")
    shelf.put(answer("Short."), 0, "first", fresh=True)
    before = book.files()
    with files_limited_to(1000), pytest.raises(JournalError, match=r"01-one\.md"):
        shelf.put(answer("Long. " * 1000), 0, "second", fresh=True)
    assert book.files() == before


def test_one_writer(tmp_path: Path) -> None:
    """While one process writes a book, another is refused; when it ends, however it does, the next one is not."""
    folder = tmp_path / "book"
    with subprocess.Popen(
        [sys.executable, "-c", OTHER_PROCESS, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"has it\n"
        with pytest.raises(ConfigError, match="another process writes the book"), owned(folder):
            pass
        other.kill()
    with owned(folder):
        assert (folder / "runs").is_dir()


def test_no_folder_to_be_had(tmp_path: Path) -> None:
    """A folder that cannot be made is refused before anything is sent."""
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be written"), owned(tmp_path / "file"):
        pass
