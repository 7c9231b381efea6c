"""`plan`: from what was measured, limits and prices to what to run, how long it takes and what it costs."""

from __future__ import annotations

import math
import shlex
import sys
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bench.cli.context import GATE_FAILED, OK, Context
from bench.cli.durations import duration_s
from bench.cli.messages import say
from bench.cli.options import PROGRAM
from bench.cli.plan_words import run_command, say_record, settling
from bench.clock import utc_label, utc_now
from bench.endpoints.providers_file import find_providers_file, known_providers
from bench.errors import ConfigError
from bench.journal import create_run_directory, write_atomically
from bench.observe.text import printable
from bench.planning.plan import keeps, plan
from bench.planning.read import Measured, read_measured
from bench.planning.records import Choice, Limits, PlanRecord, Prices, Row, Wanted
from bench.planning.words import duration, money

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bench.providers import Provider

PLAN: Final = "plan.json"

#: Options that are numbers above 0 where they are given, or at least 0.
_ABOVE_0: Final = ("tasks", "answer_tokens", "requests_per_min", "tokens_per_min", "in_flight", "money")
_AT_LEAST_0: Final = ("price_in", "price_out", "price_machine")

_NAMES: Final = {"money": "--for"}


def execute(settings: Mapping[str, Any], context: Context) -> int:
    """Plan, say what came out, keep it with its page, and return the exit code: 3 where nothing will do.

    Raises:
        ConfigError: An option is wrong, or what is named cannot be planned from.
        JournalError: The plan cannot be written.
    """
    _check(settings)
    wanted = _wanted(settings)
    if not context.words:
        raise ConfigError(
            "nothing to plan from", f"name experiments or runs: directories, or ids below {settings['results_dir']}"
        )
    measured = read_measured(context.words, settings["results_dir"])
    rows, best = plan(measured.points, _choices(settings, measured), wanted)
    directory = create_run_directory(settings["results_dir"], "plan", utc_now())
    record = _record(directory.name, measured, wanted, rows, best, _asked(settings, measured))
    encoded = msgspec.json.format(msgspec.json.encode(record), indent=1)
    for path in (directory / PLAN, *([settings["plan_file"]] if settings["plan_file"] else [])):
        write_atomically(path, encoded)
    say_record(record)
    say(f"plan:    {printable(str(directory / PLAN))}")
    if settings["report"]:
        _draw(record, directory)
    return OK if best is not None else GATE_FAILED


def _draw(record: PlanRecord, directory: Path) -> None:
    # Here, because charts take a second to import, which is not to be waited for before the plan.
    from bench.report.planning.build import build_plan_report  # noqa: PLC0415

    say(f"report:  {printable(str(build_plan_report(record, directory)))}")


def _check(settings: Mapping[str, Any]) -> None:
    """Refuse numbers that make no plan.

    Raises:
        ConfigError: There is no number of tasks, or a number is out of its range.
    """
    for name in (*_ABOVE_0, *_AT_LEAST_0):
        value = settings[name]
        low = 0 if name in _AT_LEAST_0 else math.ulp(0)
        if value is not None and not low <= value < math.inf:
            option = _NAMES.get(name, f"--{name.replace('_', '-')}")
            raise ConfigError(f"{option} must be {'at least' if name in _AT_LEAST_0 else 'above'} 0, got {value}")
    for option, name in (("--concurrency", "levels"), ("--machines", "machines")):
        if min(settings[name], default=1) < 1:
            raise ConfigError(f"{option} must be at least 1, got {min(settings[name])}")
    if settings["tasks"] is None:
        raise ConfigError("--tasks is missing: how many tasks are to be planned", "add --tasks 10000000")


def _wanted(settings: Mapping[str, Any]) -> Wanted:
    """Read what is to be done, within which limits and at which prices.

    Raises:
        ConfigError: A duration or the provider is wrong.
    """
    provider = _provider(settings)
    given = {name: settings[name] for name in ("in_flight", "requests_per_min", "tokens_per_min")}
    known = Limits() if provider is None else msgspec.convert(provider.limits, Limits, from_attributes=True)
    return Wanted(
        tasks=settings["tasks"],
        limits=msgspec.structs.replace(known, **{name: value for name, value in given.items() if value is not None}),
        prices=_prices(settings, provider),
        answer_tokens=settings["answer_tokens"],
        within_s=None if settings["within"] is None else duration_s(settings["within"], "--within"),
        money=settings["money"],
        seed=settings["seed"],
    )


def _provider(settings: Mapping[str, Any]) -> Provider | None:
    """Return the provider whose limits and prices count; None where none is named.

    Raises:
        ConfigError: Several are named, or one that is not known.
    """
    names = settings["provider"]
    if not names:
        return None
    known = known_providers(find_providers_file(settings["providers_file"]))
    if len(names) > 1 or names[0] not in known:
        raise ConfigError(f"--provider must be one of {', '.join(known)}, got {' '.join(names)}")
    return known[names[0]]


def _prices(settings: Mapping[str, Any], provider: Provider | None) -> Prices:
    price_in, price_out = settings["price_in"], settings["price_out"]
    if provider is not None:
        price_in = provider.price_in if price_in is None else price_in
        price_out = provider.price_out if price_out is None else price_out
    return Prices(
        per_million_in=price_in,
        per_million_out=price_out,
        machine_per_hour=settings["price_machine"],
        currency=settings["currency"] or (provider.currency if provider is not None else "USD"),
    )


def _choices(settings: Mapping[str, Any], measured: Measured) -> tuple[Choice, ...]:
    """Return what may be chosen; what is not given is what was measured."""
    conditions = [point.conditions for point in measured.points]
    levels = settings["levels"] or sorted({each.n for each in conditions})
    return tuple(
        Choice(mode=mode, client=client, n=n, machines=machines)
        for client in settings["clients"] or dict.fromkeys(each.client for each in conditions)
        for mode in settings["modes"] or dict.fromkeys(each.mode for each in conditions)
        for n in ((1,) if mode == "serial" else levels)
        for machines in sorted(set(settings["machines"]))
    )


def _asked(settings: Mapping[str, Any], measured: Measured) -> dict[str, object]:
    """Return whom to ask: the provider that is planned for, else the one that was measured."""
    if not settings["provider"]:
        return measured.asked
    file = settings["providers_file"]
    named: dict[str, object] = {"provider": list(settings["provider"])}
    return named if file is None else {**named, "providers_file": str(file)}


def _record(
    plan_id: str,
    measured: Measured,
    wanted: Wanted,
    rows: tuple[Row, ...],
    best: int | None,
    asked: dict[str, object],
) -> PlanRecord:
    other_length = {} if wanted.answer_tokens is None else {"max_tokens": math.ceil(wanted.answer_tokens)}
    run = "" if best is None else run_command(rows[best].choice, asked, keeps_limits=wanted.limits.is_any)
    return PlanRecord(
        plan_id=plan_id,
        command=shlex.join(["python", PROGRAM, *sys.argv[1:]]),
        made_at=utc_label(utc_now()),
        sources=measured.sources,
        asked=asked,
        wanted=wanted,
        rows=rows,
        recommended=best,
        why_not="" if best is not None else _why_not(rows, wanted),
        run=run,
        settle=settling(rows, {**measured.asked, **other_length}),
        cautions=measured.cautions,
    )


def _why_not(rows: Sequence[Row], wanted: Wanted) -> str:
    """Say why no choice will do, and which comes closest."""
    answers = [row.answer for row in rows if row.answer is not None]
    if not answers:
        return "what was measured tells of none of these choices"
    if wanted.within_s is not None and not any(answer.high_s <= wanted.within_s for answer in answers):
        closest = min(answers, key=lambda answer: answer.high_s)
        return f"the quickest takes up to {duration(closest.high_s)}, more than {duration(wanted.within_s)}"
    known = [answer.money for answer in answers if answer.money is not None]
    if not known:
        return "what it costs is not known, so not whether --for will do"
    least = money(min(known), wanted.prices)
    if any(keeps(row, msgspec.structs.replace(wanted, within_s=None)) for row in rows):
        return f"what keeps to the time costs more than {money(wanted.money, wanted.prices)}"
    return f"the cheapest costs {least}, more than {money(wanted.money, wanted.prices)}"
