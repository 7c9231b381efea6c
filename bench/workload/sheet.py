"""Tables of text from spreadsheets (.xlsx, .xlsm, .xlsb, .xls, .ods) and .csv files."""

from __future__ import annotations

import codecs
import csv
import datetime as dt
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import python_calamine

from bench.errors import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Cell = str | int | float | bool | dt.date | dt.datetime | dt.time | dt.timedelta

SPREADSHEETS: Final = frozenset({".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"})
TEXTS: Final = frozenset({".csv", ".tsv"})

#: What separates cells in files that are called .csv: the comma, Excel's choice where the comma is the decimal point,
#: and that of its text files.
_SEPARATORS: Final = (",", ";", "\t")

_UTF16_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

#: Beyond 2**53 a float is not one whole number any more.
_EXACT_FLOAT: Final = 2**53


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A table as it stands in a file.

    Attributes:
        name: What it is called in the file, or an empty string.
        rows: Its rows from the first one on, blank ones too, each a text per cell without blanks around it.
    """

    name: str
    rows: tuple[tuple[str, ...], ...]


def read_sheets(path: Path) -> Iterator[Sheet]:
    """Yield the tables of a file: of a spreadsheet each visible one, of a .csv file one for each separator.

    Of a formula it is the value that the file holds; dates are in ISO form, whole numbers without `.0`.

    Raises:
        WorkloadError: The file cannot be read, or is of none of these kinds.
    """
    kind = path.suffix.lower()
    if kind not in SPREADSHEETS | TEXTS:
        raise WorkloadError(
            f"{path} is no table that can be read: its name ends in {kind or 'nothing'!r}",
            f"save it with a name that ends in one of {' '.join(sorted(SPREADSHEETS | TEXTS))}",
        )
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WorkloadError(f"cannot read {path}: {error.strerror}") from error
    return _spreadsheet(path, data) if kind in SPREADSHEETS else _text(path, data)


def _spreadsheet(path: Path, data: bytes) -> Iterator[Sheet]:
    try:
        book = python_calamine.load_workbook(io.BytesIO(data))
        for number, about in enumerate(book.sheets_metadata):
            visible = about.visible is python_calamine.SheetVisibleEnum.Visible
            if visible and about.typ is python_calamine.SheetTypeEnum.WorkSheet:
                rows = book.get_sheet_by_index(number).to_python(skip_empty_area=False)
                yield Sheet(name=about.name, rows=tuple(tuple(map(_cell, row)) for row in rows))
    except python_calamine.PasswordError as error:
        raise WorkloadError(f"{path} is protected by a password", "save it without one") from error
    except python_calamine.CalamineError as error:
        raise WorkloadError(
            f"{path} is damaged, or no spreadsheet: {error}", "open it in a spreadsheet program and save it anew"
        ) from error


def _cell(value: Cell) -> str:
    """Return what a cell shows."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT_FLOAT:
        return str(int(value))
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return str(value).strip()


def _text(path: Path, data: bytes) -> Iterator[Sheet]:
    text = _decoded(path, data)
    for separator in _SEPARATORS:
        try:
            rows = tuple(
                tuple(cell.strip() for cell in row)
                for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=False)
            )
        except csv.Error as error:
            raise WorkloadError(f"{path} cannot be read as a table: {error}", "save it as .xlsx") from error
        yield Sheet(name="", rows=rows)


def _decoded(path: Path, data: bytes) -> str:
    """Return the text of a file in UTF-8, in UTF-16 with its mark, or else in the encoding of Chinese systems."""
    if data.startswith(_UTF16_MARKS):
        encodings: tuple[str, ...] = ("utf-16",)
    else:
        encodings = ("utf-8-sig", "gb18030")
    for encoding in encodings:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise WorkloadError(f"{path} is text in none of {', '.join(encodings)}", "save the file as UTF-8")
