"""LangSmith's client: the one file that imports it, so that nothing but what sends or reads traces pays for it."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import requests
import urllib3
from langsmith import Client
from langsmith.utils import LangSmithError, get_host_url

from bench.tracing.payload import PATH, Part, body_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.tracing.destination import Destination

#: Longest waits for a connection and for an answer, in milliseconds. Nobody waits for them but who sends.
_TIMEOUTS_MS: Final = (3_000, 15_000)

#: What nobody who asks again will be let in after.
_SHUT: Final = frozenset({401, 403, 404})

#: What may be otherwise when it is asked again.
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})

#: A conflict: it is there already.
_THERE: Final = 409

#: Runs a page, when they are read back; LangSmith gives no more.
_PAGE: Final = 100


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What became of a request.

    Attributes:
        taken: Whether the spans are there now.
        reason: Why not, in words that repeat nothing of the answer.
        again: Whether it may be otherwise when asked again.
        shut: Whether nothing else would be taken either.
        retry_after_s: How long the server wants to be left alone.
    """

    taken: bool
    reason: str = ""
    again: bool = False
    shut: bool = False
    retry_after_s: float | None = None


class LangSmith:
    """A connection to LangSmith; for one thread.

    Args:
        to: Where it is.
    """

    def __init__(self, to: Destination) -> None:
        # What goes wrong is told once, in our own words.
        logging.getLogger("langsmith").setLevel(logging.CRITICAL)
        self._to = to
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._client = Client(
                to.endpoint,
                api_key=None if to.key is None else to.key.reveal(),
                workspace_id=to.workspace,
                timeout_ms=_TIMEOUTS_MS,
                retry_config=urllib3.Retry(total=0),
                auto_batch_tracing=False,
                info={},
            )

    def __repr__(self) -> str:
        """Show where it is."""
        return f"<LangSmith {self._to.name}>"

    def post(self, parts: Sequence[Part]) -> Answer:
        """Send spans, once."""
        body, content_type = body_of(parts)
        try:
            self._client.request_with_retries(
                "POST", PATH, request_kwargs={"data": body, "headers": {"Content-Type": content_type}}
            )
        except (LangSmithError, requests.RequestException) as error:
            return _answer(error)
        return Answer(taken=True)

    def project_url(self) -> str | None:
        """Return the address of the project's page, None where it cannot be found out."""
        try:
            found = self._client.request_with_retries(
                "GET", "/sessions", params={"limit": 1, "name": self._to.project}
            ).json()
            project, tenant = found[0]["id"], found[0]["tenant_id"]
        except (LangSmithError, requests.RequestException, ValueError, LookupError, TypeError):
            return None
        return f"{get_host_url(None, self._to.endpoint).rstrip('/')}/o/{tenant}/projects/p/{project}"

    def runs_of(self, trace_id: str) -> Iterator[dict[str, Any]]:
        """Yield what LangSmith has of a trace.

        Raises:
            ReadError: It cannot be asked.
        """
        try:
            found = self._client.request_with_retries(
                "GET", "/sessions", params={"limit": 1, "name": self._to.project}
            ).json()
            query = {"session": [found[0]["id"]], "trace": trace_id, "limit": _PAGE, "select": list(_FIELDS)}
            while True:
                answer = self._client.request_with_retries("POST", "/runs/query", json=query).json()
                yield from answer["runs"]
                cursor = (answer.get("cursors") or {}).get("next")
                if not cursor:
                    return
                query = {**query, "cursor": cursor}
        except (LangSmithError, requests.RequestException) as error:
            raise ReadError(_answer(error).reason) from error
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ReadError(f"its answer cannot be understood ({type(error).__name__})") from error


#: What is read back of a run.
_FIELDS: Final = ("id", "trace_id", "parent_run_id", "name", "run_type", "start_time", "end_time", "error")


class ReadError(Exception):
    """LangSmith cannot be read.

    Args:
        reason: Why.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _answer(error: Exception) -> Answer:
    """Say what went wrong; the client's own messages hold parts of keys, addresses and bodies."""
    causes = list(_causes(error))
    response = next((each.response for each in causes if isinstance(each, requests.HTTPError)), None)
    if response is not None:
        status = response.status_code
        if status == _THERE:
            return Answer(taken=True)
        return Answer(
            taken=False,
            reason=f"it answers {status}{_MEANING.get(status, '')}",
            again=status in _PASSING,
            shut=status in _SHUT,
            retry_after_s=_retry_after_s(response.headers.get("Retry-After")),
        )
    if any(isinstance(each, requests.Timeout) for each in causes):
        return Answer(taken=False, reason="it does not answer in time", again=True)
    if any(isinstance(each, ConnectionRefusedError | requests.ConnectionError) for each in causes):
        return Answer(taken=False, reason="it cannot be reached", again=True)
    return Answer(taken=False, reason=f"the client failed ({type(error).__name__})", again=False)


_MEANING: Final = {
    401: ": the key is not accepted",
    403: ": the key may not do that",
    404: ": there is no such thing at this address",
    413: ": the spans are too large",
    422: ": the spans are not understood",
    429: ": too many requests",
}


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _retry_after_s(text: str | None) -> float | None:
    try:
        return None if text is None else max(0.0, float(text))
    except ValueError:
        return None
