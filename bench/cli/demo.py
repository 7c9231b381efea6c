"""`demo`: every mode on the simulator, without a key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.cli.series import run_series

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.cli.context import Context


def execute(settings: Mapping[str, Any], context: Context) -> int:
    """Run the demo and return the exit code."""
    return run_series("demo", settings, context, provider=("simulator",))
