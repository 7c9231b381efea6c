"""What the words of a report mean here, and what other tools mean by the same word."""

from __future__ import annotations

from typing import Final

from bench.report.table import Cell, Table, texts

_TOOLS: Final = ("here", "AIPerf", "GuideLLM", "vLLM bench serve", "MLPerf LoadGen")

#: Checked against the tools' own sources; versions of 2025 and 2026.
_MEANINGS: Final = (
    (
        "TTFT (time to first token)",
        "from sending the request to the first content that is not empty",
        "to the first content that is not empty; releases up to October 2025: to the first response of any kind",
        "to the first line that its handler takes for a token",
        "to the first chunk with choices, even if it holds a role only",
        "to FirstTokenComplete, from the scheduled time",
    ),
    (
        "TPOT (time per output token)",
        "first to last token, divided by the tokens after the first",
        "no figure of this name",
        "first to last token, divided by all tokens, the first included",
        "latency less TTFT, divided by the tokens after the first",
        "as vLLM bench serve, in whole nanoseconds",
    ),
    (
        "ICL (inter-chunk latency)",
        "the gaps between chunks with content; each task's median. The word ITL is avoided",
        "ICL: every gap between chunks. Its ITL is a mean a request, which is vLLM's TPOT",
        "ITL: first to last token, divided by the tokens after the first",
        "ITL: every gap between chunks, pooled, which is AIPerf's ICL",
        "no figure of this name",
    ),
    (
        "E2E (latency)",
        "from the time a task was due until its stream has ended; retries and waits included",
        "until the last content",
        "until the stream was closed",
        "until the last chunk with a token",
        "until the completion callback",
    ),
    (
        "wait in the client",
        "part of the latency, and shown apart as queue",
        "not part of the latency",
        "delays are kept apart",
        "not part of the latency; its own figure",
        "part of the latency, which counts from the schedule",
    ),
    (
        "clock",
        "monotonic, in nanoseconds",
        "monotonic for times, wall clock for the duration",
        "wall clock",
        "monotonic; its pacing by the wall clock",
        "monotonic, checked against a second clock",
    ),
)


def meanings_table() -> Table:
    """Return what TTFT, TPOT, ICL and latency mean here and elsewhere."""
    return Table(
        name="meanings",
        title="What the words mean",
        intro="One word, several measures: before figures of two tools are compared, compare these.",
        columns=texts("word", *_TOOLS),
        rows=tuple(tuple(Cell(text=said) for said in row) for row in _MEANINGS),
    )
