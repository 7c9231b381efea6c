"""Whom a run asks: from configuration and keys to its routes, and servers of its own where it needs them.

A route is one provider with one of its keys. A measurement has exactly one; real work has one for each key of each
provider that is named.
"""

from __future__ import annotations

import contextlib
import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from bench.endpoints.address import checked_address, host_of, is_loopback
from bench.endpoints.keys import key_variables, keys_of
from bench.endpoints.local import local_endpoint
from bench.endpoints.providers_file import ALL, find_providers_file, known_providers
from bench.endpoints.simulated import simulated_server, simulator_settings
from bench.errors import ConfigError
from bench.providers import PROVIDERS, Endpoint, Provider
from bench.simulator.settings import SimulatorSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bench.config import ConcurrentConfig

#: The provider where none is named, if its key is set.
DEFAULT_PROVIDER: Final = "bigmodel"

#: What an address without a preset is called in records.
CUSTOM: Final = "custom"

#: The client that answers by itself, and what its provider and model are called in records.
SCRIPTED: Final = "scripted"

#: Where the key of an address without a preset is looked for, in this order.
CUSTOM_KEYS: Final = ("CONCURRENT_API_KEY", "OPENAI_API_KEY")


class ResolvedRoutes(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a run asks, before servers of its own are started.

    Attributes:
        routes: Provider, model, key and address of each, in the order in which they were named; an address is empty
            where the run starts the server. There is at least one.
        simulator: What the run's simulator does, if one of the providers is one.
        slots: N, for which a local model makes room.
        providers_file: The file that says something about one of the providers, if one does.
    """

    routes: tuple[Endpoint, ...]
    simulator: SimulatorSettings | None = None
    slots: int = 1
    providers_file: Path | None = None

    @property
    def providers(self) -> tuple[str, ...]:
        """The names of the providers, each once, in order."""
        return tuple(dict.fromkeys(route.provider for route in self.routes))


def resolve(config: ConcurrentConfig, environ: Mapping[str, str]) -> ResolvedRoutes:
    """Find whom to ask; nothing is sent or started.

    Args:
        config: The run's settings.
        environ: The environment over the env file.

    Raises:
        ConfigError: No provider was named and none has its key, a name is unknown, a key or model is missing, an
            address is refused, or a measurement would have several providers.
    """
    if config.canary and _is_elsewhere(config):
        raise ConfigError(
            f"--canary asks a server on this machine's loopback, out of reach of the nodes of --scheduler "
            f"{config.scheduler}",
            "leave it out",
        )
    if config.client == SCRIPTED:
        # Nobody is asked: neither address nor key is needed.
        scripted = Endpoint(provider=SCRIPTED, base_url="none", model=config.model or SCRIPTED)
        return ResolvedRoutes(routes=(scripted,))
    if config.base_url is not None:
        routes = _custom(config, config.base_url, environ)
        return ResolvedRoutes(routes=_measured(config, routes), slots=config.slots)
    file = find_providers_file(config.providers_file)
    chosen = _chosen(config, known_providers(file, insecure=config.allow_insecure_http), environ)
    _check_choice(config, chosen)
    simulator = simulator_settings(config.simulator) if "simulator" in (each.name for each in chosen) else None
    routes = tuple(route for each in chosen for route in _routes(config, each, environ, simulator))
    return ResolvedRoutes(
        routes=_measured(config, routes),
        simulator=simulator,
        slots=config.slots,
        providers_file=file if any(each is not PROVIDERS.get(each.name) for each in chosen) else None,
    )


@contextlib.contextmanager
def opened(resolved: ResolvedRoutes) -> Iterator[tuple[Endpoint, ...]]:
    """Run the servers that providers need inside the block, if they need any.

    Yields:
        Where requests go: the routes, each with an address.

    Raises:
        ConfigError: The local model is not installed.
        EndpointError: A server of its own did not come up.
    """
    with contextlib.ExitStack() as servers:
        yield tuple(_with_address(route, resolved, servers) for route in resolved.routes)


def _with_address(route: Endpoint, resolved: ResolvedRoutes, servers: contextlib.ExitStack) -> Endpoint:
    if route.base_url:
        return route
    if route.provider == "simulator" and resolved.simulator is not None:
        started = servers.enter_context(simulated_server(resolved.simulator)).endpoint
    else:
        started = servers.enter_context(local_endpoint(slots=resolved.slots))
    return msgspec.structs.replace(
        route,
        base_url=started.base_url,
        extra_body=started.extra_body,
        headers=started.headers,
        pid=started.pid,
    )


def _chosen(
    config: ConcurrentConfig, known: Mapping[str, Provider], environ: Mapping[str, str]
) -> tuple[Provider, ...]:
    """Return the providers that are asked, each once, in the order in which they are named."""
    if not config.provider:
        default = known[DEFAULT_PROVIDER]
        if not keys_of(default, environ) and not _is_open(default):
            raise _nobody_to_ask()
        return (default,)
    names: dict[str, None] = {}
    for name in config.provider:
        if name == ALL:
            names |= dict.fromkeys(_with_key(known, environ))
        elif name in known:
            names[name] = None
        else:
            raise _unknown(name, known)
    return tuple(known[name] for name in names)


def _with_key(known: Mapping[str, Provider], environ: Mapping[str, str]) -> list[str]:
    """Return the providers that could be asked now; those whose server a run starts itself are asked by name only."""
    names = [name for name, each in known.items() if not each.is_own and (keys_of(each, environ) or _is_open(each))]
    if not names:
        variables = [each.key_env or " or ".join(each.keys) for each in known.values() if each.key_env or each.keys]
        raise ConfigError(
            "--provider all asks every provider that has a key, and none is set",
            f"set one of {', '.join(variables)} in the environment or the env file",
        )
    return names


def _unknown(name: str, known: Mapping[str, Provider]) -> ConfigError:
    close = difflib.get_close_matches(name, known, n=1)
    meant = f"; did you mean {close[0]}?" if close else ""
    return ConfigError(
        f"--provider must be one of {', '.join((*known, ALL))}, got {name!r}{meant}",
        "more are defined in a file: --providers FILE, or ./providers.toml",
    )


def _check_choice(config: ConcurrentConfig, chosen: tuple[Provider, ...]) -> None:
    """Refuse several providers in a measurement, one model's name for several, and servers out of nodes' reach."""
    own = next((each.name for each in chosen if each.is_own), None)
    if own is not None and _is_elsewhere(config):
        raise ConfigError(
            f"--provider {own} is a server on this machine's loopback, out of reach of the nodes of --scheduler "
            f"{config.scheduler}",
            "start one that they reach, and name it with --base-url: python concurrent_bigmodel.py simulate --public "
            "--host ADDRESS",
        )
    if len(chosen) > 1:
        names = ", ".join(each.name for each in chosen)
        if config.profile == "bench":
            raise ConfigError(
                f"--provider {' '.join(config.provider)} is {len(chosen)} providers ({names}), and --profile bench "
                "measures one",
                "name one, or get the work done by all of them with --profile prod",
            )
        if config.model is not None:
            raise ConfigError(
                f"--model {config.model} is one model, and {len(chosen)} providers are asked ({names})",
                "leave it out, and name the model of each in a file: --providers FILE, or ./providers.toml",
            )
    local = PROVIDERS["local"]
    if chosen[0].name == local.name and config.model not in {None, local.model}:
        raise ConfigError(
            f"--provider local runs {local.model} alone, got --model {config.model}",
            "leave --model out, or name another server's address with --base-url",
        )


def _routes(
    config: ConcurrentConfig, provider: Provider, environ: Mapping[str, str], simulator: SimulatorSettings | None
) -> Iterator[Endpoint]:
    """Yield a route for each of a provider's keys, or one without a key where none is needed."""
    keys = keys_of(provider, environ)
    if not keys and not _is_open(provider):
        variables = key_variables(provider, environ)
        raise ConfigError(
            f"--provider {provider.name} needs a key, and {' and '.join(variables)} {_is_not(variables)} set",
            f"set {variables[0]} in the environment or the env file",
        )
    own = simulator.model if simulator is not None and provider.name == "simulator" else provider.model
    model = config.model or own
    # Prices are those of the provider's own model.
    priced = model == provider.model
    for place, key in keys or ((0, None),):
        yield Endpoint(
            provider=provider.name,
            base_url=provider.base_url,
            model=model,
            api_key=key,
            key=place,
            limits=provider.limits,
            timeout_s=provider.timeout_s,
            patience=provider.patience,
            price_in=provider.price_in if priced else None,
            price_out=provider.price_out if priced else None,
            currency=provider.currency,
        )


def _custom(config: ConcurrentConfig, base_url: str, environ: Mapping[str, str]) -> tuple[Endpoint, ...]:
    address = checked_address(base_url, insecure=config.allow_insecure_http)
    if config.model is None:
        raise ConfigError(f"--base-url {address} has no model of its own", "name one with --model")
    providers = (Provider(name=CUSTOM, base_url=address, model=config.model, key_env=name) for name in CUSTOM_KEYS)
    keys = next((found for each in providers if (found := keys_of(each, environ))), ())
    if not keys and not is_loopback(host_of(address)):
        raise ConfigError(
            f"--base-url {address} needs a key, and {' and '.join(CUSTOM_KEYS)} are not set",
            f"set {CUSTOM_KEYS[0]} in the environment or the env file",
        )
    return tuple(
        Endpoint(provider=CUSTOM, base_url=address, model=config.model, api_key=key, key=place)
        for place, key in keys or ((0, None),)
    )


def _measured(config: ConcurrentConfig, routes: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    """Return all routes for real work, and the first for a measurement."""
    return routes[:1] if config.profile == "bench" else routes


def _is_elsewhere(config: ConcurrentConfig) -> bool:
    """Say whether requests are sent from other machines."""
    return config.scheduler is not None and not is_loopback(host_of(config.scheduler))


def _is_open(provider: Provider) -> bool:
    """Say whether a provider can be asked without a key: the run's own servers, and any other on this machine."""
    return provider.is_own or is_loopback(host_of(provider.base_url))


def _is_not(names: tuple[str, ...]) -> str:
    return "is not" if len(names) == 1 else "are not"


def _nobody_to_ask() -> ConfigError:
    key = PROVIDERS[DEFAULT_PROVIDER].key_env
    return ConfigError(
        f"there is nobody to ask: {key} is not set, and neither --provider nor --base-url is given",
        f"three ways on: set {key} in the environment or the env file; or use --provider local, a small real model on "
        "this machine; or use --provider simulator, made-up answers without a key",
    )
