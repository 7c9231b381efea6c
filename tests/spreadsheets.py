"""Spreadsheets as other programs write them, as small as they can be."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Formula:
    """A formula, and the value that the program which saved it had for it, if it had one."""

    text: str
    value: str | float | None


Cell = str | int | float | None | Formula

_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_ODS: Final = "application/vnd.oasis.opendocument.spreadsheet"
_ODF: Final = "urn:oasis:names:tc:opendocument:xmlns"


def write_xlsx(
    path: Path, rows: Sequence[Sequence[Cell]], *, sheet: str = "Book", merged: Sequence[str] = (), hidden: str = ""
) -> Path:
    """Write a workbook with one sheet, and before it a hidden one if that has a name.

    Args:
        path: Where.
        rows: Its cells; None is no cell.
        sheet: The sheet's name.
        merged: Ranges of merged cells, like A2:A4.
        hidden: The name of a hidden sheet with the same cells.
    """
    cells = "".join(
        f'<row r="{number}">{"".join(_xlsx_cell(number, place, cell) for place, cell in enumerate(row))}</row>'
        for number, row in enumerate(rows, 1)
    )
    merges = "".join(f'<mergeCell ref="{each}"/>' for each in merged)
    merges = f"<mergeCells>{merges}</mergeCells>" if merges else ""
    names = [(hidden, 'state="hidden"'), (sheet, "")] if hidden else [(sheet, "")]
    sheets = "".join(
        f'<sheet name="{escape(name)}" sheetId="{number}" {state} r:id="rId{number}"/>'
        for number, (name, state) in enumerate(names, 1)
    )
    links = "".join(
        f'<Relationship Id="rId{number}" Type="{_RELATIONS}/worksheet" Target="worksheets/sheet{number}.xml"/>'
        for number in range(1, len(names) + 1)
    )
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{_PACKAGE}/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            '<Default Extension="xml" ContentType="application/xml"/></Types>',
        )
        file.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" '
            f'Type="{_RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        file.writestr(
            "xl/workbook.xml", f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}"><sheets>{sheets}</sheets></workbook>'
        )
        file.writestr(
            "xl/_rels/workbook.xml.rels", f'<Relationships xmlns="{_PACKAGE}/relationships">{links}</Relationships>'
        )
        for number in range(1, len(names) + 1):
            file.writestr(
                f"xl/worksheets/sheet{number}.xml",
                f'<worksheet xmlns="{_MAIN}"><sheetData>{cells}</sheetData>{merges}</worksheet>',
            )
    return path


def _xlsx_cell(row: int, place: int, cell: Cell) -> str:
    at = f"{chr(ord('A') + place)}{row}"
    if isinstance(cell, Formula):
        kind = ' t="str"' if isinstance(cell.value, str) else ""
        value = "" if cell.value is None else f"<v>{escape(str(cell.value))}</v>"
        return f'<c r="{at}"{kind}><f>{escape(cell.text)}</f>{value}</c>'
    if isinstance(cell, int | float):
        return f'<c r="{at}"><v>{cell}</v></c>'
    return "" if cell is None else f'<c r="{at}" t="inlineStr"><is><t>{escape(cell)}</t></is></c>'


def write_ods(path: Path, rows: Sequence[Sequence[Cell]], *, sheet: str = "Book") -> Path:
    """Write an OpenDocument table; None is an empty cell."""
    lines = "".join(f"<table:table-row>{''.join(map(_ods_cell, row))}</table:table-row>" for row in rows)
    content = (
        f'<office:document-content xmlns:office="{_ODF}:office:1.0" xmlns:table="{_ODF}:table:1.0" '
        f'xmlns:text="{_ODF}:text:1.0" office:version="1.2"><office:body><office:spreadsheet>'
        f'<table:table table:name="{escape(sheet)}">{lines}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("mimetype", _ODS)
        file.writestr(
            "META-INF/manifest.xml",
            f'<manifest:manifest xmlns:manifest="{_ODF}:manifest:1.0"><manifest:file-entry manifest:full-path="/" '
            f'manifest:media-type="{_ODS}"/></manifest:manifest>',
        )
        file.writestr("content.xml", content)
    return path


def _ods_cell(cell: Cell) -> str:
    if cell is None or isinstance(cell, Formula):
        return "<table:table-cell/>"
    if isinstance(cell, int | float):
        return f'<table:table-cell office:value-type="float" office:value="{cell}"/>'
    return f'<table:table-cell office:value-type="string"><text:p>{escape(cell)}</text:p></table:table-cell>'
