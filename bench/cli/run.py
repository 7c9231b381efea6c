"""`run`: one workload, once."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Any

from bench.cli.options import config_from
from bench.cli.resume import resume_run
from bench.cli.session import Session, check_files
from bench.cli.traced import traced
from bench.endpoints.resolve import DEFAULT_PROVIDER, SCRIPTED, opened, resolve
from bench.errors import ConfigError
from bench.workload import build_workload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.cli.context import Context
    from bench.config import ConcurrentConfig
    from bench.endpoints.resolve import ResolvedRoutes


def execute(settings: Mapping[str, Any], context: Context) -> int:
    """Run a workload, or what is left of one, and return the exit code."""
    if settings["resume"] is not None:
        return resume_run(settings, context)
    if settings["retry_failed"]:
        raise ConfigError("--retry-failed goes with --resume RUN, got no run", "name the run whose tasks have failed")
    return run_once(config_from(settings), context).exit_code


def run_once(config: ConcurrentConfig, context: Context) -> Session:
    """Run what a configuration asks for, and return the session with its outcome.

    Raises:
        ConfigError: Something is wrong with it; nothing was sent.
        RunError: A server of the run's own does not come up, or the records cannot be read back.
    """
    config = traced(config, context.environment)
    resolved = resolve(config, context.environment)
    check_files(config)
    workload = build_workload(config, sys.stdin.buffer)
    session = Session()
    with opened(resolved) as endpoints:
        session.run(settled(config, resolved), workload, endpoints)
    return session


def settled(config: ConcurrentConfig, resolved: ResolvedRoutes) -> ConcurrentConfig:
    """Name who is asked, so that the command that reproduces the run depends neither on keys nor on the folder."""
    if config.base_url is not None:
        return config
    if config.client == SCRIPTED:
        return config if config.provider else dataclasses.replace(config, provider=(DEFAULT_PROVIDER,))
    return dataclasses.replace(
        config, provider=resolved.providers, providers_file=resolved.providers_file or config.providers_file
    )
