"""The settings of an experiment as it keeps them, and whether one that is gone on with is given the same ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bench.errors import ConfigError
from bench.settings import option_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.experiment.records import Experiment
    from bench.records import JsonObject

#: Settings that may be others when an experiment is gone on with: they change no cell that is still to come.
_FREE: Final = frozenset(
    {"resume", "diff", "gate", "baseline", "budget", "repeats", "quiet", "report", "results_dir", "env_file", "grace"}
    # The plan and the files of tasks were made from these.
    | {"modes", "levels", "sweep", "clients", "tasks_per_slot", "seed", "topics", "topics_file", "prompts"}
)


def kept_settings(settings: Mapping[str, Any]) -> JsonObject:
    """Return every option with its value, as JSON; keys of providers are no options."""
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in settings.items()}
    kept: JsonObject = msgspec.json.decode(msgspec.json.encode(plain))
    return kept


def check_same_settings(experiment: Experiment, settings: Mapping[str, Any]) -> None:
    """Refuse to go on with an experiment under settings that would make its later cells others than its first ones.

    Raises:
        ConfigError: One is not the same.
    """
    now = kept_settings(settings)
    for name, before in experiment.settings.items():
        if name not in _FREE and name in now and now[name] != _as_now(before, now[name]):
            raise ConfigError(
                f"the experiment was begun with {option_name(name)} {before}, and is gone on with {now[name]}",
                f"repeat its command: {experiment.command} --resume {experiment.experiment_id}",
            )


def _as_now(before: object, now: object) -> object:
    """Return a stored value in today's form: what was one text, or none, where texts are now is a list of that."""
    if not isinstance(now, list) or isinstance(before, list):
        return before
    return [] if before is None else [before]
