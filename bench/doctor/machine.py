"""What this machine gives a run: cores, limits, disk, fonts, clock, and the packages it is made of."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING, Any, Final

from bench.doctor.findings import Finding
from bench.environment import describe_environment
from bench.errors import ConfigError
from bench.executor.headroom import headroom
from bench.executor.preflight import prepare_machine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.config import ConcurrentConfig

#: Below it no run could be kept; a record takes some kilobytes, a report a megabyte.
_LEAST_DISK_BYTES: Final = 50_000_000

#: Below it a long run might not end: room for some hundred thousand records.
_SCARCE_DISK_BYTES: Final = 1_000_000_000

#: A reading of the clock takes below 0.1 us where the processor counts time itself, and several where it does not.
_SLOW_CLOCK_NS: Final = 1000

_READINGS: Final = 1000

#: A character of each script that reports are drawn in most.
_PROBE: Final = "a课主"

_MB: Final = 1_000_000


def machine_findings(config: ConcurrentConfig) -> Iterator[Finding]:
    """Look at what a run with this configuration needs of the machine, one thing after the other.

    Limits on open files are raised first, as a run does.
    """
    described: dict[str, Any] = describe_environment()
    yield _interpreter(described["python"])
    yield from _packages(described["packages"])
    yield _cores(described["cpu"])
    yield _room(config)
    yield _disk(config.results_dir)
    yield _font()
    yield _clock()


def _interpreter(python: dict[str, Any]) -> Finding:
    lock = "with a GIL: threads take turns on a core" if python["gil"] else "free-threaded: threads use many cores"
    return Finding(name="Python", level="ok", said=f"{python['version']}, {lock}")


def _packages(packages: dict[str, str | None]) -> Iterator[Finding]:
    lost = [name for name, version in packages.items() if version is None]
    if lost:
        advice = "./run_concurrent.sh installs what is needed"
        yield Finding(name="packages", level="missing", said=f"not installed: {', '.join(lost)}", advice=advice)
    there = ", ".join(f"{name} {version}" for name, version in packages.items() if version is not None)
    if there:
        yield Finding(name="packages", level="ok", said=there)


def _cores(cpu: dict[str, Any]) -> Finding:
    usable, logical, allowed, quota = cpu["usable_cores"], cpu["logical"], cpu["allowed"], cpu["quota"]
    limits = [f"{logical} logical CPUs"]
    if allowed != logical:
        limits.append(f"this process may use {allowed} of them")
    limits.append("no quota" if quota is None else f"a quota of {quota:g}")
    return Finding(name="cores", level="ok", said=f"{usable} usable ({', '.join(limits)})")


def _room(config: ConcurrentConfig) -> Finding:
    asked = f"{config.slots} in flight, mode {config.mode}"
    try:
        prepare_machine(config, config.slots, own_server=False)
    except ConfigError as error:
        return Finding(name="limits", level="missing", said=error.message, advice=error.hint)
    there = headroom()
    parts = [
        f"{room.left // unit:,} {of}"
        for room, unit, of in (
            (there.files, 1, "open files"),
            (there.tasks, 1, "threads and processes"),
            (there.memory, _MB, "MB of memory"),
        )
        if room is not None
    ]
    return Finding(name="limits", level="ok", said=f"{', '.join(parts)}: enough for {asked}")


def _disk(results_dir: Path) -> Finding:
    place = results_dir.absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        said = f"{results_dir} cannot be written: {place} is {'not yours' if place.is_dir() else 'no directory'}"
        return Finding(name="disk", level="missing", said=said, advice="choose another place with --results-dir")
    free_bytes = shutil.disk_usage(place).free
    said = f"{free_bytes / _MB:,.0f} MB free for {results_dir}"
    if free_bytes >= _SCARCE_DISK_BYTES:
        return Finding(name="disk", level="ok", said=said)
    advice = "make room, or choose another place with --results-dir"
    return Finding(name="disk", level="missing" if free_bytes < _LEAST_DISK_BYTES else "note", said=said, advice=advice)


def _font() -> Finding:
    # Here, because only this takes the libraries of charts, which take a second to import.
    from bench.report.fonts import FONT_FILE, bundled_characters  # noqa: PLC0415

    try:
        has = bundled_characters()
    except (OSError, RuntimeError) as error:
        has = frozenset()
        said = f"{FONT_FILE.name} cannot be read: {error}"
    else:
        said = f"{FONT_FILE.name}, {len(has):,} characters, comes with the program"
    if {ord(char) for char in _PROBE} <= has:
        return Finding(name="CJK font", level="ok", said=said)
    advice = f"restore {FONT_FILE} (git checkout), or draw no report: --no-report"
    return Finding(name="CJK font", level="missing", said=said, advice=advice)


def _clock() -> Finding:
    about = time.get_clock_info("perf_counter")
    reading_ns = min(_reading_ns() for _ in range(_READINGS))
    said = f"{about.implementation}, {about.resolution * 1e9:g} ns fine, read in {reading_ns} ns"
    if reading_ns < _SLOW_CLOCK_NS:
        return Finding(name="clock", level="ok", said=said)
    return Finding(
        name="clock", level="note", said=said, advice="reading it is slow here: short durations are measured less well"
    )


def _reading_ns() -> int:
    """Return the distance of two readings, which is what one takes."""
    before_ns = time.perf_counter_ns()
    return time.perf_counter_ns() - before_ns
