"""`simulate`: an OpenAI-compatible API with chosen latencies, limits and faults, until it is stopped."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from bench.cli.context import FAILED, OK, Context
from bench.cli.interrupts import interrupts
from bench.cli.messages import note, say
from bench.cli.options import simulator_options
from bench.errors import ConfigError, EndpointError
from bench.simulator.process import SimulatorError, SimulatorProcess
from bench.simulator.settings import SettingsError, SimulatorSettings
from bench.stop import StopSignal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.simulator.stats import SimulatorStats


def execute(settings: Mapping[str, Any], _context: Context) -> int:
    """Serve until Ctrl+C or SIGTERM, and return the exit code.

    Raises:
        ConfigError: A setting is out of its range.
        EndpointError: The simulator cannot listen.
    """
    try:
        wanted = SimulatorSettings(**settings)
    except SettingsError as error:
        raise ConfigError(_by_option(str(error))) from error
    stop = StopSignal()
    with interrupts(stop, grace_s=0, announce=lambda _stage: None):
        try:
            with SimulatorProcess(wanted) as process:
                _greet(process, wanted)
                stats = _serve(process, stop)
        except SimulatorError as error:
            raise EndpointError(str(error)) from error
    say(msgspec.json.encode(stats).decode())
    return OK if stop.draining else FAILED


def _by_option(message: str) -> str:
    """Return a message about settings with the names of their options."""
    for option in simulator_options():
        message = re.sub(rf"\b{option.field}\b(?! *=)", option.name, message)
    return message


def _serve(process: SimulatorProcess, stop: StopSignal) -> SimulatorStats:
    """Wait for the end, with a line of statistics a second where someone may be looking."""
    watched = sys.stderr is not None and sys.stderr.isatty()
    before = process.stats()
    while not stop.wait_draining(1.0):
        now = process.stats()
        if watched and (now.requests > before.requests or now.in_flight):
            note(_line(before, now))
        before = now
    return process.stats()


def _greet(process: SimulatorProcess, settings: SimulatorSettings) -> None:
    note(f"simulator: {process.base_url} (model {settings.model})")
    note(
        "serves chat completions, /v1/models and /health; "
        f"first token after {settings.ttft_s:g} s, {settings.tokens} tokens {settings.itl_s:g} s apart"
    )
    note(f"try: python concurrent_bigmodel.py --base-url {process.base_url} --model {settings.model}")
    note("Ctrl+C ends it")


def _line(before: SimulatorStats, now: SimulatorStats) -> str:
    per_s = (now.requests - before.requests) / max(now.window_s - before.window_s, 1e-3)
    ended = ", ".join(f"{count} {outcome}" for outcome, count in now.outcomes.items() if count)
    return f"{now.window_s:6.0f} s: {now.in_flight} in flight, {per_s:.0f} requests/s; {ended or 'none ended yet'}"
