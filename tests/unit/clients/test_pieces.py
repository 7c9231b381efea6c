"""Text in pieces: whole characters, whatever the cuts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.clients._pieces import Pieces, encodable

#: Texts as JSON may bring them, halves of characters included.
texts = st.lists(
    st.text(st.one_of(st.characters(), st.sampled_from("\ud83d\ude00\udbff\udc00a")), max_size=5), max_size=8
)


@given(texts)
def test_pieces_are_the_text_however_it_is_cut(cut: list[str]) -> None:
    """What is handed on piece by piece is the whole text in its encodable form, and each piece can be encoded."""
    got: list[str] = []
    pieces = Pieces(got.append)
    for text in cut:
        pieces.take(text)
    pieces.end()
    pieces.end()
    assert "".join(got) == encodable("".join(cut))
    assert all(piece and piece.encode() for piece in got)


def test_a_half_waits_for_the_other() -> None:
    """A first half is held back until the next piece, and the text before it is not."""
    got: list[str] = []
    pieces = Pieces(got.append)
    pieces.take("a\ud83d")
    assert got == ["a"]
    pieces.take("\ude00b")
    assert got == ["a", "😀b"]
