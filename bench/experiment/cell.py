"""One cell: a run in a fresh process, and what its records, the machine and the server say about it."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from bench.clock import NS_PER_S
from bench.errors import JournalError
from bench.experiment.figures import Conditions, Figures
from bench.experiment.machine import between, look
from bench.experiment.readings import client_lags_s, ends_s, goodput
from bench.journal import SUMMARY, read_manifest
from bench.policy.statistics import SAMPLES_NEEDED, percentile
from bench.summary import Summary
from bench.summary.steady import Steady, steady

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bench.endpoints.simulated import ServerWindow
    from bench.experiment.machine import Between
    from bench.manifest import RunManifest
    from bench.policy.objectives import Objectives
    from bench.stop import StopSignal

#: How often a cell's process and the stop are looked at; a cell takes seconds.
_POLL_S: Final = 0.05

#: How long a cell may take to end once it was told to.
_STOP_GRACE_S: Final = 20.0

#: How much of what a cell's process said is kept.
_SAID_CHARS: Final = 2000


#: What the harness counts of itself.
_COUNTED: Final = ("switches_voluntary", "switches_involuntary", "gc_collections", "open_files")


class Server(Protocol):
    """A server of the experiment's own that counts."""

    def reset(self) -> ServerWindow:
        """Begin to count anew; return the counts until now."""


@dataclass(frozen=True, kw_only=True)
class Observed:
    """A finished cell, before it is judged.

    Attributes:
        exit_code: How its process ended.
        said: What it said on standard error, without the keys (the run's own messages hold none).
        run: Its run's directory, or None where it could not begin.
        manifest: Its run.json.
        summary: Its summary.json.
        steady: Its steady part.
        spawned_ns: When its command was started, on `perf_counter_ns`.
        waited_cpu_s: CPU time of its process and of those that this one waited for.
        machine: What the machine did meanwhile.
        server: What the server counted.
    """

    exit_code: int
    said: str
    run: Path | None
    manifest: RunManifest | None
    summary: Summary | None
    steady: Steady | None
    spawned_ns: int
    waited_cpu_s: float
    machine: Between
    server: ServerWindow | None

    @property
    def lead_s(self) -> float:
        """From the command's start to the zero of the run's clock: Python and imports, on one core."""
        origin_ns = None if self.manifest is None else self.manifest.segments[0].origin_ns
        return 0.0 if origin_ns is None else (origin_ns - self.spawned_ns) / NS_PER_S


def run_cell(
    command: Sequence[str], results_dir: Path, environment: Mapping[str, str], server: Server | None, stop: StopSignal
) -> Observed:
    """Run a command in a process of its own and read what it left; a stop is passed on to it as SIGINT.

    Args:
        command: The command, which keeps its run below `results_dir`.
        results_dir: Where runs are kept.
        environment: The process's environment.
        server: The experiment's own server, if it has one.
        stop: Ends the cell early.
    """
    known = set(results_dir.iterdir())
    if server is not None:
        server.reset()
    before, waited_s, spawned_ns = look(), _waited_cpu_s(), time.perf_counter_ns()
    process = subprocess.Popen(  # noqa: S603 - our own command
        command,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        # Ctrl+C is for the experiment, which passes it on.
        start_new_session=True,
    )
    said = _wait(process, stop)
    machine = between(before, look())
    window = server.reset() if server is not None else None
    run = next(iter(sorted(set(results_dir.iterdir()) - known)), None)
    manifest = summary = part = None
    if run is not None and (run / SUMMARY).exists():
        try:
            manifest = read_manifest(run)
            summary = msgspec.json.decode((run / SUMMARY).read_bytes(), type=Summary)
            part = steady(run)
        except (JournalError, msgspec.MsgspecError, OSError) as error:
            said += f"\n{error}"
    return Observed(
        exit_code=process.returncode,
        said=said,
        run=run,
        manifest=manifest,
        summary=summary,
        steady=part,
        spawned_ns=spawned_ns,
        waited_cpu_s=_waited_cpu_s() - waited_s,
        machine=machine,
        server=window,
    )


def _waited_cpu_s() -> float:
    """Return the CPU time of all processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _wait(process: subprocess.Popen[bytes], stop: StopSignal) -> str:
    """Wait for the process's end and return what it said last."""
    due_ns: int | None = None
    stages = [(lambda: stop.cancelled, signal.SIGINT), (lambda: stop.draining, signal.SIGINT)]
    while True:
        try:
            _, said = process.communicate(timeout=_POLL_S)
            return said.decode(errors="replace")[-_SAID_CHARS:].strip()
        except subprocess.TimeoutExpired:
            pass
        if stages and stages[-1][0]():
            process.send_signal(stages.pop()[1])
            due_ns = time.perf_counter_ns() + int(_STOP_GRACE_S * NS_PER_S)
        if due_ns is not None and time.perf_counter_ns() > due_ns:
            os.killpg(process.pid, signal.SIGKILL)
            due_ns = None


def figures(observed: Observed, objectives: Objectives | None, *, stamped: bool) -> Figures:
    """Return a cell's numbers.

    Args:
        observed: The cell.
        objectives: What counts as good, for goodput.
        stamped: Whether the server stamped what it sent with this machine's clock.
    """
    summary, part, run = observed.summary, observed.steady, observed.run
    if observed.manifest is None or summary is None or run is None:
        return Figures()
    peak_bytes = summary.harness.peak_pss_bytes
    found: dict[str, Any] = {
        "tokens_per_s": summary.throughput_tokens_per_s,
        "success_rate": summary.success_rate.value,
        "cpu_us_per_task": summary.harness.cpu_us_per_task,
        "startup_s": summary.harness.startup_s,
        "peak_pss_mb": None if peak_bytes is None else peak_bytes / 1e6,
    }
    if part is not None:
        found |= _steady_figures(part)
        if objectives is not None and objectives.per_request:
            found |= goodput(run, part, objectives)
    origin_ns = observed.manifest.segments[0].origin_ns
    if origin_ns is not None:
        found |= _spans(run, observed.lead_s)
        if stamped:
            found |= _lags(client_lags_s(run, origin_ns, part))
    return Figures(**found)


def percentiles_s(part: Steady | None) -> dict[str, float | None]:
    """Return every percentile that an objective may be about, by its name (`ttft_p95`), in seconds."""
    if part is None:
        return {}
    spreads = {"latency": part.latency_s, "ttft": part.ttft_s, "tpot": part.tpot_s, "service": part.service_s}
    return {f"{name}_{q}": getattr(spread, q) for name, spread in spreads.items() for q in SAMPLES_NEEDED}


def _steady_figures(part: Steady) -> dict[str, float | None]:
    found = {
        f"{name}_{q}_s": getattr(spread, q)
        for name, spread in (("latency", part.latency_s), ("ttft", part.ttft_s))
        for q in SAMPLES_NEEDED
    }
    return {
        **found,
        "throughput": part.throughput_tasks_per_s,
        "tpot_p50_s": part.tpot_s.p50,
        "icl_p50_s": part.icl_s.p50,
    }


def _spans(run: Path, lead_s: float) -> dict[str, float]:
    """Return the times from the command's start to the first request and to the last answer."""
    ends = ends_s(run)
    return {} if ends is None else {"first_send_s": lead_s + ends[0], "cold_s": lead_s + ends[1]}


def _lags(lags: Sequence[float]) -> dict[str, float]:
    if not lags:
        return {}
    return {"client_lag_p50_s": percentile(lags, 0.5), "client_lag_p99_s": percentile(lags, 0.99)}


def conditions(observed: Observed) -> Conditions:
    """Return what machine and server did during a cell."""
    machine, server = observed.machine, observed.server
    harness = None if observed.summary is None else observed.summary.harness
    server_s = server.cpu_s if server else None if harness is None else harness.server_cpu_s
    foreign = None
    if machine.busy_share is not None and harness is not None and harness.cpu_s is not None:
        ours_s = max(observed.waited_cpu_s, harness.cpu_s + observed.lead_s) + (server_s or 0.0)
        foreign = max(0.0, machine.busy_share - ours_s / (machine.wall_s * (os.cpu_count() or 1)))
    wall_s = None if observed.summary is None else observed.summary.wall_s
    return Conditions(
        steal_share=machine.steal_share,
        busy_share=machine.busy_share,
        foreign_share=foreign,
        pressure_share=machine.pressure_share,
        runnable=machine.runnable,
        **{name: getattr(harness, name, None) for name in _COUNTED},
        server_cpu_share=server_s / wall_s if server_s is not None and wall_s else None,
        server_lateness_p99_s=server.lateness_p99_s if server else None,
        server_peak_in_flight=server.peak_in_flight if server else None,
        server_connections=server.connections_used if server else None,
        canaries_per_s=harness.canaries / wall_s if harness and harness.canaries is not None and wall_s else None,
    )
