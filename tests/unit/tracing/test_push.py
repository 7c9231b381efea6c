"""Sending traces over real HTTP: everything once, whatever happens in between, and counts that are right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from bench.errors import ConfigError
from bench.journal import TASKS, read_manifest
from bench.tracing.gather import Gathering
from bench.tracing.make import Shown, SpanMaker
from bench.tracing.notes import NOTES, Notes
from bench.tracing.outcome import read_outcome
from tests.langsmith_receiver import Receiver, receiving
from tests.samples import cancelled_result, failed_attempt, failed_result, make_attempt, make_result, make_segment
from tests.tracing_runs import KEY, check_arrived, push, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.records import TaskResult

RUN_ID = "20261122T030506Z-asyncio-0a1b"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """An endpoint that takes everything."""
    with receiving() as receiver:
        yield receiver


def result(index: int, iteration: int = 0, *, begins_s: float = 0.0, **changes: object) -> TaskResult:
    """A task that was tried twice, a second each."""
    attempts = (
        failed_attempt(sent_s=begins_s, end_s=begins_s + 1),
        make_attempt(sent_s=begins_s + 1.5, end_s=begins_s + 2, first_content_s=begins_s + 1.75, wait_before_s=0.5),
    )
    plain = make_result(
        index,
        task_id=f"{index}-i{iteration}-v0",
        iteration=iteration,
        attempts=attempts,
        scheduled_s=begins_s,
        started_s=begins_s,
        ended_s=begins_s + 2,
        latency_s=2.0,
        service_s=2.0,
    )
    return msgspec.structs.replace(plain, **changes)


def twelve() -> list[TaskResult]:
    """Three iterations of four tasks, in the order in which they might end."""
    made = [result(index, iteration, begins_s=4.0 * iteration + index) for iteration in range(3) for index in range(4)]
    return [made[1], made[0], *made[2:]]


def posts(receiver: Receiver) -> int:
    """How many requests brought spans."""
    return sum(path.startswith("POST") for path in receiver.paths)


def test_everything_once(tmp_path: Path, receiver: Receiver) -> None:
    """A push sends every span under its parent, and a second one nothing, whatever was asked between the two."""
    run = write(tmp_path / "run", twelve(), tasks=12, iterations=3)
    outcome = push(run, receiver)
    check_arrived(run, receiver, RUN_ID)
    assert (outcome.traces_sent, outcome.roots_sent, outcome.is_whole, outcome.reason) == (12, 3, True, None)
    assert read_outcome(run) == outcome
    assert receiver.keys == {KEY}
    before = posts(receiver)
    assert push(run, receiver).is_whole
    assert posts(receiver) == before
    starts = {span["start_time"] for span in receiver.runs.values() if span["name"] == "iteration"}
    assert len(starts) == 3, "an iteration begins with its own first task"


def test_prompts_and_answers(tmp_path: Path, receiver: Receiver) -> None:
    """A call's span has the prompt of its task, the model, the answer and its tokens."""
    run = write(tmp_path / "run", [result(0), result(1)], tasks=2)
    push(run, receiver)
    calls = [span for span in receiver.runs.values() if span["run_type"] == "llm" and "outputs" in span]
    asked = sorted(span["inputs"]["messages"][0]["content"] for span in calls)
    assert asked == ["question 0", "question 1"]
    assert {span["outputs"]["choices"][0]["message"]["content"] for span in calls} == {"an answer"}
    assert {span["outputs"]["usage_metadata"]["total_tokens"] for span in calls} == {15}


def test_hidden(tmp_path: Path, receiver: Receiver) -> None:
    """LangSmith's own variables hide prompts and answers."""
    run = write(tmp_path / "run", [result(0)], tasks=1)
    push(run, receiver, HIDE_INPUTS="true", HIDE_OUTPUTS="true")
    assert not [body for body in receiver.bodies if b"question" in body or b"an answer" in body]


def test_killed_before_the_note(tmp_path: Path, receiver: Receiver) -> None:
    """What was taken and not noted, because the sender was killed, is sent again under the same ids and order."""
    run = write(tmp_path / "run", twelve(), tasks=12, iterations=3)
    push(run, receiver)
    first = {span_id: dict(span) for span_id, span in receiver.runs.items()}
    notes = (run / NOTES).read_bytes().splitlines(keepends=True)
    begun = [line for line in notes if b"start_us" in line]
    (run / NOTES).write_bytes(b"".join(begun) + b'{"to":"torn')
    assert push(run, receiver).is_whole
    assert receiver.runs == first


def test_resumed(tmp_path: Path, receiver: Receiver) -> None:
    """After a resume only the new records are sent, and the root says anew when it ended and what became of all."""
    segments = (make_segment(origin_utc_us=1_795_316_706_000_000), make_segment(origin_utc_us=1_795_316_766_000_000))
    run = write(tmp_path / "run", [result(0), cancelled_result(1)], tasks=3, segments=segments)
    push(run, receiver)
    root = next(span for span in receiver.runs.values() if span["name"] == "iteration")
    assert (root["outputs"], root["error"]) == ({"cancelled": 1, "ok": 1}, "1 of 2 tasks did not succeed")
    ended = root["end_time"]
    with (run / TASKS).open("ab") as file:
        for index in (1, 2):
            again = result(index, segment=1, started_at="2026-11-22T03:06:06.000Z")
            file.write(msgspec.json.encode(again) + b"\n")
    assert push(run, receiver).traces_sent == 4
    check_arrived(run, receiver, RUN_ID)
    assert root["outputs"] == {"ok": 3}
    assert root["end_time"] > ended


def test_sampled(tmp_path: Path, receiver: Receiver) -> None:
    """A sample leaves tasks out, counted, and never a root; a later push without one sends them."""
    run = write(tmp_path / "run", [result(index) for index in range(40)], tasks=40)
    outcome = push(run, receiver, sample=0.5)
    assert outcome.is_whole
    assert 5 < outcome.traces_sent < 35
    assert outcome.traces_sent + outcome.traces_left_out == 40
    assert sum(span["name"] == "iteration" for span in receiver.runs.values()) == 1
    assert push(run, receiver).traces_sent == 40
    check_arrived(run, receiver, RUN_ID)


@pytest.mark.parametrize(
    ("status", "failed", "said", "posted"),
    [
        (401, 12, "the key is not accepted", 1),
        (413, 12, "too large", 2),
        (429, 12, "too many requests", 4),
        (500, 12, "answers 500", 4),
    ],
)
def test_refused(tmp_path: Path, receiver: Receiver, status: int, failed: int, said: str, posted: int) -> None:
    """What is refused is counted with the reason and asked for again only where that may help; later it is sent."""
    run = write(tmp_path / "run", twelve(), tasks=12, iterations=3)
    receiver.status = status
    outcome = push(run, receiver)
    assert (outcome.traces_sent, outcome.traces_failed, outcome.traces_dropped) == (0, failed, 0)
    assert (outcome.roots_sent, outcome.roots_missing) == (0, 3)
    assert said in (outcome.reason or "")
    assert KEY[:8] not in (outcome.reason or "")
    assert posts(receiver) == posted
    receiver.status = 202
    assert push(run, receiver).is_whole
    check_arrived(run, receiver, RUN_ID)


def test_dropped(tmp_path: Path, receiver: Receiver) -> None:
    """What was never tried, because nothing else was taken, is counted apart from what was refused."""
    run = write(tmp_path / "run", [result(index) for index in range(300)], tasks=300)
    receiver.status = 401
    outcome = push(run, receiver)
    assert (outcome.traces_failed, outcome.traces_dropped) == (67, 233)


def test_unreachable(tmp_path: Path) -> None:
    """An endpoint that is not there is told in words without its answer, and nothing is lost."""
    with receiving() as receiver:
        pass
    run = write(tmp_path / "run", [result(0)], tasks=1)
    outcome = push(run, receiver)
    assert (outcome.traces_failed, outcome.reason) == (1, "it cannot be reached")


def test_two_at_once(tmp_path: Path, receiver: Receiver) -> None:
    """Two processes do not send the traces of one run to one place at the same time."""
    run = write(tmp_path / "run", [result(0)], tasks=1)
    other = Notes(run, "elsewhere")
    assert other.lock()
    try:
        with pytest.raises(ConfigError, match="another process sends the traces"):
            push(run, receiver)
    finally:
        other.close()


def test_the_first_is_waited_for(tmp_path: Path) -> None:
    """Tasks of an iteration wait for its first one, which tells when it began; the end of the run ends that wait."""
    late = [result(1, begins_s=1), result(2, begins_s=2), result(0, begins_s=0.5)]
    run = write(tmp_path / "run", late[:2], tasks=4)
    manifest, notes = read_manifest(run), Notes(run, "here")
    maker = SpanMaker(manifest, Shown())
    gathering = Gathering(run, manifest, maker, notes, 1.0)
    gathering.grow(over=False)
    assert gathering.next_line() is None
    with (run / TASKS).open("ab") as file:
        file.write(msgspec.json.encode(late[2]) + b'\n{"torn')
    gathering.grow(over=False)
    assert [gathering.next_line() for _ in range(4)] == [0, 1, 2, None]
    assert notes.starts_us == {0: maker.at_us(0, 0.5)}
    assert list(gathering.roots(over=False)) == []
    ((iteration, said_before),) = gathering.roots(over=True)
    assert (iteration.start_us, iteration.end_us, iteration.counts, said_before) == (
        maker.at_us(0, 0.5),
        maker.at_us(0, 4),
        {"ok": 3},
        False,
    )
    gathering.close()
    other = Gathering(run, manifest, maker, Notes(run, "there"), 1.0)
    other.grow(over=True)
    assert sorted(line for _ in range(3) if (line := other.next_line()) is not None) == [0, 1, 2]
    other.close()


def test_failures_show(tmp_path: Path, receiver: Receiver) -> None:
    """A task that failed has failed in LangSmith too, with type and message, and so has its iteration."""
    run = write(tmp_path / "run", [failed_result(0)], tasks=1)
    push(run, receiver)
    errors = {span["name"]: span["error"] for span in receiver.runs.values()}
    assert errors == {
        "iteration": "1 of 1 tasks did not succeed",
        "task": "server_error: busy",
        "ChatOpenAI": "server_error: busy",
    }
