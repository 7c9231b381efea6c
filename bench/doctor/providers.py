"""Whom a run could ask: every provider that is known, whether it has a key, and whether it answers."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from typing import TYPE_CHECKING, Final

import msgspec

from bench.doctor.ask import ask_all
from bench.doctor.findings import Answer, Finding, ProviderRow
from bench.endpoints.keys import key_variables
from bench.endpoints.local import installed_weights
from bench.endpoints.providers_file import ALL, find_providers_file, known_providers
from bench.endpoints.resolve import DEFAULT_PROVIDER, opened, resolve
from bench.errors import ConfigError
from bench.providers import PROVIDERS, Provider

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bench.config import ConcurrentConfig
    from bench.doctor.findings import KeyState, Level
    from bench.endpoints.resolve import ResolvedRoutes
    from bench.errors import ErrorType

#: A provider that says so is there and takes the key; a run waits for it.
_PASSING: Final[frozenset[ErrorType]] = frozenset({"rate_limited"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Looked:
    """A provider: a row for each of its keys, and as many routes if it can be asked."""

    rows: tuple[ProviderRow, ...]
    resolved: ResolvedRoutes | None = None


def provider_rows(config: ConcurrentConfig, environ: Mapping[str, str], *, ask: bool) -> tuple[ProviderRow, ...]:
    """Look at the providers that are named, or else at all that are known, and ask those that can be asked.

    A server that a run starts itself is started and asked only if it is named.

    Args:
        config: Whom to look at, and the file that defines more.
        environ: The environment over the env file.
        ask: Send each of them a tiny request.

    Raises:
        ConfigError: A name is unknown, or the providers' file or an address is wrong.
        EndpointError: A server of our own did not come up.
    """
    looked = _all(config, environ)
    if not ask:
        return tuple(row for each in looked for row in each.rows)
    with contextlib.ExitStack() as servers:
        routes = [servers.enter_context(opened(each.resolved)) if each.resolved else () for each in looked]
        answers = iter(ask_all([route for each in routes for route in each]))
        return tuple(
            _answered(row, next(answers)) if asked else row
            for each, asked in zip(looked, routes, strict=True)
            for row in each.rows
        )


def somebody_to_ask(config: ConcurrentConfig, rows: Sequence[ProviderRow], environ: Mapping[str, str]) -> Finding:
    """Say whom a run with this configuration can ask.

    Args:
        config: As it was looked at.
        rows: What was found.
        environ: The environment over the env file.
    """
    able = list(dict.fromkeys(row.provider for row in rows if row.key_state in {"set", "not needed"} and _can(row)))
    theirs = [name for name in able if config.provider or config.base_url or name not in PROVIDERS or _hosted(name)]
    if theirs:
        default = config.provider or config.base_url or DEFAULT_PROVIDER in theirs
        advice = "" if default else f"name it, because a run asks {DEFAULT_PROVIDER} by default: -p {theirs[0]}"
        return Finding(name="to ask", level="ok" if default else "note", said=", ".join(theirs), advice=advice)
    if not any(row.answer is not None for row in rows):
        try:
            resolve(dataclasses.replace(config, profile="prod"), environ)
        except ConfigError as error:
            return Finding(name="to ask", level="missing", said=error.message, advice=error.hint)
    return Finding(
        name="to ask", level="missing", said="nobody who was asked answers", advice="see what is said of each provider"
    )


def _can(row: ProviderRow) -> bool:
    return row.level == "ok" or (row.answer is not None and row.answer.error_type in _PASSING)


def _hosted(name: str) -> bool:
    return not PROVIDERS[name].is_own


def _all(config: ConcurrentConfig, environ: Mapping[str, str]) -> list[_Looked]:
    if config.base_url is not None:
        return [_at_address(config, environ)]
    known = known_providers(find_providers_file(config.providers_file), insecure=config.allow_insecure_http)
    for name in config.provider:
        if name not in known and name != ALL:
            # Says which names there are.
            resolve(_only(config, name), environ)
    chosen = [each for name, each in known.items() if name in config.provider or _is_meant(each, config)]
    return [_look(each, config, environ) for each in chosen]


def _is_meant(provider: Provider, config: ConcurrentConfig) -> bool:
    """Say whether a provider is looked at without being named: all are, of `all` those that somebody else runs."""
    return not config.provider or (ALL in config.provider and not provider.is_own)


def _only(config: ConcurrentConfig, name: str) -> ConcurrentConfig:
    """Return the configuration with one provider alone, with all of its keys."""
    model = config.model if len(config.provider) == 1 else None
    return dataclasses.replace(config, profile="prod", provider=(name,), model=model)


def _at_address(config: ConcurrentConfig, environ: Mapping[str, str]) -> _Looked:
    resolved = resolve(dataclasses.replace(config, profile="prod"), environ)
    return _Looked(rows=tuple(_rows(resolved, ())), resolved=resolved)


def _look(provider: Provider, config: ConcurrentConfig, environ: Mapping[str, str]) -> _Looked:
    is_named = provider.name in config.provider
    if provider.is_own and not is_named:
        return _Looked(rows=(_own(provider),))
    variables = key_variables(provider, environ)
    try:
        if provider.name == "local":
            installed_weights(sys.path)
        resolved = resolve(_only(config, provider.name), environ)
    except ConfigError as error:
        is_set = any(environ.get(name, "").strip() for name in variables)
        state: KeyState = "unusable" if is_set else "not set" if variables else "not needed"
        row = _row(provider, variables, state)
        # That no key is set is no fault where nobody asked for this provider.
        if is_named or is_set:
            row = msgspec.structs.replace(row, level="missing", note=error.message)
        return _Looked(rows=(row,))
    return _Looked(rows=tuple(_rows(resolved, variables)), resolved=resolved)


def _own(provider: Provider) -> ProviderRow:
    """Return the row of a server that a run starts, without starting it."""
    row = msgspec.structs.replace(_row(provider, (), "not needed"), level="ok", note="started by a run")
    if provider.name == "local":
        try:
            installed_weights(sys.path)
        except ConfigError as error:
            return msgspec.structs.replace(row, level="note", note=error.message)
    return row


def _row(provider: Provider, variables: tuple[str, ...], state: KeyState) -> ProviderRow:
    return ProviderRow(
        provider=provider.name,
        model=provider.model,
        key=None,
        key_state=state,
        key_variables=variables,
        level="note",
        answer=None,
        note="",
        price_in=provider.price_in,
        price_out=provider.price_out,
        currency=provider.currency,
    )


def _rows(resolved: ResolvedRoutes, variables: tuple[str, ...]) -> Iterator[ProviderRow]:
    for route in resolved.routes:
        has_key = route.api_key is not None
        yield ProviderRow(
            provider=route.provider,
            model=route.model,
            key=route.key + 1 if has_key else None,
            key_state="set" if has_key else "not needed",
            key_variables=variables,
            level="ok",
            answer=None,
            note="",
            price_in=route.price_in,
            price_out=route.price_out,
            currency=route.currency,
        )


def _answered(row: ProviderRow, answer: Answer) -> ProviderRow:
    """Return a row with what came back."""
    if answer.error_type is None:
        return msgspec.structs.replace(row, answer=answer)
    level: Level = "note" if answer.error_type in _PASSING else "missing"
    return msgspec.structs.replace(row, answer=answer, level=level, note=answer.error or "")
