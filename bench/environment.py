"""What a run ran on: versions, machine, limits; nothing in it is secret or names a user."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import math
import multiprocessing
import os
import platform
import resource
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bench.records import JsonObject

#: The folder of the program.
ROOT: Final = Path(__file__).resolve().parents[1]

#: Open files to ask for where the system sets no bound, and what a system takes that refuses so many.
_MOST_FILES: Final = (1 << 20, 10_240)

#: Packages whose version may change what is measured.
_PACKAGES: Final = ("openai", "httpx2", "aiohttp", "httptools", "msgspec", "uvloop")

#: A repository on a slow or absent disk must not hold up a run.
_GIT_TIMEOUT_S: Final = 1.0

#: `git` gets no more of the environment than this: GIT_DIR and its like would make it speak of another repository.
_GIT_ENVIRONMENT: Final = frozenset({"HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "XDG_CONFIG_HOME"})

#: The length of a commit's name in a record; enough to be unique in any repository.
_COMMIT_LENGTH: Final = 12


def describe_environment(root: Path = ROOT) -> JsonObject:
    """Describe the interpreter, the machine, the packages and the limits; what cannot be learnt is None.

    Args:
        root: The folder whose git commit is told, if it is the top of a repository.
    """
    return {
        "python": _python(),
        "system": {"name": platform.system(), "release": platform.release(), "machine": platform.machine()},
        "cpu": {
            "model": _cpu_model(),
            "logical": os.cpu_count(),
            "allowed": len(_allowed_cpus()),
            "quota": _cpu_quota(),
            "usable_cores": usable_cores(),
        },
        "memory_bytes": _memory_bytes(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "git": _git(root),
        "source": source_hash(root),
        "start_method": start_method(),
        "limits": {
            "open_files": _limit(resource.RLIMIT_NOFILE),
            "processes": _limit(resource.RLIMIT_NPROC),
            "somaxconn": _number("/proc/sys/net/core/somaxconn"),
        },
    }


def usable_cores() -> int:
    """Return how many physical cores this process may use: its CPU set and its container's quota count, at least 1."""
    allowed = _allowed_cpus()
    siblings = {
        _text(f"/sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list") or str(number) for number in allowed
    }
    quota = _cpu_quota()
    return max(1, len(siblings) if quota is None else min(len(siblings), math.floor(quota)))


def start_method() -> str:
    """Return how worker processes are started on this machine."""
    return "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


def raise_open_files() -> None:
    """Let this process, and those that it starts from now on, open as many files as the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for most in _MOST_FILES:
        wanted = most if hard == resource.RLIM_INFINITY else min(hard, most)
        if soft == resource.RLIM_INFINITY or soft >= wanted:
            return
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return


def _python() -> JsonObject:
    # Python before 3.13 has no such question, because there is always a global lock.
    gil_enabled = getattr(sys, "_is_gil_enabled", None)
    return {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "build": " ".join(platform.python_build()).strip(),
        "compiler": platform.python_compiler(),
        "gil": True if gil_enabled is None else bool(gil_enabled()),
    }


def _allowed_cpus() -> set[int]:
    """Return the logical CPUs that the scheduler may put this process on."""
    affinity = getattr(os, "sched_getaffinity", None)  # macOS has none
    return set(range(os.cpu_count() or 1)) if affinity is None else set(affinity(0))


def _cpu_quota() -> float | None:
    """Return how many CPUs' time the container may use, or None where that is not limited."""
    words = (_text("/sys/fs/cgroup/cpu.max") or "").split()  # "max 100000" or "150000 100000"
    if not words:  # the older form of control groups; -1 is no limit
        words = [_text(f"/sys/fs/cgroup/cpu/cpu.cfs_{name}_us") or "" for name in ("quota", "period")]
    try:
        quota_us, period_us = (int(word) for word in words)
    except ValueError:
        return None
    return quota_us / period_us if quota_us > 0 and period_us > 0 else None


def _cpu_model() -> str | None:
    for line in (_text("/proc/cpuinfo") or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return None


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(root: Path) -> JsonObject | None:
    """Return commit and whether tracked files differ from it, or None where `root` is no repository of its own."""
    if not (root / ".git").exists():
        return None
    # No monitor is started and no index written: this only looks.
    command = ["git", "-c", "core.fsmonitor=false", "--no-optional-locks", "-C", str(root)]
    try:
        done = subprocess.run(  # noqa: S603 - fixed words and our own folder
            [*command, "status", "--porcelain=v2", "--branch", "--untracked-files=no"],
            capture_output=True,
            check=True,
            env={name: value for name, value in os.environ.items() if name in _GIT_ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            timeout=_GIT_TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    lines = done.stdout.decode(errors="replace").splitlines()
    commit = next((line.split()[-1] for line in lines if line.startswith("# branch.oid ")), None)
    if commit is None or commit == "(initial)":
        return None
    return {"commit": commit[:_COMMIT_LENGTH], "dirty": any(not line.startswith("#") for line in lines)}


def source_hash(root: Path = ROOT) -> str | None:
    """Return a hash of the program's own source: which one ran, whatever git says of it; None where there is none."""
    paths = sorted([*root.glob("bench/**/*.py"), *root.glob("concurrent_bigmodel.py")])
    digest = hashlib.sha256()
    try:
        for path in paths:
            # Names and lengths are in it, so that text moved from one file to the next makes another hash.
            text = path.read_bytes()
            digest.update(f"{path.relative_to(root).as_posix()}\0{len(text)}\0".encode() + text)
    except OSError:
        return None
    return digest.hexdigest() if paths else None


def _limit(kind: int) -> JsonObject:
    """Return a limit's soft and hard value, None where there is none."""
    soft, hard = (None if value == resource.RLIM_INFINITY else value for value in resource.getrlimit(kind))
    return {"soft": soft, "hard": hard}


def _number(path: str) -> int | None:
    text = _text(path)
    return int(text) if text is not None and text.isdecimal() else None


def _text(path: str) -> str | None:
    """Return what a file of the kernel holds, without blanks around it, or None."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
