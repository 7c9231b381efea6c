"""What must be the same when a run is resumed: its workload, and what shapes the answers."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final, get_type_hints

import msgspec

from bench.config import ConcurrentConfig
from bench.errors import ConfigError
from bench.journal import WORKLOAD, decode_line, iter_lines
from bench.policy.fingerprint import task_fingerprint
from bench.records import Task
from bench.settings import from_json, option_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from bench.manifest import RunManifest
    from bench.providers import Endpoint
    from bench.workload import Workload

#: Settings that shape the answers. All others decide how the work is done, and may change.
SHAPING: Final = (
    *("iterations", "versions", "provider", "model", "base_url", "simulator"),
    *("stream", "max_tokens", "temperature"),
)

#: What of a route shapes the answers.
_ASKED: Final = ("provider", "model")

_HINTS: Final = get_type_hints(ConcurrentConfig)

_DEFAULTS: Final = {each.name: each.default for each in dataclasses.fields(ConcurrentConfig)}

_HINT: Final = "leave it out to go on with the run, or begin a new one"

#: As much of a task as tells it from another.
_SHOWN_CHARACTERS: Final = 80


def check_settings(manifest: RunManifest, settings: Mapping[str, object]) -> None:
    """Refuse settings that would shape the answers left in another way than those that are there.

    Args:
        manifest: The run.
        settings: Settings by name; those that are not among them do not change.

    Raises:
        ConfigError: One of `SHAPING` is another; names it, the stored value and the new one.
    """
    for name in SHAPING:
        # A run of an earlier version of this program has not every setting: it did what is the default now.
        stored = from_json(_HINTS[name], manifest.config.get(name, _DEFAULTS[name]))
        if name == "model" and stored is None:
            stored = manifest.endpoint.get("model") if settings.get(name) is not None else None
        if name in settings and _plain(settings[name]) != _plain(stored):
            raise ConfigError(
                f"{option_name(name)} shapes the answers, and {manifest.run_id} was begun with {_said(stored)}, "
                f"got {_said(settings[name])}",
                _HINT,
            )


def check_kept(run: Path, manifest: RunManifest, config: ConcurrentConfig, endpoints: Sequence[Endpoint]) -> None:
    """Refuse to go on with a run whose load or whose provider would be another.

    Raises:
        ConfigError: It is another; names what it was and what it would be.
    """
    check_settings(manifest, {name: getattr(config, name) for name in SHAPING})
    if manifest.load_model != config.load_model:
        raise ConfigError(
            f"{run} was begun in {_loop(manifest.load_model)} loop, got settings of {_loop(config.load_model)} one",
            "give or leave out --rate and --arrival-times as they were",
        )
    check_asked(manifest, endpoints)


def check_asked(manifest: RunManifest, endpoints: Sequence[Endpoint]) -> None:
    """Refuse to let others answer what is left of a run than those who have answered until now.

    Args:
        manifest: The run.
        endpoints: Who would be asked.

    Raises:
        ConfigError: They are others, or their models are; names both.
    """
    stored = _asked(manifest.routes or (manifest.endpoint,))
    now = _asked({name: getattr(each, name) for name in _ASKED} for each in endpoints)
    if stored != now:
        raise ConfigError(
            f"{manifest.run_id} was begun with {_listed(stored)}, it would go on with {_listed(now)}", _HINT
        )


def _asked(routes: Iterable[Mapping[str, object]]) -> list[tuple[object, ...]]:
    """Return which models of whom are asked: by which keys, where, and in what order decides no answer."""
    return sorted({tuple(route.get(name) for name in _ASKED) for route in routes}, key=str)


def _listed(asked: list[tuple[object, ...]]) -> str:
    return " and ".join(f"provider {provider}, model {model}" for provider, model in asked)


def check_workload(run: Path, manifest: RunManifest, workload: Workload, source: str) -> None:
    """Refuse a workload that is not the run's.

    Args:
        run: The run's directory.
        manifest: What is known of it.
        workload: The workload as it is now.
        source: What it is called in messages.

    Raises:
        ConfigError: It has changed; names the first task that is another, with its place, old and new.
        JournalError: The tasks that were drawn cannot be read.
    """
    if manifest.workload.get("fingerprint") == workload.fingerprint:
        return
    raise ConfigError(
        f"{source} is not what {manifest.run_id} was begun with: {_difference(run, manifest, workload)}",
        "give the tasks as they were, or begin a new run",
    )


def _difference(run: Path, manifest: RunManifest, workload: Workload) -> str:
    known = 0
    tasks = iter(workload)
    for known, old in enumerate(_drawn(run), 1):
        new = next(tasks, None)
        if new is None:
            return f"it had a task {known}, {_shown(old)}, and ends before it now"
        if task_fingerprint(old) != task_fingerprint(new):
            return f"task {known} was {_shown(old)}, and is {_shown(new)} now"
    if workload.count != manifest.tasks:
        return f"it had {manifest.tasks} tasks, and has {workload.count} now"
    return f"a task behind the first {known}, which had not been sent, is another now"


def _drawn(run: Path) -> Iterator[Task]:
    path, decoder = run / WORKLOAD, msgspec.json.Decoder(Task)
    for number, line in enumerate(iter_lines(path), 1):
        yield decode_line(decoder, line, path, number)


def _shown(task: Task) -> str:
    """Return what tells a task from another: its chapter or topic, else its last message, and its parameters."""
    named = task.topic if task.chapter is None else task.chapter
    text = named if named is not None else str(task.messages[-1].get("content"))
    short = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}.."
    return f"{short!r} {msgspec.json.encode(task.params).decode()}"


def _loop(load_model: str) -> str:
    return "an open" if load_model == "open" else "a closed"


def _plain(value: object) -> object:
    """Return a value in the form that it has after JSON."""
    if isinstance(value, str):
        # An address is the same with and without a slash at its end.
        return value.rstrip("/")
    return list(value) if isinstance(value, tuple) else value


def _said(value: object) -> str:
    if value is None or value == ():
        return "none"
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
