"""LangSmith's client: the one file that imports it, so that nothing but what sends or reads traces pays for it."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any, Final

import requests
import urllib3
from langsmith import Client
from langsmith.utils import LangSmithError, get_host_url

from bench.tracing.answer import Answer, answer_to
from bench.tracing.payload import PATH, Part, body_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.tracing.destination import Destination

#: Longest waits for a connection and for an answer, in milliseconds. Nobody waits for them but who sends.
_TIMEOUTS_MS: Final = (3_000, 15_000)

#: Runs a page, when they are read back; LangSmith gives no more.
_PAGE: Final = 100


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
            return answer_to(error)
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
            raise ReadError(answer_to(error).reason) from error
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
