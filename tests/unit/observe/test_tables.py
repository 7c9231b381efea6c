"""Tests of the tables at the end of a run and of a comparison."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

import pytest

from bench.observe.comparison_table import print_comparison
from bench.observe.summary_table import print_summary
from bench.policy.statistics import Distribution, InFlight, distribution
from bench.summary.figures import NodeRow, TaskCounts, TokenCounts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.summary import Summary
    from bench.summary.figures import ErrorRow, ProviderRow


@pytest.fixture
def width(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return what sets the width of an output that is no terminal."""
    return lambda columns: monkeypatch.setenv("COLUMNS", str(columns))


def _summary_lines(summary: Summary) -> list[str]:
    out = StringIO()
    print_summary(summary, stream=out)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def _comparison_lines(summaries: Sequence[Summary]) -> list[str]:
    out = StringIO()
    print_comparison(summaries, stream=out)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_summary(
    summary: Callable[..., Summary], error_row: Callable[..., ErrorRow], width: Callable[[int], None]
) -> None:
    """The end of a run says what became of the tasks, how long they took, what failed and what the harness cost."""
    width(80)
    assert _summary_lines(summary(failed=2, errors=(error_row("slow down"),))) == [
        "Run 20260102T030405Z-asyncio-ab12: asyncio, 8 requests at once",
        "endpoint    simulator, model sim, client openai over aiohttp",
        "tasks       50 in all, 48 ok, 2 failed, 0 cancelled, 0 not started",
        "success     96.0 %, 95 % interval 86.5 % to 98.9 %",
        "wall time   3.00 s, first request to last answer",
        "throughput  16.0 tasks/s, n/a tokens/s",
        "requests    57 sent, 7 of them retries",
        "in flight   at most 8, on average 7.50",
        "tokens      1,200 in prompts, 4,800 in answers",
        "own cost    start-up 410 ms, CPU 1.81 ms a task, memory 84.3 MB,",
        "            wake-up lag p99 1.20 ms",
        "",
        "duration                  p50         p90         p95         p99     max",
        "latency                250 ms  n/a (n=48)  n/a (n=48)  n/a (n=48)  250 ms",
        "first token (TTFT)     250 ms  n/a (n=48)  n/a (n=48)  n/a (n=48)  250 ms",
        "per token (TPOT)       250 ms  n/a (n=48)  n/a (n=48)  n/a (n=48)  250 ms",
        "queue                     0 s  n/a (n=48)  n/a (n=48)  n/a (n=48)     0 s",
        "failed tasks        n/a (n=2)   n/a (n=2)   n/a (n=2)   n/a (n=2)  1.50 s",
        "n/a (n=..): too few values for this percentile; it needs 11 for p50, 64 for p90,",
        "130 for p95, 662 for p99",
        "",
        "errors",
        "rate_limited (HTTP 429): 7 requests met it, 2 tasks failed",
        "first: slow down",
        "",
    ]


def test_summary_of_nothing(summary: Callable[..., Summary], width: Callable[[int], None]) -> None:
    """A run without a success shows what was not measured as n/a, never as 0."""
    width(80)
    empty = Distribution(n=0)
    nothing = dict.fromkeys(("latency_s", "ttft_s", "tpot_s", "queue_s", "failed_latency_s"), empty)
    tasks = TaskCounts(total=3, ok=0, failed=0, cancelled=0, not_started=3)
    unknown = dict.fromkeys(("client", "transport", "provider", "model"))
    lines = _summary_lines(summary(ok=0, wall_s=None, tasks=tasks, **nothing, **unknown))
    assert "endpoint    no answer" in lines
    assert "success     n/a" in lines
    assert "wall time   n/a, first request to last answer" in lines
    assert "latency             n/a  n/a  n/a  n/a  n/a" in lines


def test_summary_marks_estimates_and_cuts(summary: Callable[..., Summary], width: Callable[[int], None]) -> None:
    """Tokens that the server did not count are marked, and so are answers that the limit cut."""
    width(200)
    tokens = TokenCounts(prompt=1, completion=2, reasoning=3, estimated_tasks=4)
    (line,) = (
        line for line in _summary_lines(summary(tokens=tokens, cut_at_max_tokens=5)) if line.startswith("tokens")
    )
    assert line.removeprefix("tokens").strip() == (
        "1 in prompts, 2 in answers (estimated in 4 tasks), 3 of these for reasoning, 5 answers cut at max_tokens"
    )


def test_summary_has_a_row_for_each_provider(
    summary: Callable[..., Summary], provider_row: Callable[..., ProviderRow], width: Callable[[int], None]
) -> None:
    """Where several providers answered, each has its row."""
    width(80)
    lines = _summary_lines(summary(providers=(provider_row("one"), provider_row("two"))))
    assert "two          24  24       0        25       250 ms" in lines
    assert not [line for line in _summary_lines(summary(providers=(provider_row("one"),))) if line.startswith("one")]


def test_summary_says_what_each_node_did(summary: Callable[..., Summary], width: Callable[[int], None]) -> None:
    """The nodes of a cluster are named with their tasks and what was lost with them; of many, the first eight."""
    width(200)

    def node(place: int) -> NodeRow:
        return NodeRow(
            node=f"n{place}\x1b[2J",
            host=None,
            slots=None,
            tasks=1000 + place,
            ok=1000,
            failed=0,
            lost=34 if place == 2 else 0,
            share=None,
            latency_p50_s=None,
            latency_p95_s=None,
            in_flight=InFlight(peak=1, mean=None),
            cpu_s=None,
        )

    def line(nodes: int) -> str:
        lines = _summary_lines(summary(mode="distributed", nodes=tuple(map(node, range(1, nodes + 1)))))
        return " ".join(line for line in lines if line.startswith("tasks of"))

    assert line(2).split(maxsplit=2)[2] == "n1\\x1b[2J 1,001, n2\\x1b[2J 1,002 (34 lost with it)"
    assert line(12).endswith(", n8\\x1b[2J 1,008, 4 more")
    assert not line(0)


def test_outside_text_is_harmless(
    summary: Callable[..., Summary], error_row: Callable[..., ErrorRow], width: Callable[[int], None]
) -> None:
    """A server's message and a model's name reach the terminal as text: no control code, direction mark or markup."""
    width(100)
    bad = "[bold]x[/nope]\x1b[2J\x1b]0;title\x07\u202etxt\r\nend :smile:"
    out = StringIO()
    print_summary(summary(model=bad, provider=bad, errors=(error_row(bad),)), stream=out)
    text = out.getvalue()
    assert all(char == "\n" or char.isprintable() for char in text)
    assert text.count("[bold]x[/nope]\\x1b[2J\\x1b]0;title\\x07\\u202etxt\\r\\nend :smile:") == 3


@pytest.mark.parametrize("columns", [30, 40, 60, 80, 120])
def test_tables_fit(
    summary: Callable[..., Summary], error_row: Callable[..., ErrorRow], width: Callable[[int], None], columns: int
) -> None:
    """No line is wider than the terminal, and none of the numbers is cut, also with Chinese names."""
    width(columns)
    runs = [summary("serial", wall_s=24.0), summary("multiprocessing", ok=47, failed=1, errors=(error_row("慢" * 90),))]
    lines = [*_summary_lines(runs[1]), *_comparison_lines(runs)]
    assert max(sum(1 + (char >= "一") for char in line) for line in lines) <= columns
    shown = " ".join(" ".join(lines).split())
    for number in ("n/a (n=47)", "84.3 MB", "87.5 %", "8.00x", "47/48"):
        assert number in shown


def test_comparison(summary: Callable[..., Summary], width: Callable[[int], None]) -> None:
    """Each run has a row, and time saved, speed-up and efficiency are three figures against the serial run."""
    width(80)
    many = {"latency_s": distribution([0.25] * 200)}
    lines = _comparison_lines(
        [summary("serial", wall_s=24.0), summary("threading"), summary(wall_s=4.0, ok=47, failed=1, **many)]
    )
    assert [" ".join(line.split()) for line in lines[:12]] == [
        "What came back",
        "tasks latency latency TTFT",
        "mode N ok success tasks/s p50 p95 p50",
        "serial 1 48/48 100 % 2.00 250 ms n/a (n=48) 250 ms",
        "threading 8 48/48 100 % 16.0 250 ms n/a (n=48) 250 ms",
        "asyncio 8 47/48 97.9 % 11.8 250 ms 250 ms 250 ms",
        "",
        "How long it took",
        "mode N start-up wall time time saved speed-up efficiency",
        "serial 1 410 ms 24.0 s - - -",
        "threading 8 410 ms 3.00 s 87.5 % 8.00x 100 %",
        "asyncio 8 410 ms 4.00 s 83.3 % 6.00x 75.0 %",
    ]


@pytest.mark.parametrize(
    "other",
    [
        {"ok": 40},
        {"model": "another"},
        {"provider": "another"},
        {"tasks": TaskCounts(total=48, ok=40, failed=0, cancelled=8, not_started=0)},
        {"tasks": TaskCounts(total=48, ok=40, failed=0, cancelled=0, not_started=8)},
    ],
)
def test_comparison_of_different_work(
    summary: Callable[..., Summary], width: Callable[[int], None], other: dict[str, object]
) -> None:
    """A run that did other work than the serial one, or did not finish, gets no speed-up; the reader is told why."""
    width(120)
    text = "\n".join(_comparison_lines([summary("serial", wall_s=24.0), summary(**other)]))
    assert "x " not in text.partition("How long it took")[2].partition("wall time: first")[0]
    assert "-: other tasks, provider or model than the serial run, or one of the two did not finish" in text


def test_comparison_without_a_serial_run(summary: Callable[..., Summary], width: Callable[[int], None]) -> None:
    """Without a serial run there is nothing to compare with, and the reader is told so."""
    width(80)
    lines = _comparison_lines([summary("threading"), summary()])
    assert "time saved, speed-up and efficiency need a serial run of the same tasks" in lines
    assert _comparison_lines([]) == []
