"""What is read of the machine's limits, from files as the kernel writes them."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from bench.executor.headroom import headroom

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def system(root: Path, files: Mapping[str, str]) -> Path:
    """Write a system's files."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def test_open_files_count_against_the_limit() -> None:
    """A file more that is open is a file less that can be opened."""
    before = headroom().files
    read, write = os.pipe()
    after = headroom().files
    os.close(read)
    os.close(write)
    assert before is not None
    assert after is not None
    assert before.left - after.left == 2
    assert "RLIMIT_NOFILE" in after.limit


def test_running_threads_count_against_the_limit() -> None:
    """Threads and processes that run are taken off what this machine allows."""
    assert threading.active_count() >= 1
    tasks = headroom().tasks
    assert tasks is None or tasks.left > 0


@pytest.mark.parametrize(
    ("files", "left", "limit"),
    [
        # The newer form: one group for everything, the tightest of it and those above it counts.
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/pids.max": "60\n",
                "sys/fs/cgroup/a/pids.current": "25\n",
                "sys/fs/cgroup/a/b/pids.max": "max\n",
                "sys/fs/cgroup/a/b/pids.current": "5\n",
            },
            35,
            "pids.max 60",
        ),
        # The older form: a group a resource.
        (
            {
                "proc/self/cgroup": "8:pids:/x\n5:devices:/\n0::/\n",
                "sys/fs/cgroup/pids/x/pids.max": "50\n",
                "sys/fs/cgroup/pids/x/pids.current": "10\n",
            },
            40,
            "pids.max 50",
        ),
        # In a container the group's own folder is the root of what can be seen.
        (
            {
                "proc/self/cgroup": "0::/docker/1234\n",
                "sys/fs/cgroup/pids.max": "30\n",
                "sys/fs/cgroup/pids.current": "1\n",
            },
            29,
            "pids.max 30",
        ),
        # The kernel's own limits.
        ({"proc/loadavg": "0.1 0.2 0.3 2/700 12\n", "proc/sys/kernel/pid_max": "1000\n"}, 300, "kernel.pid_max 1000"),
    ],
)
def test_threads_and_processes(tmp_path: Path, files: Mapping[str, str], left: int, limit: str) -> None:
    """The tightest limit on threads and processes is found, whichever file it stands in."""
    tasks = headroom(system(tmp_path, files)).tasks
    assert tasks is not None
    assert tasks.left == left
    assert limit in tasks.limit


@pytest.mark.parametrize(
    ("files", "left"),
    [
        ({"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:   2000 kB\n"}, 2_048_000),
        (
            {
                "proc/meminfo": "MemAvailable:   2000 kB\n",
                "proc/self/cgroup": "0::/a\n",
                "sys/fs/cgroup/a/memory.max": "1000000\n",
                "sys/fs/cgroup/a/memory.current": "700000\n",
                "sys/fs/cgroup/a/memory.stat": "anon 1\ninactive_file 100000\n",
            },
            400_000,
        ),
        (
            {
                "proc/meminfo": "MemAvailable:   2000 kB\n",
                "proc/self/cgroup": "4:memory:/a\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "5\n",
                "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "900000\n",
                "sys/fs/cgroup/memory/a/memory.usage_in_bytes": "700000\n",
                "sys/fs/cgroup/memory/a/memory.stat": "total_inactive_file 50000\n",
            },
            250_000,
        ),
    ],
)
def test_memory(tmp_path: Path, files: Mapping[str, str], left: int) -> None:
    """Memory is the least of what the machine has free and each container allows, cached files counted as free."""
    memory = headroom(system(tmp_path, files)).memory
    assert memory is not None
    assert memory.left == left


def test_a_system_that_tells_nothing_limits_nothing(tmp_path: Path) -> None:
    """Without the kernel's files, as on other systems, threads and memory are taken for unlimited."""
    found = headroom(tmp_path)
    if os.getuid() == 0:
        assert found.tasks is None
    assert found.memory is None
