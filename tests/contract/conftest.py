"""What the clients' behaviour suite shares: each test runs over every client, against servers that it scripts."""

from __future__ import annotations

import contextlib
import functools
import socket
from typing import TYPE_CHECKING

import pytest

from tests.clientdriver import KINDS, Driver, drive
from tests.faultserver import FaultServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def serve() -> Iterator[Callable[..., FaultServer]]:
    """Start servers with a script each, which stop with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(FaultServer(*args, **options))


@pytest.fixture
def free_port() -> int:
    """Name a port that nothing listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Name one kind of client after the other."""
    return str(request.param)


@pytest.fixture
def connect(serve: object, kind: str) -> Iterator[Callable[..., Driver]]:
    """Open clients, which close before the servers do."""
    with contextlib.ExitStack() as stack:

        def opened(*args: object, **options: object) -> Driver:
            driver: Driver = functools.partial(drive, kind)(*args, **options)  # type: ignore[arg-type] # drive's own
            stack.callback(driver.close)
            return driver

        yield opened
