"""`report`: charts and tables of finished runs, or of an experiment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cli.context import OK, Context
from bench.cli.drawing import draw_experiment, draw_report
from bench.clock import utc_now
from bench.errors import ConfigError, JournalError
from bench.experiment.store import EXPERIMENT
from bench.journal import read_manifest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def execute(settings: Mapping[str, Any], context: Context) -> int:
    """Draw the report, or write it as Markdown, and return the exit code.

    Raises:
        ConfigError: A word is neither run nor experiment, none was named, or an experiment is named with others.
    """
    results_dir: Path = settings["results_dir"]
    if not context.words:
        raise ConfigError("no run to report on", f"name one or more: a directory, or an id below {results_dir}")
    experiment = _experiment(context.words, results_dir)
    runs = [] if experiment is not None else [_found(word, results_dir) for word in context.words]
    if settings["markdown"]:
        print(_markdown(experiment, runs), end="")
    elif experiment is not None:
        draw_experiment(experiment, settings["out"], quiet=False)
    else:
        several = results_dir / f"report-{utc_now():%Y%m%dT%H%M%SZ}"
        draw_report(runs, settings["out"] or (runs[0] if len(runs) == 1 else several), quiet=False)
    return OK


def _experiment(words: Sequence[str], results_dir: Path) -> Path | None:
    """Return the directory of the experiment that is named, or None where runs are."""
    found = [path for word in words for path in (Path(word), results_dir / word) if (path / EXPERIMENT).is_file()]
    if found and len(words) > 1:
        raise ConfigError(
            f"{found[0]} is an experiment: it has a report of its own",
            "name it alone; two experiments are compared with: compare --diff A B",
        )
    return found[0] if found else None


def _markdown(experiment: Path | None, runs: Sequence[Path]) -> str:
    # Here, because reading runs takes the libraries of the charts, which take a second to import.
    from bench.report.markdown import experiment_markdown, runs_markdown  # noqa: PLC0415

    return runs_markdown(runs) if experiment is None else experiment_markdown(experiment)


def _found(word: str, results_dir: Path) -> Path:
    """Return the directory of a run."""
    named, kept = Path(word), results_dir / word
    for path in (named, kept):
        if path.is_dir():
            try:
                read_manifest(path)
            except JournalError as error:
                raise ConfigError(f"{path} cannot be reported on: {error}") from error
            return path
    raise ConfigError(f"{word!r} is no run: there is neither {named} nor {kept}", "name a run's directory or its id")
