"""What the machine did between two moments: CPU time by owner, and how long something waited for a CPU (Linux)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import msgspec

from bench.clock import NS_PER_S, utc_now

_STAT: Final = Path("/proc/stat")
_LOAD: Final = Path("/proc/loadavg")
_PRESSURE: Final = Path("/proc/pressure/cpu")

#: Columns of /proc/stat's first line: user nice system idle iowait irq softirq steal.
_COLUMNS: Final = 8
_IDLE: Final = (3, 4)
_STEAL: Final = 7


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """The machine's counters at one moment; None where it does not have them."""

    now_ns: int
    wall_s: float
    runnable: int | None
    ticks: tuple[int, ...] | None
    waited_us: int | None


class Between(msgspec.Struct, frozen=True, kw_only=True):
    """What happened between two moments.

    Attributes:
        wall_s: Their distance, on the monotonic clock.
        clock_ratio: That over the distance by the wall clock, which somebody may have set meanwhile.
        steal_share: Share of all CPU time that the hypervisor took.
        busy_share: Share of it that was used.
        pressure_share: Share of the time in which something waited for a CPU.
        runnable: Threads that ran or could have run at the later moment.
    """

    wall_s: float
    clock_ratio: float | None
    steal_share: float | None
    busy_share: float | None
    pressure_share: float | None
    runnable: int | None


def look() -> Moment:
    """Read the counters."""
    return Moment(
        now_ns=time.perf_counter_ns(),
        wall_s=utc_now().timestamp(),
        runnable=_runnable(),
        ticks=_ticks(),
        waited_us=_waited_us(),
    )


def between(before: Moment, after: Moment) -> Between:
    """Return what happened from one moment to a later one."""
    wall_s = (after.now_ns - before.now_ns) / NS_PER_S
    steal = busy = pressure = None
    if before.ticks and after.ticks:
        spent = [late - early for early, late in zip(before.ticks, after.ticks, strict=True)]
        total = sum(spent)
        if total > 0:
            steal = spent[_STEAL] / total
            busy = 1 - sum(spent[column] for column in _IDLE) / total
    if before.waited_us is not None and after.waited_us is not None and wall_s > 0:
        pressure = (after.waited_us - before.waited_us) / 1e6 / wall_s
    apart_s = after.wall_s - before.wall_s
    return Between(
        wall_s=wall_s,
        clock_ratio=wall_s / apart_s if apart_s > 0 else None,
        steal_share=steal,
        busy_share=busy,
        pressure_share=pressure,
        runnable=after.runnable,
    )


def _ticks() -> tuple[int, ...] | None:
    try:
        words = _STAT.read_text(encoding="ascii").splitlines()[0].split()
        return tuple(int(word) for word in words[1 : 1 + _COLUMNS])
    except (OSError, ValueError, IndexError):
        return None


def _runnable() -> int | None:
    """Return the fourth word of the load file, before its slash: what is running or ready to."""
    try:
        return int(_LOAD.read_text(encoding="ascii").split()[3].partition("/")[0])
    except (OSError, ValueError, IndexError):
        return None


def _waited_us() -> int | None:
    """Return the total of `some` in the pressure file, in microseconds."""
    try:
        line = _PRESSURE.read_text(encoding="ascii").splitlines()[0]
        return int(line.rpartition("total=")[2])
    except (OSError, ValueError, IndexError):
        return None
