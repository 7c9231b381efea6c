"""Whom a run asks: by option, by key, and a server of its own."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
import pytest

from bench.config import ConcurrentConfig
from bench.endpoints.resolve import opened, resolve
from bench.endpoints.simulated import simulator_settings
from bench.errors import ConfigError, EndpointError
from bench.providers import PROVIDERS, Endpoint, Secret
from bench.simulator.settings import SimulatorSettings

if TYPE_CHECKING:
    from collections.abc import Mapping


def endpoint_of(environ: Mapping[str, str], **settings: Any) -> Endpoint:  # noqa: ANN401 - any setting
    """Return whom a configuration asks."""
    return resolve(ConcurrentConfig(**settings), environ).routes[0]


def refusal(environ: Mapping[str, str], **settings: Any) -> ConfigError:  # noqa: ANN401 - any setting
    """Return the error with which a configuration is refused."""
    with pytest.raises(ConfigError) as refused:
        endpoint_of(environ, **settings)
    return refused.value


def test_bigmodel_if_its_key_is_set() -> None:
    """Without an option the provider is bigmodel, if its key is there."""
    endpoint = endpoint_of({"BIGMODEL_API_KEY": "k"})
    assert (endpoint.provider, endpoint.api_key) == ("bigmodel", Secret("k"))
    assert endpoint.base_url == PROVIDERS["bigmodel"].base_url


@pytest.mark.parametrize(
    "environ", [{}, {"BIGMODEL_API_KEY": ""}, {"BIGMODEL_API_KEY": " \n"}, {"OPENAI_API_KEY": "k"}]
)
def test_nobody_to_ask(environ: dict[str, str]) -> None:
    """Without an option and that key there is no silent choice: three ways on are named."""
    error = refusal(environ)
    assert "BIGMODEL_API_KEY" in error.message
    assert all(way in error.hint for way in ("BIGMODEL_API_KEY", "--provider local", "--provider simulator"))


@pytest.mark.parametrize("name", [name for name, preset in PROVIDERS.items() if preset.key_env])
def test_a_preset_takes_its_own_key(name: str) -> None:
    """A named provider is given its own key and no other, or is refused by the variable that is missing."""
    others = {preset.key_env: "other" for preset in PROVIDERS.values() if preset.key_env and preset.name != name}
    variable = PROVIDERS[name].key_env
    assert endpoint_of({**others, variable: " mine\n"}, provider=(name,)).api_key == Secret("mine")
    assert f"{variable} is not set" in refusal({**others, "CONCURRENT_API_KEY": "x"}, provider=(name,)).message


@pytest.mark.parametrize("key", ["zwei Worte", "schlüssel", "a\nb", "a\x00b"])
def test_a_key_that_no_header_can_carry(key: str) -> None:
    """A key with a character that cannot be sent is refused by its variable's name, without being repeated."""
    error = refusal({"BIGMODEL_API_KEY": key})
    assert "BIGMODEL_API_KEY" in error.message
    assert key not in str(error)


def test_model() -> None:
    """A provider is asked for its own model unless another is named."""
    assert endpoint_of({"OPENAI_API_KEY": "k"}, provider=("openai",)).model == PROVIDERS["openai"].model
    assert endpoint_of({"OPENAI_API_KEY": "k"}, provider=("openai",), model="m").model == "m"
    assert endpoint_of({}, provider=("simulator",)).model == "simulated"
    assert endpoint_of({}, provider=("simulator",), simulator=("model=m",)).model == "m"


@pytest.mark.parametrize(
    ("environ", "key"),
    [
        ({"CONCURRENT_API_KEY": "own", "OPENAI_API_KEY": "openai"}, "own"),
        ({"OPENAI_API_KEY": "openai", "BIGMODEL_API_KEY": "big"}, "openai"),
    ],
)
def test_key_of_an_address(environ: dict[str, str], key: str) -> None:
    """An address without a preset takes CONCURRENT_API_KEY, else OPENAI_API_KEY, and no provider's."""
    endpoint = endpoint_of(environ, base_url="https://h/v1/", model="m")
    assert endpoint == Endpoint(provider="custom", base_url="https://h/v1", model="m", api_key=Secret(key))


def test_an_address_needs_a_key_unless_it_is_this_machine() -> None:
    """Without a key an address elsewhere is refused, and one on this machine is asked without."""
    assert "CONCURRENT_API_KEY" in refusal({"BIGMODEL_API_KEY": "k"}, base_url="https://h/v1", model="m").message
    assert endpoint_of({}, base_url="http://127.0.0.1:1/v1", model="m").api_key is None


def test_an_address_needs_a_model() -> None:
    """An address without a preset has no model of its own: one is to be named."""
    assert "--model" in refusal({"OPENAI_API_KEY": "k"}, base_url="https://h/v1").hint


def test_the_local_model_is_one() -> None:
    """The local provider runs one model, and refuses another name instead of ignoring it."""
    assert "--model other" in refusal({}, provider=("local",), model="other").message
    assert endpoint_of({}, provider=("local",), model=PROVIDERS["local"].model).model == PROVIDERS["local"].model


def test_the_scripted_client_asks_nobody() -> None:
    """With the scripted client neither provider nor key is needed."""
    assert endpoint_of({}, client="scripted").provider == "scripted"


def test_settings_of_a_runs_simulator() -> None:
    """A run's simulator has the pace of a hosted model, and what is said otherwise counts, by every name of a key."""
    assert simulator_settings(()) == SimulatorSettings(ttft_s=0.2, itl_s=0.01, tokens=32)
    assert simulator_settings(("ttft=0", "error-rate=0.5")) == SimulatorSettings(
        ttft_s=0, itl_s=0.01, tokens=32, error_rate=0.5
    )
    assert simulator_settings(("ttft_s=0", "itl-s=0", "tokens=16")) == SimulatorSettings(tokens=16)


@pytest.mark.parametrize("pair", ["ttft", "bogus=1", "ttft=x", "ttft=-1", "tokens=0", "ttft=1", "error-rate=2"])
def test_wrong_settings_of_a_simulator(pair: str) -> None:
    """A pair that is none, or out of range, is refused as a setting of the simulator."""
    error = refusal({}, provider=("simulator",), simulator=("ttft=1", pair))
    assert error.message.startswith("--simulator: ")
    assert pair.partition("=")[0].replace("-", "_") in error.message


def models_at(endpoint: Endpoint) -> list[str]:
    """Ask a server for its models."""
    parts = urlsplit(endpoint.base_url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=5)
    try:
        connection.request("GET", f"{parts.path}/models")
        answer = msgspec.json.decode(connection.getresponse().read())
        return [model["id"] for model in answer["data"]]
    finally:
        connection.close()


def test_simulator_runs_as_long_as_it_is_open() -> None:
    """The simulator of a run serves inside the block, in a process of its own, and is gone after it."""
    config = ConcurrentConfig(provider=("simulator",), simulator=("model=m",), model="asked")
    with opened(resolve(config, {})) as (endpoint,):
        assert models_at(endpoint) == ["m"]
        assert endpoint.provider == "simulator"
        assert endpoint.model == "asked"
        assert endpoint.pid is not None
    with pytest.raises(ConnectionError):
        models_at(endpoint)


def test_simulator_that_cannot_listen() -> None:
    """A simulator that does not come up is an error of the run's, in words."""
    with opened(resolve(ConcurrentConfig(provider=("simulator",)), {})) as (endpoint,):
        port = urlsplit(endpoint.base_url).port
        second = resolve(ConcurrentConfig(provider=("simulator",), simulator=(f"port={port}",)), {})
        with pytest.raises(EndpointError, match=str(port)), opened(second):
            pass


def test_an_error_inside_the_block_is_not_taken_for_the_simulators() -> None:
    """What fails while the simulator runs comes out as it is, and the simulator is stopped."""
    with (
        pytest.raises(ZeroDivisionError),
        opened(resolve(ConcurrentConfig(provider=("simulator",)), {})) as (endpoint,),
    ):
        _ = 1 / 0
    with pytest.raises(ConnectionError):
        models_at(endpoint)


def test_an_address_is_opened_as_it_is() -> None:
    """Where others serve, nothing is started."""
    resolved = resolve(ConcurrentConfig(base_url="http://127.0.0.1:1/v1", model="m"), {})
    with opened(resolved) as (endpoint,):
        assert endpoint is resolved.routes[0]
