"""Pages that the report writes, as tests read them: their elements, links and text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from pathlib import Path

#: Elements that could load or run something.
ACTIVE: Final = frozenset({"script", "iframe", "object", "embed", "img", "image", "form", "base", "audio", "video"})

#: Attributes that name what is loaded.
LOADING: Final = frozenset({"src", "srcset", "href", "xlink:href", "data", "poster", "action"})


class Reader(HTMLParser):
    """Collects a page's elements, attributes and ids, its text, and that of its paragraphs."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.ids: list[str] = []
        self.paragraphs: list[str] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element and its attributes."""
        self.elements.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag in {"p", "style", "svg", "title"}:
            self._open.append(tag)
        if tag == "p" and ("class", "kind") not in attrs:
            self.paragraphs.append("")

    def handle_endtag(self, tag: str) -> None:
        """Leave an element."""
        if self._open and self._open[-1] == tag:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        """Keep text that a reader sees."""
        if not self._open:
            self.text.append(data)
        elif self._open == ["p"]:
            self.text.append(data)
            if self.paragraphs:
                self.paragraphs[-1] += data


def check_self_contained(page: Path) -> None:
    """Fail unless a page loads and runs nothing from outside, its ids are unique, and every link leads somewhere."""
    text = page.read_text(encoding="utf-8")
    reader = Reader(text)
    assert not reader.elements & ACTIVE
    assert not [name for name, _ in reader.attributes if name.startswith("on") or name == "style"]
    assert len(set(reader.ids)) == len(reader.ids)
    for name, value in reader.attributes:
        if name not in LOADING:
            continue
        if value.startswith("#"):
            assert value[1:] in reader.ids
        elif value != "data:,":
            assert value.startswith("./")
            assert (page.parent / unquote(value)).is_file(), value
    assert not re.findall(r"url\((?!#|data:)", text)
    pictures = {value for name, value in reader.attributes if name == "href" and value.endswith(".png")}
    assert {f"./charts/{path.name}" for path in (page.parent / "charts").iterdir()} == pictures


def check_hostile_text_is_text(page: Path) -> None:
    """Fail unless markup stands escaped in a page, and neither direction overrides nor control characters at all."""
    text = page.read_text(encoding="utf-8")
    assert "<img" not in text
    assert "<script" not in text
    assert text.count("</style>") == 1
    assert "&lt;script&gt;" in text
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert "\x00" not in text
    assert "{{ 7*7 }}" in text
