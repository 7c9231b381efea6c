"""The command, and the names under which the harness is used as a library.

Every worker process imports this file again before it begins, so it imports nothing itself: `--help` and a new process
pay for what they use and no more.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from bench.config import ConcurrentConfig
    from bench.executor import ConcurrentBigModelExecutor
    from bench.records import TaskResult
    from bench.toolkit import ConcurrencyManager, ErrorHandler, TaskManager
    from bench.worker import TaskWorker

__all__ = [
    "ConcurrencyManager",
    "ConcurrentBigModelExecutor",
    "ConcurrentConfig",
    "ErrorHandler",
    "TaskManager",
    "TaskResult",
    "TaskWorker",
]

_HOMES: Final = {
    "ConcurrencyManager": "bench.toolkit",
    "ConcurrentBigModelExecutor": "bench.executor",
    "ConcurrentConfig": "bench.config",
    "ErrorHandler": "bench.toolkit",
    "TaskManager": "bench.toolkit",
    "TaskResult": "bench.records",
    "TaskWorker": "bench.worker",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - each name has a type of its own, given above
    """Import a name from where it lives, when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


if __name__ == "__main__":
    from bench.cli.app import main

    raise SystemExit(main(sys.argv[1:]))
