"""What became of a request with spans, in words that can be shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import requests

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What nobody who asks again will be let in after.
_SHUT: Final = frozenset({401, 403, 404})

#: What may be otherwise when it is asked again.
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})

#: A conflict: it is there already.
_THERE: Final = 409


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


def answer_to(error: Exception) -> Answer:
    """Say what went wrong with a request; clients' own messages hold parts of keys, addresses and bodies."""
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
