"""`performance`: the performance suite, then every mode in turn."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.cli.messages import note
from bench.cli.series import run_series

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.cli.context import Context

_ROOT: Final = Path(__file__).parents[2]
_SUITE: Final = ("-m", "pytest", "tests/perf", "--benchmark-only", "--benchmark-columns=min,median,max,rounds", "-q")


def execute(settings: Mapping[str, Any], context: Context) -> int:
    """Measure, and return the exit code: that of the runs, or 1 if the suite failed."""
    suite_failed = not _run_suite(quiet=settings["quiet"])
    anybody = settings["provider"] is None and settings["base_url"] is None
    code = run_series("performance", settings, context, **({"provider": "simulator"} if anybody else {}))
    return code or int(suite_failed)


def _run_suite(*, quiet: bool) -> bool:
    """Run the performance suite and say whether it succeeded; without its tools it is left out."""
    if not all(importlib.util.find_spec(name) for name in ("pytest", "pytest_benchmark")):
        note("the performance suite needs pytest and pytest-benchmark: ./run_concurrent.sh --test installs them")
        return True
    output = subprocess.DEVNULL if quiet else None
    return subprocess.run([sys.executable, *_SUITE], cwd=_ROOT, stdout=output, check=False).returncode == 0  # noqa: S603 - our own suite
