"""What goes wrong with a request, as its answer: a status, a code for programs and a sentence for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping


class ProblemFacts(msgspec.Struct, frozen=True):
    """What went wrong.

    Attributes:
        code: For programs: one word.
        message: For people: what was wrong and what to do.
    """

    code: str
    message: str


class ProblemBody(msgspec.Struct, frozen=True):
    """The body of every answer that is not what was asked for.

    Attributes:
        error: What went wrong.
    """

    error: ProblemFacts


class Problem(Exception):  # noqa: N818 - it is an answer, and no failure of this program
    """What went wrong with a request; becomes its answer.

    Args:
        status: The HTTP status.
        message: What was wrong and what to do, in a sentence.
        code: What programs go by; the status's own when None.
        retry_after_s: When it is worth trying again, in seconds from now.
    """

    def __init__(self, status: int, message: str, *, code: str | None = None, retry_after_s: int | None = None) -> None:
        super().__init__(status, message, code, retry_after_s)
        self.status = status
        self.message = message
        self.code = code or CODES.get(status, "error")
        self.retry_after_s = retry_after_s

    def response(self, *, close: bool = False) -> Response:
        """Return the answer; with `close` it is the last one on its connection."""
        headers = {}
        if self.retry_after_s is not None:
            headers["Retry-After"] = str(self.retry_after_s)
        if self.status == 401:  # noqa: PLR2004 - it says how to be known
            headers["WWW-Authenticate"] = "Bearer"
        if close:
            headers["Connection"] = "close"
        body = msgspec.json.encode(ProblemBody(ProblemFacts(self.code, self.message)))
        return Response(body, self.status, headers, media_type="application/json")


#: The code of each status where there is no closer one.
CODES: Final[Mapping[int, str]] = {
    400: "bad_request",
    401: "unauthorized",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    409: "conflict",
    410: "gone",
    413: "too_large",
    421: "wrong_host",
    422: "validation",
    429: "too_many",
    431: "headers_too_large",
    500: "internal",
    503: "closing",
}

#: Why each status is given.
REASONS: Final[Mapping[int, str]] = {
    400: "the request cannot be read",
    401: "no token, or a wrong one",
    404: "there is no such task",
    405: "the address is there, and does not take this method",
    408: "the body did not arrive in time",
    409: "the same Idempotency-Key was used for another body",
    410: "the task ended too long ago, or its events are not kept any more",
    413: "the body is too large",
    421: "the request names another host than this service",
    422: "the body or a header is not as described",
    429: "no place is free, or the client asks too often",
    431: "the headers are too large",
    500: "the service failed; its log says why",
    503: "the service is being stopped",
}
