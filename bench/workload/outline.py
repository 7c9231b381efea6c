"""A book's outline from a table: a chapter a row, each one a task whose prompt carries the whole outline.

The columns are 课程模块 课程主题 课程大纲 内容说明 or module, topic, outline, description, in any order. A task's
`chapter` is the 课程主题, its `topic` the 课程模块 that the chapter belongs to, and its `custom_id` is made of the
texts of its row, so that the same row has the same id wherever it stands.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from bench.errors import WorkloadError
from bench.records import Task
from bench.workload.chapter_prompt import ChapterPrompts
from bench.workload.chapters import Chapter, Outline
from bench.workload.sheet import read_sheets
from bench.workload.topics import is_visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from bench.records import JsonObject
    from bench.workload.sheet import Sheet

#: The kind of workload in `run.json`.
OUTLINE: Final = "outline"

Column = Literal["module", "topic", "outline", "description"]

#: The columns and their names in Chinese.
COLUMNS: Final[dict[Column, str]] = {
    "module": "课程模块",
    "topic": "课程主题",
    "outline": "课程大纲",
    "description": "内容说明",
}

#: What a column may be called, in the form that `_plain` gives.
_NAMES: Final[dict[str, Column]] = {name: column for column, chinese in COLUMNS.items() for name in (column, chinese)}

#: A title and notes may stand above the columns' names.
_HEADER_WITHIN_ROWS: Final = 20

#: Wrong rows that an error names; the rest are counted.
_ROWS_NAMED: Final = 8

#: As much of a cell as tells what it is.
_SHOWN_CHARACTERS: Final = 40

#: Names that programs give to a sheet: no title of a book.
_UNNAMED_SHEET: Final = re.compile(r"(sheet|工作表|tabelle|feuil|hoja|list|ark)?\s*\d*", re.IGNORECASE)


class OutlineTasks:
    """A task for each chapter of an outline.

    Args:
        outline: The outline.
        params: Parameters of every request.
    """

    def __init__(self, outline: Outline, params: JsonObject) -> None:
        self.kind = OUTLINE
        self.name = outline.name
        self._outline = outline
        self._params = params
        max_tokens = params.get("max_tokens")
        self._prompts = ChapterPrompts(outline, max_tokens if isinstance(max_tokens, int) else None)

    def located(self) -> Iterator[tuple[str, Task]]:
        """Yield the task of each chapter."""
        for chapter in self._outline.chapters:
            yield (
                f"{self.name}, chapter {chapter.number}",
                Task(
                    index=chapter.number - 1,
                    messages=self._prompts.messages(chapter),
                    params=self._params,
                    topic=chapter.module or None,
                    chapter=chapter.topic,
                    custom_id=chapter.row_id,
                ),
            )


def read_outline(path: Path) -> Outline:
    """Read an outline from a spreadsheet or a .csv file: the first table that has all columns.

    Rows without any of the four texts are passed over; a module that is empty, as all but the first of merged cells
    are, is the one of the row above.

    Raises:
        WorkloadError: The file cannot be read, columns are missing, or rows have no topic; the message names them, and
            what is there instead.
    """
    found: list[str] = []
    for sheet in read_sheets(path):
        header = _header(sheet)
        if header is not None:
            return Outline(name=str(path), title=_title(sheet, path), chapters=_chapters(path, sheet, *header))
        found.append(_columns_found(sheet))
    best = max(found, key=len, default="no table")
    raise WorkloadError(f"{path} has not all columns of an outline: {best}", f"a table has {_all_columns()}")


def _header(sheet: Sheet) -> tuple[int, Mapping[Column, int]] | None:
    """Return where the columns' names stand, as the row's index, and where each column is."""
    for index, row in enumerate(sheet.rows[:_HEADER_WITHIN_ROWS]):
        places = _places(row)
        if len(places) == len(COLUMNS):
            return index, places
    return None


def _places(row: Sequence[str]) -> dict[Column, int]:
    places: dict[Column, int] = {}
    for place, cell in enumerate(row):
        column = _NAMES.get(_plain(cell))
        if column is not None:
            places.setdefault(column, place)
    return places


def _plain(name: str) -> str:
    """Return a column's name without what does not matter: case, width of letters, blanks."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def _columns_found(sheet: Sheet) -> str:
    """Say which columns a table lacks, and what is in the row that comes closest."""
    rows = [(index, row) for index, row in enumerate(sheet.rows[:_HEADER_WITHIN_ROWS]) if any(row)]
    where = f"sheet {sheet.name!r}" if sheet.name else "it"
    if not rows:
        return f"{where} is blank"
    index, row = max(rows, key=lambda numbered: len(_places(numbered[1])))
    missing = ", ".join(_both_names(column) for column in COLUMNS if column not in _places(row))
    return f"{where} lacks {missing}; row {index + 1} has {_shown(row)}"


def _all_columns() -> str:
    return "the columns " + ", ".join(map(_both_names, COLUMNS))


def _both_names(column: Column) -> str:
    return f"{COLUMNS[column]} ({column})"


def _shown(row: Sequence[str]) -> str:
    cells = [cell if len(cell) <= _SHOWN_CHARACTERS else f"{cell[:_SHOWN_CHARACTERS]}.." for cell in row if cell]
    return ", ".join(map(repr, cells)) or "nothing"


def _chapters(path: Path, sheet: Sheet, header: int, places: Mapping[Column, int]) -> tuple[Chapter, ...]:
    chapters: list[Chapter] = []
    wrong: list[str] = []
    seen: Counter[str] = Counter()
    module = ""
    for number, row in enumerate(sheet.rows[header + 1 :], header + 2):
        texts = {column: row[place] if place < len(row) else "" for column, place in places.items()}
        if not any(map(is_visible, texts.values())):
            continue
        module = texts["module"] = texts["module"] or module
        if not is_visible(texts["topic"]):
            wrong.append(f"row {number} has {_shown(row)}")
            continue
        chapters.append(_chapter(len(chapters) + 1, texts, seen))
    if wrong:
        raise _without_topic(path, wrong)
    if not chapters:
        raise WorkloadError(f"{path} has no chapter below its columns' names", "give it a row for each chapter")
    return tuple(chapters)


def _chapter(number: int, texts: Mapping[Column, str], seen: Counter[str]) -> Chapter:
    ordered = [texts[column] for column in COLUMNS]
    digest = hashlib.sha256(msgspec.json.encode(ordered)).hexdigest()[:16]
    seen[digest] += 1
    again = f"-{seen[digest]}" if seen[digest] > 1 else ""
    return Chapter(
        number=number,
        module=texts["module"],
        topic=texts["topic"],
        outline=texts["outline"],
        description=texts["description"],
        row_id=f"row-{digest}{again}",
    )


def _without_topic(path: Path, wrong: Sequence[str]) -> WorkloadError:
    rest = len(wrong) - _ROWS_NAMED
    more = f"; and {rest} more" if rest > 0 else ""
    return WorkloadError(
        f"{path} has rows without {_both_names('topic')}: {'; '.join(wrong[:_ROWS_NAMED])}{more}",
        "name the topic or empty the row; of a formula the file must hold the value: open it and save it once",
    )


def _title(sheet: Sheet, path: Path) -> str:
    name = sheet.name.strip()
    return path.stem.replace("_", " ") if _UNNAMED_SHEET.fullmatch(name) else name
