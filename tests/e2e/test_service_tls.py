"""The service over TLS, with HTTP/1.1 and with HTTP/2."""

from __future__ import annotations

import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx2
import pytest

from tests.asking import streaming, topic
from tests.command import wait_until
from tests.serving import serving

if TYPE_CHECKING:
    from tests.command import StartCommand

CERTIFICATE: Final = Path(__file__).parents[1] / "data" / "loopback.pem"
TLS: Final = ("--tls-cert", str(CERTIFICATE), "--tls-key", str(CERTIFICATE))
SIMULATOR: Final = ("--provider", "simulator", "--simulator", "ttft=0.05", "itl=0.05", "tokens=40", "--client", "lean")


def trusting() -> ssl.SSLContext:
    """Trust the test's certificate and no other."""
    return ssl.create_default_context(cafile=CERTIFICATE)


def test_http1(tmp_path: Path) -> None:
    """With a certificate the service speaks TLS alone, and its clients check it."""
    with serving(tmp_path, *SIMULATOR, *TLS) as service:
        assert service.url.startswith("https://")
        with streaming(service.url, "/chat/stream", topic(), tls=trusting()) as stream:
            assert [event.name for event in stream.until("chunk")][-1] == "chunk"
        with (
            pytest.raises(ssl.SSLCertVerificationError),
            streaming(service.url, "/chat/stream", topic(), tls=ssl.create_default_context()),
        ):
            pass


def over_http2(url: str) -> httpx2.Client:
    """Return a client with one connection."""
    return httpx2.Client(base_url=url, http2=True, verify=trusting(), timeout=20)


def test_http2(tmp_path: Path) -> None:
    """Over HTTP/2 words arrive as they are written, many streams share a connection, and one that ends is noticed."""
    options = (*SIMULATOR, *TLS, "--http2")
    with serving(tmp_path, *options) as service, over_http2(service.url) as client:
        with over_http2(service.url) as leaving, leaving.stream("POST", "/chat/stream", json=topic()) as left:
            next(line for line in left.iter_lines() if line == "event: chunk")
            # Many clients end a stream without a word, so that only the end of their connection tells.
            leaving.close()
        with (
            client.stream("POST", "/chat/stream", json=topic()) as direct,
            client.stream("POST", "/content/generate/stream/async", json=topic()) as pooled,
        ):
            assert {direct.http_version, pooled.http_version} == {"HTTP/2"}
            arrivals_ns = [time.perf_counter_ns() for line in pooled.iter_lines() if line.startswith("event: ")]
            assert "event: complete" in direct.iter_lines()
        assert len(arrivals_ns) >= 40
        assert arrivals_ns[-1] - arrivals_ns[0] > 500_000_000
        status = f"/tasks/{left.headers['x-task-id']}/status"
        wait_until(lambda: client.get(status).json()["state"] == "cancelled", "the reader's leaving was not noticed")
        large = client.post("/chat/stream", content=b"a" * 100_000)
        assert (large.status_code, large.json()["error"]["code"]) == (413, "too_large")
        assert client.get("/health", headers={"x-a": "a" * 20_000}).status_code == 431


def test_a_wrong_certificate(tmp_path: Path, start: StartCommand) -> None:
    """A certificate that cannot be used is refused before anything is begun, with what to do."""
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate", encoding="utf-8")
    command = start("serve", "--tls-cert", str(wrong), "--tls-key", str(wrong), "--provider", "simulator", cwd=tmp_path)
    _, said = command.communicate(timeout=30)
    assert command.returncode == 2
    assert f"--tls-cert {wrong} and --tls-key {wrong} cannot be used" in said
