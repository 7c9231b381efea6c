"""The routes of a run: which providers, which of their keys, and what may go over each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.config import ConcurrentConfig
from bench.endpoints.local import MOST_SLOTS
from bench.endpoints.resolve import opened, resolve
from bench.errors import ConfigError
from bench.providers import PROVIDERS, Endpoint, RouteLimits, Secret

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE: Final = """
[providers.near]
base_url = "http://127.0.0.1:9/v1"
model = "m-near"
requests_per_min = 60

[providers.far]
base_url = "https://h.example/v1"
model = "m-far"
keys = ["FAR_API_KEY", "FAR_TOKEN"]
quota = "provider"
price_in = 1.0
timeout_s = 20
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A providers' file."""
    path = tmp_path / "providers.toml"
    path.write_text(FILE, encoding="utf-8")
    return path


def routes(environ: Mapping[str, str], *providers: str, **settings: Any) -> tuple[Endpoint, ...]:  # noqa: ANN401 - any setting
    """Return the routes of real work with these providers."""
    config = ConcurrentConfig(provider=providers, **{"profile": "prod", **settings})
    return resolve(config, environ).routes


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("bigmodel", "open.bigmodel.cn"),
        ("deepseek", "api.deepseek.com"),
        ("gemini", "generativelanguage.googleapis.com"),
        ("openrouter", "openrouter.ai"),
        ("siliconflow", "api.siliconflow.cn"),
        ("ark", "ark.cn-beijing.volces.com"),
        ("openai", "api.openai.com"),
    ],
)
def test_each_preset_has_its_address_and_key(name: str, host: str) -> None:
    """Each provider that is promised by name is asked at its own host, over TLS, with the key of its own variable."""
    others = {f"{other.upper()}_API_KEY": f"sk-of-{other}" for other in PROVIDERS}
    (route,) = routes(others, name)
    assert route.base_url.startswith(f"https://{host}/")
    assert names((route,)) == [(name, 0, f"sk-of-{name}")]
    assert route.model


def names(found: tuple[Endpoint, ...]) -> list[tuple[str, int, str | None]]:
    """Return provider, place and key of each route."""
    return [(each.provider, each.key, each.api_key.reveal() if each.api_key else None) for each in found]


def refusal(environ: Mapping[str, str], *providers: str, **settings: Any) -> ConfigError:  # noqa: ANN401 - any setting
    """Return the error with which providers are refused."""
    with pytest.raises(ConfigError) as refused:
        routes(environ, *providers, **settings)
    return refused.value


def test_every_key_is_a_route() -> None:
    """Real work goes over each provider with each of its keys, in the order in which they are named and numbered."""
    environ = {"DEEPSEEK_API_KEY": "d", "BIGMODEL_API_KEY": "b", "BIGMODEL_API_KEY_2": " c\n", "BIGMODEL_API_KEY_3": ""}
    found = routes({**environ, "BIGMODEL_API_KEY_4": "e"}, "deepseek", "bigmodel", "deepseek")
    assert names(found) == [("deepseek", 0, "d"), ("bigmodel", 0, "b"), ("bigmodel", 1, "c")]
    assert names(routes(environ)) == [("bigmodel", 0, "b"), ("bigmodel", 1, "c")]


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=6))
def test_a_key_that_stands_twice_is_one_route(keys: list[str]) -> None:
    """Two variables with one key have one quota: it is used once, at its first place."""
    environ = {f"ARK_API_KEY{f'_{number}' if number > 1 else ''}": key for number, key in enumerate(keys, 1)}
    wanted = [("ark", place, key) for place, key in enumerate(keys) if key not in keys[:place]]
    assert names(routes(environ, "ark")) == wanted


def test_a_measurement_has_one_route() -> None:
    """In profile bench one provider with its first key is asked, whatever keys there are."""
    environ = {"BIGMODEL_API_KEY": "b", "BIGMODEL_API_KEY_2": "c", "CONCURRENT_API_KEY": "x"}
    assert names(routes(environ, profile="bench")) == [("bigmodel", 0, "b")]
    own = {"base_url": "https://h/v1", "model": "m"}
    both = {**environ, "CONCURRENT_API_KEY_2": "y"}
    assert names(routes(both, profile="bench", **own)) == [("custom", 0, "x")]
    assert names(routes(both, **own)) == [("custom", 0, "x"), ("custom", 1, "y")]


@pytest.mark.parametrize("asked", [("bigmodel", "ark"), ("all",)])
def test_a_measurement_of_several_is_refused(asked: tuple[str, ...]) -> None:
    """Several providers in profile bench are refused by name, with what to do."""
    error = refusal({"BIGMODEL_API_KEY": "b", "ARK_API_KEY": "a"}, *asked, profile="bench")
    assert f"--provider {' '.join(asked)}" in error.message
    assert "bigmodel, ark" in error.message
    assert "--profile prod" in error.hint


def test_all_are_those_with_a_key(file: Path) -> None:
    """`all` asks each provider whose key is set, and those of the file on this machine; none that a run would start."""
    environ = {"ARK_API_KEY": "a", "FAR_TOKEN": "f", "OPENAI_API_KEY": " "}
    assert names(routes(environ, "all")) == [("ark", 0, "a")]
    assert names(routes(environ, "all", providers_file=file)) == [("ark", 0, "a"), ("near", 0, None), ("far", 1, "f")]
    assert names(routes(environ, "all", profile="bench")) == [("ark", 0, "a")]
    error = refusal({}, "all")
    assert "none is set" in error.message
    assert all(preset.key_env in error.hint for preset in PROVIDERS.values())


def test_limits_and_prices_go_along(file: Path) -> None:
    """A route holds what its provider allows and costs; keys that share a quota share its name, others have none."""
    near, first, second = routes({"FAR_API_KEY": "f", "FAR_TOKEN": "g"}, "near", "far", providers_file=file)
    assert (near.limits, near.timeout_s, near.price_in) == (RouteLimits(requests_per_min=60), None, None)
    assert first.limits == second.limits == RouteLimits(quota="far")
    assert (first.model, first.timeout_s, first.price_in, first.price_out) == ("m-far", 20, 1.0, None)
    assert {each.limits.quota for each in routes({"BIGMODEL_API_KEY": "b", "BIGMODEL_API_KEY_2": "c"})} == {""}


def test_prices_are_those_of_the_providers_model() -> None:
    """What another model costs is not known."""
    environ = {"OPENAI_API_KEY": "k"}
    assert [each.price_in for each in routes(environ, "openai")] == [0.15]
    assert [(each.price_in, each.price_out) for each in routes(environ, "openai", model="other")] == [(None, None)]


def test_one_models_name_for_several(file: Path) -> None:
    """A model's name for several providers is refused: each has its own."""
    error = refusal({"FAR_TOKEN": "f"}, "near", "far", providers_file=file, model="m")
    assert "--model m" in error.message
    assert "--providers" in error.hint


def test_an_unknown_name(file: Path) -> None:
    """A name that is unknown is refused with those that are known, the file's too, and with the one that is meant."""
    message = refusal({}, "nera", providers_file=file).message
    assert all(f"{name}, " in message for name in (*PROVIDERS, "near", "far"))
    assert "got 'nera'; did you mean near?" in message


def test_the_key_of_the_file_is_missing(file: Path) -> None:
    """A provider of the file is asked with the keys that are set, and refused by their names where none is."""
    error = refusal({"FAR_API_KEY_2": "x"}, "far", providers_file=file)
    assert "FAR_API_KEY and FAR_TOKEN are not set" in error.message
    assert names(routes({"FAR_TOKEN": "f"}, "far", providers_file=file)) == [("far", 1, "f")]


def test_the_file_is_told_where_it_counts(file: Path) -> None:
    """The file is named for the run's command where it says something about a provider that is asked, else not."""
    environ = {"ARK_API_KEY": "a"}
    for provider, wanted in (("near", file), ("ark", None)):
        config = ConcurrentConfig(provider=(provider,), providers_file=file)
        assert resolve(config, environ).providers_file == wanted


def test_a_preset_of_the_file_is_the_default(tmp_path: Path) -> None:
    """Where nobody is named, the file's word on the default provider counts, its keys too."""
    path = tmp_path / "providers.toml"
    path.write_text('[providers.bigmodel]\nkeys = ["OTHER_KEY"]\n', encoding="utf-8")
    assert names(routes({"OTHER_KEY": "o", "BIGMODEL_API_KEY": "b"}, providers_file=path)) == [("bigmodel", 0, "o")]
    assert "nobody to ask" in refusal({"BIGMODEL_API_KEY": "b"}, providers_file=path).message


def test_own_servers_beside_others(file: Path) -> None:
    """A simulator among several providers is started, and its route keeps its place and gets its address."""
    config = ConcurrentConfig(provider=("near", "simulator"), profile="prod", providers_file=file)
    resolved = resolve(config, {})
    assert [each.base_url for each in resolved.routes] == ["http://127.0.0.1:9/v1", ""]
    with opened(resolved) as (near, simulator):
        assert near is resolved.routes[0]
        assert simulator == msgspec.structs.replace(
            resolved.routes[1], base_url=simulator.base_url, pid=simulator.pid, extra_body={}, headers={}
        )
        assert simulator.base_url.startswith("http://127.0.0.1:")
        assert simulator.pid is not None


def test_the_local_model_takes_what_its_server_does() -> None:
    """The preset's bound of the local model is one that the server of a run has slots for: none of its calls waits."""
    (local,) = routes({}, "local")
    assert local.limits.in_flight is not None
    assert 1 <= local.limits.in_flight <= MOST_SLOTS


def test_a_route_shows_no_key() -> None:
    """No text made from a route holds its key, and it does not go into JSON."""
    (route,) = routes({"ARK_API_KEY": "sk-kanarie"}, "ark")
    assert route.api_key == Secret("sk-kanarie")
    assert (
        "kanarie"
        not in f"{route} {route!r} {resolve(ConcurrentConfig(provider=('ark',)), {'ARK_API_KEY': 'sk-kanarie'})}"
    )
    with pytest.raises(TypeError, match="Secret"):
        msgspec.json.encode(route)
