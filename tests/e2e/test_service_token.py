"""Who may ask the service: with a token, from this machine alone, and not too often."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.asking import ADDRESSES, ask, streaming, topic
from tests.serving import Serving, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.command import StartCommand

TOKEN: Final = "canary-0123456789abcdef0123456789abcdef"  # noqa: S105 - test data

PROTECTED: Final = [
    *(("POST", target) for target in ADDRESSES),
    ("GET", "/tasks/x/status"),
    ("GET", "/tasks/x/stream"),
    ("DELETE", "/tasks/x"),
    ("GET", "/system/pools"),
    ("GET", "/system/status"),
    ("GET", "/metrics"),
    ("GET", "/nothing"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the service keeps its records."""
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Serving]:
    """A service that listens everywhere, and whose clients may ask sixty times in a minute."""
    options = ("--provider", "simulator", "--simulator", "ttft=0", "itl=0", "tokens=2", "--host", "0.0.0.0")
    bounds = ("--requests-per-minute", "60", "--max-body-bytes", "1000")
    with serving(folder, *options, *bounds, env={"SERVICE_TOKEN": TOKEN}) as running:
        yield Serving(running.url.replace("0.0.0.0", "127.0.0.1"), running.process)


def test_token(service: Serving, folder: Path) -> None:
    """Without the token, or with another, nothing is told or begun; with it all is; and it is written nowhere."""
    wrong = ("", "Bearer", f"Basic {TOKEN}", f"Bearer {TOKEN}x")
    for method, target in PROTECTED:
        answer = ask(service.url, method, target, topic() if method == "POST" else None)
        assert (answer.status, answer.code, answer.headers["www-authenticate"]) == (401, "unauthorized", "Bearer")
    for value in wrong:
        assert ask(service.url, "GET", "/system/status", Authorization=value).status == 401
    with streaming(service.url, "/chat/stream", topic(), Authorization=f"bearer {TOKEN}", Host="any.name") as stream:
        assert list(stream)[-1].name == "complete"
    for target in ("/", "/page.css", "/health", "/openapi.json"):
        assert ask(service.url, "GET", target).status == 200
    described = ask(service.url, "GET", "/openapi.json").json
    assert (described["security"], described["paths"]["/health"]["get"]["security"]) == ([{"token": []}], [])
    large = ask(service.url, "POST", "/chat/stream", topic("a" * 1000), Authorization=f"Bearer {TOKEN}")
    assert (large.status, large.code) == (413, "too_large")
    _check_rate(service)
    written = [path for path in folder.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    assert written == []


def _check_rate(service: Serving) -> None:
    """A client that asks too often is refused with the time after which it is heard again, whatever it asks."""
    answers = (ask(service.url, "GET", "/health") for _ in range(100))
    refused = next(answer for answer in answers if answer.status == 429)
    assert (refused.status, refused.code) == (429, "rate")
    assert 1 <= int(refused.headers["retry-after"]) <= 60


def test_a_token_is_needed_outside(tmp_path: Path, start: StartCommand) -> None:
    """The service is not begun where other machines could ask it without a token."""
    command = start("serve", "--host", "0.0.0.0", "--provider", "simulator", cwd=tmp_path)
    _, said = command.communicate(timeout=30)
    assert command.returncode == 2
    assert "--host 0.0.0.0 can be reached from other machines, and SERVICE_TOKEN is not set" in said
    assert list(tmp_path.iterdir()) == []
