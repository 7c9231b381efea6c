"""Every mode in turn with the same work, one comparison and one report: what the demo and its like are made of."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from bench.cli.compare_options import ALL_MODES
from bench.cli.drawing import draw_own_report
from bench.cli.messages import note, say
from bench.cli.options import config_from
from bench.cli.session import Session
from bench.clock import utc_now
from bench.endpoints.resolve import opened, resolve
from bench.observe.comparison_table import print_comparison
from bench.observe.text import printable
from bench.workload import build_workload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.cli.context import Context
    from bench.config import ConcurrentConfig


def run_series(name: str, settings: Mapping[str, Any], context: Context, **fixed: object) -> int:
    """Run the same workload in every mode on one endpoint, compare, and return the exit code.

    Args:
        name: What the series is called; its report is in a directory of that name.
        settings: The settings of each run, but for its mode.
        context: Where keys come from.
        fixed: Settings that the command decides.

    Raises:
        ConfigError: Something is wrong with the settings; nothing was sent.
        RunError: A server of its own does not come up, or records cannot be read back.
    """
    configs = [_config(mode, settings, fixed) for mode in ALL_MODES]
    first = configs[-1]
    resolved = resolve(first, context.environment)
    workload = build_workload(first, sys.stdin.buffer)
    session = Session()
    # Imported by the first run it would be that one's start-up and nobody else's.
    importlib.import_module("bench.clients.openai_sdk")
    with opened(resolved) as endpoints:
        for place, config in enumerate(configs, 1):
            if session.stop.draining:
                break
            if not config.quiet:
                note(f"\n{place} of {len(configs)}: {config.mode}, {workload.count} tasks")
            session.run(config, workload, endpoints, details=False)
    outcomes = session.outcomes
    if not first.quiet:
        note("")
        print_comparison([outcome.summary for outcome in outcomes])
        for outcome in outcomes:
            say(f"records: {printable(str(outcome.directory))}")
    if settings["report"] and outcomes:
        out_dir = first.results_dir / f"{name}-{utc_now():%Y%m%dT%H%M%SZ}"
        draw_own_report([outcome.directory for outcome in outcomes], out_dir, quiet=first.quiet)
    return session.exit_code


def _config(mode: str, settings: Mapping[str, Any], fixed: Mapping[str, object]) -> ConcurrentConfig:
    concurrency = None if mode == "serial" else settings["concurrency"]
    processes = settings["processes"] if mode == "hybrid" else None
    # One report about all of them is drawn at the end.
    own = {"mode": mode, "concurrency": concurrency, "processes": processes, "report": False}
    return config_from(settings, **{**fixed, **own})
