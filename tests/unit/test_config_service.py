"""ServiceConfig: what it accepts, what it refuses, and how it says so."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from bench.config.service import ServiceConfig, check_exposure
from bench.errors import ConfigError
from bench.settings import GROUPS

FILE = Path("file.pem")


def test_every_setting_is_declared() -> None:
    """Each setting has a help text and a group, and each number a lower bound."""
    for setting in dataclasses.fields(ServiceConfig):
        assert setting.metadata["help"]
        assert setting.metadata["group"] in GROUPS
        if isinstance(setting.default, int | float) and not isinstance(setting.default, bool):
            assert (setting.metadata["at_least"], setting.metadata["above"]) != (None, None)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"port": 65_536}, ["--port", "65536"]),
        ({"agent_slots": 0}, ["--agent-slots", "at least 1"]),
        ({"task_timeout": 0.0}, ["--task-timeout", "above 0"]),
        ({"task_ttl": float("nan")}, ["--task-ttl", "nan"]),
        ({"max_streams": 2.5}, ["--max-streams", "2.5"]),
        ({"host": ""}, ["--host", "''"]),
        ({"host": "a b"}, ["--host", "'a b'"]),
        ({"tls_cert": FILE}, ["--tls-cert", "--tls-key"]),
        ({"tls_key": FILE}, ["--tls-key", "--tls-cert"]),
        ({"http2": True}, ["--http2", "--tls-cert"]),
    ],
)
def test_refused(settings: dict[str, Any], said: list[str]) -> None:
    """What is out of its range, or goes without what it needs, is refused by the option's name."""
    with pytest.raises(ConfigError) as refused:
        ServiceConfig(**settings)
    assert all(part in str(refused.value) for part in said)


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        *((host, True) for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost")),
        *((host, False) for host in ("0.0.0.0", "::", "192.0.2.1", "2001:db8::1", "example.org", "localhost.example")),
    ],
)
def test_exposure(host: str, is_local: bool) -> None:  # noqa: FBT001 - a column of the table
    """Without a token, and unless another host is named, the service listens for this machine alone."""
    assert ServiceConfig().is_local
    config = ServiceConfig(host=host)
    assert config.is_local == is_local
    check_exposure(config, has_token=True)
    if is_local:
        check_exposure(config, has_token=False)
    else:
        with pytest.raises(ConfigError, match="SERVICE_TOKEN"):
            check_exposure(config, has_token=False)
