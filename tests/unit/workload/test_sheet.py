"""Hostile files of tables: bombs, far corners, endless rows and damaged text end in one typed error each."""

from __future__ import annotations

import codecs
import struct
import zipfile
from typing import TYPE_CHECKING, Final

import pytest

from bench.errors import WorkloadError
from bench.workload.sheet import MAX_ROWS, MAX_SPREADSHEET_BYTES, read_sheets
from tests.spreadsheets import write_ods, write_xlsx

if TYPE_CHECKING:
    from pathlib import Path

HEADER: Final = "课程模块,课程主题,课程大纲,内容说明\n"

#: The first sheet that `write_xlsx` makes, and what it makes of a cell that says so.
SHEET: Final = "xl/worksheets/sheet1.xml"
CORNER: Final = "XFD1048576"


def refusal(path: Path) -> str:
    """Return what is said of a file that is refused."""
    with pytest.raises(WorkloadError) as refused:
        list(read_sheets(path))
    assert str(path) in str(refused.value)
    assert refused.value.hint
    return str(refused.value)


def replaced(path: Path, part: str, old: str, new: str) -> Path:
    """Write another text into a part of a zip file."""
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    assert old.encode() in parts[part]
    parts[part] = parts[part].replace(old.encode(), new.encode())
    with zipfile.ZipFile(path, "w") as file:
        for name, content in parts.items():
            file.writestr(name, content)
    return path


def with_corner(path: Path) -> Path:
    """Write a workbook whose cells are far apart: A1, and the last one that there can be."""
    write_xlsx(path, [("near", None), ("far", None)])
    return replaced(path, SHEET, '<row r="2"><c r="A2"', f'<row r="1048576"><c r="{CORNER}"')


def with_repeated(path: Path, text: str, *, rows: int, columns: int) -> Path:
    """Write an OpenDocument table whose one cell is repeated, in its row and with it."""
    repeated = f'<table:table-row table:number-rows-repeated="{rows}">'
    write_ods(path, [(text,)])
    replaced(path, "content.xml", "<table:table-row>", repeated)
    cell = f'<table:table-cell table:number-columns-repeated="{columns}" '
    return replaced(path, "content.xml", "<table:table-cell ", cell)


def with_bomb(path: Path) -> Path:
    """Write a workbook with a part that unpacks to one byte more than all may have."""
    write = write_ods if path.suffix == ".ods" else write_xlsx
    write(path, [("a",)])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("bomb", bytes(MAX_SPREADSHEET_BYTES + 1))
    assert path.stat().st_size < 100_000
    return path


@pytest.mark.parametrize("kind", ["xlsx", "xlsm", "xlsb", "ods"])
def test_f48_a_zip_bomb(kind: str, tmp_path: Path) -> None:
    """A file that unpacks to more than the bound is refused with its size and the bound, whatever else is in it."""
    path = with_bomb(tmp_path / f"o.{kind}")
    said = refusal(path)
    assert f"unpacks to more than its {path.stat().st_size} bytes should" in said
    assert str(MAX_SPREADSHEET_BYTES) in said


def test_f48_a_bomb_that_gives_its_size_as_small(tmp_path: Path) -> None:
    """What a zip file says of its own sizes is not believed."""
    path = with_bomb(tmp_path / "o.xlsx")
    true = struct.pack("<I", MAX_SPREADSHEET_BYTES + 1)
    assert path.read_bytes().count(true) == 2
    path.write_bytes(path.read_bytes().replace(true, struct.pack("<I", 10)))
    assert "is damaged, or no spreadsheet: Bad CRC-32 for file 'bomb'" in refusal(path)


@pytest.mark.parametrize("kind", ["xlsx", "xlsm"])
def test_f48_cells_far_apart(kind: str, tmp_path: Path) -> None:
    """Two cells with 17 billion between them end the reading process and not this one, and what ended it is told."""
    said = refusal(with_corner(tmp_path / f"o.{kind}"))
    assert "cannot be read within 1073741824 bytes of memory and 30 s" in said
    assert "memory allocation of" in said


def test_f48_cells_repeated(tmp_path: Path) -> None:
    """A cell that is repeated over a large table, 15 million times, is refused too."""
    assert "cannot be read within" in refusal(
        with_repeated(tmp_path / "o.ods", "a", rows=15_000, columns=1000),
    )


def test_f48_text_that_multiplies(tmp_path: Path) -> None:
    """A long text that stands in many cells is bounded by what it comes to, which is told."""
    said = refusal(with_repeated(tmp_path / "o.ods", "x" * 100_000, rows=1, columns=700))
    assert "bytes of text in its tables" in said
    assert str(MAX_SPREADSHEET_BYTES) in said


def test_f48_tables_before_the_one_that_cannot_be_read(tmp_path: Path) -> None:
    """A table is there although the next one of its file is refused."""
    path = write_xlsx(tmp_path / "o.xlsx", [("a", None), ("b", None)], sheet="second", hidden="first")
    replaced(path, "xl/workbook.xml", 'state="hidden"', "")
    replaced(path, "xl/worksheets/sheet2.xml", '<row r="2"><c r="A2"', f'<row r="1048576"><c r="{CORNER}"')
    sheets = read_sheets(path)
    assert next(sheets).rows == (("a",), ("b",))
    with pytest.raises(WorkloadError, match="cannot be read within"):
        next(sheets)


@pytest.mark.parametrize("kind", ["xlsx", "ods", "csv"])
def test_f48_rows_are_bounded(kind: str, tmp_path: Path) -> None:
    """The largest number of rows is read, and one more is refused with both numbers."""
    path = tmp_path / f"o.{kind}"
    for rows in (MAX_ROWS, MAX_ROWS + 1):
        if kind == "csv":
            path.write_text("a\n" * rows)
        else:
            (write_ods if kind == "ods" else write_xlsx)(path, [("a",)] * rows)
        if rows == MAX_ROWS:
            assert len(next(read_sheets(path)).rows) == rows
    said = refusal(path)
    assert "has 10001 rows" in said
    assert "10000 are the most" in said


@pytest.mark.parametrize(("kind", "bound"), [("xlsx", 64 * 2**20), ("csv", 8 * 2**20)])
def test_f48_large_files(kind: str, bound: int, tmp_path: Path) -> None:
    """Of a file that is too large no more than the bound is read, and it is refused with its size."""
    path = tmp_path / f"o.{kind}"
    with path.open("wb") as file:
        file.truncate(bound + 2)
    assert f"has {bound + 2} bytes, and {bound} bytes are the most" in refusal(path)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (codecs.BOM_UTF8 + b"a\n\xb0\xa1", "the mark of utf-8 and has a wrong byte 0xb0 in line 2, byte 1"),
        (codecs.BOM_UTF16_LE + b"a\x00b", "the mark of utf-16-le and has a wrong byte 0x62"),
    ],
)
def test_f48_text_that_is_not_what_its_mark_says(data: bytes, said: str, tmp_path: Path) -> None:
    """A mark is believed: text that is something else behind it is refused, and not taken for another encoding."""
    (path := tmp_path / "o.csv").write_bytes(data)
    assert said in refusal(path)


def test_f48_damaged_utf8(tmp_path: Path) -> None:
    """UTF-8 with one wrong byte is not read as something else, although that is possible: the byte is named."""
    data = bytearray(f"{HEADER}入门,线程,锁；队列,注意锁的顺序\n".encode())
    data[len(HEADER.encode()) + 20] = 0x81
    assert data.decode("gb18030")
    (path := tmp_path / "o.csv").write_bytes(data)
    assert "is UTF-8 with a wrong byte 0x81 in line 2, byte 21 of the line" in refusal(path)


@pytest.mark.parametrize(
    "data", ["cafés,déjeuner".encode("latin-1"), "課程模組與課程主題的大綱內容說明".encode("big5")]
)
def test_f48_text_in_another_encoding(data: bytes, tmp_path: Path) -> None:
    """Text that can be read as GB 18030 and is no Chinese then is refused; its first byte beyond ASCII is named."""
    assert data.decode("gb18030")
    (path := tmp_path / "o.csv").write_bytes(data)
    assert "is not Chinese when read as gb18030" in refusal(path)
