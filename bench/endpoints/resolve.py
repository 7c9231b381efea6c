"""Whom a run asks: from configuration and keys to an endpoint, and a server of its own where it needs one."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import msgspec

from bench.endpoints.address import checked_address, host_of, is_loopback
from bench.endpoints.local import local_endpoint
from bench.endpoints.simulated import simulated_server, simulator_settings
from bench.errors import ConfigError
from bench.providers import PROVIDERS, Endpoint, Provider, Secret
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


class ResolvedProvider(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a run asks, before a server of its own is started.

    Attributes:
        endpoint: Provider, model, key and address; the address is empty where the run starts the server.
        simulator: What the run's simulator does, if the provider is one.
        slots: N, for which a local model makes room.
    """

    endpoint: Endpoint
    simulator: SimulatorSettings | None = None
    slots: int = 1


def resolve(config: ConcurrentConfig, environ: Mapping[str, str]) -> ResolvedProvider:
    """Find whom to ask; nothing is sent or started.

    Args:
        config: The run's settings.
        environ: The environment over the env file.

    Raises:
        ConfigError: No provider was named and none has its key, a key or model is missing, or an address is refused.
    """
    if config.client == SCRIPTED:
        # Nobody is asked: neither address nor key is needed.
        return ResolvedProvider(endpoint=Endpoint(provider=SCRIPTED, base_url="none", model=config.model or SCRIPTED))
    if config.base_url is not None:
        return ResolvedProvider(endpoint=_custom(config, config.base_url, environ), slots=config.slots)
    name = config.provider
    if name is None:
        if _key(environ, PROVIDERS[DEFAULT_PROVIDER].key_env) is None:
            raise _nobody_to_ask()
        name = DEFAULT_PROVIDER
    preset = PROVIDERS[name]
    if name == "local" and config.model not in {None, preset.model}:
        raise ConfigError(
            f"--provider local runs {preset.model} alone, got --model {config.model}",
            "leave --model out, or name another server's address with --base-url",
        )
    simulator = simulator_settings(config.simulator) if name == "simulator" else None
    model = config.model or (simulator.model if simulator else preset.model)
    endpoint = Endpoint(
        provider=preset.name, base_url=preset.base_url, model=model, api_key=_preset_key(preset, environ)
    )
    return ResolvedProvider(endpoint=endpoint, simulator=simulator, slots=config.slots)


@contextlib.contextmanager
def opened(resolved: ResolvedProvider) -> Iterator[Endpoint]:
    """Run the server that a provider needs inside the block, if it needs one.

    Yields:
        Where requests go.

    Raises:
        ConfigError: The local model is not installed.
        EndpointError: A server of its own did not come up.
    """
    if resolved.simulator is not None:
        with simulated_server(resolved.simulator) as server:
            yield msgspec.structs.replace(server.endpoint, model=resolved.endpoint.model)
    elif not resolved.endpoint.base_url:
        with local_endpoint(slots=resolved.slots) as endpoint:
            yield endpoint
    else:
        yield resolved.endpoint


def _custom(config: ConcurrentConfig, base_url: str, environ: Mapping[str, str]) -> Endpoint:
    address = checked_address(base_url, insecure=config.allow_insecure_http)
    if config.model is None:
        raise ConfigError(f"--base-url {address} has no model of its own", "name one with --model")
    key = next((found for name in CUSTOM_KEYS if (found := _key(environ, name)) is not None), None)
    if key is None and not is_loopback(host_of(address)):
        raise ConfigError(
            f"--base-url {address} needs a key, and {' and '.join(CUSTOM_KEYS)} are not set",
            f"set {CUSTOM_KEYS[0]} in the environment or the env file",
        )
    return Endpoint(provider=CUSTOM, base_url=address, model=config.model, api_key=key)


def _preset_key(preset: Provider, environ: Mapping[str, str]) -> Secret | None:
    if not preset.key_env:
        return None
    key = _key(environ, preset.key_env)
    if key is None:
        raise ConfigError(
            f"--provider {preset.name} needs a key, and {preset.key_env} is not set",
            f"set {preset.key_env} in the environment or the env file",
        )
    return key


def _key(environ: Mapping[str, str], name: str) -> Secret | None:
    """Return a key, or None where it is not set or blank."""
    value = environ.get(name, "").strip()
    if not value:
        return None
    if not value.isascii() or any(char.isspace() or not char.isprintable() for char in value):
        raise ConfigError(f"{name} holds a character that no key has (a blank, a control or a non-ASCII character)")
    return Secret(value)


def _nobody_to_ask() -> ConfigError:
    key = PROVIDERS[DEFAULT_PROVIDER].key_env
    return ConfigError(
        f"there is nobody to ask: {key} is not set, and neither --provider nor --base-url is given",
        f"three ways on: set {key} in the environment or the env file; or use --provider local, a small real model on "
        "this machine; or use --provider simulator, made-up answers without a key",
    )
