"""Rows and tables for a terminal: aligned where there is room, and lists of words where there is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from bench.observe.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console, RenderableType

#: Column in which what a label says begins.
_INDENT: Final = 12

#: On a terminal narrower than this nothing is aligned.
_NARROW: Final = 50

_NARROW_INDENT: Final = 2


def flow(label: str, items: Sequence[str | Text], width: int) -> list[Text]:
    """Return lines of at most `width` columns: the label, then the items separated by commas.

    Items must be printable. Lines are broken between items, and an item longer than a whole line is cut.
    """
    indent = _NARROW_INDENT if width < _NARROW else _INDENT
    short = width >= _NARROW and cell_len(label) < indent
    line = Text(label.ljust(indent) if short else f"{label} ", style="bold")
    lines: list[Text] = []
    empty = True
    for place, item in enumerate(items):
        text = Text.assemble(item, "," if place < len(items) - 1 else "")
        if text.cell_len > width - indent:
            text = Text(printable(text.plain, width - indent))
        if line.cell_len + (not empty) + text.cell_len > width:
            lines.append(line)
            line, empty = Text(" " * indent), True
        line = Text.assemble(line, "" if empty else " ", text)
        empty = False
    return [*lines, line]


def joined(lines: Iterable[Text]) -> Text:
    """Return the lines as one text that is broken nowhere else."""
    text = Text("\n").join(lines)
    text.no_wrap, text.overflow = True, "crop"
    return text


def bar(share: float, width: int, *, ascii_only: bool) -> Text:
    """Return a bar of `width` columns, filled up to `share`."""
    full, empty = ("#", ".") if ascii_only else ("━", "─")
    filled = min(width, int(share * width))
    return Text.assemble((full * filled, "green"), (empty * (width - filled), "dim"))


def rows(cells: Sequence[dict[str, str]], width: int) -> RenderableType:
    """Return rows of cells by column as a table, or where that is too wide, each row in words after its first cell."""
    natural = sum(max(map(cell_len, (*name.split("\n"), *(row[name] for row in cells)))) for name in cells[0])
    gaps = len(cells[0]) - 1
    if natural + gaps > width:
        return joined(line for row in cells for line in _as_list(row, width))
    gap = 2 if natural + 2 * gaps <= width else 1
    table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="bold")
    for place, name in enumerate(cells[0]):
        table.add_column(name, justify="right" if place else "left", no_wrap=True)
    for row in cells:
        table.add_row(*(Text(cell) for cell in row.values()))
    return table


def _as_list(row: dict[str, str], width: int) -> list[Text]:
    (_, name), *others = row.items()
    return flow(name, [f"{label} {cell}".replace("\n", " ") for label, cell in others], width)


def write(console: Console, *parts: RenderableType) -> None:
    """Write parts below each other, and an empty line."""
    for part in parts:
        console.print(part)
    console.print()
