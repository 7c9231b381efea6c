"""What `plan` says: a row for each choice, what is recommended and the command that does it, and what is not told."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from rich.text import Text

from bench.cli.compare_options import compare_options
from bench.cli.messages import note, say
from bench.cli.options import PROGRAM, option_words
from bench.observe.layout import rows, write
from bench.observe.terminal import output_console
from bench.observe.text import printable
from bench.planning.words import duration, headline, interval, money, tokens
from bench.settings import from_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.planning.records import Choice, PlanRecord, Row, Wanted


def say_record(record: PlanRecord) -> None:
    """Say what a plan came to."""
    told = [row for row in record.rows if row.answer is not None]
    if told:
        console = output_console(sys.stdout)
        title = Text(f"{record.wanted.tasks:,} tasks", style="bold")
        write(console, title, rows([_cells(row, record.wanted) for row in told], console.width - 1))
    for words in not_told(record.rows):
        say(printable(words))
    for command in record.settle:
        say(printable(f"  a run would tell: {command}"))
    say(printable(headline(record)))
    if record.run:
        say(printable(f"run it: {record.run}"))
    prices = record.wanted.prices
    if prices.per_million_in is None or prices.per_million_out is None:
        note("money is n/a: give --price-in and --price-out, or a --provider whose prices are known")
    for caution in record.cautions:
        note(printable(caution))


def not_told(found: Sequence[Row]) -> list[str]:
    """Return what is not told, each reason once with the choices that it is about."""
    about: dict[str, list[str]] = {}
    for row in found:
        if row.answer is None:
            about.setdefault(row.reason, []).append(_short(row.choice))
    return [f"not told for {', '.join(choices)}: {reason}" for reason, choices in about.items()]


def run_command(choice: Choice, asked: Mapping[str, object], *, keeps_limits: bool) -> str:
    """Return the command that does the work as a choice has it, fit for a shell but for what it works on."""
    words = ["run", "--client", choice.client]
    if choice.machines == 1:
        words += ["--mode", choice.mode, "--concurrency", str(choice.n)]
    else:
        words += ["--mode", "distributed", "--scheduler", "ADDRESS", "--concurrency", str(choice.in_flight)]
    words += ["--profile", "prod"] if keeps_limits else []
    # Not what was measured is to be worked on.
    whom = {name: value for name, value in asked.items() if name != "topics_file"}
    return shlex.join(["python", PROGRAM, *words, *_asked_words(whom)])


def settling(found: Sequence[Row], asked: Mapping[str, object]) -> tuple[str, ...]:
    """Return the commands that would measure what is not told, one for each mode and client."""
    begin, whom = ("python", PROGRAM, "compare"), _asked_words(asked)
    levels: dict[tuple[str, str], set[int]] = {}
    for row in found:
        levels.setdefault((row.choice.mode, row.choice.client), set()).update(row.settle_n)
    return tuple(
        shlex.join([*begin, "--modes", mode, "--client", client, "--concurrency", *map(str, sorted(missing)), *whom])
        for (mode, client), missing in levels.items()
        if missing
    )


def _asked_words(asked: Mapping[str, object]) -> list[str]:
    """Return the arguments that ask whom the measurement asked."""
    options = [option for option in compare_options() if option.field in asked]
    return option_words(options, {option.field: from_json(option.hint, asked[option.field]) for option in options})


def _short(choice: Choice) -> str:
    return f"{choice.client}/{choice.mode}@{choice.n}" + (f" x {choice.machines}" if choice.machines > 1 else "")


def _cells(row: Row, wanted: Wanted) -> dict[str, str]:
    choice, answer = row.choice, row.answer
    if answer is None:
        return {}
    cells = {
        "run": f"{choice.client}/{choice.mode}@{choice.n}",
        "on": f"{choice.machines:,}",
        "duration": duration(answer.duration_s),
        "95 % interval": interval(answer),
        "tokens in": tokens(answer.prompt_tokens),
        "out": tokens(answer.completion_tokens),
        "money": money(answer.money, wanted.prices),
        "binds": answer.bound,
    }
    if answer.failed:
        cells["failed"] = f"{answer.failed:.2%}"
    return cells
