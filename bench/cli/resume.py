"""`run --resume`: a run taken up again, with the settings that it had."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from bench.cli.context import FAILED, OK
from bench.cli.layers import Layers
from bench.cli.messages import note, say
from bench.cli.options import SETTINGS
from bench.cli.session import Session, TakenUp, check_files
from bench.cli.traced import traced
from bench.config import SOURCES, ConcurrentConfig
from bench.endpoints.resolve import opened, resolve
from bench.errors import ConfigError, JournalError, WorkloadError
from bench.executor import answers, check_settings
from bench.journal import read_manifest
from bench.observe.text import printable
from bench.settings import from_json
from bench.workload import build_workload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.cli.context import Context
    from bench.manifest import RunManifest
    from bench.workload import Workload


def resume_run(settings: Mapping[str, Any], context: Context) -> int:
    """Do what a run has left to do, and return the exit code.

    Args:
        settings: The settings of this command; those that its arguments give go before those that the run had.
        context: Where keys come from, and which settings the arguments give.

    Raises:
        ConfigError: It is no run, another process writes it, or what must not change has changed; nothing was sent.
        RunError: A server of the run's own does not come up, or the records cannot be read back.
    """
    named, retry_failed = settings["resume"], settings["retry_failed"]
    run = _found(named, settings["results_dir"])
    try:
        manifest = read_manifest(run)
        config = _config(run, manifest, {name: settings[name] for name in context.given & SETTINGS.keys()})
        failed = _failed_of_finished(run, manifest, retry_failed=retry_failed)
    except JournalError as error:
        raise ConfigError(f"{named} cannot be resumed: {error}") from error
    if failed is not None:
        say(f"nothing is left to do; records: {printable(str(run))}")
        if failed:
            note(f"{failed} tasks failed; --retry-failed does them again")
        return FAILED if failed else OK
    environment = _environment(config, context)
    config = traced(config, environment)
    resolved = resolve(config, environment)
    check_files(config)
    workload = _workload(config, context)
    session = Session()
    with opened(resolved) as endpoints:
        session.run(config, workload, endpoints, taken_up=TakenUp(run=run, retry_failed=retry_failed))
    return session.exit_code


def _found(named: str, results_dir: Path) -> Path:
    for path in (Path(named), results_dir / named):
        if path.is_dir():
            return path
    raise ConfigError(
        f"--resume {named}: there is neither {Path(named)} nor {results_dir / named}",
        "name a run's directory, or its id below --results-dir",
    )


def _failed_of_finished(run: Path, manifest: RunManifest, *, retry_failed: bool) -> int | None:
    """Return how many tasks of a run have failed that has nothing left to do, None of one that has."""
    if manifest.status != "completed":
        return None
    left, failed = answers(run, manifest, retry_failed=retry_failed)
    return None if left else failed


def _config(run: Path, manifest: RunManifest, given: Mapping[str, Any]) -> ConcurrentConfig:
    """Return the settings that a run had last, with those that are given."""
    last = manifest.segments[-1].changed if manifest.segments else {}
    stored = {**manifest.config, "topics": manifest.workload.get("topics", []), **last}
    unknown = sorted(stored.keys() - SETTINGS.keys())
    if unknown:
        raise ConfigError(
            f"{manifest.run_id} has settings that this program does not know: {', '.join(unknown)}",
            "resume it with the version that began it",
        )
    check_settings(manifest, given)
    if any(name in given for name in SOURCES):
        stored.update(topics=(), topics_file=None, prompts=None, outline=None)
    if given.get("mode") == "serial":
        stored["concurrency"] = None
    mode = given.get("mode", stored["mode"])
    if mode != "distributed" or "processes" in given:
        stored["scheduler"] = None
    if mode not in {"hybrid", "distributed"} or "scheduler" in given:
        stored["processes"] = None
    hints = get_type_hints(ConcurrentConfig)
    typed = {name: from_json(hints[name], value) for name, value in stored.items()}
    return ConcurrentConfig(**{**typed, **given, "results_dir": run.parent})


def _environment(config: ConcurrentConfig, context: Context) -> Mapping[str, str]:
    """Return where keys are looked for: in the env file that the run was begun with, if it named one."""
    if config.env_file is None or "env_file" in context.given:
        return context.environment
    layers = Layers(os.environ, Path())
    layers.fill({"env_file": [str(config.env_file)]}, ())
    return layers.values


def _workload(config: ConcurrentConfig, context: Context) -> Workload:
    try:
        return build_workload(config, sys.stdin.buffer)
    except WorkloadError as error:
        if any(name in context.given for name in SOURCES):
            raise
        hint = "if its tasks are in another place now, name it: --topics-file, --prompts or --outline FILE"
        raise WorkloadError(error.message, f"{error.hint}; {hint}" if error.hint else hint) from error
