"""What every client makes of refusals and broken connections: a typed failure, and nothing that gives the key away."""

from __future__ import annotations

import gzip
import pickle
import socket
import ssl
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.errors import ConfigError
from tests.clientdriver import ask
from tests.wire import DONE, HELLO, PARTIAL, STOP, answer, chunk, chunked, closing, event, head, sending, streamed

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.clients._base import Reply
    from bench.errors import CallError
    from tests.clientdriver import Driver
    from tests.faultserver import Exchange, FaultServer

    Serve = Callable[..., FaultServer]
    Connect = Callable[..., Driver]

#: A certificate for 127.0.0.1 that nobody has signed but itself, with its key.
CERTIFICATE = Path(__file__).parents[1] / "data" / "loopback.pem"

#: The head of a stream whose end can be told from its breaking off.
CHUNKED = head("200 OK", "text/event-stream", "Transfer-Encoding: chunked")

KEY = "sk-0123456789abcdef.Zz"

MANY_HEADERS = b"".join(b"X-%d: y\r\n" % number for number in range(20_000))


def error_of(reply: Reply) -> CallError:
    """Return a failed reply's error, which must survive pickling."""
    assert reply.error is not None
    assert str(pickle.loads(pickle.dumps(reply.error))) == str(reply.error)  # noqa: S301 - our own
    assert reply.sent_ns <= reply.end_ns
    return reply.error


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("status", "error_type"),
    [
        ("400 Bad Request", "bad_request"),
        ("401 Unauthorized", "auth"),
        ("403 Forbidden", "auth"),
        ("404 Not Found", "not_found"),
        ("408 Request Timeout", "server_error"),
        ("409 Conflict", "server_error"),
        ("413 Content Too Large", "too_large"),
        ("422 Unprocessable Content", "bad_request"),
        ("429 Too Many Requests", "rate_limited"),
        ("500 Internal Server Error", "server_error"),
        ("503 Service Unavailable", "server_error"),
    ],
)
def test_statuses(serve: Serve, connect: Connect, status: str, error_type: str, *, stream: bool) -> None:
    """Each HTTP status has its type, its number and the server's own message, and is asked for once only."""
    server = serve(sending(answer({"error": {"message": "模型不存在", "code": "1211"}}, status)))
    error = error_of(connect(server.base_url).call(ask(stream=stream)))
    number = int(status[:3])
    assert (error.error_type, error.http_status) == (error_type, number)
    assert error.message == f"HTTP {number}: 模型不存在"
    assert len(server.exchanges) == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"message": "plain"}', "HTTP 500: plain"),
        (b'{"error": "text"}', "HTTP 500: text"),
        (b'{"detail": [{"msg": "field required"}]}', "HTTP 500: [{'msg': 'field required'}]"),
        (b'{"odd": 1}', 'HTTP 500: {"odd": 1}'),
        (b"upstream\nfailed", "HTTP 500: upstream failed"),
        (b"", "HTTP 500"),
    ],
)
def test_messages_of_other_forms(serve: Serve, connect: Connect, body: bytes, words: str) -> None:
    """The server's message is found in whatever form an error body has."""
    server = serve(sending(answer(body, "500 Internal Server Error")))
    assert error_of(connect(server.base_url).call(ask())).message == words


def test_long_messages_are_cut(serve: Serve, connect: Connect) -> None:
    """A page of an error is cut to what fits a record."""
    server = serve(sending(answer(b"x" * 100_000, "502 Bad Gateway", "text/html")))
    assert len(error_of(connect(server.base_url).call(ask())).message) < 350


NOON = formatdate(1_800_000_000, usegmt=True)
HALF_A_MINUTE_LATER = formatdate(1_800_000_030, usegmt=True)


@pytest.mark.parametrize(
    ("fields", "retry_after_s"),
    [
        (["Retry-After: 7"], 7.0),
        (["Retry-After: 0.25"], 0.25),
        (["Retry-After: 600"], 600.0),
        (["Retry-After: -3"], 0.0),
        ([f"Retry-After: {HALF_A_MINUTE_LATER}", f"Date: {NOON}"], 30.0),
        ([f"Retry-After: {NOON}", f"Date: {HALF_A_MINUTE_LATER}"], 0.0),
        ([f"Retry-After: {formatdate(0, usegmt=True)}"], 0.0),
        (["retry-after-ms: 1500", "Retry-After: 9"], 1.5),
        (["retry-after-ms: soon", "Retry-After: 9"], 9.0),
        (["Retry-After: soon"], None),
        (["Retry-After: nan"], None),
        (["Retry-After: 1_0"], None),
        ([], None),
    ],
)
def test_retry_after(serve: Serve, connect: Connect, fields: list[str], retry_after_s: float | None) -> None:
    """The wait that a server asks for is read from any of its forms, by the server's own clock; never below zero."""
    server = serve(
        sending(answer({"error": {"message": "slow down"}}, "429 Too Many Requests", "application/json", *fields))
    )
    assert error_of(connect(server.base_url).call(ask())).retry_after_s == retry_after_s


def test_a_redirect_is_not_followed(serve: Serve, connect: Connect) -> None:
    """A redirect is a failure that names its target, and the key goes nowhere else."""
    elsewhere = serve(sending(streamed(*HELLO)))
    location = f"Location: {elsewhere.base_url}/chat/completions"
    server = serve(sending(answer(b"", "307 Temporary Redirect", "text/plain", location)))
    error = error_of(connect(server.base_url, key=KEY).call(ask()))
    assert (error.error_type, error.http_status) == ("bad_request", 307)
    assert elsewhere.base_url in error.message
    assert elsewhere.connections == 0


@pytest.mark.parametrize("status", ["401 Unauthorized", "200 OK"])
@pytest.mark.parametrize("stream", [True, False])
def test_an_echoed_key_does_not_show(serve: Serve, connect: Connect, status: str, *, stream: bool) -> None:
    """A key that the server repeats in its error is in no part of the reply."""
    said = "x" * 80 + f" wrong key {KEY}, got Bearer {KEY} " + "y" * 250 + KEY
    for body in (answer({"error": {"message": said}}, status), answer(said.encode(), status, "text/html")):
        driver = connect(serve(closing(body)).base_url, key=KEY)
        reply = driver.call(ask(stream=stream))
        assert "****" in error_of(reply).message
        assert KEY[:6] not in repr(reply)
        assert KEY[:6] not in repr(driver)


@pytest.mark.parametrize("key", ["sk-1\nsk-2", "密钥", "two words", "sk-\x00", '"sk-1"'])
def test_a_key_that_cannot_be_sent_is_refused(connect: Connect, key: str) -> None:
    """A key that fits no header is refused before anything is sent, and not shown."""
    with pytest.raises(ConfigError) as caught:
        connect("http://127.0.0.1:9/v1", key=key)
    assert key not in str(caught.value)


def test_nothing_listens(connect: Connect, free_port: int) -> None:
    """A refused connection is `connect`."""
    error = error_of(connect(f"http://127.0.0.1:{free_port}/v1").call(ask()))
    assert error.error_type == "connect"
    assert str(free_port) in error.message or "refused" in error.message


def test_no_such_host(connect: Connect) -> None:
    """A name that nothing resolves is `dns`."""
    error = error_of(connect("http://nohost.invalid/v1").call(ask()))
    assert error.error_type == "dns"


def test_a_host_by_name(serve: Serve, connect: Connect) -> None:
    """A host can be given by name, also where only the second of its addresses is served."""
    server = serve(sending(streamed(*HELLO)))
    assert connect(f"http://localhost:{server.port}/v1").call(ask()).error is None


def test_a_certificate_that_nobody_signed(serve: Serve, connect: Connect) -> None:
    """A server that cannot prove who it is gets no request: `tls`."""
    server = serve(sending(streamed(*HELLO)), tls=server_tls())
    assert error_of(connect(server.base_url, key=KEY).call(ask())).error_type == "tls"
    assert server.exchanges == []


def test_a_certificate_for_another_host(serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trusted certificate for another name is `tls` as well."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    server = serve(sending(streamed(*HELLO)), tls=server_tls())
    error = error_of(connect(f"https://localhost:{server.port}/v1").call(ask()))
    assert error.error_type == "tls"


def test_no_tls_at_all(connect: Connect) -> None:
    """A server without encryption behind an https address is `tls`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        call = connect(f"https://127.0.0.1:{listener.getsockname()[1]}/v1").start(ask())
        connection, _ = listener.accept()
        connection.recv(1000)
        connection.sendall(answer(b"speak plainly", "400 Bad Request"))
        assert error_of(call.result(10)).error_type == "tls"
        connection.close()


def test_a_trusted_certificate(serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Encryption works, and trusts what the environment's SSL_CERT_FILE names, as the SDK does by itself."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    server = serve(sending(streamed(*HELLO)), tls=server_tls())
    driver = connect(server.base_url)
    assert [driver.call(ask()).content for _ in range(3)] == ["你好👋"] * 3
    assert server.connections == 1


@pytest.mark.parametrize(
    "sent", [b"", CHUNKED, CHUNKED + chunked(PARTIAL, end=False)], ids=["at once", "after the head", "later"]
)
def test_resets(serve: Serve, connect: Connect, sent: bytes) -> None:
    """A connection that is reset before the answer or within it is `stream_reset`; what had come is kept."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(sent, b"")
        exchange.reset()

    reply = connect(serve(script).base_url).call(ask())
    assert error_of(reply).error_type == "stream_reset"
    assert reply.content == ("half" if PARTIAL in sent else None)


def test_an_answer_after_the_answer(serve: Serve, connect: Connect) -> None:
    """A second answer that a server sends along with the first is not taken for that of the next request."""

    async def script(exchange: Exchange) -> None:
        mine = streamed(event(chunk(f"answer {exchange.number}")), STOP, DONE)
        await exchange.send(mine + streamed(event(chunk("not yours")), STOP, DONE))

    driver = connect(serve(script).base_url)
    assert [driver.call(ask()).content for _ in range(3)] == ["answer 0", "answer 1", "answer 2"]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="dropped unanswered"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Ty", id="cut within the head"),
        pytest.param(CHUNKED + b"5\r\nda", id="cut chunk"),
        pytest.param(CHUNKED + chunked(PARTIAL, end=False), id="no last chunk"),
        pytest.param(head("200 OK", "application/json", "Content-Length: 1000") + b'{"choices"', id="too short"),
    ],
)
def test_answers_that_break_off(serve: Serve, connect: Connect, sent: bytes, *, stream: bool) -> None:
    """A connection that is closed before the answer or before its announced end is `stream_reset`."""
    error = error_of(connect(serve(closing(sent)).base_url).call(ask(stream=stream)))
    assert error.error_type == "stream_reset"


@pytest.mark.parametrize(
    ("error_type", "sent"),
    [
        pytest.param("bad_content_type", b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n", id="not HTTP"),
        pytest.param("too_large", b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 200_000 + b"\r\n\r\n", id="long header"),
        pytest.param("too_large", b"HTTP/1.1 200 OK\r\n" + MANY_HEADERS + b"\r\n", id="many headers"),
    ],
)
def test_heads_that_are_no_answer(serve: Serve, connect: Connect, error_type: str, sent: bytes) -> None:
    """What is not HTTP, or a head without measure, is named, asked for once, and not worth another attempt."""
    server = serve(closing(sent))
    error = error_of(connect(server.base_url).call(ask()))
    assert (error.error_type, error.retryable) == (error_type, False)
    assert len(server.exchanges) == 1


def test_a_status_line_in_another_alphabet(serve: Serve, connect: Connect) -> None:
    """A status line in bytes that are no UTF-8 makes no call fail as if the request were wrong, or unforeseen."""
    server = serve(closing(b"HTTP/1.1 503 Serveur occup\xe9\r\nContent-Length: 0\r\n\r\n"))
    assert error_of(connect(server.base_url).call(ask())).error_type in {"server_error", "bad_content_type"}


def test_a_compressed_answer_is_not_unpacked(serve: Serve, connect: Connect) -> None:
    """A small body that would unpack to any size is refused by its head."""
    bomb = gzip.compress(b"x" * 50_000_000)
    server = serve(closing(answer(bomb, "200 OK", "application/json", "Content-Encoding: gzip")))
    error = error_of(connect(server.base_url).call(ask(stream=False)))
    assert error.error_type == "bad_content_type"
    assert "gzip" in error.message
    assert server.exchanges[0].headers["accept-encoding"] == "identity"


def test_half_a_character_in_the_request(serve: Serve, connect: Connect) -> None:
    """A request that cannot be encoded is `bad_request`, and nothing is sent."""
    server = serve(sending(streamed(*HELLO)))
    assert error_of(connect(server.base_url).call(ask(text="\ud83d"))).error_type == "bad_request"
    assert server.exchanges == []


def test_the_environment_steers_nothing(serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxies, keys and headers that the environment names for the SDK are neither used nor sent."""
    proxy = serve(sending(answer({}, "502 Bad Gateway")))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{proxy.port}/v1")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-other")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-other")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer sk-other")
    server = serve(sending(streamed(*HELLO)))
    for key in (KEY, None):
        assert connect(server.base_url, key=key).call(ask()).error is None
    assert proxy.connections == 0
    sent = [exchange.headers for exchange in server.exchanges]
    assert [headers["authorization"] for headers in sent] == [f"Bearer {KEY}", "Bearer none-needed"]
    assert "other" not in str(sent)


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # aiohttp's advice to its caller, the SDK
def test_a_server_that_refuses_before_it_has_read(connect: Connect, kind: str) -> None:
    """An answer to a request that the server did not read to its end is still that answer, if the library reads it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        call = connect(f"http://127.0.0.1:{listener.getsockname()[1]}/v1").start(ask(text="x" * 20_000_000))
        connection, _ = listener.accept()
        connection.recv(1000)
        connection.sendall(answer({"error": {"message": "too long"}}, "413 Content Too Large"))
        connection.close()  # with data unread, which resets it
        error_type = error_of(call.result(10)).error_type
    assert error_type == "too_large" or (kind, error_type) == ("httpx2", "stream_reset")


def server_tls() -> ssl.SSLContext:
    """Return a server's side of TLS with the certificate that nobody signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context
