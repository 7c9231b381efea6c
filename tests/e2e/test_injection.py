"""Topics of every kind: held as they are by what programs read, and harmless in what people look at."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from bench.book.records import BookManifest
from bench.errors import ConfigError
from bench.journal import iter_lines, write_atomically
from bench.records import Task
from bench.report.build import write_charts
from bench.report.chart import NAMES
from bench.report.markdown import code, escaped
from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from bench.workload.outline import read_outline
from tests.browser import browser
from tests.command import records, start, the_run
from tests.echoserver import echo_server
from tests.faultserver import FaultServer
from tests.hostile import ACTING, MARKUP, TOPICS, acts_on_a_terminal, check_harmless
from tests.spreadsheets import write_xlsx
from tests.wire import answer, sending

if TYPE_CHECKING:
    from pathlib import Path

    from bench.records import Mode
    from tests.command import StartCommand

#: Done by a program that shows Markdown.
MARKDOWN: Final = "| a |\n|---|\n![i](http://h/i) [l](x:y) `c` ``d`` # no heading $x$ {{7}} *b* _i_ ~~s~~ <b> &lt; \\|"

#: Columns of a book's outline.
COLUMNS: Final = ("module", "topic", "outline", "description")


def wild_file(path: Path) -> Path:
    """Write the topics as a file of prompts; JSON carries what no argument can."""
    lines = (json.dumps({"prompt": f"about {topic}", "topic": topic, "custom_id": topic[:200]}) for topic in TOPICS)
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def wild_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """One run about all topics, drawn and shown; and what it wrote to both outputs."""
    folder = tmp_path_factory.mktemp("wild")
    with echo_server() as server:
        command = start(
            *("--base-url", server.base_url, "--model", MARKUP + ACTING, "--client", "lean", "--retries", "0"),
            *("--prompts", str(wild_file(folder / "wild.jsonl")), "--log-level", "debug", "--output", "all.json"),
            cwd=folder,
        )
        out, err = command.communicate(timeout=100)
    assert command.returncode == 0, err
    return the_run(folder / "results"), out + err


@pytest.mark.parametrize(("mode", "client"), [("threading", "openai"), ("multiprocessing", "lean")])
def test_f44_every_topic_comes_back_as_it_went(mode: Mode, client: str, tmp_path: Path, start: StartCommand) -> None:
    """Prompt, topic, custom id and answer are the same in the file, on the wire and in the records, in every mode."""
    with echo_server() as server:
        command = start(
            *("--base-url", server.base_url, "--model", "m", "-m", mode, "--client", client, "--no-report", "--quiet"),
            *("--prompts", str(wild_file(tmp_path / "wild.jsonl")), "--retries", "0", "-c", "3"),
            cwd=tmp_path,
        )
        _, err = command.communicate(timeout=100)
    assert command.returncode == 0, err
    kept = sorted(records(the_run(tmp_path / "results")), key=lambda record: record.index)
    assert [(record.topic, record.custom_id, record.content) for record in kept] == [
        (topic, topic[:200], f"about {topic}") for topic in TOPICS
    ]


def test_f44_the_outputs_act_on_no_terminal(wild_run: tuple[Path, str]) -> None:
    """Both outputs and the log write controls and marks of direction out; the document holds the topics as they are."""
    run, said = wild_run
    assert acts_on_a_terminal(said) == []
    assert acts_on_a_terminal((run / "run.log").read_text(encoding="utf-8")) == []
    document = json.loads((run.parents[1] / "all.json").read_bytes())
    assert [result["topic"] for result in document["results"]] == list(TOPICS)
    assert [result["content"] for result in document["results"]] == [f"about {topic}" for topic in TOPICS]


def test_f44_half_a_character(tmp_path: Path, start: StartCommand) -> None:
    """A prompt with half a surrogate pair, which no request can carry, is refused by its line; nothing is sent."""
    path = tmp_path / "half.jsonl"
    path.write_text('{"prompt": "whole"}\n{"prompt": "half \\ud83d of it"}\n', encoding="utf-8")
    with echo_server() as server:
        command = start("--base-url", server.base_url, "--model", "m", "--prompts", str(path), cwd=tmp_path)
        _, err = command.communicate(timeout=60)
        assert server.keys == set()
    assert command.returncode == 2
    assert f"{path}, line 2" in err
    assert not (tmp_path / "results").exists()


def test_f45_no_name_of_a_file_comes_from_a_topic(wild_run: tuple[Path, str]) -> None:
    """Whatever a topic is called, a run is one directory with files of fixed names, and nothing else is written."""
    run, _ = wild_run
    assert {path.name for path in run.parents[1].iterdir()} == {"wild.jsonl", "results", "all.json"}
    assert re.fullmatch(r"\d{8}T\d{6}Z-asyncio-[0-9a-f]{4}", run.name)
    names = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    assert all(re.fullmatch(r"(charts/)?[a-z_-]+\.(json|jsonl|log|html|png)", name) for name in names), names


@pytest.fixture(scope="module")
def wild_book(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a book whose every module, title, outline and note is such a text; and what was said meanwhile."""
    folder = tmp_path_factory.mktemp("book")
    with (folder / "wild.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows((COLUMNS, *((topic,) * len(COLUMNS) for topic in TOPICS)))
    with SimulatorProcess(SimulatorSettings(tokens=8)) as server:
        to = ("--base-url", server.base_url, "--model", "m", "--client", "lean")
        command = start("book", "--excel", "wild.csv", *to, cwd=folder)
        out, err = command.communicate(timeout=100)
    assert command.returncode == 0, err
    return folder / "output", out + err


def test_f44_a_book_holds_every_text_as_it_is(wild_book: tuple[Path, str]) -> None:
    """Prompts, records and manifest of a book have modules, titles and outlines as the outline's file has them."""
    output, _ = wild_book
    manifest = msgspec.json.decode((output / "manifest.json").read_bytes(), type=BookManifest)
    assert manifest.complete
    assert [(entry.module, entry.title) for entry in manifest.chapters] == [(topic, topic) for topic in TOPICS]
    run = the_run(output / "runs")
    assert [record.topic for record in sorted(records(run), key=lambda record: record.index)] == list(TOPICS)
    tasks = [msgspec.json.decode(line, type=Task) for line in iter_lines(run / "workload.jsonl")]
    for topic, task in zip(TOPICS, tasks, strict=True):
        assert task.chapter == topic
        assert str(task.messages[-1]["content"]).count(topic) == len(COLUMNS)


def test_f45_no_title_leads_out_of_a_book(wild_book: tuple[Path, str]) -> None:
    """Whatever a chapter is called, its file is in the book's folder, with its number and without signs in its name."""
    output, _ = wild_book
    assert {path.name for path in output.parent.iterdir()} == {"wild.csv", "output"}
    manifest = msgspec.json.decode((output / "manifest.json").read_bytes(), type=BookManifest)
    names = [entry.file or "" for entry in manifest.chapters]
    assert all(re.fullmatch(rf"{number:02}(-[\w-]+)?\.md", name) for number, name in enumerate(names, 1)), names
    assert all(len(name.encode()) <= 255 for name in names)
    assert {path.name for path in output.iterdir()} == {*names, "book.md", "manifest.json", "runs"}
    digests = [hashlib.sha256((output / name).read_bytes()).hexdigest() for name in names]
    assert digests == [entry.sha256 for entry in manifest.chapters]


def test_f47_f49_a_book_and_its_report_are_harmless(wild_book: tuple[Path, str]) -> None:
    """In a book's Markdown each title is one heading that shows it, and no element or link; its report runs nothing."""
    output, said = wild_book
    whole = (output / "book.md").read_text(encoding="utf-8")
    assert acts_on_a_terminal(whole + said) == []
    headings = re.findall(r"^### (.*)$", whole, re.MULTILINE)
    assert [re.sub(r"\\(.)", r"\1", heading) for heading in headings] == [
        f"{number}. {shown(topic)}" for number, topic in enumerate(TOPICS, 1)
    ]
    bare = re.sub(r"\\.", "", whole)
    assert {re.sub(r"\d+", "1", tag) for tag in re.findall(r"<[^<]*?>", bare)} == {
        *('<a id="module-1">', '<a id="chapter-1">', "</a>")
    }
    leads = re.compile(r"#(module|chapter)-\d+|\d\d(-[\w-]+)?\.md")
    assert all(leads.fullmatch(link) for link in re.findall(r"\]\(([^)]*)\)", bare))
    run = the_run(output / "runs")
    _, err = start("report", str(run), cwd=output).communicate(timeout=100)
    check_harmless((run / "report.html").read_text(encoding="utf-8"))
    assert acts_on_a_terminal(err) == []


def shown(title: str) -> str:
    """What a title looks like in a heading: on one line, without what would act on a terminal."""
    return " ".join("".join(char for char in title if char.isspace() or not acts_on_a_terminal(char)).split())


def test_f44_a_spreadsheet_holds_what_its_format_can(tmp_path: Path) -> None:
    """An outline in a spreadsheet, which cannot hold controls, has each text as it is; a formula's text stays text."""
    held = [topic for topic in TOPICS if not re.search(r"[\x00-\x08\x0b-\x1f]", topic)]
    path = write_xlsx(tmp_path / "wild.xlsx", (COLUMNS, *((topic,) * len(COLUMNS) for topic in held)))
    chapters = read_outline(path).chapters
    assert [(each.module, each.topic, each.outline, each.description) for each in chapters] == [
        (topic,) * len(COLUMNS) for topic in held
    ]


def test_f44_half_a_character_in_an_outline(tmp_path: Path, start: StartCommand) -> None:
    """A file with half a surrogate pair, which is no text in any encoding, is refused before anything is sent."""
    path = tmp_path / "half.csv"
    path.write_bytes(
        "\ufeffmodule,topic,outline,description\nM,half \ud83d of it,,\n".encode("utf-16-le", "surrogatepass")
    )
    with echo_server() as server:
        command = start("book", "--excel", str(path), "--base-url", server.base_url, "--model", "m", cwd=tmp_path)
        _, err = command.communicate(timeout=60)
        assert server.keys == set()
    assert command.returncode == 2
    assert f"{path} begins with the mark of utf-16-le and has " in err


def test_f47_markdown_stays_a_table(wild_run: tuple[Path, str], tmp_path: Path, start: StartCommand) -> None:
    """Text from outside adds no row, column, link, picture or markup to the Markdown of a report."""
    with FaultServer(sending(answer({"error": {"message": MARKDOWN}}, "400 Bad Request"))) as server:
        to = ("--base-url", server.base_url, "--model", MARKUP, "--client", "lean", "--topics", MARKDOWN)
        command = start(*to, "--no-report", "--quiet", cwd=tmp_path)
        _, err = command.communicate(timeout=60)
    assert command.returncode == 1, err
    command = start("report", str(wild_run[0]), str(the_run(tmp_path / "results")), "--markdown", cwd=tmp_path)
    text, err = command.communicate(timeout=60)
    assert command.returncode == 0, err
    assert "no heading" in text, "what the server said is in it"
    assert acts_on_a_terminal(text) == []
    bare = re.sub(r"^## |^\*\*|\*\*$", "", re.sub(r"\\.", "", text), flags=re.MULTILINE)
    assert not re.search(r"[\\`*_{}\[\]<>~#&$]", bare), bare
    for block in re.findall(r"(?:^\|.*\n)+", bare, re.MULTILINE):
        assert len({line.count("|") for line in block.splitlines()}) == 1, block


def test_f47_text_for_markdown_stays_on_its_line() -> None:
    """What is put into Markdown has no line break of its own, and writes marks of direction out."""
    assert escaped("two\r\n\nlines\u2028more \u202e") == "two lines more \\\\u202e"
    assert code("two\n\nlines `` \u202e") == "```two lines `` \\u202e```"


def test_f49_the_page_forbids_itself_everything(wild_run: tuple[Path, str]) -> None:
    """The report's own policy allows no script, form, frame or address: its style by digest, its font inline."""
    check_harmless((wild_run[0] / "report.html").read_text(encoding="utf-8"))


@pytest.mark.browser
def test_f49_nothing_of_a_topic_runs(wild_run: tuple[Path, str], tmp_path: Path) -> None:
    """In a browser, the report of a run about markup runs none of it, makes no element of it, and asks nobody."""
    page = wild_run[0] / "report.html"
    with browser(tmp_path / "profile") as chromium:
        chromium.requests()
        chromium.complaints()
        chromium.open(page, width_px=1440)
        chromium.run("document.querySelectorAll('details').forEach(part => part.open = true)")
        assert "fired" not in str(chromium.run("return document.title"))
        assert chromium.run("return document.querySelectorAll('script, img, iframe, form, object').length") == 0
        assert "onerror=" in str(chromium.run("return document.body.innerText"))
        # The browser's own first page asks for parts of the browser.
        asked = {each for each in chromium.requests() if not each.startswith(("data:", "chrome:"))}
        assert asked == {page.as_uri()}
        assert chromium.complaints() == []


def test_f46_what_a_link_leads_to_stays_as_it_is(tmp_path: Path) -> None:
    """Links planted where a report is written are replaced, or refused: nothing is written or deleted behind them."""
    kept, out, linked = (tmp_path / name for name in ("kept", "out", "linked"))
    for folder in (kept, out, linked):
        folder.mkdir()
    precious = kept / "latency.png"
    precious.write_bytes(b"precious")
    (out / "charts").mkdir()
    for name in ("report.html", "charts/latency.png"):
        (out / name).symlink_to(precious)
    write_atomically(out / "report.html", b"page")
    write_charts([("latency", b"new")], out, NAMES)
    assert [(out / name).is_symlink() for name in ("report.html", "charts/latency.png")] == [False, False]
    (linked / "charts").symlink_to(kept)
    with pytest.raises(ConfigError, match="symbolic link"):
        write_charts([("ttft", b"new")], linked, NAMES)
    assert [(path.name, path.read_bytes()) for path in kept.iterdir()] == [("latency.png", b"precious")]


def test_f46_files_are_their_owners(wild_run: tuple[Path, str]) -> None:
    """Prompts, answers and pictures of them can be read by their owner alone."""
    run, _ = wild_run
    for path in (run, *run.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path
