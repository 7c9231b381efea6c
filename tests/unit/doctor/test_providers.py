"""Providers: whether there is a key, whether it answers; keys themselves are never told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from bench.config import ConcurrentConfig
from bench.doctor import ProviderRow, provider_rows, somebody_to_ask
from bench.errors import ConfigError
from bench.providers import PROVIDERS
from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from tests.faultserver import Exchange, FaultServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

KEY = "k-3f9a71c2d84e5b60"


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatorProcess]:
    """A server that answers."""
    with SimulatorProcess(SimulatorSettings(ttft_s=0.05)) as running:
        yield running


def look(
    environ: Mapping[str, str] | None = None,
    *,
    ask: bool = True,
    **settings: Any,  # noqa: ANN401 - any setting
) -> tuple[dict[str, ProviderRow], str]:
    """What is found: the rows by provider and key, and what is said of whom a run can ask, with its level."""
    config = ConcurrentConfig(**settings)
    rows = provider_rows(config, environ or {}, ask=ask)
    finding = somebody_to_ask(config, rows, environ or {})
    names = [row.provider if row.key in {None, 1} else f"{row.provider} {row.key}" for row in rows]
    return dict(zip(names, rows, strict=True)), f"{finding.level}: {finding.said}; {finding.advice}"


def defined(path: Path, **addresses: str) -> Path:
    """Write a file that defines providers: two keys each."""
    path.write_text(
        "".join(
            f'[providers.{name}]\nbase_url = "{address}"\nmodel = "m"\n'
            f'keys = ["{name.upper()}_KEY", "{name.upper()}_KEY_2"]\nprice_in = 1.5\n'
            for name, address in addresses.items()
        ),
        encoding="utf-8",
    )
    return path


def test_without_a_key() -> None:
    """Without any key nobody is asked, each preset tells its variable, and three ways on are named."""
    rows, to_ask = look()
    assert list(rows) == list(PROVIDERS)
    assert all(row.answer is None and row.level != "missing" for row in rows.values())
    assert rows["deepseek"].key_state == "not set"
    assert rows["deepseek"].key_variables == ("DEEPSEEK_API_KEY",)
    assert rows["gemini"].price_out == PROVIDERS["gemini"].price_out
    assert rows["simulator"].key_state == "not needed"
    assert to_ask.startswith("missing: there is nobody to ask")
    assert "--provider simulator" in to_ask


def test_who_answers(server: SimulatorProcess, tmp_path: Path) -> None:
    """Each key of a provider is asked once, and the answer's duration told, connecting included."""
    file = defined(tmp_path / "providers.toml", mine=server.base_url, other=server.base_url)
    server.reset()
    rows, to_ask = look({"MINE_KEY": KEY, "MINE_KEY_2": f"{KEY}-2"}, providers_file=file)
    assert server.stats().requests == 3
    for name in ("mine", "mine 2", "other"):
        answer = rows[name].answer
        assert answer is not None
        assert answer.error_type is None
        assert answer.http_status == 200
        assert 0.05 <= answer.latency_s < 20
        assert answer.connect_s is not None
        assert rows[name].level == "ok"
        assert rows[name].price_in == 1.5
    assert (rows["mine"].key, rows["mine 2"].key, rows["other"].key_state) == (1, 2, "not needed")
    assert to_ask.startswith("note: mine, other; name it")


def test_offline(server: SimulatorProcess, tmp_path: Path) -> None:
    """Offline nobody is asked, and keys are told all the same."""
    file = defined(tmp_path / "providers.toml", mine=server.base_url)
    server.reset()
    rows, to_ask = look({"MINE_KEY": KEY}, ask=False, providers_file=file, provider=("mine",))
    assert server.stats().requests == 0
    assert list(rows) == ["mine"]
    assert rows["mine"].answer is None
    assert rows["mine"].key_state == "set"
    assert to_ask == "ok: mine; "


def test_a_key_that_is_refused(tmp_path: Path) -> None:
    """A provider that refuses the key is missing, and the key that its answer repeats is in nothing that is told."""

    async def refuse(exchange: Exchange) -> None:
        key = exchange.headers["authorization"].removeprefix("Bearer ")
        body = f'{{"error": {{"message": "no such key: {key}"}}}}'.encode()
        await exchange.send(
            b"HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\n"
            + f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )

    with FaultServer(refuse) as server:
        file = defined(tmp_path / "providers.toml", mine=server.base_url)
        rows, to_ask = look({"MINE_KEY": KEY}, providers_file=file)
    assert rows["mine"].level == "missing"
    assert rows["mine"].answer is not None
    assert (rows["mine"].answer.http_status, rows["mine"].answer.error_type) == (401, "auth")
    assert to_ask.startswith("missing: nobody who was asked answers")
    told = msgspec.json.encode(rows).decode() + to_ask + repr(rows)
    assert "no such key" in told
    assert KEY not in told


def test_a_busy_provider(tmp_path: Path) -> None:
    """A provider that refuses for its rate is there: it is noted, and a run may ask it."""

    async def refuse(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n")

    with FaultServer(refuse) as server:
        file = defined(tmp_path / "providers.toml", mine=server.base_url)
        rows, to_ask = look({"MINE_KEY": KEY}, providers_file=file, provider=("mine",))
    assert rows["mine"].level == "note"
    assert to_ask == "ok: mine; "


def test_who_is_named_is_needed() -> None:
    """A provider that is named and has no key, or one that cannot be sent, is missing."""
    rows, to_ask = look(provider=("deepseek", "openai"))
    assert [row.level for row in rows.values()] == ["missing", "missing"]
    assert "DEEPSEEK_API_KEY" in rows["deepseek"].note
    assert to_ask.startswith("missing")
    rows, _ = look({"DEEPSEEK_API_KEY": "two words"})
    assert (rows["deepseek"].key_state, rows["deepseek"].level) == ("unusable", "missing")
    assert "two words" not in repr(rows)


def test_own_servers() -> None:
    """A server that a run starts is started and asked where it is named, and else only told of."""
    rows, to_ask = look(provider=("simulator",))
    assert rows["simulator"].answer is not None
    assert rows["simulator"].answer.http_status == 200
    assert to_ask == "ok: simulator; "


def test_an_address(server: SimulatorProcess) -> None:
    """A bare address is looked at alone."""
    rows, to_ask = look(base_url=server.base_url, model="m")
    assert list(rows) == ["custom"]
    assert rows["custom"].answer is not None
    assert to_ask == "ok: custom; "


def test_unknown_names() -> None:
    """A name that nobody has is refused with those that there are."""
    with pytest.raises(ConfigError, match="did you mean deepseek"):
        look(provider=("depseek",))
