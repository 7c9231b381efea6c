"""The page: one HTML file that needs no network, no script and no font of the machine."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench.report.fonts import FONT_NAME, embedded
from bench.report.theme import css_variables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.report.cautions import Caution
    from bench.report.provenance import Source
    from bench.report.render import Classes, Drawn
    from bench.report.table import Link, Table

_ASSETS: Final = Path(__file__).with_name("assets")


class Page(Protocol):
    """What every page has."""

    @property
    def heading(self) -> str:
        """The title."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """All that the page of runs says; text in it is plain and is escaped where it is put into the page.

    Attributes:
        heading: The title.
        lead: The first sentences.
        glance: Name and outcome of each run, where they are few.
        facts: Name and value of what was run.
        cautions: What to keep in mind.
        charts: In order, those with nothing to draw as well.
        tables: In order.
        sources: Commands and raw files, a run each.
        pictures: The files of the charts.
    """

    heading: str
    lead: tuple[str, ...]
    glance: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str], ...]
    cautions: tuple[Caution, ...]
    charts: Sequence[Drawn]
    tables: Sequence[Table]
    sources: Sequence[Source]
    pictures: Sequence[Link]


def page(content: Page, classes: Classes, *, template: str = "body.html.j2", kind: str = "run report") -> str:
    """Return the page as HTML.

    Args:
        content: What it says.
        classes: The styles of its charts.
        template: The file of its body.
        kind: What it is, for the window's title.
    """
    templates = Environment(
        loader=FileSystemLoader(_ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    body = templates.get_template(template).render(content=content)
    css = _css(classes, set(body) | set(content.heading))
    return templates.get_template("page.html.j2").render(
        title=f"{content.heading}: {kind}",
        css=css,
        css_hash=base64.b64encode(hashlib.sha256(css.encode()).digest()).decode("ascii"),
        body=body,
    )


def _css(classes: Classes, characters: set[str]) -> str:
    """Return the style sheet with the colours, the charts' styles and the glyphs that these characters need."""
    font = f"@font-face{{font-family:'{FONT_NAME}';src:url({embedded(characters)}) format('woff')}}"
    light = f":root{{{css_variables(dark=False)}}}"
    # Paper is white: the dark colours are for screens only.
    dark = f"@media screen and (prefers-color-scheme:dark){{:root{{{css_variables(dark=True)}}}}}"
    style = (_ASSETS / "style.css").read_text(encoding="utf-8")
    return f"{font}\n{light}\n{dark}\n{style}\n{classes.css()}"
