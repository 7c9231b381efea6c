"""Whether each answer is the one to its question: a null server puts a digest of the prompt into what it sends."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

import msgspec

from bench.journal import iter_last_results

if TYPE_CHECKING:
    from pathlib import Path

#: 16 hex digits of the SHA-256 of the last user message, in brackets, in the first token.
_DIGEST: Final = re.compile(r"\[([0-9a-f]{16})\]")
_DIGITS: Final = 16


class _Message(msgspec.Struct, frozen=True):
    role: str
    content: object


class _Body(msgspec.Struct, frozen=True):
    messages: tuple[_Message, ...]


class _Line(msgspec.Struct, frozen=True):
    body: _Body


class _Answer(msgspec.Struct, frozen=True, gc=False):
    index: int
    status: str
    content: str | None


def mismatches(run: Path, tasks: Path) -> int:
    """Return how many successes carry another digest than that of their prompt, or none.

    Args:
        run: The run's directory.
        tasks: The file of its tasks, one a line.
    """
    decoder = msgspec.json.Decoder(_Line)
    expected = [_digest(decoder.decode(line).body) for line in tasks.read_bytes().splitlines()]
    wrong = 0
    for row in iter_last_results(run, _Answer):
        if row.status == "ok":
            found = _DIGEST.search(row.content or "")
            wrong += found is None or found[1] != expected[row.index]
    return wrong


def _digest(body: _Body) -> str:
    texts = [message.content for message in body.messages if message.role == "user"]
    text = texts[-1] if texts and isinstance(texts[-1], str) else ""
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
