"""Books from outlines, with the command as a user calls it: killed, run again, changed, failing, in two passes."""

from __future__ import annotations

import hashlib
import os
import signal
from collections import Counter
from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from bench.book.records import BookManifest
from bench.journal import TASKS, iter_lines, read_manifest
from bench.records import Task
from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from bench.workload.outline import read_outline
from tests.command import ROOT, records, requests, wait_until
from tests.spreadsheets import write_xlsx

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.command import StartCommand

CHINESE: Final = ROOT / "data" / "book_outline.xlsx"
ENGLISH: Final = ROOT / "data" / "book_outline_en.xlsx"

HEADER: Final = ("Module", "Topic", "Outline", "Description")


class Book:
    """A folder that a book is written to, by a server that writes down what it is asked."""

    def __init__(self, folder: Path, start: StartCommand, base_url: str) -> None:
        self.folder = folder
        self.output = folder / "output"
        self._start = start
        self._base_url = base_url

    def begin(self, *options: str, outline: Path = CHINESE) -> subprocess.Popen[str]:
        """Start the command."""
        whom = ["--base-url", self._base_url, "--model", "m", "--client", "lean"]
        return self._start("book", "--excel", str(outline), *whom, *options, cwd=self.folder)

    def write(self, *options: str, outline: Path = CHINESE, code: int = 0) -> str:
        """Call the command, and return what it said."""
        command = self.begin(*options, outline=outline)
        out, err = command.communicate(timeout=100)
        assert command.returncode == code, out + err
        assert "Traceback" not in err
        return out + err

    def calls(self) -> int:
        """How many requests the server has had."""
        log = self.folder / "requests.jsonl"
        return len(requests(log)) if log.exists() else 0

    def manifest(self) -> BookManifest:
        """What the manifest says."""
        return msgspec.json.decode((self.output / "manifest.json").read_bytes(), type=BookManifest)

    def files(self) -> list[Path]:
        """The chapters' files."""
        return list(self.output.glob("[0-9]*.md"))

    def runs(self) -> list[Path]:
        """The runs, in the order in which they were begun."""
        found = [path.parent for path in (self.output / "runs").glob("*/run.json")]
        return sorted(found, key=lambda run: read_manifest(run).segments[0].started_at)

    def check_whole(self, outline: Path = CHINESE, versions: int = 1) -> None:
        """Every version of every chapter has its file, as the manifest says, and the book has each chapter."""
        chapters = read_outline(outline).chapters
        manifest = self.manifest()
        assert manifest.complete
        places = [(each.number, each.version, each.title) for each in manifest.chapters]
        assert places == [(each.number, number + 1, each.topic) for each in chapters for number in range(versions)]
        for entry in manifest.chapters:
            assert entry.file is not None
            page = (self.output / entry.file).read_bytes()
            assert hashlib.sha256(page).hexdigest() == entry.sha256
        assert {path.name for path in self.output.glob("*.md")} == {
            "book.md",
            *(entry.file for entry in manifest.chapters),
        }
        whole = (self.output / "book.md").read_text(encoding="utf-8")
        assert all(whole.count(f'<a id="chapter-{each.number}"></a>') == 1 for each in chapters)


def book_of(folder: Path, start: StartCommand, server: SimulatorProcess) -> Book:
    """Return a book in a folder."""
    return Book(folder, start, server.base_url)


def settings(folder: Path, **more: float) -> SimulatorSettings:
    """Return what a server does that writes down what it is asked."""
    return msgspec.structs.replace(
        SimulatorSettings(ttft_s=0.02, tokens=8, request_log=str(folder / "requests.jsonl")), **more
    )


def texts(run: Path) -> list[str]:
    """What each task of a run says, in the order in which they were drawn."""
    tasks = (msgspec.json.decode(line, type=Task) for line in iter_lines(run / "workload.jsonl"))
    return [str(task.messages[-1]["content"]) for task in tasks]


def recorded(book: Book) -> int:
    """How many records there are."""
    return sum(path.read_bytes().count(b"\n") for path in (book.output / "runs").glob(f"*/{TASKS}"))


def test_killed_and_written_to_its_end(tmp_path: Path, start: StartCommand) -> None:
    """Killed with -9 half way and called again, it makes only the calls that are missing; called once more, none; and
    with one row changed, that one.
    """
    with SimulatorProcess(settings(tmp_path, ttft_s=0.3)) as server:
        book = book_of(tmp_path, start, server)
        command = book.begin("-w", "2", "--no-cache")
        wait_until(lambda: len(book.files()) >= 6 or command.poll() is not None, "no chapters")
        os.kill(command.pid, signal.SIGKILL)
        command.communicate()
        done = recorded(book)
        assert 6 <= len(book.files()) <= done <= 12
        wait_until(lambda: server.stats().in_flight == 0, "requests in flight at the kill never ended")
        before = book.calls()

        said = book.write("-w", "2", "--no-cache")
        assert f"{done} kept, because row and settings are unchanged" in said
        assert f"{15 - done} of 15 tasks are left to do" in said
        book.check_whole()
        assert book.calls() - before == 15 - done
        assert len(book.runs()) == 1

        before = book.calls()
        assert "15 kept" in book.write("-w", "2", "--no-cache")
        assert book.calls() == before

        changed = tmp_path / "changed.xlsx"
        rows = [[each.module, each.topic, each.outline, each.description] for each in read_outline(CHINESE).chapters]
        rows[4][3] += "，并说明原因"
        write_xlsx(changed, (HEADER, *rows), sheet="茶的学问")
        said = book.write("-w", "2", "--no-cache", outline=changed)
        assert "14 kept, because row and settings are unchanged (1-4, 6-15); 1 to write" in said
        assert book.calls() - before == 1
        book.check_whole(changed)
        assert book.manifest().chapters[4].run == book.runs()[-1].name
        assert len({entry.run for entry in book.manifest().chapters}) == 2


def test_other_settings_write_anew(tmp_path: Path, start: StartCommand) -> None:
    """Where a setting changed that shapes texts, all are written anew, which is said; more versions keep what is there;
    and a file that was deleted comes back without a call.
    """
    with SimulatorProcess(settings(tmp_path)) as server:
        book = book_of(tmp_path, start, server)
        book.write(outline=ENGLISH)
        assert book.calls() == 12
        assert "had other settings" in book.write("--max-tokens", "200", outline=ENGLISH)
        assert book.calls() == 24
        book.write("--max-tokens", "200", "--versions", "2", outline=ENGLISH)
        assert book.calls() == 36
        (book.output / "03-how-bees-find-flowers.md").unlink()
        book.write("--max-tokens", "200", "--versions", "2", outline=ENGLISH)
        assert book.calls() == 36
        book.check_whole(ENGLISH, versions=2)
    seeds = {
        str(msgspec.json.decode(line, type=Task).params) for line in iter_lines(book.runs()[-1] / "workload.jsonl")
    }
    assert len(seeds) == 1
    assert "'seed': 1" in seeds.pop()


def test_chosen_chapters_again(tmp_path: Path, start: StartCommand) -> None:
    """Chapters that are named are written once more, as other samples, and nothing else is; called again as before, the
    book keeps the new texts; where the new call fails, the earlier text stays.
    """
    rows = [["M", title, "", ""] for title in ("Alpha", "Beta", "Gamma")]
    outline = write_xlsx(tmp_path / "o.xlsx", (HEADER, *rows))
    with SimulatorProcess(settings(tmp_path)) as server:
        book = book_of(tmp_path, start, server)
        book.write("--versions", "2", outline=outline)
        said = book.write("--versions", "2", "--again", "1", "3v2", outline=outline)
        assert "3 again, because you asked for them (1, 3)" in said
        assert book.calls() == 9
        _, second = book.runs()
        entries = [(each.number, each.version, each.run == second.name) for each in book.manifest().chapters]
        assert [entry[:2] for entry in entries if entry[2]] == [(1, 1), (1, 2), (3, 2)]
        asked = [msgspec.json.decode(line, type=Task).params["seed"] for line in iter_lines(second / "workload.jsonl")]
        assert asked == [10, 11, 11]
        book.write("--versions", "2", outline=outline)
        assert book.calls() == 9
        assert [(each.number, each.version, each.run == second.name) for each in book.manifest().chapters] == entries
        assert "the book: it has 3 chapters" in book.write("--again", "4", outline=outline, code=2)
        before = (book.output / "01-alpha.md").read_bytes()
    said = book.write("--versions", "2", "--again", "1", "--retries", "0", outline=outline)
    assert "no new text, the earlier one stays: chapters 1" in said
    assert (book.output / "01-alpha.md").read_bytes() == before
    book.check_whole(outline, versions=2)


def test_failed_versions(tmp_path: Path, start: StartCommand) -> None:
    """A version that fails leaves the others alone and is told with what to do; the next call writes it and nothing
    else.
    """
    with SimulatorProcess(settings(tmp_path, error_rate=0.4, seed=3)) as server:
        book = book_of(tmp_path, start, server)
        said = book.write("--versions", "3", "--retries", "0", "-w", "4", outline=ENGLISH, code=1)
    results = {(each.index, each.version): each for each in records(book.runs()[0])}
    ok = {place for place, each in results.items() if each.status == "ok"}
    assert len(results) == 36
    assert 10 < len(ok) < 30
    entries = {(each.number - 1, each.version - 1): each for each in book.manifest().chapters}
    assert {place for place, each in entries.items() if each.status == "ok"} == ok
    assert {each.error.type for each in entries.values() if each.error is not None} == {"server_error"}
    counts = Counter(Counter(index for index, _ in ok)[index] for index in range(12))
    assert all(f"{items} item{'s' * (items > 1)} with {succeeded} of 3" in said for succeeded, items in counts.items())
    assert said.count("the provider failed: try again later") == 1
    (tmp_path / "requests.jsonl").unlink()
    with SimulatorProcess(settings(tmp_path)) as server:
        # At another address its texts would be others'.
        again = book_of(tmp_path, start, server)
        run = again.runs()[0]
        path = run / "run.json"
        path.write_bytes(path.read_bytes().replace(book._base_url.encode(), again._base_url.encode()))
        said = again.write("--versions", "3", "--retries", "0", "-w", "4", outline=ENGLISH)
        assert f"{36 - len(ok)} again, because they failed" in said
        assert again.calls() == 36 - len(ok)
        again.check_whole(ENGLISH, versions=3)


def test_all_fail(tmp_path: Path, start: StartCommand) -> None:
    """Where nothing answers, every chapter is told with its cause and there is one hint a cause; no file holds an
    error's text. A run whose records are damaged is told of, and not gone on with.
    """
    outline = write_xlsx(tmp_path / "o.xlsx", (HEADER, ("M", "A", "", ""), ("M", "B", "", "")))
    book = Book(tmp_path, start, "http://127.0.0.1:9/v1")
    said = book.write("--retries", "0", outline=outline, code=1)
    assert "2 tasks failed: connect" in said
    assert said.count("nothing accepts connections there") == 1
    assert "chapter 1 (A): connect" in said
    assert "go on:   python concurrent_bigmodel.py book --excel " in said
    assert not book.files()
    whole = (book.output / "book.md").read_text(encoding="utf-8")
    assert "2\\. B (not written: connect)" in whole
    assert {each.status for each in book.manifest().chapters} == {"failed"}
    records_kept = book.runs()[0] / TASKS
    records_kept.write_bytes(b"{" + records_kept.read_bytes())
    said = book.write("--retries", "0", outline=outline, code=1)
    assert f"{TASKS}, line 1" in said
    assert "2 to write" in said
    assert len(book.runs()) == 2


def test_two_passes(tmp_path: Path, start: StartCommand) -> None:
    """With summaries each chapter is written twice, the second time from its first text and both neighbours' summaries;
    called again nothing is asked, and a changed row asks for what depends on it alone.
    """
    rows = [["M", title, "points", ""] for title in ("Alpha", "Beta", "Gamma", "Delta")]
    outline = write_xlsx(tmp_path / "o.xlsx", (HEADER, *rows))
    with SimulatorProcess(settings(tmp_path)) as server:
        book = book_of(tmp_path, start, server)
        book.write("--coherence", "summary", outline=outline)
        assert book.calls() == 12
        first, short, second = book.runs()
        answers = {run: {each.index: each.content for each in records(run)} for run in (first, short, second)}
        for index, text in enumerate(texts(second)):
            assert str(answers[first][index]).strip() in text
            neighbours = {each for each in (index - 1, index + 1) if 0 <= each < 4}
            assert {each for each in range(4) if str(answers[short][each]).strip() in text} == neighbours
        book.check_whole(outline)
        assert {each.of_pass for each in book.manifest().chapters} == {"second"}
        assert str(answers[second][0]).strip() in (book.output / "01-alpha.md").read_text(encoding="utf-8")
        book.write("--coherence", "summary", outline=outline)
        assert book.calls() == 12
        rows[0][2] = "other points"
        write_xlsx(outline, (HEADER, *rows))
        book.write("--coherence", "summary", outline=outline)
        # Its text and its summary; then it and its neighbour once more.
        assert book.calls() == 16
        book.check_whole(outline)


def test_titles_of_others(tmp_path: Path, start: StartCommand) -> None:
    """Titles that are paths, commands or Markdown become names within the folder and text within the book."""
    titles = ("../../escape", "-rf", "[a](b)", "con", "a/b\\c", "x" * 400)
    outline = write_xlsx(tmp_path / "o.xlsx", (HEADER, *(("M", title, "", "") for title in titles)))
    with SimulatorProcess(settings(tmp_path)) as server:
        book = book_of(tmp_path, start, server)
        book.write(outline=outline)
        book.check_whole(outline)
    assert {path.name for path in tmp_path.iterdir()} == {"o.xlsx", "output", "requests.jsonl"}
    shown = "3\\. \\[a\\]\\(b\\)"
    whole = (book.output / "book.md").read_text(encoding="utf-8")
    assert f"  - [{shown}](#chapter-3)" in whole
    assert f"\n### {shown}\n" in whole
    assert (book.output / "03-a-b.md").read_text(encoding="utf-8").startswith(f"# {shown}\n")


def test_workers_by_the_provider(tmp_path: Path, start: StartCommand) -> None:
    """Without a number of workers there are as many as the provider takes at once, and the environment's versions
    count; where the file of providers names another model, all is written anew.
    """
    outline = write_xlsx(tmp_path / "o.xlsx", (HEADER, ("M", "A", "", ""), ("M", "B", "", "")))
    with SimulatorProcess(settings(tmp_path)) as server:
        text = f'[providers.mine]\nbase_url = "{server.base_url}"\nmodel = "m"\nin_flight = 3\n'
        book = Book(tmp_path, start, "")
        book.output = tmp_path / "my book"
        for number, model in enumerate(("m", "m", "other")):
            (tmp_path / "providers.toml").write_text(text.replace('"m"', f'"{model}"'), encoding="utf-8")
            command = start(
                *["book", "-e", str(outline), "-p", "mine", "-o", "my book", "--client", "lean", "-m", "hybrid"],
                *["--processes", "2"],
                cwd=tmp_path,
                env={"WRITER_CHAPTER_VERSION_COUNT": "2"},
            )
            out, err = command.communicate(timeout=100)
            assert command.returncode == 0, out + err
            book.check_whole(outline, versions=2)
            assert book.calls() == (4, 4, 8)[number]
            assert {each.model for each in book.manifest().chapters} == {model}
    assert read_manifest(book.runs()[0]).concurrency == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--workers", "many"), "--workers must be a whole number from 1 to 100000, or auto, got 'many'"),
        (("--workers", "0"), "--workers must be a whole number from 1 to 100000, or auto, got '0'"),
        (("--versions", "11"), "--versions must be at least 1 and at most 10"),
        (("--excel", "none.xlsx"), "cannot read none.xlsx"),
    ],
)
def test_wrong_usage(options: tuple[str, ...], said: str, tmp_path: Path, start: StartCommand) -> None:
    """What is wrong is told before anything is sent."""
    command = start("book", "--provider", "simulator", *options, cwd=tmp_path)
    _, err = command.communicate(timeout=60)
    assert command.returncode == 2
    assert said in err


@pytest.mark.local_model
def test_local_context(tmp_path: Path, start: StartCommand) -> None:
    """A chapter that the local model has no room for is refused before anything is sent, with the length that fits."""
    command = start(
        "book", "-e", str(ENGLISH), "--provider", "local", "--max-tokens", "1900", "--workers", "1", cwd=tmp_path
    )
    _, err = command.communicate(timeout=100)
    assert command.returncode == 2
    assert "does not fit: its prompt has" in err
    assert "lower --max-tokens to" in err
    assert not list(tmp_path.glob("output/runs/*/run.json"))


@pytest.mark.full
@pytest.mark.local_model
@pytest.mark.timeout(2400)
def test_a_real_book(tmp_path: Path, start: StartCommand) -> None:
    """A real model writes a real book, however slow the machine: each chapter has at least 100 words, and ended by
    itself or at its length.
    """
    # Shorter chapters than by default, and nothing else: they take less than half the time.
    command = start("book", "-e", str(ENGLISH), "--provider", "local", "--max-tokens", "400", cwd=tmp_path)
    out, err = command.communicate(timeout=2300)
    assert command.returncode == 0, out + err
    book = Book(tmp_path, start, "")
    book.check_whole(ENGLISH)
    for entry in book.manifest().chapters:
        assert entry.finish_reason in {"stop", "length"}
        assert entry.file is not None
        assert len((book.output / entry.file).read_text(encoding="utf-8").split()) >= 100, entry.file
