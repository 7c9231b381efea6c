"""Servers that cannot be reached, are not who they say, stand still, or come back: in every mode, over both clients."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from tests.command import wait_until
from tests.faults.answers import WHOLE, refusal
from tests.faults.faults import OK, Fault, Stage, fault, passing
from tests.faults.runs import QUICK, WAYS, FaultRun, Way, run_against, run_command, run_here, slots_of
from tests.faultserver import FaultServer
from tests.wire import HELLO, sending, streamed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.conftest import Note
    from tests.faultserver import Exchange

DATA: Final = Path(__file__).parents[1] / "data"

#: The deadline of a task whose server stands still, in seconds, and how far it may be outlived.
STILL_S: Final = 1.5
LATE_S: Final = 1.0

in_every_way = pytest.mark.parametrize(
    "way", [pytest.param(way, id=str(way), marks=() if way in QUICK else pytest.mark.full) for way in WAYS]
)


async def answer_and_close(exchange: Exchange) -> None:
    """Answer, and close the connection without having said so."""
    await exchange.send(streamed(*HELLO))
    exchange.close()


def alike(name: str, count: int) -> list[str]:
    """Return names for tasks that meet the same fault; the first, which stands for them in the table, has no number."""
    return [name, *(f"{name}, task {number}" for number in range(2, count + 1))]


IDLE: Final = tuple(
    fault("F-29", name, answer_and_close, OK, content=WHOLE) for name in alike("closed after the answer", 9)
)
STORM: Final = tuple(
    passing("F-36", name, refusal(status="503 Service Unavailable"), times=2)
    for name in alike("503 twice, then recovered", 9)
)


def unreached(name: str, end: str, row: str = "F-38") -> Fault:
    """Return a fault that keeps the task from its server."""
    return fault(row, name, sending(streamed(*HELLO)), end)


REFUSED: Final = unreached("nothing listens", "connect")
NO_HOST: Final = unreached("no such host", "dns")
DEAF: Final = unreached("a connection that is never made", "timeout_connect", "F-28")
SELF_SIGNED: Final = unreached("a certificate that nobody signed", "tls")
EXPIRED: Final = unreached("a certificate that has expired", "tls")
WRONG_HOST: Final = unreached("a certificate for another host", "tls")
STILL: Final = tuple(fault("F-28", name, sending(), "timeout_total") for name in alike("a server that was stopped", 4))


def noted(run: FaultRun, fault: Fault, note: Note) -> str:
    """Write down and return how the task that met a fault ended; of several of a kind they are one row."""
    end, attempts = run.end_of(fault), len(run.results[fault.name].attempts)
    note(fault, run.way, end if attempts == 1 else f"{end} x{attempts}")
    assert end in fault.ends, run.results[fault.name].error
    return end


@in_every_way
def test_f29_connections_closed_while_idle(note: Note, way: Way, tmp_path: Path) -> None:
    """A server that closes each connection after its answer costs no task its answer."""
    run = run_here(way, IDLE, tmp_path, retries=3)
    for fault_ in IDLE:
        assert run.end_of(fault_) == OK
        assert run.results[fault_.name].content == WHOLE
        assert len(run.visits[fault_.name]) == 1
        # The SDK may have looked at its connection before the end came: that costs it an attempt.
        assert way.client != "lean" or len(run.results[fault_.name].attempts) == 1
    note(IDLE[0], way, OK)


@in_every_way
def test_f36_a_storm_of_5xx_passes(note: Note, way: Way, tmp_path: Path) -> None:
    """Tasks that meet a storm finish once it is over, after no more attempts than were allowed."""
    run = run_here(way, STORM, tmp_path, retries=3, backoff="exponential")
    for fault_ in STORM:
        assert run.end_of(fault_) == OK
        assert len(run.visits[fault_.name]) == 3
    noted(run, STORM[0], note)


@in_every_way
def test_f38_nothing_listens(note: Note, way: Way, tmp_path: Path) -> None:
    """A refused connection is `connect`, and tried again."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        base_url = f"http://127.0.0.1:{sock.getsockname()[1]}/v1"
        run = run_here(way, (REFUSED,), tmp_path, base_url)
    noted(run, REFUSED, note)
    assert len(run.results[REFUSED.name].attempts) == 2


@in_every_way
def test_f38_no_such_host(note: Note, way: Way, tmp_path: Path) -> None:
    """A name that nothing resolves is `dns`."""
    noted(run_here(way, (NO_HOST,), tmp_path, "http://nohost.invalid/v1"), NO_HOST, note)


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """Name a port whose queue of connections is full, so that a further one is never made."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)  # noqa: FBT003 - the standard library's
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@in_every_way
def test_f28_a_connection_that_is_never_made(note: Note, way: Way, tmp_path: Path, deaf_port: int) -> None:
    """A connection that takes too long is `timeout_connect`, and each attempt ends at that limit."""
    run = run_here(way, (DEAF,), tmp_path, f"http://127.0.0.1:{deaf_port}/v1", connect_timeout=0.3)
    noted(run, DEAF, note)
    assert run.results[DEAF.name].service_s <= 2 * 0.3 + LATE_S + run.stood_still_s


def tls(certificate: str) -> ssl.SSLContext:
    """Return a server's side of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(DATA / certificate)
    return context


@in_every_way
def test_f38_a_certificate_that_nobody_signed(note: Note, way: Way, tmp_path: Path) -> None:
    """A server that cannot prove who it is gets no request."""
    stage = Stage((SELF_SIGNED,))
    with FaultServer(stage, tls=tls("loopback.pem")) as server:
        noted(run_against(way, (SELF_SIGNED,), tmp_path, server.base_url, stage), SELF_SIGNED, note)
        assert server.exchanges == []


@pytest.mark.parametrize(
    ("fault_", "certificate", "host", "words"),
    [(EXPIRED, "expired.pem", "127.0.0.1", "expired"), (WRONG_HOST, "loopback.pem", "localhost", "match")],
    ids=["expired", "another host"],
)
@in_every_way
def test_f38_certificates_that_are_wrong(
    note: Note, way: Way, tmp_path: Path, fault_: Fault, certificate: str, host: str, words: str
) -> None:
    """A trusted certificate that has expired, or is for another host, is `tls`: no request is sent."""
    with FaultServer(sending(streamed(*HELLO)), tls=tls(certificate)) as server:
        url = f"https://{host}:{server.port}/v1"
        trust = {"SSL_CERT_FILE": str(DATA / certificate)}
        run = run_command(way, (fault_,), tmp_path, 1, "--base-url", url, env=trust)
        noted(run, fault_, note)
        error = run.results[fault_.name].error
        assert error is not None
        assert words in error.message
        assert server.exchanges == []


@in_every_way
def test_f28_a_server_that_is_stopped(note: Note, way: Way, tmp_path: Path) -> None:
    """A server process that stands still holds no task beyond its deadline."""
    slots = slots_of(way, STILL)
    faults = STILL[: max(2, slots)]
    with SimulatorProcess(SimulatorSettings(ttft_s=0.05, itl_s=0.05, tokens=100)) as server:

        def stop_server() -> None:
            wait_until(lambda: server.stats().in_flight == slots, "slots not busy")
            os.kill(server.pid, signal.SIGSTOP)

        stopper = threading.Thread(target=stop_server)
        stopper.start()
        try:
            run = run_against(way, faults, tmp_path, server.base_url, Stage(()), timeout=STILL_S)
        finally:
            stopper.join()
            os.kill(server.pid, signal.SIGCONT)
    for each in faults:
        assert run.end_of(each) == "timeout_total"
        assert run.results[each.name].service_s <= STILL_S + LATE_S + run.stood_still_s
    noted(run, faults[0], note)
