"""Tables of text from spreadsheets (.xlsx, .xlsm, .xlsb, .xls, .ods) and .csv files, whoever made these.

A spreadsheet is read in a process of its own (`bench.workload.sheet_child`) with little memory and time: two cells in
far corners are enough for its library to ask for 550 GB, and the system ends a process that does.
"""

from __future__ import annotations

import csv
import io
import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from bench.errors import WorkloadError
from bench.workload.encodings import decoded

if TYPE_CHECKING:
    from collections.abc import Iterator

SPREADSHEETS: Final = frozenset({".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"})
TEXTS: Final = frozenset({".csv", ".tsv"})

#: A book has a row a chapter, and each prompt has all of them: more is another table.
MAX_ROWS: Final = 10_000

#: A spreadsheet's file, what it unpacks to, and the text of its tables: pictures and all, ten times a large outline.
MAX_SPREADSHEET_BYTES: Final = 64 * 2**20

#: Of a line with nothing but separators each byte is a cell of 16 bytes here.
_MAX_TEXT_BYTES: Final = 8 * 2**20

#: What a reader takes for a spreadsheet within the bounds above, twice.
READER_BYTES: Final = 2**30
READER_CPU_S: Final = 30

#: What separates cells in files that are called .csv: the comma, Excel's choice where the comma is the decimal point,
#: and that of its text files.
_SEPARATORS: Final = (",", ";", "\t")

_ALONE: Final = "save the outline alone, as a file of its own"

_ROOT: Final = Path(__file__).resolve().parents[2]

#: All of the environment that the reader gets: nothing that could be a key.
_PASSED_ON: Final = frozenset({"LD_LIBRARY_PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH"})


class Sheet(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True):
    """A table as it stands in a file.

    Attributes:
        name: What it is called in the file, or an empty string.
        rows: Its rows from the first one on, blank ones too, each a text per cell without blanks around it.
    """

    name: str
    rows: tuple[tuple[str, ...], ...]


class Refusal(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True):
    """Why a file is not read any further.

    Attributes:
        what: What is wrong, as words that follow the file's name.
        hint: What to do.
    """

    what: str
    hint: str


def read_sheets(path: Path) -> Iterator[Sheet]:
    """Yield the tables of a file: of a spreadsheet each visible one, of a .csv file one for each separator.

    Of a formula it is the value that the file holds; dates are in ISO form, whole numbers without `.0`.

    Raises:
        WorkloadError: The file cannot be read, is of none of these kinds, or goes beyond the bounds.
    """
    kind = path.suffix.lower()
    if kind in SPREADSHEETS:
        return _spreadsheet(path, _content(path, MAX_SPREADSHEET_BYTES))
    if kind in TEXTS:
        return _text(path, _content(path, _MAX_TEXT_BYTES))
    raise WorkloadError(
        f"{path} is no table that can be read: its name ends in {kind or 'nothing'!r}",
        f"save it with a name that ends in one of {' '.join(sorted(SPREADSHEETS | TEXTS))}",
    )


def too_many_rows(name: str, rows: int) -> Refusal:
    """Say that a table has more rows than are read.

    Args:
        name: The table's, or an empty string.
        rows: How many it has.
    """
    where = f" in sheet {name!r}" if name else ""
    return Refusal(what=f"has {rows} rows{where}, and {MAX_ROWS} are the most that are read", hint=_ALONE)


def too_large(what: str, *, bound: int) -> Refusal:
    """Say that there is more of something than is read.

    Args:
        what: What there is, as words that follow the file's name.
        bound: The most that is read, in bytes.
    """
    return Refusal(what=f"{what}, and {bound} bytes are the most that are read", hint=_ALONE)


def _content(path: Path, bound: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(bound + 1)
            size = max(len(data), os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise WorkloadError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > bound:
        raise _refused(path, too_large(f"has {size} bytes", bound=bound))
    return data


def _refused(path: Path, refusal: Refusal) -> WorkloadError:
    return WorkloadError(f"{path} {refusal.what}", refusal.hint)


def _spreadsheet(path: Path, data: bytes) -> Iterator[Sheet]:
    reader = subprocess.run(
        [sys.executable, "-m", "bench.workload.sheet_child"],
        cwd=_ROOT,
        env={name: value for name, value in os.environ.items() if name in _PASSED_ON},
        input=data,
        capture_output=True,
        check=False,
    )
    # What follows the last line's end is a table in the midst of which the reader was ended.
    for line in reader.stdout.split(b"\n")[:-1]:
        told = msgspec.json.decode(line, type=Sheet | Refusal)
        if isinstance(told, Refusal):
            raise _refused(path, told)
        yield told
    if reader.returncode != 0:
        lines = reader.stderr.decode(errors="replace").splitlines()
        # Below what went wrong the library advises how to have it tell more.
        said = [line for line in lines if line and not line.startswith("note:")]
        raise WorkloadError(
            f"{path} cannot be read within {READER_BYTES} bytes of memory and {READER_CPU_S} s: "
            f"its reader ended with code {reader.returncode}{f' and said {said[-1]!r}' if said else ''}",
            f"{_ALONE}, without cells far away from the others",
        )


def _text(path: Path, data: bytes) -> Iterator[Sheet]:
    text = decoded(path, data)
    for separator in _SEPARATORS:
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=False)
        try:
            rows = tuple(tuple(cell.strip() for cell in row) for row in itertools.islice(lines, MAX_ROWS))
            rest = sum(1 for _ in lines)
        except csv.Error as error:
            raise WorkloadError(f"{path} cannot be read as a table: {error}", "save it as .xlsx") from error
        if rest:
            raise _refused(path, too_many_rows("", MAX_ROWS + rest))
        yield Sheet(name="", rows=rows)
