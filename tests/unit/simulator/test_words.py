"""The text of answers."""

import pytest

from bench.simulator.words import words


@pytest.mark.parametrize("chinese", [True, False])
@pytest.mark.parametrize("count", [0, 1, 4, 15, 500])
def test_words_are_as_many_as_asked_and_say_what_they_are(count: int, chinese: bool) -> None:  # noqa: FBT001 - a table
    """There are exactly as many words as asked for, none is empty, and the first say that the text is simulated."""
    made = words(0, "a", count, chinese=chinese)
    assert len(made) == count
    assert all(made)
    start = "本文由模拟器生成。" if chinese else "This text is simulated. "
    assert "".join(made).startswith(start) == (count >= 4)


def test_seed_and_variant_decide_the_words() -> None:
    """The same seed and variant give the same words; another of either gives others."""
    text = words(1, "a", 60, chinese=False)
    assert words(1, "a", 60, chinese=False) == text
    assert words(2, "a", 60, chinese=False) != text
    assert words(1, "b", 60, chinese=False) != text
