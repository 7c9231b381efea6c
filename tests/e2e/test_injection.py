"""Topics of every kind: held as they are by what programs read, and harmless in what people look at."""

from __future__ import annotations

import html.parser
import json
import re
import unicodedata
from typing import TYPE_CHECKING, Final

import pytest

from bench.errors import ConfigError
from bench.journal import write_atomically
from bench.report.build import write_charts
from bench.report.chart import NAMES
from bench.report.markdown import code, escaped
from tests.browser import browser
from tests.command import records, start, the_run
from tests.echoserver import echo_server
from tests.faultserver import FaultServer
from tests.wire import answer, sending

if TYPE_CHECKING:
    from pathlib import Path

    from bench.records import Mode
    from tests.command import StartCommand

#: Run by a page that takes text for markup: it would be seen in the window's title.
MARKUP: Final = "<img src=x onerror=\"document.title='fired'\"><script>document.title='fired'</script></style></svg>"

#: Done by a terminal that is given it: a cleared screen, another title, a line that runs backwards.
ACTING: Final = "\x1b[2J\x1b]0;title\x07\u202e"

#: Done by a program that shows Markdown.
MARKDOWN: Final = "| a |\n|---|\n![i](http://h/i) [l](x:y) `c` ``d`` # no heading $x$ {{7}} *b* _i_ ~~s~~ <b> &lt; \\|"

TOPICS: Final = (
    "长" * 10_000,
    "🧑‍🚀 emoji joined, 𠮷 beyond the plane",
    "right-to-left \u202e gnitirw \u2066 and isolates",
    "NUL \x00, bell \x07, escape \x1b[2J\x1b]0;title\x07, backspace \x08",
    "two\nlines\r\nand\u2028more\tof them",
    "../../etc/passwd",
    "/etc/passwd",
    '=HYPERLINK("http://h.example/?x="&A1,"click")',
    "+1+cmd|'/C calc'!A0",
    "@SUM(1+1)*cmd",
    "-rf",
    MARKUP,
    "javascript:alert(1) {{ 7*7 }} {% raw %} ${7*7} $x^2$ <%= 7 %>",
    "| a | b |\n|---|---|\n![i](http://h.example/i.png) [l](javascript:alert(1)) `code` # no heading",
    "café",
    "cafe\u0301",
    "twice",
    "twice",
)


def wild_file(path: Path) -> Path:
    """Write the topics as a file of prompts; JSON carries what no argument can."""
    lines = (json.dumps({"prompt": f"about {topic}", "topic": topic, "custom_id": topic[:200]}) for topic in TOPICS)
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


class Elements(html.parser.HTMLParser):
    """What a page is made of: names of its elements and attributes, and where they lead."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.addresses: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.addresses |= {value or "" for name, value in attrs if name in {"href", "src", "xlink:href", "action"}}


def acts_on_a_terminal(text: str) -> list[str]:
    """Return the characters of a text that would do more than show themselves."""
    harmless = "\n\u200d"
    return [char for char in text if unicodedata.category(char) in {"Cc", "Cf", "Cs"} and char not in harmless]


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
    page = (wild_run[0] / "report.html").read_text(encoding="utf-8")
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]+)">', page)
    parts = {name: rest for name, _, rest in (part.strip().partition(" ") for part in policy.split(";")) if name}
    assert parts["default-src"] == "'none'"
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/=]+'", parts["style-src"])
    assert set(parts) <= {"default-src", "style-src", "font-src", "img-src", "base-uri", "form-action"}
    assert {parts["font-src"], parts["img-src"]} == {"data:"}
    assert {parts["base-uri"], parts["form-action"]} == {"'none'"}
    assert page.index("Content-Security-Policy") < page.index("<style")
    seen = Elements()
    seen.feed(page)
    assert not seen.names & {"script", "iframe", "object", "embed", "form", "img", "base"}
    assert not [name for name in seen.attributes if name.startswith("on") or name == "style"]
    assert not [address for address in seen.addresses if ":" in address and not address.startswith("data:,")]


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
