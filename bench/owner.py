"""Whose something is: a process of this machine, told apart from a later one that got its number."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

import msgspec
import psutil

_STAT: Final = "/proc/{pid}/stat"

#: States of a process that has ended and is only waiting for its parent to notice.
_ENDED: Final = frozenset("ZXx")

#: Place of the start time among the fields of `/proc/PID/stat` that follow the program's name.
_START_FIELD: Final = 19


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """A process.

    Attributes:
        boot: Which start of the machine it belongs to; empty where that cannot be learnt.
        namespace: Whose process numbers its own is one of: containers have theirs.
        pid: Its number.
        started: When it started, in the system's own words; empty where that cannot be learnt.
    """

    boot: str
    namespace: str
    pid: int
    started: str


def this_process() -> Owner:
    """Return the process that asks."""
    boot = namespace = ""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    with contextlib.suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())
    pid = os.getpid()
    return Owner(boot=boot, namespace=namespace, pid=pid, started=_started(pid) or "")


def is_gone(owner: Owner, here: Owner) -> bool:
    """Say whether a process has surely ended.

    Args:
        owner: The process in question.
        here: The process that asks.
    """
    if owner.boot != here.boot:
        return True
    if owner.namespace != here.namespace:
        # Its number means nothing here.
        return False
    return owner != here and _started(owner.pid) != owner.started


def _started(pid: int) -> str | None:
    """Return when a process started, or None if there is none of that number, or one that has ended."""
    try:
        # The name before the last bracket may hold anything.
        fields = Path(_STAT.format(pid=pid)).read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return None if fields[0] in _ENDED else fields[_START_FIELD]
    except (FileNotFoundError, ProcessLookupError):
        return None if Path(_STAT.format(pid="self")).exists() else _started_elsewhere(pid)


def _started_elsewhere(pid: int) -> str | None:
    """Do the same on a system without /proc."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.3f}"
    except psutil.Error:
        return None
