"""What the SDK, its transports and the system raise, from real servers: what another attempt may mend."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import aiohttp
import openai
import pytest

from bench.errors import CallError
from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from bench.toolkit import ErrorHandler, classify

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def full_server() -> Iterator[str]:
    """The address of a server that answers 429 to everything, and asks to come back after 7 seconds."""
    with SimulatorProcess(SimulatorSettings(reject_rate=1.0, retry_after_s=7.0)) as simulator:
        yield simulator.base_url


@pytest.fixture
def silent_server() -> Iterator[str]:
    """The address of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/v1"


def raised(base_url: str, path: str = "") -> Exception:
    """What the SDK raises for a question to this address."""
    with (
        openai.OpenAI(base_url=base_url + path, api_key="k", max_retries=0, timeout=0.5) as client,
        pytest.raises(openai.APIError) as caught,
    ):
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hello"}])
    return caught.value


def kind(error: Exception) -> tuple[str, bool] | None:
    """The type of a failure, and whether another attempt may mend it."""
    known = classify(error)
    return None if known is None else (known.error_type, known.retryable)


def test_statuses(full_server: str) -> None:
    """A full server is worth another attempt, at the time that it names; an address that is wrong is not."""
    full = classify(raised(full_server))
    assert full is not None
    assert (full.error_type, full.http_status, full.retry_after_s, full.retryable) == ("rate_limited", 429, 7.0, True)
    assert kind(raised(full_server, "/nowhere")) == ("not_found", False)


def test_connections(silent_server: str) -> None:
    """No answer in time, and no server at all, are worth another attempt."""
    assert kind(raised(silent_server)) == ("timeout_ttft", True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = f"http://127.0.0.1:{server.getsockname()[1]}/v1"
    assert kind(raised(closed)) == ("connect", True)


def test_transports_own_errors(full_server: str) -> None:
    """The transport's errors are known as well: a status is judged by its number, not by its type."""

    async def ask(url: str) -> Exception:
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            with pytest.raises(aiohttp.ClientError) as caught:
                await session.get(url)
        return caught.value

    assert kind(asyncio.run(ask(full_server + "/nowhere"))) == ("not_found", False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = f"http://127.0.0.1:{server.getsockname()[1]}/"
    assert kind(asyncio.run(ask(closed))) == ("connect", True)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (CallError("empty", "no content"), ("empty", True)),
        (TimeoutError(), ("timeout_ttft", True)),
        (ConnectionRefusedError(111, "refused"), ("connect", True)),
        (ConnectionResetError(104, "reset"), ("stream_reset", True)),
        (socket.gaierror(-2, "unknown"), ("dns", True)),
        (OSError(28, "No space left on device"), None),
        (ValueError("a bug"), None),
    ],
)
def test_the_systems_errors(error: Exception, expected: tuple[str, bool] | None) -> None:
    """Connections that fail are worth another attempt; a full disk or a bug is no failure of a call."""
    assert kind(error) == expected


def test_a_named_type_of_the_sdk(full_server: str) -> None:
    """The SDK's own RateLimitError can be named: no second tree of exceptions stands beside it."""

    async def main() -> list[int]:
        calls: list[int] = []

        async def ask() -> None:
            calls.append(1)
            raise raised(full_server)

        handler = ErrorHandler(2, retry_delay=0, exponential_backoff=False)
        with pytest.raises(openai.RateLimitError) as caught:
            await handler.with_retry(ask, retry_on=openai.APIConnectionError)
        assert caught.value.response.headers["retry-after"] == "7"
        return calls

    assert len(asyncio.run(main())) == 1
