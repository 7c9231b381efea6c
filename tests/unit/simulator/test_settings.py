"""The simulator's settings: what they accept, and what they say about what they do not."""

import math

import msgspec
import pytest

from bench.simulator.settings import MAX_TOKENS, SettingsError, SimulatorSettings


def test_pairs_are_read_by_their_fields_kind() -> None:
    """Each KEY=VALUE becomes its field's value, with dashes for underscores and without the unit."""
    read = SimulatorSettings.from_pairs(
        [
            "ttft=0.5",
            "itl_s=0.01",
            "tokens=16",
            "error-rate=0.1",
            "retry-after=2",
            "max-in-flight=4",
            "freeze-at=3",
            "freeze=1",
            "stamps=true",
            "model = my model",
        ]
    )
    assert read == SimulatorSettings(
        ttft_s=0.5,
        itl_s=0.01,
        tokens=16,
        error_rate=0.1,
        retry_after_s=2,
        max_in_flight=4,
        freeze_at_s=3,
        freeze_s=1,
        stamps=True,
        model="my model",
    )


@pytest.mark.parametrize(
    ("pair", "named"),
    [
        ("tokens=0", ["tokens", "0", f"1 to {MAX_TOKENS}"]),
        ("tokens=1.5", ["tokens", "'1.5'", "whole number"]),
        ("ttft=-1", ["ttft_s", "-1", "0 to 86400"]),
        ("ttft=nan", ["ttft_s", "nan", "0 to 86400"]),
        ("ttft=inf", ["ttft_s", "inf", "0 to 86400"]),
        ("ttft=soon", ["ttft_s", "'soon'", "a number"]),
        ("jitter=1.01", ["jitter", "1.01", "0 to 1"]),
        ("port=65536", ["port", "65536", "0 to 65535"]),
        ("max-in-flight=0", ["max_in_flight", "0", "1 to 1000000"]),
        ("requests-per-minute=0", ["requests_per_minute", "0", "0.001 to"]),
        ("public=yes", ["public", "'yes'", "true or false"]),
        ("stamps=1", ["stamps", "'1'", "true or false"]),
        ("freeze=-1", ["freeze_s", "-1", "0 to 86400"]),
        ("model=", ["model", "''", "at least one character"]),
        ("request-log= ", ["request_log", "''", "path"]),
        ("host=0.0.0.0", ["host", "'0.0.0.0'", "public=true"]),
        ("host=example.org", ["host", "'example.org'", "public=true"]),
        ("speed=3", ["'speed'", "ttft", "error-rate", "max-in-flight"]),
        ("ttft", ["'ttft'", "KEY=VALUE"]),
    ],
)
def test_a_bad_pair_is_named_with_its_value_and_what_is_possible(pair: str, named: list[str]) -> None:
    """A setting that is unknown, unreadable or out of range raises a ValueError that says which, and what to give."""
    with pytest.raises(SettingsError) as caught:
        SimulatorSettings.from_pairs([pair])
    assert isinstance(caught.value, ValueError)
    for part in named:
        assert part in str(caught.value)


def test_a_key_given_twice_is_refused() -> None:
    """Two values for one setting are an error, also when its name is written in two ways."""
    with pytest.raises(SettingsError, match="twice"):
        SimulatorSettings.from_pairs(["ttft=1", "ttft_s=2"])


def test_shares_must_fit_into_one() -> None:
    """The shares of faults exclude each other, so together they are 1 at most."""
    SimulatorSettings(error_rate=0.1, reject_rate=0.2, cut_rate=0.3, truncate_rate=0.4)
    with pytest.raises(SettingsError, match=r"add up to 1\.1"):
        SimulatorSettings(error_rate=0.6, stall_rate=0.5)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_loopback_needs_no_permission(host: str) -> None:
    """Every loopback address may be listened on, and others only with `public`."""
    assert SimulatorSettings(host=host).host == host
    assert SimulatorSettings(host="0.0.0.0", public=True).public


def test_numbers_of_another_kind_are_refused_at_birth() -> None:
    """A number given from code is checked like one that was read."""
    with pytest.raises(SettingsError, match="tokens is True"):
        SimulatorSettings(tokens=True)
    with pytest.raises(SettingsError, match="ttft_s is nan"):
        SimulatorSettings(ttft_s=math.nan)


def test_settings_survive_json_and_are_checked_on_reading() -> None:
    """Settings travel to the simulator's process as JSON, where unknown or impossible ones are refused."""
    settings = SimulatorSettings(ttft_s=0.2, requests_per_minute=90, seed=2**62, model="模型")
    assert msgspec.json.decode(msgspec.json.encode(settings), type=SimulatorSettings) == settings
    for bad in (b'{"speed": 3}', b'{"tokens": 0}', b'{"ttft_s": "1"}'):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(bad, type=SimulatorSettings)
