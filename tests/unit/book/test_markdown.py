"""Texts of others in Markdown: titles show as they are, and a chapter cannot reach into the next."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.book.markdown import body_text, title_text


@given(st.text())
def test_titles_show_as_they_are(title: str) -> None:
    """A title is one line, nothing in it means more than itself, and without the escapes it is the title."""
    shown = title_text(title)
    assert "\n" not in shown
    assert not re.search(r"(?<!\\)(?:\\\\)*[*_`<>\[\]#|]", shown)
    plain = "".join(char for char in title if char.isspace() or not re.match(r"[\x00-\x1f\x7f-\x9f]", char))
    unescaped = re.sub(r"\\(.)", r"\1", shown)
    assert set(unescaped) <= set(plain) | {" "}


def test_a_title_cannot_make_links_or_html() -> None:
    """Links, HTML, and signs that turn a line around, stay text."""
    assert title_text("[x](http://e) <b>\u202eabc") == r"\[x\]\(http\://e\) \<b\>abc"


@pytest.mark.parametrize(
    ("text", "below", "expected"),
    [
        ("# A\n## B\ntext", 1, "## A\n### B\ntext\n"),
        ("# A\n## B", 3, "#### A\n##### B\n"),
        ("### A\n###### B", 1, "### A\n###### B\n"),
        ("#no heading", 3, "#no heading\n"),
        ("```python\n# comment\nx = 1", 3, "```python\n# comment\nx = 1\n```\n"),
        ("~~~~\n```\n", 1, "~~~~\n```\n~~~~\n"),
        ("a\n===\nb", 1, "a\n\n===\nb\n"),
        ("a\n\n---\n\nb", 1, "a\n\n---\n\nb\n"),
        ("x <!-- y", 1, "x &lt;!-- y\n"),
        ("<script>alert(1)", 1, "&lt;script>alert(1)\n"),
        ("a < b <b>", 1, "a < b <b>\n"),
        ("`<br>` stays", 1, "`<br>` stays\n"),
    ],
)
def test_bodies(text: str, below: int, expected: str) -> None:
    """Headings come below a chapter's own, a fence that was cut off is closed, HTML that swallows what follows is text;
    and all else stays.
    """
    assert body_text(text, below=below) == expected


@given(st.text(alphabet="#`~ \n-=a<!", max_size=80), st.integers(1, 3))
def test_a_chapter_ends_where_it_ends(text: str, below: int) -> None:
    """Whatever a chapter holds, no heading in it is as high as its own, and what follows it is not within its code."""
    fence = ""
    for line in body_text(text, below=below).split("\n"):
        found = re.match(r" {0,3}(`{3,}|~{3,})(.*)$", line)
        if fence:
            if found and found[1].startswith(fence) and not found[2].strip():
                fence = ""
        elif found and not (found[1][0] == "`" and "`" in found[2]):
            fence = found[1]
        else:
            heading = re.match(r" {0,3}(#{1,6})(?:[ \t]|$)", line)
            assert heading is None or len(heading[1]) > below
    assert not fence
