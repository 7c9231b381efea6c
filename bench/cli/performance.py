"""`performance`: the comparison in its default form, within a budget of time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.cli import compare

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.cli.context import Context


def execute(settings: Mapping[str, Any], context: Context) -> int:
    """Compare, and return the exit code."""
    return compare.execute(settings, context)
