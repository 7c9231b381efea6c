"""The process that reads one spreadsheet, so that a hostile one ends it and not the program.

It takes the file on standard input, and answers with a line of JSON for each visible table (`Sheet`); where it goes no
further the last one says why (`Refusal`). Whatever else ends it, its code and standard error tell.
"""

from __future__ import annotations

import datetime as dt
import io
import resource
import sys
import zipfile
import zlib
from typing import TYPE_CHECKING, Final

import msgspec
import python_calamine

from bench.workload.sheet import (
    MAX_ROWS,
    MAX_SPREADSHEET_BYTES,
    READER_BYTES,
    READER_CPU_S,
    Refusal,
    Sheet,
    too_large,
    too_many_rows,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    Cell = str | int | float | bool | dt.date | dt.datetime | dt.time | dt.timedelta

#: How files begin that hold other files without being zip files: .xls, and what a password protects.
_COMPOUND: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

#: Beyond 2**53 a float is not one whole number any more.
_EXACT_FLOAT: Final = 2**53


def main() -> None:
    """Tell the tables of the spreadsheet on standard input."""
    _limit(resource.RLIMIT_AS, READER_BYTES)
    _limit(resource.RLIMIT_CPU, READER_CPU_S)
    _limit(resource.RLIMIT_CORE, 0)
    left = MAX_SPREADSHEET_BYTES
    for told in _told(sys.stdin.buffer.read()):
        line = msgspec.json.encode(told)
        left -= len(line)
        if left < 0:
            bound = MAX_SPREADSHEET_BYTES
            line = msgspec.json.encode(too_large(f"has {bound - left} bytes of text in its tables", bound=bound))
        sys.stdout.buffer.write(line + b"\n")
        # Here and not at the end: of what ends this process nothing is told from inside.
        sys.stdout.buffer.flush()
        if left < 0:
            return


def _limit(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _told(data: bytes) -> Iterator[Sheet | Refusal]:
    """Yield the visible tables, and why there are no more of them if that is so."""
    try:
        if not data.startswith(_COMPOUND) and _unpacks_to_more(data, MAX_SPREADSHEET_BYTES):
            yield too_large(f"unpacks to more than its {len(data)} bytes should", bound=MAX_SPREADSHEET_BYTES)
            return
        book = python_calamine.load_workbook(io.BytesIO(data))
        for number, about in enumerate(book.sheets_metadata):
            visible = about.visible is python_calamine.SheetVisibleEnum.Visible
            if visible and about.typ is python_calamine.SheetTypeEnum.WorkSheet:
                yield _table(about.name, book.get_sheet_by_index(number))
    except python_calamine.PasswordError:
        yield Refusal(what="is protected by a password", hint="save it without one")
    # What zip files raise: a RuntimeError where a part of one is encrypted, or packed in a way that nobody knows.
    except (python_calamine.CalamineError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        yield Refusal(
            what=f"is damaged, or no spreadsheet: {error}", hint="open it in a spreadsheet program and save it anew"
        )


def _unpacks_to_more(data: bytes, bound: int) -> bool:
    """Return whether a zip file holds more than so many bytes, by unpacking it: what it says of itself may be a lie."""
    left = bound
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        for member in packed.infolist():
            with packed.open(member) as file:
                left -= len(file.read(left + 1))
            if left < 0:
                return True
    return False


def _table(name: str, sheet: python_calamine.CalamineSheet) -> Sheet | Refusal:
    rows = sheet.end[0] + 1 if sheet.end is not None else 0
    if rows > MAX_ROWS:
        return too_many_rows(name, rows)
    cells = sheet.to_python(skip_empty_area=False)
    return Sheet(name=name, rows=tuple(tuple(map(_cell, row)) for row in cells))


def _cell(value: Cell) -> str:
    """Return what a cell shows."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT_FLOAT:
        return str(int(value))
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return str(value).strip()


if __name__ == "__main__":
    main()
