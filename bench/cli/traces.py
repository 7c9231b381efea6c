"""`traces`: send what is missing of a run's traces, and look at where the time of its tasks went."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.cli.context import FAILED, OK, Context
from bench.cli.messages import fail, say
from bench.errors import ConfigError, JournalError
from bench.journal import read_manifest
from bench.observe.text import printable
from bench.providers import is_key_variable
from bench.tracing.destination import destination, sample_wanted

if TYPE_CHECKING:
    from collections.abc import Mapping

_WORDS: Final = ("push", "review")


def execute(settings: Mapping[str, Any], context: Context) -> int:
    """Push or review the traces of a run, and return the exit code.

    Raises:
        ConfigError: No run is named, there is no key, or another process sends them.
    """
    if len(context.words) != 2 or context.words[0] not in _WORDS:  # noqa: PLR2004 - what to do, and with which run
        got = " ".join(map(repr, context.words)) or "nothing"
        raise ConfigError(
            f"traces takes push or review and a run, as in: traces review RUN; got {got}", "see: traces --help"
        )
    run = found(context.words[1], settings["results_dir"])
    if context.words[0] == "push":
        return _push(run, settings, context)
    other = settings["compare"]
    return _review(run, None if other is None else found(other, settings["results_dir"]), settings, context)


def _review(run: Path, other: Path | None, settings: Mapping[str, Any], context: Context) -> int:
    # Here, because charts take a second to import.
    from bench.cli.traces_review import show_review  # noqa: PLC0415

    show_review(
        run,
        other,
        to=destination(context.environment),
        slowest=settings["slowest"],
        failed_only=settings["failed"],
    )
    return OK


def _push(run: Path, settings: Mapping[str, Any], context: Context) -> int:
    # Here, because LangSmith's client takes a second to import, which nothing else is to wait for.
    from bench.tracing.follow import Wanted, push_traces  # noqa: PLC0415

    to = destination(context.environment, settings["trace_to"])
    if to is None:
        raise ConfigError(
            "traces need a key of LangSmith, and LANGSMITH_API_KEY is not set",
            "set it in the environment or the env file",
        )
    share: float = settings["trace_sample"]
    if share == 1:
        share = sample_wanted(context.environment) or share
    secrets = tuple(value for name, value in context.environment.items() if is_key_variable(name))
    stop = threading.Event()
    if settings["follow"]:
        # Whoever began this waits no longer.
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
    wanted = Wanted(to=to, sample=share, secrets=secrets)
    outcome = push_traces(run, wanted, follow=settings["follow"], stop=stop)
    kept_back = f", {outcome.traces_left_out:,} left out by --trace-sample" if outcome.traces_left_out else ""
    say(f"traces:  {outcome.traces_sent:,} in {printable(outcome.url or f'project {outcome.project}')}{kept_back}")
    if outcome.is_whole:
        return OK
    missing = outcome.traces_failed + outcome.traces_dropped
    fail(f"{missing:,} were not sent to {printable(outcome.endpoint)}: {printable(outcome.reason or 'no reason told')}")
    return FAILED


def found(word: str, results_dir: Path) -> Path:
    """Return the directory of a run."""
    for path in (Path(word), results_dir / word):
        if path.is_dir():
            try:
                read_manifest(path)
            except JournalError as error:
                raise ConfigError(f"{path} has no traces: {error}") from error
            return path
    raise ConfigError(
        f"{word!r} is no run: there is neither {Path(word)} nor {results_dir / word}",
        "name a run's directory or its id below --results-dir",
    )
