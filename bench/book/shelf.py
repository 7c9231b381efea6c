"""A book's folder: a file for each text as soon as it is there, the whole book, and its manifest."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import time
from typing import TYPE_CHECKING, Final

import msgspec

from bench.book.names import chapter_file
from bench.book.pages import book_page, chapter_page
from bench.book.records import BOOK_SCHEMA_VERSION, BookManifest, ChapterEntry
from bench.clock import NS_PER_S
from bench.errors import ConfigError, JournalError
from bench.journal import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bench.book.passes import Kept
    from bench.book.records import Coherence, Pass
    from bench.workload.chapters import Outline

MANIFEST: Final = "manifest.json"
BOOK: Final = "book.md"
RUNS: Final = "runs"

#: While chapters come, the manifest is written this often at most: it has a row for each chapter.
SAVE_EVERY_S: Final = 1.0


class Shelf:
    """Keeps the files of a book up to its answers; for one thread at a time.

    A file that somebody changed is never written over: its new text stands beside it, and the changed one is moved to a
    name of its own; where there is no new text, it stays as it is.

    Args:
        folder: The book's folder; it is there.
        outline: The outline.
        versions: Versions of each chapter.
        coherence: What holds the chapters together.
        tell: Told in a sentence what happens to files of others.
    """

    def __init__(
        self, folder: Path, outline: Outline, *, versions: int, coherence: Coherence, tell: Callable[[str], None]
    ) -> None:
        self._folder = folder
        self._outline = outline
        self._versions = versions
        self._coherence: Coherence = coherence
        self._tell = tell
        self._before = _manifest_before(folder / MANIFEST)
        self._ours = {entry.sha256 for entry in self._before.chapters} if self._before else set()
        self._book_sha256 = self._before.book_sha256 if self._before else None
        self._texts: dict[tuple[int, int], str] = {}
        self._entries = {
            (chapter.number, version): ChapterEntry(
                number=chapter.number,
                module=chapter.module,
                title=chapter.topic,
                row_id=chapter.row_id,
                version=version + 1,
                status="missing",
            )
            for chapter in outline.chapters
            for version in range(versions)
        }
        self._saved_ns = 0

    def __repr__(self) -> str:
        """Show where it is and how far it got."""
        return f"<Shelf {self._folder} texts={len(self._texts)} of {len(self._entries)}>"

    @property
    def entries(self) -> tuple[ChapterEntry, ...]:
        """A row for each version of each chapter, in order."""
        return tuple(self._entries.values())

    @property
    def texts(self) -> dict[tuple[int, int], str]:
        """The text of each version (from 0) of each chapter (from 1) that has one."""
        return dict(self._texts)

    @property
    def complete(self) -> bool:
        """Whether every version of every chapter has its text, of the last pass that was asked for."""
        wanted = "second" if self._coherence == "summary" else "first"
        return all(entry.status == "ok" and entry.of_pass == wanted for entry in self.entries)

    def put(self, kept: Kept, index: int, of_pass: Pass, *, fresh: bool) -> None:
        """Take an answer in, and write the chapter's file.

        Args:
            kept: The answer.
            index: The chapter's place, from 0.
            of_pass: Which pass it is of.
            fresh: Whether it came just now; of an earlier one the file is written only where there is none.

        Raises:
            JournalError: The file cannot be written.
        """
        answer = kept.answer
        place = (index + 1, answer.version)
        entry = self._entries[place]
        if answer.status != "ok" or answer.content is None:
            self._entries[place] = _failed(entry, kept)
            return
        data = self._page(place, answer.content)
        name = chapter_file(entry.number, entry.title, chapters=len(self._outline.chapters), version=answer.version)
        self._texts[place] = answer.content
        self._entries[place] = _succeeded(entry, kept, of_pass, name, _sha256(data))
        if fresh or not (self._folder / name).exists():
            self._write(name, data)
        self._ours.add(_sha256(data))

    def save(self) -> None:
        """Write the manifest, unless that was done a moment ago.

        Raises:
            JournalError: It cannot be written.
        """
        now_ns = time.perf_counter_ns()
        if now_ns - self._saved_ns >= SAVE_EVERY_S * NS_PER_S:
            self._save()
            self._saved_ns = now_ns

    def finish(self) -> None:
        """Bring every file up to what is known, drop those of chapters that are gone, and write book and manifest.

        Raises:
            JournalError: A file cannot be written.
        """
        for place, text in self._texts.items():
            name = self._entries[place].file
            if name is not None:
                self._correct(name, self._page(place, text))
        self._drop_old()
        page = book_page(self._outline, self.entries, self._texts).encode(errors="replace")
        if self._book_sha256 is not None:
            self._ours.add(self._book_sha256)
        self._write(BOOK, page)
        self._book_sha256 = _sha256(page)
        self._save()

    def _page(self, place: tuple[int, int], text: str) -> bytes:
        chapter = self._outline.chapters[place[0] - 1]
        return chapter_page(chapter, text).encode(errors="replace")

    def _save(self) -> None:
        manifest = BookManifest(
            title=self._outline.title,
            outline=self._outline.name,
            versions=self._versions,
            coherence=self._coherence,
            complete=self.complete,
            book_sha256=self._book_sha256,
            chapters=self.entries,
        )
        write_atomically(self._folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=2))

    def _write(self, name: str, data: bytes) -> None:
        """Write a file; one that somebody changed is moved aside."""
        path = self._folder / name
        there = _read(path)
        if there == data:
            return
        if there is not None and _sha256(there) not in self._ours:
            aside = path.with_name(f"{path.stem[:150]}.changed-{_sha256(there)[:8]}{path.suffix}")
            try:
                path.replace(aside)
            except OSError as error:
                raise JournalError(f"cannot move {path} aside: {error.strerror}") from error
            self._tell(f"{name} was changed since it was written: it is kept as {aside.name}")
        write_atomically(path, data)
        self._ours.add(_sha256(data))

    def _correct(self, name: str, data: bytes) -> None:
        there = _read(self._folder / name)
        if there is None or _sha256(there) in self._ours:
            self._write(name, data)
        else:
            self._tell(f"{name} was changed since it was written: it is left as it is")

    def _drop_old(self) -> None:
        """Remove files of chapters that the outline has not any more, unless somebody changed them."""
        names = {entry.file for entry in self.entries}
        for old in self._before.chapters if self._before else ():
            there = None if old.file is None or old.file in names else _read(self._folder / old.file)
            if there is None or old.file is None:
                continue
            if _sha256(there) == old.sha256:
                (self._folder / old.file).unlink(missing_ok=True)
            else:
                self._tell(f"{old.file} is of no chapter any more, and was changed: it is left as it is")


@contextlib.contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Make a book's folder, and keep other processes from writing it inside the block.

    Raises:
        ConfigError: It cannot be made, or another process writes it.
    """
    runs = folder / RUNS
    try:
        runs.mkdir(parents=True, exist_ok=True)
        lock = (runs / ".lock").open("ab")
    except OSError as error:
        raise ConfigError(
            f"the book cannot be written to {folder}: {error.strerror}", "choose another folder with --output"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                f"another process writes the book in {folder}", "wait for its end, or choose another --output"
            ) from error
        except OSError:
            # A file system without locks: nobody is refused.
            pass
        yield


def _manifest_before(path: Path) -> BookManifest | None:
    """Return the manifest of an earlier call, None where there is none that can be read: it only tells our files."""
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=BookManifest)
    except (OSError, msgspec.MsgspecError):
        return None
    # Names are joined to the folder: only those of ours, which have no folder in them.
    safe = all(entry.file is None or "/" not in entry.file for entry in manifest.chapters)
    return manifest if safe and manifest.schema_version <= BOOK_SCHEMA_VERSION else None


def _succeeded(entry: ChapterEntry, kept: Kept, of_pass: Pass, name: str, sha256: str) -> ChapterEntry:
    return msgspec.structs.replace(
        entry,
        status="ok",
        file=name,
        sha256=sha256,
        of_pass=of_pass,
        provider=kept.answer.provider,
        model=kept.answer.model,
        server_model=kept.answer.server_model,
        finish_reason=kept.answer.finish_reason,
        prompt_tokens=kept.answer.prompt_tokens,
        completion_tokens=kept.answer.completion_tokens,
        run=kept.run,
        task_id=kept.answer.task_id,
        error=None,
    )


def _failed(entry: ChapterEntry, kept: Kept) -> ChapterEntry:
    """Note a failure; a text that is there stays."""
    if entry.status == "ok":
        return msgspec.structs.replace(entry, error=kept.answer.error)
    status = "cancelled" if kept.answer.status == "cancelled" else "failed"
    return msgspec.structs.replace(
        entry,
        status=status,
        provider=kept.answer.provider,
        model=kept.answer.model,
        run=kept.run,
        task_id=kept.answer.task_id,
        error=kept.answer.error,
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise JournalError(f"cannot read {path}: {error.strerror}") from error
