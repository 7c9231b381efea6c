"""Foreign failures in our own words: HTTP statuses, broken connections and bodies that are no answer, as CallError."""

from __future__ import annotations

import json
import logging
import re
import socket
import ssl
import traceback
from typing import TYPE_CHECKING, Final

from bench.clients._pieces import encodable
from bench.clients.retry_after import retry_after_s
from bench.clock import utc_now
from bench.errors import CallError, error_type_of_status
from bench.logcontext import Scrubber

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bench.providers import Secret

_log = logging.getLogger("bench.client")

#: A server's error message is kept up to here: enough for any sentence, too little for a page of HTML.
_MESSAGE_CHARS: Final = 300

#: How much of a body that is no answer is quoted: enough to recognise a login page or a proxy's error.
_BODY_CHARS: Final = 100

#: Where error bodies keep their message: OpenAI's form, then those of gateways and frameworks.
_MESSAGE_FIELDS: Final = ("message", "msg", "detail", "error_msg", "error")

#: The class of statuses that send a client elsewhere.
_REDIRECTION: Final = 3

#: h11 and aiohttp both say it in words only.
_TOO_LONG: Final = re.compile(r"too long|too many (headers|trailers)|more than \d+ bytes", re.IGNORECASE)


class Translator:
    """Words failures for one client, whose key it takes out of everything that it quotes.

    Args:
        key: The key that must not show, or None.
        unconnected: Exception types that mean that there never was a connection.
        late: Exception types that mean that it was not made in time.
    """

    def __init__(
        self,
        key: Secret | None,
        *,
        unconnected: tuple[type[Exception], ...] = (),
        late: tuple[type[Exception], ...] = (),
    ) -> None:
        self._scrub = Scrubber(() if key is None else (key.reveal(),))
        self._unconnected = unconnected
        self._late: tuple[type[Exception], ...] = (TimeoutError, *late)

    def without_key(self, text: str) -> str:
        """Return `text` with stars where the key stood."""
        return self._scrub(text)

    def quote(self, text: str, limit_chars: int = _MESSAGE_CHARS) -> str:
        """Return foreign text fit for a record: without the key, on one line, control characters escaped, cut."""
        text = self.without_key(text)
        # Only the start is looked at: a body may be megabytes long.
        text = " ".join(encodable(text[: limit_chars * 8]).split())
        text = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
        return text if len(text) <= limit_chars else text[: limit_chars - 2] + ".."

    def status(self, http_status: int, body: object, headers: Mapping[str, str]) -> CallError:
        """Word an HTTP status outside 2xx."""
        said = self.quote(server_message(body))
        if http_status // 100 == _REDIRECTION:
            said = f"redirects are not followed, Location: {self.quote(headers.get('location', ''), _BODY_CHARS)}"
        message = f"HTTP {http_status}: {said}" if said else f"HTTP {http_status}"
        return CallError(
            error_type_of_status(http_status), message, http_status, retry_after_s(headers, utc_now().timestamp())
        )

    def in_200(self, body: object) -> CallError:
        """Word an error object that came with a status that says success."""
        return CallError("error_in_200", self.quote(server_message(body)) or "an answer without choices")

    def not_an_answer(self, content_type: str, body: str, wanted: str) -> CallError:
        """Word a body of the wrong kind; a JSON body that is an error object counts as one."""
        if "json" in content_type:
            try:
                parsed = json.loads(body)
            except ValueError:
                parsed = None
            if isinstance(parsed, dict) and "choices" not in parsed:
                return self.in_200(parsed)
        kind = self.quote(content_type, _BODY_CHARS) or "none"
        return CallError("bad_content_type", f"content type {kind}, not {wanted}: {self.quote(body, _BODY_CHARS)}")

    def undecodable(self, error: ValueError | RecursionError, *, stream: bool) -> CallError:
        """Word text that is not JSON, or bytes that are not UTF-8."""
        if isinstance(error, UnicodeEncodeError):
            # The SDK's adapter for aiohttp fails on a status line that is neither ASCII nor UTF-8.
            return CallError("bad_content_type", "the answer's status line is not UTF-8")
        if stream:
            return CallError("bad_sse", f"a chunk that is not JSON: {self._excerpt(error)}")
        body = error.doc if isinstance(error, json.JSONDecodeError) else None
        if body is not None and not body.strip():
            return CallError("empty", "the answer has no body")
        if body is not None and body.lstrip().startswith("{"):
            return CallError("truncated", f"the answer's JSON breaks off or is malformed: {self._excerpt(error)}")
        return CallError("bad_content_type", f"the body is not JSON: {self._excerpt(error)}")

    def network(self, error: BaseException, *, head_seen: bool) -> CallError:
        """Word a connection that failed or broke; `head_seen` says whether the answer had begun."""
        chain = list(_chain(error))
        deepest = chain[-1]
        words = self.quote(str(deepest)) or type(deepest).__name__

        def any_is(*types: type[BaseException]) -> bool:
            return any(isinstance(link, types) for link in chain)

        if head_seen:
            return CallError("stream_reset", f"the connection broke within the answer: {words}")
        if any_is(socket.gaierror):
            return CallError("dns", f"the host cannot be resolved: {words}")
        if any_is(*self._late):
            # Before TLS: a handshake that waits when its time is up has failed with an error of both kinds.
            return CallError("timeout_connect", f"no connection in time: {words}")
        if any_is(ssl.SSLError):
            return CallError("tls", f"no secure connection: {words}")
        if any_is(*self._unconnected):
            return CallError("connect", f"no connection: {words}")
        return self._unanswered(words)

    def internal(self, error: BaseException) -> CallError:
        """Word what nobody foresaw; only its type, because its text may hold anything. The debug log has its trace."""
        trace = "".join(traceback.format_exception(error))
        _log.debug("unexpected error in a call\n%s", self.without_key(trace))
        return CallError(
            "internal", f"unexpected {type(error).__name__} in the client; run.log has more at --log-level debug"
        )

    def _unanswered(self, words: str) -> CallError:
        """Word a connection on which no valid HTTP answer came."""
        if _TOO_LONG.search(words):
            return CallError("too_large", f"the answer's head is too large: {words}")
        if re.search("illegal|invalid|bad status|expected http", words, re.IGNORECASE):
            return CallError("bad_content_type", f"the answer is not HTTP: {words}")
        return CallError("stream_reset", f"the connection broke before the answer: {words}")

    def _excerpt(self, error: ValueError | RecursionError) -> str:
        """Quote the text at fault."""
        return self.quote(error.doc if isinstance(error, json.JSONDecodeError) else str(error), _BODY_CHARS)


def server_message(body: object) -> str:
    """Find the message in an error body, whatever its form; without one, the body as it is."""
    if isinstance(body, dict):
        for field in _MESSAGE_FIELDS:
            if body.get(field):
                return server_message(body[field])
        return json.dumps(body, ensure_ascii=False) if body else ""
    return "" if body is None else str(body)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and those that led to it, the nearest first."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__
