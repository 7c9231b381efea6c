"""Lazy readers of run directories."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from bench.errors import JournalError
from bench.journal.directory import MANIFEST, ROUTES, TASKS
from bench.journal.lines import decode_line, iter_lines, read_whole
from bench.journal.onetime import Stretch, moved
from bench.manifest import RunManifest
from bench.records import SCHEMA_VERSION, RouteChange

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

T = TypeVar("T")


class _Version(msgspec.Struct, frozen=True):
    schema_version: int


def read_manifest(run: Path) -> RunManifest:
    """Read `run.json`.

    Raises:
        JournalError: There is none, or it is not one of ours; the message names path and reason.
    """
    path = run / MANIFEST
    try:
        content = read_whole(path)
        version = msgspec.json.decode(content, type=_Version).schema_version
        if version > SCHEMA_VERSION:
            msg = f"{path} has schema version {version}, this program reads up to {SCHEMA_VERSION}"
            raise JournalError(msg)
        return msgspec.json.decode(content, type=RunManifest)
    except OSError as error:
        msg = f"{run} is not a run: cannot read {MANIFEST}: {error.strerror}"
        raise JournalError(msg) from error
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        msg = f"{path} is damaged: {error}"
        raise JournalError(msg) from error


class _Call(msgspec.Struct, frozen=True, gc=False):
    sent_s: float
    end_s: float


class _Outline(msgspec.Struct, frozen=True, gc=False):
    """What says which lines decide, and how long each segment of a run was at work."""

    task_id: str
    segment: int = 0
    attempts: tuple[_Call, ...] = ()


class _Segment(msgspec.Struct, frozen=True, gc=False):
    segment: int = 0


#: Between two segments on one time: the clock's own step, more than rounding may turn into an overlap.
_APART_S: Final = 1e-9


class _Resumed:
    """What is to be known of a run of several segments before its records are read.

    Attributes:
        deciding: The numbers of the lines that decide.
        later_s: By segment, what its instants are later on the run's own time than on the segment's clock.
    """

    def __init__(self, run: Path) -> None:
        path = run / TASKS
        decoder = msgspec.json.Decoder(_Outline)
        last: dict[str, int] = {}
        stretches: dict[int, Stretch] = {}
        for number, line in enumerate(iter_lines(path), 1):
            outline = decode_line(decoder, line, path, number)
            last[outline.task_id] = number
            stretch = stretches.setdefault(outline.segment, Stretch())
            for call in outline.attempts:
                stretch.add(call.sent_s, call.end_s)
        self.deciding = frozenset(last.values())
        self.later_s = _end_to_end(stretches)


def _end_to_end(stretches: Mapping[int, Stretch]) -> dict[int, float]:
    """Lay the segments' times at work one behind the other; the first one's clock is the run's."""
    ordered = [(number, stretches[number]) for number in sorted(stretches) if stretches[number]]
    if not ordered:
        return {}
    begins = accumulate(
        (stretch.length_s + _APART_S for _, stretch in ordered[1:]), initial=ordered[0][1].last_s + _APART_S
    )
    later = {number: begin_s - stretch.first_s for (number, stretch), begin_s in zip(ordered[1:], begins, strict=False)}
    return {ordered[0][0]: 0.0, **later}


def iter_last_lines(run: Path) -> Iterator[bytes]:
    """Yield the lines of `tasks.jsonl` that decide, as they stand: of several with one task_id, the last.

    Raises:
        JournalError: The file cannot be read, or a line of it is damaged.
    """
    path = run / TASKS
    resumed = _resumed(run)
    for number, line in enumerate(iter_lines(path), 1):
        if resumed is None or number in resumed.deciding:
            yield line


def iter_last_results(run: Path, record_type: type[T]) -> Iterator[T]:
    """Yield the deciding records of a run as `record_type`, a Struct with those fields of TaskResult that are wanted.

    Instants are on the run's own time: the clock of its first segment, on which each later segment begins where the one
    before it had its last answer. Pauses between segments take no time there.

    Raises:
        JournalError: The file cannot be read, or a line of it is damaged.
    """
    path = run / TASKS
    decoder = msgspec.json.Decoder(record_type)
    resumed = _resumed(run)
    if resumed is None:
        for number, line in enumerate(iter_lines(path), 1):
            yield decode_line(decoder, line, path, number)
        return
    segment_of = msgspec.json.Decoder(_Segment)
    for number, line in enumerate(iter_lines(path), 1):
        if number in resumed.deciding:
            later_s = resumed.later_s.get(decode_line(segment_of, line, path, number).segment, 0.0)
            yield moved(decode_line(decoder, line, path, number), later_s)


def iter_route_changes(run: Path) -> Iterator[RouteChange]:
    """Yield what has changed about a run's routes, in order, on the run's own time; nothing where none were kept.

    Raises:
        JournalError: The file cannot be read, or a line of it is damaged.
    """
    path = run / ROUTES
    if not path.exists():
        return
    decoder = msgspec.json.Decoder(RouteChange)
    resumed = _resumed(run)
    for number, line in enumerate(iter_lines(path), 1):
        change = decode_line(decoder, line, path, number)
        later_s = resumed.later_s.get(change.segment, 0.0) if resumed is not None else 0.0
        yield msgspec.structs.replace(change, at_s=change.at_s + later_s)


def _resumed(run: Path) -> _Resumed | None:
    """Return what a run of several segments needs; only a resume writes a second line for a task."""
    return _Resumed(run) if len(read_manifest(run).segments) > 1 else None
