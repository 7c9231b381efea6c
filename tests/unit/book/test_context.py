"""Prompts that leave no room for their answers are refused."""

from __future__ import annotations

import pytest

from bench.book.coherence import SUMMARY_TOKENS
from bench.book.context import check_context
from bench.errors import ConfigError
from bench.records import JsonObject, Task

TASK = Task(index=2, messages=({"role": "user", "content": "x" * 500},), params={"max_tokens": 400}, chapter="Bees")


def tokens(messages: tuple[JsonObject, ...]) -> int:
    """Take each character for a token."""
    return sum(len(str(message["content"])) for message in messages)


def test_what_fits_passes() -> None:
    """A prompt that fills the context with its answer is no error."""
    check_context([TASK], tokens, context_tokens=900, coherence="outline")


def test_what_does_not_fit() -> None:
    """One token more is refused, with the chapter, the tokens and the answer's length that would fit."""
    with pytest.raises(ConfigError) as caught:
        check_context([TASK], tokens, context_tokens=899, coherence="outline")
    assert "chapter 3 ('Bees') does not fit: its prompt has 500 tokens" in str(caught.value)
    assert "--max-tokens to 399 at most" in str(caught.value)


def test_no_room_at_all() -> None:
    """Where the prompt alone is too long, no shorter answer is advised."""
    with pytest.raises(ConfigError, match="shorten the outline"):
        check_context([TASK], tokens, context_tokens=500, coherence="outline")


def test_second_pass() -> None:
    """With a second pass, there must be room for the first text and its neighbours' summaries too: what is advised
    fits.
    """
    need = 500 + 2 * 400 + 2 * SUMMARY_TOKENS + 160
    check_context([TASK], tokens, context_tokens=need, coherence="summary")
    with pytest.raises(ConfigError, match="--max-tokens to 399 at most"):
        check_context([TASK], tokens, context_tokens=need - 1, coherence="summary")
