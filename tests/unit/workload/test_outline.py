"""Outlines of books: every kind of file reads alike, wrong rows are named, and each prompt has the whole outline."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

import bench.workload
from bench.config import ConcurrentConfig
from bench.errors import ConfigError, WorkloadError
from bench.workload import build_workload
from bench.workload.outline import read_outline
from tests.spreadsheets import Cell, Formula, write_ods, write_xlsx

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.records import Task
    from bench.workload.chapters import Chapter, Outline

HEADER: Final = ("课程模块", "课程主题", "课程大纲", "内容说明")

#: Two modules, the first of which is merged over two chapters; a blank row between them.
ROWS: Final[tuple[tuple[Cell, ...], ...]] = (
    HEADER,
    ("入门", "线程", "锁；队列", "注意锁的顺序"),
    (None, "协程", None, None),
    (None, None, None, None),
    ("进阶", "进程", "管道", None),
)


def write_csv(path: Path, rows: Sequence[Sequence[Cell]], encoding: str = "utf-8", separator: str = ",") -> Path:
    """Write a table as text."""
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator).writerows(["" if cell is None else cell for cell in row] for row in rows)
    path.write_bytes(text.getvalue().encode(encoding))
    return path


def said(outline: Outline) -> list[tuple[str, ...]]:
    """Return what the rows say."""
    return [(each.module, each.topic, each.outline, each.description) for each in outline.chapters]


def chapters(folder: Path, *rows: Sequence[Cell]) -> tuple[Chapter, ...]:
    """Return the chapters of rows below a header."""
    return read_outline(write_xlsx(folder / "o.xlsx", (HEADER, *rows))).chapters


def tasks(path: Path, **settings: int) -> list[Task]:
    """Return the tasks of an outline."""
    return list(build_workload(ConcurrentConfig(outline=path, **settings), io.BytesIO()))  # type: ignore[arg-type] # numbers, all of them


def prompt_of(task: Task) -> str:
    """Return what is sent."""
    return "\n".join(str(message["content"]) for message in task.messages)


@pytest.mark.parametrize(
    "kind",
    [
        "xlsx",
        "ods",
        "csv utf-8 ,",
        "csv utf-8-sig ,",
        "csv gb18030 ,",
        "csv utf-16 \t",
        "csv utf-8 ;",
        "tsv utf-8 \t",
    ],
)
def test_every_kind_of_file(kind: str, tmp_path: Path) -> None:
    """A spreadsheet and a text file in any of the usual encodings give the same chapters: merged modules filled down,
    blank rows left out.
    """
    suffix, *how = kind.split(" ")
    path = tmp_path / f"o.{suffix}"
    if suffix == "xlsx":
        write_xlsx(path, ROWS, merged=["A2:A3"])
    elif suffix == "ods":
        write_ods(path, ROWS)
    else:
        write_csv(path, ROWS, *how)
    outline = read_outline(path)
    assert said(outline) == [
        ("入门", "线程", "锁；队列", "注意锁的顺序"),
        ("入门", "协程", "", ""),
        ("进阶", "进程", "管道", ""),
    ]
    assert [chapter.number for chapter in outline.chapters] == [1, 2, 3]


def test_columns_by_name(tmp_path: Path) -> None:
    """Columns are found by either name in any order, whatever case and blanks, below a title and beside others."""
    rows = (
        ("My book",),
        (),
        ("Notes", " TOPIC ", "Ｏｕｔｌｉｎｅ", "课程 模块", "内容说明"),
        ("n", "t", "o", "m", "d"),
    )
    assert said(read_outline(write_xlsx(tmp_path / "o.xlsx", rows))) == [("m", "t", "o", "d")]


def test_cells_are_texts(tmp_path: Path) -> None:
    """Whole numbers have no fraction, other numbers have theirs, and of a formula it is the value."""
    (chapter,) = chapters(tmp_path, (2024, Formula('"A"&"B"', "AB"), 2.5, Formula("1+2", 3)))
    assert (chapter.module, chapter.topic, chapter.outline, chapter.description) == ("2024", "AB", "2.5", "3")


def test_hidden_sheets(tmp_path: Path) -> None:
    """A sheet that nobody sees is not read, and the book is called what the sheet is called."""
    path = write_xlsx(tmp_path / "my_book.xlsx", ROWS, sheet="并发编程", hidden="旧稿")
    assert read_outline(path).title == "并发编程"
    assert read_outline(write_xlsx(path, ROWS, sheet="Sheet1")).title == "my book"


def test_missing_columns_are_named(tmp_path: Path) -> None:
    """Missing columns are named in both languages, with what stands in their place."""
    path = write_xlsx(tmp_path / "o.xlsx", (("课程模块", "课程主题", "备注"), ("m", "t", "x")), sheet="第一版")
    with pytest.raises(WorkloadError) as caught:
        read_outline(path)
    assert "lacks 课程大纲 (outline), 内容说明 (description); row 1 has '课程模块', '课程主题', '备注'" in str(
        caught.value
    )
    assert "第一版" in str(caught.value)


def test_rows_without_topic_are_named(tmp_path: Path) -> None:
    """Rows without a topic are named by their numbers in the file, with what they hold, all of them at once."""
    rows = (("m", "t", "", ""), ("", "", "no topic", ""), ("", "", "", ""), ("", " \u200b", "", "nor here"))
    with pytest.raises(WorkloadError) as caught:
        chapters(tmp_path, *rows)
    assert "row 3 has 'no topic'; row 5 has" in str(caught.value)
    assert "'nor here'" in str(caught.value)


def test_formula_without_value(tmp_path: Path) -> None:
    """A topic whose formula was never computed is no chapter without a name, but an error that says what to do."""
    with pytest.raises(WorkloadError, match="open it and save it once"):
        chapters(tmp_path, ("m", Formula('"A"&"B"', None), "o", "d"))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("o.xlsx", None, "cannot read"),
        ("o.xlsx", b"no zip", "damaged, or no spreadsheet"),
        ("o.ods", b"PK\x03\x04", "damaged, or no spreadsheet"),
        ("o.docx", b"", "name ends in '.docx'"),
        ("outline", b"", "name ends in 'nothing'"),
        ("o.csv", b"\x80\xff\xff", "text in none of"),
        ("o.csv", b"", "it is blank"),
        ("o.csv", ",".join(HEADER).encode(), "no chapter below"),
        ("o.csv", b'"' + b"x" * 200_000, "cannot be read as a table"),
    ],
)
def test_unreadable_files(name: str, data: bytes | None, message: str, tmp_path: Path) -> None:
    """A file that holds no outline is refused with what is wrong with it."""
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(WorkloadError, match=message):
        read_outline(tmp_path / name)


def test_row_ids(tmp_path: Path) -> None:
    """A row has the same id wherever it stands and another one if any of its texts is another; equal rows have two."""
    before = chapters(tmp_path, ("m", "a", "o", "d"), ("m", "b", "", ""))
    behind = chapters(tmp_path, ("m", "b", "", ""), ("m", "a", "o", "d"), ("m", "a", "o", "d"))
    assert [each.row_id for each in behind[:2]] == [each.row_id for each in reversed(before)]
    assert len({each.row_id for each in behind}) == 3
    others = [("x", "a", "o", "d"), ("m", "x", "o", "d"), ("m", "a", "x", "d"), ("m", "a", "o", "x")]
    assert before[0].row_id not in {each.row_id for each in chapters(tmp_path, *others)}


def test_tasks(tmp_path: Path) -> None:
    """A chapter is a task named by its title and its module, whose prompt has every chapter of the outline, and its own
    texts.
    """
    found = tasks(write_xlsx(tmp_path / "o.xlsx", ROWS, merged=["A2:A3"]))
    assert [(task.chapter, task.topic, task.index) for task in found] == [
        ("线程", "入门", 0),
        ("协程", "入门", 1),
        ("进程", "进阶", 2),
    ]
    assert all(f"{number}. {each}" in prompt_of(task) for task in found for number, each in enumerate("线协进", 1))
    assert "注意锁的顺序" in prompt_of(found[0])
    assert len({str(task.messages[0]) for task in found}) == 1
    assert "注意锁的顺序" not in prompt_of(found[1])


@pytest.mark.parametrize(
    ("row", "asked"),
    [
        (("Basics", "Threads", "locks", "mind the 顺序"), "Write chapter 1"),
        (("入门", "asyncio 协程", "事件循环", ""), "请撰写第1章"),
    ],
)
def test_language(row: tuple[str, ...], asked: str, tmp_path: Path) -> None:
    """The prompt is in the language that most of the outline is written in."""
    assert asked in prompt_of(tasks(write_xlsx(tmp_path / "o.xlsx", (HEADER, row)))[0])


@pytest.mark.parametrize(("language", "topic"), [("zh", "线程"), ("en", "Threads")])
def test_words_of_the_prompt_are_in_a_file(language: str, topic: str, tmp_path: Path) -> None:
    """All that a prompt says beside the outline's own texts stands in the template of its language, word for word."""
    template = Path(bench.workload.__file__).with_name("templates") / f"chapter.{language}.txt"
    pieces = re.split(r"\$\{?\w+\}?|---\n", template.read_text(encoding="utf-8"))
    (task,) = tasks(write_xlsx(tmp_path / "o.xlsx", (HEADER, ("", topic, "", ""))))
    sent = prompt_of(task)
    assert all(piece.strip() in sent for piece in pieces)
    assert len(sent) < sum(map(len, pieces)) + 400


def test_length_follows_max_tokens(tmp_path: Path) -> None:
    """A chapter is asked to be as long as its answer may be, and not to be of any length where there is no limit."""
    path = write_xlsx(tmp_path / "o.xlsx", (HEADER, ("M", "Threads", "locks", "none")))
    assert "about 600 words" in prompt_of(tasks(path, max_tokens=1024)[0])
    no_limit = build_workload(ConcurrentConfig(outline=path, max_tokens=None), io.BytesIO())
    assert "words" not in prompt_of(next(iter(no_limit)))


def test_texts_are_no_templates(tmp_path: Path) -> None:
    """What an outline says stands in the prompt as it is, also where it looks like a place to be filled."""
    row = ("$length", "Costs in $ and ${topic}", "{0} %s", "\\1")
    prompt = prompt_of(tasks(write_xlsx(tmp_path / "o.xlsx", (HEADER, row)))[0])
    assert all(text in prompt for text in row)


def test_one_source(tmp_path: Path) -> None:
    """An outline and another source of tasks exclude each other."""
    with pytest.raises(ConfigError, match="--prompts and --outline"):
        ConcurrentConfig(outline=tmp_path / "o.xlsx", prompts=tmp_path / "p.jsonl")
