"""What this machine still gives: files to open, threads and processes to start, memory; by limits and by container."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.policy.preflight import Headroom, Room

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A container's limit at or beyond this is none: the older control groups write the largest number there is.
_NO_LIMIT: Final = 1 << 60


def headroom(system: Path = Path("/")) -> Headroom:
    """Read what is left to this process.

    Args:
        system: Where the system's files are found: `proc` and `sys` below it.
    """
    groups = _groups(system)
    return Headroom(
        files=_files(),
        tasks=_least([*_user_tasks(system), *_system_tasks(system), *_group_tasks(groups.get("pids", ()))]),
        memory=_least([*_system_memory(system), *_group_memory(groups.get("memory", ()))]),
    )


def _least(rooms: list[Room]) -> Room | None:
    return min(rooms, key=lambda room: room.left, default=None)


def _files() -> Room | None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return None
    # One of them is the list itself.
    opened = len(os.listdir("/dev/fd")) - 1  # noqa: PTH208 - a listing of the kernel, not a folder of ours
    return Room(left=soft - opened, limit=f"RLIMIT_NOFILE {soft}, {opened} open")


def _user_tasks(system: Path) -> Iterator[Room]:
    """Yield the user's limit; the kernel does not hold the superuser to it."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    user = os.getuid()
    if user == 0 or soft == resource.RLIM_INFINITY:
        return
    used = 0
    for status in (system / "proc").glob("[0-9]*/status"):
        fields = _fields(status)
        if fields.get("Uid", "").split()[:1] == [str(user)]:
            used += int(fields.get("Threads", "1"))
    yield Room(left=soft - used, limit=f"RLIMIT_NPROC {soft}, {used} in use")


def _system_tasks(system: Path) -> Iterator[Room]:
    load = (_text(system / "proc/loadavg") or "").split()
    used = _number(load[3].partition("/")[2]) if len(load) > 3 else None  # noqa: PLR2004 - the fourth word: runnable/all
    for name in ("threads-max", "pid_max"):
        most = _number(_text(system / "proc/sys/kernel" / name))
        if most is not None and used is not None:
            yield Room(left=most - used, limit=f"kernel.{name} {most}, {used} in use")


def _system_memory(system: Path) -> Iterator[Room]:
    words = _fields(system / "proc/meminfo").get("MemAvailable", "").split()
    if words and (kib := _number(words[0])) is not None:
        yield Room(left=kib * 1024, limit="the memory that this machine has free")


def _group_tasks(folders: tuple[Path, ...]) -> Iterator[Room]:
    for folder in folders:
        most, used = (_number(_text(folder / name)) for name in ("pids.max", "pids.current"))
        if most is not None and used is not None:
            yield Room(left=most - used, limit=f"the container's pids.max {most}, {used} in use")


def _group_memory(folders: tuple[Path, ...]) -> Iterator[Room]:
    """Yield the containers' limits; what they hold of files that can be read again counts as free."""
    for folder in folders:
        for most_name, used_name, cached_name in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            most, used = (_number(_text(folder / name)) for name in (most_name, used_name))
            if most is None or used is None or most >= _NO_LIMIT:
                continue
            cached = _number(_fields(folder / "memory.stat", " ").get(cached_name)) or 0
            yield Room(left=most - used + cached, limit=f"the container's {most_name} {most}")


def _groups(system: Path) -> dict[str, tuple[Path, ...]]:
    """Return, for each resource, this process's control group and those above it, of either form."""
    found: dict[str, tuple[Path, ...]] = {}
    for line in (_text(system / "proc/self/cgroup") or "").splitlines():
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        for name in names.split(",") if names else ("pids", "memory"):
            root = system / "sys/fs/cgroup" / (name if names else "")
            group = root / path.strip("/")
            above = (group, *group.parents)
            found[name] = (*found.get(name, ()), *above[: above.index(root) + 1])
    return found


def _fields(path: Path, separator: str = ":") -> dict[str, str]:
    """Return a file of lines `name: value` of the kernel."""
    lines = (_text(path) or "").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(separator) for line in lines)}


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _text(path: Path) -> str | None:
    """Return what a file of the kernel holds, or None where there is none or it just went away."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
