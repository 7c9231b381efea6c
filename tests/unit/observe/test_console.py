"""Tests of the frame and the plain lines that show a run; the real terminal is in tests/e2e/test_console.py."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

import pytest

from bench.clock import NS_PER_S
from bench.observe.console import frame, plain_line, progress_display
from bench.observe.progress import Progress, Snapshot
from bench.observe.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.records import Glimpse


@pytest.fixture
def state(glimpse: Callable[..., Glimpse]) -> Snapshot:
    """Return a run of 1,000 tasks after ten seconds: 150 ok, 2 failed, 8 in flight."""
    now_s = [0.0]
    progress = Progress(1000, now_ns=lambda: int(now_s[0] * NS_PER_S))
    progress.ready()
    for _ in range(160):
        progress.drawn()
    for _ in range(150):
        progress.recorded(glimpse())
    for _ in range(2):
        progress.recorded(
            glimpse("failed", attempts=4, error=("rate_limited", "太快了 [b]slow\x1b[2J down\u202e[/no]" * 9))
        )
    now_s[0] = 10.0
    return progress.snapshot()


def test_frame(state: Snapshot) -> None:
    """A frame of a running run says how far it is, how fast, what failed and how long it will take."""
    shown = frame(state, "asyncio", 8, width=80).plain.splitlines()
    assert shown[:-1] == [
        "asyncio, 8 requests at once",
        "152/1000 done, 15.2 %  ━━━━──────────────────────────",
        "tasks       150 ok, 2 failed, 2 retried, 8 in flight",
        "speed       15.0 tasks/s (last 5 s: 15.0), 150 tokens/s (last 5 s: 150)",
        "latency     p50 500 ms, p95 500 ms, max 500 ms, first token p50 200 ms",
        "time        0:10 elapsed, about 0:54 left",
        "errors      2 rate_limited",
    ]
    assert shown[-1].startswith("last error  太快了 [b]slow\\x1b[2J down\\u202e[/no]太")


@pytest.mark.parametrize("width", [20, 40, 79, 80, 200])
def test_frame_fits(state: Snapshot, width: int) -> None:
    """No line of a frame reaches the terminal's last column."""
    lines = frame(state, "multiprocessing", 100_000, width=width).split("\n")
    assert max(line.cell_len for line in lines) < width


def test_frame_before_and_after() -> None:
    """Before the slots are ready a frame says what it waits for; the last frame has no time left."""
    progress = Progress(12)
    assert frame(progress.snapshot(), "multiprocessing", 64, width=80).plain.startswith(
        "multiprocessing: starting 64 workers (0:00)\n0/12 done"
    )
    assert frame(progress.snapshot(), "distributed", 64, width=80).plain.startswith(
        "distributed: starting nodes (0:00)"
    )
    progress.ready()
    last = frame(progress.snapshot(last=True), "serial", 1, width=80, last=True).plain
    assert last.startswith("serial, one request at a time\n")
    assert "left" not in last


def test_frame_without_unicode(state: Snapshot) -> None:
    """The bar of a terminal whose encoding has no line drawing is of ASCII characters."""
    assert "####.........................." in frame(state, "asyncio", 8, width=80, ascii_only=True).plain


def test_plain_line(state: Snapshot) -> None:
    """A plain line holds the same numbers on one line."""
    assert plain_line(state, "threading", 8) == (
        "threading: 152/1000 done, 150 ok, 2 failed, 2 retried, 8 in flight, 15.0 tasks/s (last 5 s: 15.0), "
        "150 tokens/s (last 5 s: 150), latency p50 500 ms, p95 500 ms, max 500 ms, first token p50 200 ms, "
        "0:10 elapsed, about 0:54 left, 2 rate_limited"
    )


def test_no_terminal(glimpse: Callable[..., Glimpse]) -> None:
    """Where there is no terminal, a short run leaves one line, without control codes."""
    out = StringIO()
    with progress_display(total=2, slots=2, mode="threading", terminal=Terminal(out)) as observer:
        observer.ready()
        observer.drawn()
        observer.recorded(glimpse())
    (line,) = out.getvalue().splitlines()
    assert line.startswith("threading: 1/2 done, 1 ok, 0 failed")
    assert line.isprintable()


def test_quiet(glimpse: Callable[..., Glimpse]) -> None:
    """A quiet display takes every report and shows nothing."""
    out = StringIO()
    with progress_display(total=1, slots=1, mode="serial", quiet=True, terminal=Terminal(out)) as observer:
        observer.ready()
        observer.drawn()
        observer.recorded(glimpse())
    assert not out.getvalue()
