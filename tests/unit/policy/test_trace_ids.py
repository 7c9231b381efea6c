"""Ids of traces and spans: pure, distinct, and in the form that LangSmith asks for."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from bench.policy.trace_ids import attempt_span_id, is_sampled, task_span_id, trace_id

RUN = "20261122T030506Z-asyncio-0a1b"
LABEL = "2026-11-22T03:05:07.123Z"
START_MS = 1_795_316_706_000


def ms_of(span_id: str) -> int:
    """The time that an id of version 7 holds."""
    return uuid.UUID(span_id).int >> 80


@given(st.text(), st.text(), st.integers(0, 99), st.text(max_size=30), st.integers(0, 99))
def test_form(run_id: str, task_id: str, segment: int, label: str, number: int) -> None:
    """Whatever a record says, its ids are UUIDs of version 7, the same each time."""
    made = [
        (trace_id(run_id, number), task_span_id(run_id, task_id, segment, label)),
        (trace_id(run_id, number), task_span_id(run_id, task_id, segment, label)),
    ]
    assert made[0] == made[1]
    for each in (*made[0], attempt_span_id(run_id, task_id, segment, label, number)):
        parsed = uuid.UUID(each)
        assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)


def test_times() -> None:
    """A trace's id holds the start of its run, and a span's the start of its task, to the millisecond."""
    assert ms_of(trace_id(RUN, 3)) == START_MS
    assert ms_of(task_span_id(RUN, "0-i0-v0", 0, LABEL)) == START_MS + 1_123
    assert ms_of(attempt_span_id(RUN, "0-i0-v0", 0, LABEL, 1)) == START_MS + 1_123


def test_distinct() -> None:
    """Iterations, tasks, segments and attempts of one run and of two have an id each."""
    made = []
    for run in (RUN, RUN.replace("0a1b", "0a1c")):
        made += [trace_id(run, number) for number in range(50)]
        for task in range(50):
            for segment in range(2):
                made.append(task_span_id(run, f"{task}-i0-v0", segment, LABEL))
                made += [attempt_span_id(run, f"{task}-i0-v0", segment, LABEL, number) for number in range(4)]
    assert len(set(made)) == len(made)


def test_sample() -> None:
    """A sample holds its share of the spans, everything at 1, nothing at 0, and a larger one holds a smaller."""
    ids = [task_span_id(RUN, f"{task}-i0-v0", 0, LABEL) for task in range(2000)]
    assert [is_sampled(each, 1.0) for each in ids] == [True] * len(ids)
    assert [is_sampled(each, 0.0) for each in ids] == [False] * len(ids)
    small = {each for each in ids if is_sampled(each, 0.1)}
    assert 140 < len(small) < 260
    assert small < {each for each in ids if is_sampled(each, 0.5)}
