"""`doctor`: what a run would need, looked at before there is one."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bench.cli.context import FAILED, OK, Context
from bench.cli.hints import HINTS
from bench.cli.messages import note, say
from bench.cli.options import config_from
from bench.doctor import Diagnosis, machine_findings, provider_rows, somebody_to_ask
from bench.observe.layout import rows, write
from bench.observe.terminal import output_console
from bench.observe.text import NOT_MEASURED, printable, seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.doctor import ProviderRow

#: Longer lines are hard to follow, however wide the terminal.
_MOST_COLUMNS: Final = 100

_LEVEL_COLUMNS: Final = 9
_NAME_COLUMNS: Final = 10
_INDENT: Final = " " * (_LEVEL_COLUMNS + _NAME_COLUMNS + 1)


def execute(settings: Mapping[str, Any], context: Context) -> int:
    """Look at everything, tell it, and return the exit code: 0 if all is well, 1 if something is missing."""
    config = config_from(settings)
    as_json: bool = settings["json"]
    ask = not settings["offline"]
    if ask and not as_json and sys.stderr is not None and sys.stderr.isatty():
        note("asking the providers that have a key, for one token each ..")
    providers = provider_rows(config, context.environment, ask=ask)
    machine = (*machine_findings(config), somebody_to_ask(config, providers, context.environment))
    missing = [*(each.level == "missing" for each in machine), *(each.level == "missing" for each in providers)]
    diagnosis = Diagnosis(ok=not any(missing), machine=machine, providers=providers)
    if as_json:
        say(msgspec.json.format(msgspec.json.encode(diagnosis)).decode())
    else:
        _show(diagnosis)
        say("all is well" if diagnosis.ok else f"missing: {sum(missing)}; see the lines that begin with that word")
    return OK if diagnosis.ok else FAILED


def _show(diagnosis: Diagnosis) -> None:
    console = output_console(sys.stdout)
    width = min(console.width, _MOST_COLUMNS)
    write(console, rows([_cells(each) for each in diagnosis.providers], width))
    _wrapped("", "answer: time for one token, connecting included; price: per million tokens, prompts / answers", width)
    say("")
    told = list(dict.fromkeys((each.level, each.provider, each.note, _advice(each)) for each in diagnosis.providers))
    for level, name, said, advice in told:
        if said:
            _tell(level, name, said, advice, width)
    if any(said for _, _, said, _ in told):
        say("")
    for finding in diagnosis.machine:
        _tell(finding.level, finding.name, finding.said, finding.advice, width)
    say("")


def _cells(row: ProviderRow) -> dict[str, str]:
    return {
        "provider": printable(row.provider),
        "key from": printable(_variable(row)),
        "key": row.key_state,
        "answer": _answer(row),
        "price": _price(row),
    }


def _variable(row: ProviderRow) -> str:
    """Return the variable of a row's key, or the one that is looked into first."""
    return row.key_variables[(row.key or 1) - 1] if row.key_variables else ""


def _answer(row: ProviderRow) -> str:
    if row.answer is None:
        return "not asked" if row.key_state in {"set", "not needed"} else "-"
    return seconds(row.answer.latency_s) if row.answer.error_type is None else f"no: {row.answer.error_type}"


def _advice(row: ProviderRow) -> str:
    if row.answer is None or row.answer.error_type is None:
        return ""
    return HINTS[row.answer.error_type].format(key=_variable(row) or "the key")


def _price(row: ProviderRow) -> str:
    if row.price_in is None and row.price_out is None:
        return NOT_MEASURED
    prices = (NOT_MEASURED if price is None else f"{price:g}" for price in (row.price_in, row.price_out))
    return f"{' / '.join(prices)} {printable(row.currency)}"


def _tell(level: str, name: str, said: str, advice: str, width: int) -> None:
    _wrapped(f"{level:<{_LEVEL_COLUMNS}}{printable(name):<{_NAME_COLUMNS}} ", said, width)
    _wrapped(_INDENT, advice, width)


def _wrapped(opening: str, text: str, width: int) -> None:
    indent = _INDENT if opening else ""
    lines = textwrap.wrap(
        printable(text), width, initial_indent=opening, subsequent_indent=indent, break_on_hyphens=False
    )
    for line in lines:
        say(line)
