"""Answers of every wrong and odd form, broken connections and refusals: each task ends as it should, in every mode."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from tests.faults.answers import BODIES, STREAMS
from tests.faults.faults import OK, Fault
from tests.faults.runs import WAYS, FaultRun, Way, run_here

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.conftest import Note, Runs

    #: Compares what became of a task with what its fault allows.
    Check = Callable[[Fault, Way], FaultRun]


def streams(way: Way, results: Path) -> FaultRun:
    """Meet the faults of streams."""
    return run_here(way, STREAMS, results)


def bodies(way: Way, results: Path) -> FaultRun:
    """Meet the faults of answers that are not streamed."""
    return run_here(way, BODIES, results, stream=False)


def rows(*names: str) -> pytest.MarkDecorator:
    """Give a test the faults of these rows, each in every mode and over both clients."""
    return pytest.mark.parametrize(
        ("fault", "way"),
        [
            pytest.param(fault, way, id=f"{fault.row} {fault.name}-{way}")
            for fault in STREAMS + BODIES
            for way in WAYS
            if fault.row in names
        ],
    )


@pytest.fixture
def check(runs: Runs, note: Note) -> Check:
    """Look up what became of the task that met a fault, and compare."""

    def checked(fault: Fault, way: Way) -> FaultRun:
        run = runs(streams if fault in STREAMS else bodies, way)
        result, end, visits = run.results[fault.name], run.end_of(fault), run.visits.get(fault.name, [])
        note(fault, way, end if len(result.attempts) == 1 else f"{end} x{len(result.attempts)}")
        assert end in fault.ends, result.error
        assert result.status == ("ok" if end == OK else "failed")
        assert len(result.attempts) == fault.attempts_for(end)
        assert len(visits) - len(result.attempts) in ({0, 1} if fault.unanswered else {0})
        assert fault.content is None or result.content == fault.content
        assert result.error is None or (result.error.message and fault.words in result.error.message)
        for first, second in itertools.pairwise(visits):
            assert second.came_ns - (first.over_ns or 0) >= fault.gap_s * 1e9
        return run

    return checked


@rows("F-22")
def test_f22_text_that_cannot_be_encoded(check: Check, fault: Fault, way: Way) -> None:
    """Half a character from a server is replaced, so that the record can be written."""
    check(fault, way)


@rows("F-25", "F-26")
def test_f25_f26_connections_that_break(check: Check, fault: Fault, way: Way) -> None:
    """A broken connection fails its attempt as `stream_reset`, is tried again, and what had come is kept."""
    check(fault, way)


@rows("F-27")
def test_f27_streams_that_end_early(check: Check, fault: Fault, way: Way) -> None:
    """A stream without a finish reason is `truncated` and never ok, with one it is whole."""
    check(fault, way)


@rows("F-31")
def test_f31_forms_of_events(check: Check, fault: Fault, way: Way) -> None:
    """Events in any form that the format allows read alike; what is no chunk is `bad_sse`."""
    check(fault, way)


@rows("F-32")
def test_f32_what_is_no_answer(check: Check, fault: Fault, way: Way) -> None:
    """What comes with 200 and is no answer fails with a name of its own."""
    check(fault, way)


@rows("F-33", "F-34")
def test_f33_f34_bombs_and_large_heads(check: Check, fault: Fault, way: Way) -> None:
    """Compressed answers and heads without measure are refused, asked for once."""
    check(fault, way)


@rows("F-35")
def test_f35_retry_after(check: Check, fault: Fault, way: Way) -> None:
    """No request comes before the time that the server asked for, in any of its forms; too long a time is given up."""
    check(fault, way)


@rows("F-36", "F-37")
def test_f36_f37_refusals(check: Check, fault: Fault, way: Way) -> None:
    """A server's own failure is tried again, as often as was asked for; a refused request is not."""
    check(fault, way)


@rows("F-39")
def test_f39_redirects(check: Check, fault: Fault, way: Way) -> None:
    """A redirect is not followed, to no server: it is a failure that names its target."""
    run = check(fault, way)
    error = run.results[fault.name].error
    assert error is not None
    assert "elsewhere" in error.message or "127.0.0.1:9" in error.message
