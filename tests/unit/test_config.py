"""ConcurrentConfig: what it accepts, what it refuses, and how it says so."""

from __future__ import annotations

import dataclasses
import math
import pickle
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.config import MAX_CONCURRENCY, ConcurrentConfig
from bench.errors import ConfigError
from bench.providers import PROVIDERS, Secret, is_key_variable
from bench.settings import GROUPS, from_json, option_name

SETTINGS: Final = {field.name: field for field in dataclasses.fields(ConcurrentConfig)}
NUMBERS: Final = [
    name
    for name, field in SETTINGS.items()
    if any(field.metadata[bound] is not None for bound in ("at_least", "above", "at_most"))
]


def numbers(name: str) -> st.SearchStrategy[float | int]:
    """Return numbers of the kind that a setting takes, small and large, and for a float nan and infinity."""
    whole = st.one_of(st.integers(-(2**70), 2**70), st.integers(-3, 200_000))
    return st.one_of(whole, st.floats()) if isinstance(SETTINGS[name].default, float) else whole


#: What must be set for a setting to mean anything.
COMPANIONS: Final[dict[str, dict[str, Any]]] = {
    "processes": {"mode": "hybrid", "concurrency": MAX_CONCURRENCY},
    "max_wait": {"rate": 1.0},
    "hedge_delay": {"profile": "prod", "race": True},
    "stop_on_overload": {"rate": 1.0},
}


def in_range(name: str, value: float) -> bool:
    """Say whether the declared bounds allow a value."""
    bounds = SETTINGS[name].metadata
    return (
        not math.isnan(value)
        and (bounds["at_least"] is None or value >= bounds["at_least"])
        and (bounds["above"] is None or value > bounds["above"])
        and (bounds["at_most"] is None or value <= bounds["at_most"])
    )


@given(st.data(), st.sampled_from(NUMBERS))
def test_ranges(data: st.DataObject, name: str) -> None:
    """A number is accepted if and only if it is in the declared range; the refusal names option, value and bounds."""
    value = data.draw(numbers(name))
    settings: dict[str, Any] = {**COMPANIONS.get(name, {}), name: value}
    if in_range(name, value):
        assert getattr(ConcurrentConfig(**settings), name) == value
        return
    with pytest.raises(ConfigError) as refused:
        ConcurrentConfig(**settings)
    bounds = [str(SETTINGS[name].metadata[bound]) for bound in ("at_least", "above", "at_most")]
    expected = [option_name(name), str(value), *(bound for bound in bounds if bound != "None")]
    assert all(part in refused.value.message for part in expected), refused.value.message


def test_every_number_has_a_lower_bound() -> None:
    """No count and no duration may be negative."""
    kinds = {name for name, field in SETTINGS.items() if type(field.default) in {int, float}}
    assert kinds <= set(NUMBERS)
    for name in NUMBERS:
        about = SETTINGS[name].metadata
        assert (about["at_least"], about["above"]) != (None, None), name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mode", "bogus"),
        ("mode", None),
        ("provider", "openai"),
        ("backoff", "linear"),
        ("concurrency", "8"),
        ("concurrency", 2.5),
        ("concurrency", True),
        ("timeout", "300"),
        ("connect_timeout", None),
        ("stream", "no"),
        ("topics", "人工智能"),
        ("topics", ["A"]),
        ("topics", ("A", 1)),
        ("topics_file", "topics.txt"),
        ("model", 4),
        ("results_dir", None),
    ],
)
def test_wrong_kinds(name: str, value: object) -> None:
    """A value of the wrong kind is refused by the option's name, also where Python would make do with it."""
    with pytest.raises(ConfigError, match=f"^{option_name(name)} must be .*, got "):
        ConcurrentConfig(**{name: value})  # type: ignore[arg-type] # that is what is tested


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"topics": ("A",), "prompts": Path("p")}, ["--topics", "--prompts"]),
        ({"topics_file": Path("-"), "prompts": Path("-")}, ["--topics-file", "--prompts"]),
        ({"provider": ("openai",), "base_url": "https://h/v1"}, ["--provider", "--base-url"]),
        ({"simulator": ("ttft=1",)}, ["--simulator", "no --provider"]),
        ({"simulator": ("ttft=1",), "provider": ("local",)}, ["--simulator", "--provider local"]),
        ({"mode": "serial", "concurrency": 2}, ["--mode serial", "--concurrency 2"]),
        ({"mode": "threading", "processes": 2}, ["--processes", "--mode threading"]),
        ({"mode": "hybrid", "processes": 9}, ["--processes 9", "--concurrency 8"]),
        ({"scheduler": "tcp://10.0.0.1:8786"}, ["--scheduler is for --mode distributed", "asyncio"]),
        ({"mode": "distributed", "scheduler": "10.0.0.1:8786"}, ["tcp://HOST:PORT", "got 10.0.0.1:8786"]),
        (
            {"mode": "distributed", "scheduler": "tls://[::1]:8786", "processes": 2},
            ["--workers 2", "got --scheduler tls://[::1]:8786 as well"],
        ),
        ({"rate": 2.5, "arrival_times": Path("t")}, ["--rate 2.5", "--arrival-times t"]),
        ({"arrival": "poisson"}, ["--arrival poisson", "rate"]),
        ({"arrival": "poisson", "arrival_times": Path("t")}, ["--arrival poisson", "rate"]),
        ({"max_wait": 2.0}, ["--max-wait 2"]),
        ({"provider": ("",)}, ["--provider", "empty"]),
        ({"provider": ("a", "b"), "base_url": "https://h/v1"}, ["--provider a b", "--base-url"]),
        ({"race": True}, ["--race", "--profile prod", "--profile bench"]),
        ({"cache": True}, ["--cache", "--profile bench"]),
        ({"adaptive": True}, ["--adaptive", "--profile bench"]),
        ({"warm_first": True}, ["--warm-first", "--profile bench"]),
        ({"profile": "prod", "hedge_delay": 0.5}, ["--hedge-delay 0.5", "--race"]),
        ({"stop_on_overload": True}, ["--stop-on-overload"]),
    ],
)
def test_contradictions(settings: dict[str, Any], said: list[str]) -> None:
    """Settings that exclude each other are refused together, by name and with what to do."""
    with pytest.raises(ConfigError) as refused:
        ConcurrentConfig(**settings)
    assert all(part in refused.value.message for part in said), refused.value.message
    assert refused.value.hint


def test_slots() -> None:
    """N is 8 unless it is given, and 1 in serial mode."""
    assert ConcurrentConfig().slots == 8
    assert ConcurrentConfig(concurrency=3).slots == 3
    assert ConcurrentConfig(mode="serial").slots == 1
    assert ConcurrentConfig(mode="serial", concurrency=1).slots == 1


def test_load_model() -> None:
    """Arrivals at given times make an open loop; without any each slot waits for its last answer."""
    assert ConcurrentConfig().load_model == "closed"
    assert ConcurrentConfig(rate=5.0, arrival="poisson", max_wait=1.0).load_model == "open"
    assert ConcurrentConfig(arrival_times=Path("trace")).load_model == "open"


def test_what_a_profile_switches_on() -> None:
    """A measurement has neither cache nor adaptive limit; real work has both unless they are switched off."""
    assert (ConcurrentConfig().caches, ConcurrentConfig().adapts) == (False, False)
    assert (ConcurrentConfig(profile="prod").caches, ConcurrentConfig(profile="prod").adapts) == (True, True)
    without = ConcurrentConfig(profile="prod", cache=False, adaptive=False)
    assert (without.caches, without.adapts) == (False, False)
    assert ConcurrentConfig(results_dir=Path("r")).cache_path == Path("r/cache.sqlite")
    assert ConcurrentConfig(cache_file=Path("c")).cache_path == Path("c")


@pytest.mark.parametrize(
    ("hint", "stored", "now"),
    [
        (tuple[str, ...], ["a", "b"], ("a", "b")),
        (tuple[str, ...], "simulator", ("simulator",)),
        (tuple[str, ...], None, ()),
        (Path | None, "p", Path("p")),
        (Path | None, None, None),
        (str | None, "p", "p"),
        (bool | None, None, None),
    ],
)
def test_settings_come_back_from_json(hint: object, stored: object, now: object) -> None:
    """A stored setting is what it was, also where one text or none stood where there are texts now."""
    assert from_json(hint, stored) == now


def test_every_setting_is_described() -> None:
    """Every setting has a help text and a group of the help page, and no short name is given twice."""
    assert all(field.metadata["help"] and field.metadata["group"] in GROUPS for field in SETTINGS.values())
    aliases = [field.metadata["alias"] for field in SETTINGS.values() if field.metadata["alias"]]
    assert sorted(aliases) == sorted(set(aliases))
    assert {"-c", "-m", "-p", "-o", "-q", "--providers", "--workers"} == set(aliases)


def test_a_secret_does_not_show() -> None:
    """A key survives the way to a worker process, and shows itself in no text made from it."""
    secret = pickle.loads(pickle.dumps(Secret("sk-canary")))  # noqa: S301 - our own
    assert secret == Secret("sk-canary")
    assert secret.reveal() == "sk-canary"
    assert "canary" not in f"{secret} {secret!r} {[secret]}"


def test_presets() -> None:
    """Each preset that needs a key names a variable of its own, and each but our own servers an https address."""
    keys = [preset.key_env for preset in PROVIDERS.values() if preset.key_env]
    assert all(map(is_key_variable, keys))
    assert len(keys) == len(set(keys)) == 7
    for preset in PROVIDERS.values():
        own = preset.name in {"local", "simulator"}
        assert (preset.base_url, preset.key_env) == ("", "") if own else preset.base_url.startswith("https://")
