"""Where the figures come from: settings, environment, the command to repeat each run, and its raw files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import msgspec

from bench.journal import read_whole
from bench.report.table import Cell, Link, Table, cells, texts
from bench.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from bench.report.series import ShownRun

#: A setting can be a list of a million topics.
_VALUE_AT_MOST: Final = 300

#: A nested value is written with dots; deeper ones as they stand.
_DEPTH_AT_MOST: Final = 3

#: More names than these do not read well behind a value.
_NAMES_AT_MOST: Final = 3

#: The files of a run that a reader may want, in the order in which they come to be.
_FILES: Final = ("run.json", "workload.jsonl", "tasks.jsonl", "routes.jsonl", "summary.json", "run.log")


@dataclass(frozen=True, kw_only=True)
class Source:
    """One run: its name, the command that repeats it, and its files."""

    name: str
    run_id: str
    command: str
    files: tuple[Link, ...]


def sources(shown: Sequence[ShownRun], out_dir: Path) -> tuple[Source, ...]:
    """Return where each run can be looked up and repeated; addresses are relative to `out_dir`."""
    return tuple(
        Source(
            name=item.name,
            run_id=visible(item.run.manifest.run_id),
            command=visible(item.run.manifest.command),
            files=(
                *(
                    Link(text=name, address=address(item.run.path / name, out_dir))
                    for name in _FILES
                    if (item.run.path / name).is_file()
                ),
                *_traces(item.run.path),
            ),
        )
        for item in shown
    )


class _Traces(msgspec.Struct, frozen=True):
    """What is read of `traces.json`."""

    url: str | None = None


def _traces(run: Path) -> tuple[Link, ...]:
    """Return where the run's traces are looked at, if they were sent."""
    try:
        url = msgspec.json.decode(read_whole(run / "traces.json"), type=_Traces).url
    except (OSError, ValueError, RecursionError):
        return ()
    if url is None or not url.startswith(("https://", "http://")):
        return ()
    return (Link(text="traces in LangSmith", address=url),)


def address(path: Path, out_dir: Path) -> str:
    """Return the relative address of a file from a page in `out_dir`; never one with a scheme."""
    relative = os.path.relpath(path.resolve(), out_dir.resolve())
    return "./" + quote(relative.replace(os.sep, "/"), safe="/", errors="surrogateescape")


def settings(shown: Sequence[ShownRun]) -> Table:
    """Return every setting; where runs differ, each value with the runs that have it."""
    return _compared("settings", "Settings", shown, [item.run.manifest.config for item in shown])


def environment(shown: Sequence[ShownRun]) -> Table:
    """Return versions and machine."""
    found: list[Mapping[str, object]] = []
    for item in shown:
        manifest = item.run.manifest
        hosts = [segment.host for segment in manifest.segments]
        found.append(
            {**manifest.environment, "host": ", ".join(dict.fromkeys(hosts)) or None, "endpoint": manifest.endpoint}
        )
    return _compared("environment", "Environment", shown, found)


def _compared(name: str, title: str, shown: Sequence[ShownRun], found: Sequence[Mapping[str, object]]) -> Table:
    listed = [dict(flat(values)) for values in found]
    keys = dict.fromkeys(key for values in listed for key in values)
    rows = []
    for key in keys:
        by_value: dict[str, list[str]] = {}
        for item, values in zip(shown, listed, strict=True):
            by_value.setdefault(values.get(key, "not set"), []).append(item.name)
        if len(by_value) == 1:
            said = next(iter(by_value))
        else:
            said = "; ".join(f"{value} ({_some(names)})" for value, names in by_value.items())
        rows.append((Cell(text=visible(key, at_most=_VALUE_AT_MOST)), *cells(said)))
    columns = texts("name", "value")
    return Table(name=name, title=title, columns=columns, rows=tuple(rows), folded=True, empty="None were recorded.")


def _some(names: Sequence[str]) -> str:
    return "; ".join(names) if len(names) <= _NAMES_AT_MOST else f"{names[0]}; and {len(names) - 1} more"


def flat(values: Mapping[str, object], prefix: str = "", depth: int = 1) -> Iterator[tuple[str, str]]:
    """Yield name and value, safe to look at; names of nested ones are joined by dots, and what is None left out."""
    for key, value in values.items():
        if isinstance(value, dict) and depth < _DEPTH_AT_MOST:
            yield from flat(value, f"{prefix}{key}.", depth + 1)
        elif value is not None:
            said = ", ".join(str(part) for part in value[:100]) if isinstance(value, list) else str(value)
            yield f"{prefix}{key}", visible(said, at_most=_VALUE_AT_MOST)
