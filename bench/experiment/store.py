"""The directory of an experiment: made, written after every cell, and read back."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from bench.errors import ConfigError
from bench.experiment.records import EXPERIMENT_VERSION, Experiment
from bench.journal import create_run_directory, read_whole, write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from bench.records import JsonObject, Task

EXPERIMENT: Final = "experiment.json"
CELLS: Final = "cells"


def create_experiment_directory(results_dir: Path, now: datetime, kind: str = "compare") -> Path:
    """Make `results_dir/<id>/` with its `cells/`; the id is `YYYYMMDDTHHMMSSZ-<kind>-<4 hex>`.

    Args:
        results_dir: Made if absent.
        now: The present in UTC.
        kind: Which command's it is, part of the id.

    Raises:
        ConfigError: The directory cannot be written.
    """
    directory = create_run_directory(results_dir, kind, now)
    try:
        # As private as the directory that it is in.
        (directory / CELLS).mkdir(mode=directory.stat().st_mode & 0o777)
    except OSError as error:
        msg = f"cannot keep experiments in {results_dir}: {error.strerror}"
        raise ConfigError(msg, "choose another place with --results-dir") from error
    return directory


def tasks_file(directory: Path, concurrency: int) -> Path:
    """Return the file of the tasks that every cell of that N does."""
    return directory / f"tasks-{concurrency}.jsonl"


def write_tasks(path: Path, tasks: Sequence[Task], count: int) -> None:
    """Write `count` tasks in the form of a prompts file, beginning anew where there are fewer.

    Raises:
        JournalError: It cannot be written.
    """
    encoder = msgspec.json.Encoder()
    lines = [
        encoder.encode({"custom_id": f"{place}", "body": _body(task)})
        for place, task in enumerate(itertools.islice(itertools.cycle(tasks), count))
    ]
    write_atomically(path, b"\n".join((*lines, b"")))


def _body(task: Task) -> JsonObject:
    body: JsonObject = {"messages": task.messages, **task.params}
    return body if task.model is None else {"model": task.model, **body}


def save(directory: Path, experiment: Experiment) -> None:
    """Write the experiment as it stands; a reader finds the old or the new one, whole.

    Raises:
        JournalError: It cannot be written.
    """
    write_atomically(directory / EXPERIMENT, msgspec.json.format(msgspec.json.encode(experiment), indent=1))


def find(word: str, results_dir: Path) -> Path:
    """Return the directory of an experiment, given as a path or as an id below `results_dir`.

    Raises:
        ConfigError: There is none.
    """
    for path in (Path(word), results_dir / word):
        if (path / EXPERIMENT).is_file():
            return path
    raise ConfigError(
        f"{word!r} is no experiment: neither {Path(word)} nor {results_dir / word} holds {EXPERIMENT}",
        "name an experiment's directory or its id",
    )


def load(directory: Path) -> Experiment:
    """Read an experiment.

    Raises:
        ConfigError: It cannot be read, is damaged, or is of a later version.
    """
    path = directory / EXPERIMENT
    try:
        experiment = msgspec.json.decode(read_whole(path), type=Experiment)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise ConfigError(f"{path} is damaged: {error}", "its cells are whole: report on them one by one") from error
    if experiment.schema_version > EXPERIMENT_VERSION:
        raise ConfigError(
            f"{path} has version {experiment.schema_version}, this program reads up to {EXPERIMENT_VERSION}"
        )
    return experiment
