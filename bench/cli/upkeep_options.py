"""The options of the commands that look at what is there: `doctor` and `cache`."""

from __future__ import annotations

import dataclasses
from typing import Final

from bench.cli.options import Option, run_options

#: The settings of a run that decide what it needs and whom it asks.
_LOOKED_AT: Final = frozenset(
    {"provider", "providers_file", "base_url", "model", "allow_insecure_http", "mode", "concurrency", "processes"}
    | {"client", "results_dir", "env_file"}
)


def doctor_options() -> tuple[Option, ...]:
    """Return the options of `doctor`: those of a run that decide what it needs, and how it is told."""
    offline = Option(field="offline", name="--offline", hint=bool, default=False, help="ask nobody")
    as_json = Option(field="json", name="--json", hint=bool, default=False, help="write what was found as JSON")
    asked = (option for option in run_options() if option.field in _LOOKED_AT)
    return (offline, as_json, *(_told_anew(option) for option in asked))


def cache_options() -> tuple[Option, ...]:
    """Return the options of `cache`: where it is."""
    return tuple(
        dataclasses.replace(option, group="Options")
        for option in run_options()
        if option.field in {"cache_file", "results_dir", "env_file"}
    )


def _told_anew(option: Option) -> Option:
    """Return an option with what it does here."""
    if option.field == "provider":
        return dataclasses.replace(option, help="look at these alone, each of which is needed (default: all)")
    return option
