"""A client of HTTP/2 that can leave a stream in the ways that the protocol has."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import h2.config
import h2.connection
import h2.errors
import h2.events

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Longer than anything that a test waits for.
_TIMEOUT_S: Final = 30


class Http2Stream:
    """The one stream of a connection, which asks for a task.

    Args:
        connection: Connected, with the protocol agreed upon.
        target: Where to ask.
        body: What for, as JSON.
        headers: Further headers, by lower-case name.
    """

    def __init__(self, connection: ssl.SSLSocket, target: str, body: object, **headers: str) -> None:
        self._connection = connection
        self._http = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self._http.initiate_connection()
        self._number = self._http.get_next_available_stream_id()
        named = {name.replace("_", "-").lower(): value for name, value in headers.items()}
        asked = {":method": "POST", ":scheme": "https", ":authority": "localhost", ":path": target}
        self._http.send_headers(self._number, [*{**asked, "content-type": "application/json", **named}.items()])
        self._http.send_data(self._number, json.dumps(body).encode(), end_stream=True)
        self._flush()
        self.headers: dict[str, str] = {}
        self.text = ""

    def read_until(self, what: str) -> None:
        """Read on until the stream has said something.

        Raises:
            AssertionError: It ended before.
        """
        while what not in self.text:
            data = self._connection.recv(65_536)
            assert data, f"the connection ended before {what!r}: {self.text}"
            for event in self._http.receive_data(data):
                match event:
                    case h2.events.ResponseReceived():
                        self.headers = {str(name): str(value) for name, value in event.headers}
                    case h2.events.DataReceived():
                        self.text += event.data.decode()
                        self._http.acknowledge_received_data(event.flow_controlled_length, self._number)
                    case h2.events.StreamEnded() | h2.events.StreamReset():
                        assert what in self.text, f"the stream ended before {what!r}: {self.text}"
                    case _:
                        pass
            self._flush()

    def reset(self) -> None:
        """Leave the stream and keep the connection."""
        self._http.reset_stream(self._number, h2.errors.ErrorCodes.CANCEL)
        self._flush()

    def _flush(self) -> None:
        self._connection.sendall(self._http.data_to_send())


@contextlib.contextmanager
def http2_stream(url: str, ca_file: Path, target: str, body: object, **headers: str) -> Iterator[Http2Stream]:
    """Ask for a task over a connection of its own, which is closed after the block; `_` in a name stands for `-`."""
    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols(["h2"])
    parts = urlsplit(url)
    with (
        socket.create_connection((parts.hostname, parts.port), timeout=_TIMEOUT_S) as bare,
        context.wrap_socket(bare, server_hostname=parts.hostname) as connection,
    ):
        yield Http2Stream(connection, target, body, **headers)
