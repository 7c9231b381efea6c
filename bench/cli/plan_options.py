"""The options of `plan`: what is to be done, within which limits, at which prices, and what may be chosen."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Final

from bench.cli.options import Option, run_options
from bench.records import Mode

_WORK: Final = "What is to be done"
_LIMITS: Final = "Whom to ask, and what it allows"
_CHOICES: Final = "What may be chosen"

_OWN: Final = (
    Option(
        field="tasks", name="--tasks", hint=int | None, default=None, help="how many tasks", group=_WORK, metavar="K"
    ),
    Option(
        field="answer_tokens",
        name="--answer-tokens",
        hint=float | None,
        default=None,
        help="mean length of an answer (default: as measured)",
        group=_WORK,
        metavar="T",
    ),
    Option(
        field="within",
        name="--within",
        hint=str | None,
        default=None,
        help="how long it may take, such as 2h or 3d: the fewest machines that do it are recommended",
        group=_WORK,
        metavar="TIME",
    ),
    Option(
        field="money",
        name="--for",
        hint=float | None,
        default=None,
        help="how much it may cost, in the prices' currency",
        group=_WORK,
        metavar="MONEY",
    ),
    Option(
        field="requests_per_min",
        name="--requests-per-min",
        hint=float | None,
        default=None,
        help="requests that the provider allows in any minute (default: as it is known of --provider; so below)",
        group=_LIMITS,
        metavar="R",
    ),
    Option(
        field="tokens_per_min",
        name="--tokens-per-min",
        hint=float | None,
        default=None,
        help="tokens of prompts and answers that it allows in any minute",
        group=_LIMITS,
        metavar="T",
    ),
    Option(
        field="in_flight",
        name="--in-flight",
        hint=int | None,
        default=None,
        help="requests that it takes at once",
        group=_LIMITS,
        metavar="K",
    ),
    Option(
        field="price_in",
        name="--price-in",
        hint=float | None,
        default=None,
        help="price of a million tokens of prompts",
        group=_LIMITS,
        metavar="P",
    ),
    Option(
        field="price_out",
        name="--price-out",
        hint=float | None,
        default=None,
        help="price of a million tokens of answers",
        group=_LIMITS,
        metavar="P",
    ),
    Option(
        field="price_machine",
        name="--price-machine",
        hint=float,
        default=0.0,
        help="price of a machine for an hour",
        group=_LIMITS,
        metavar="P",
    ),
    Option(
        field="currency",
        name="--currency",
        hint=str | None,
        default=None,
        help="what prices are in (default: the provider's, else USD)",
        group=_LIMITS,
    ),
    Option(
        field="modes",
        name="--modes",
        alias="-m",
        hint=tuple[Mode, ...],
        default=(),
        help="the concurrency models (default: those that were measured)",
        group=_CHOICES,
        metavar="MODE ..",
    ),
    Option(
        field="levels",
        name="--concurrency",
        alias="-c",
        hint=tuple[int, ...],
        default=(),
        help="the numbers of requests in flight on a machine (default: those that were measured)",
        group=_CHOICES,
        metavar="N ..",
    ),
    Option(
        field="clients",
        name="--client",
        hint=tuple[str, ...],
        default=(),
        help="the clients (default: those that were measured)",
        group=_CHOICES,
        metavar="CLIENT ..",
    ),
    Option(
        field="machines",
        name="--machines",
        hint=tuple[int, ...],
        default=(1, 2, 4, 8),
        help="the numbers of machines like the one that measured",
        group=_CHOICES,
        metavar="K ..",
    ),
    Option(
        field="plan_file",
        name="--output",
        hint=Path | None,
        default=None,
        help="also write the plan as JSON to this file",
        group="Output",
        metavar="FILE",
    ),
)

#: The options of a run that a plan has too.
_SHARED: Final = frozenset({"provider", "providers_file", "seed", "results_dir", "report", "env_file"})


def plan_options() -> tuple[Option, ...]:
    """Return the options of `plan`; its own come first."""
    return (*_OWN, *(_told_anew(option) for option in run_options() if option.field in _SHARED))


def _told_anew(option: Option) -> Option:
    """Return an option of a run with what it does here."""
    told = {
        "provider": ("the provider whose limits and prices count", _LIMITS),
        "providers_file": (option.help, _LIMITS),
        "seed": ("seed of the simulation", "Output"),
    }
    said, group = told.get(option.field, (option.help, option.group))
    metavar = "NAME" if option.field == "provider" else option.metavar
    return dataclasses.replace(option, help=said, group=group, metavar=metavar)
