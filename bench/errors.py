"""The exception tree and the closed list of error types.

```
BenchError
├── ConfigError            wrong usage or configuration; nothing was sent (exit code 2)
│   └── WorkloadError      the source of tasks cannot be read; names the file and the line
├── RunError               a run cannot start or had to stop (exit code 1)
│   ├── JournalError       a record cannot be written or read
│   ├── EndpointError      a server that the run starts for itself does not come up
│   └── WorkerError        worker processes cannot be started or keep dying
├── CallError              one attempt failed; becomes data in the record, never leaves its worker
└── ServiceError           a task of the streaming service has no result for its client
    ├── RefusedError       the service did not take it
    ├── TaskFailedError    it ended with an error
    └── LostError          the service is out of reach, and what became of the task is not known
```

Every leaf keeps its facts in keyword attributes and survives pickling, because errors cross process boundaries.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

ErrorType = Literal[
    "connect",
    "dns",
    "tls",
    "timeout_connect",
    "timeout_ttft",
    "timeout_idle",
    "timeout_total",
    "stream_reset",
    "truncated",
    "bad_sse",
    "bad_content_type",
    "error_in_200",
    "empty",
    "content_filter",
    "rate_limited",
    "auth",
    "bad_request",
    "not_found",
    "server_error",
    "too_large",
    "worker_lost",
    "cancelled",
    "dropped",
    "internal",
]

#: All error types, in the order of the list above.
ERROR_TYPES: Final[tuple[str, ...]] = get_args(ErrorType)

#: What another attempt may mend. An answer that says "your request is wrong" is never sent again.
RETRYABLE: Final[frozenset[str]] = frozenset(
    {
        "connect",
        "dns",
        "timeout_connect",
        "timeout_ttft",
        "timeout_idle",
        "stream_reset",
        "truncated",
        "bad_sse",
        "error_in_200",
        "empty",
        "rate_limited",
        "server_error",
        "worker_lost",
    }
)

#: Failures of the server, or of the way to it, that another attempt there would meet as well.
_LASTING: Final[frozenset[str]] = frozenset({"tls", "timeout_total", "bad_content_type", "not_found"})

#: What tells about the server, and may be another one's strength. A refusal (429, 401) is about a quota or a key; all
#: others are about the request, or about this side of the line.
SERVERS_FAULT: Final[frozenset[str]] = RETRYABLE - {"rate_limited", "worker_lost"} | _LASTING

_TYPE_OF_STATUS: Final[dict[int, ErrorType]] = {
    401: "auth",
    403: "auth",
    404: "not_found",
    408: "server_error",
    409: "server_error",
    413: "too_large",
    429: "rate_limited",
}


def error_type_of_status(http_status: int) -> ErrorType:
    """Name the error type of an HTTP status outside 2xx.

    408 (request timeout) and 409 (conflict) are `server_error`: they are the only 4xx besides 429 that another attempt
    may mend. A redirect (3xx) is `bad_request`, because redirects are not followed: the address is wrong.
    """
    if http_status >= 500:  # noqa: PLR2004 - the lower edge of 5xx
        return "server_error"
    return _TYPE_OF_STATUS.get(http_status, "bad_request")


class BenchError(Exception):
    """The base of every error that this program raises on purpose."""


class ConfigError(BenchError):
    """Wrong usage or configuration, found before anything was sent.

    Args:
        message: What was wrong, the value got and what is allowed.
        hint: What to do next, or an empty string.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Show the message and, on a line of its own, the hint."""
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class WorkloadError(ConfigError):
    """The source of tasks cannot be used; the message names the file and the line."""


class RunError(BenchError):
    """A run cannot start or had to stop after it began."""


class JournalError(RunError):
    """A record cannot be written or read."""


class EndpointError(RunError):
    """A server that the run starts for itself did not come up."""


class WorkerError(RunError):
    """Worker processes cannot be started, or keep dying."""


class CallError(BenchError):
    """One attempt at one provider failed.

    Args:
        error_type: One of `ERROR_TYPES`.
        message: What happened, in one sentence, without secrets.
        http_status: The status of the answer, or None where there was none.
        retry_after_s: The server's Retry-After in seconds from now, or None.
    """

    def __init__(
        self, error_type: ErrorType, message: str, http_status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(error_type, message, http_status, retry_after_s)
        self.error_type = error_type
        self.message = message
        self.http_status = http_status
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        """Show the type and the message."""
        return f"{self.error_type}: {self.message}"

    @property
    def retryable(self) -> bool:
        """Whether another attempt may mend it."""
        return self.error_type in RETRYABLE


class ServiceError(BenchError):
    """A task of the streaming service has no result for its client.

    Args:
        code: For programs: what the service says, or one of `ERROR_TYPES`.
        message: What happened, in one sentence.
        task_id: The task, or None where the service did not take it or never said.
    """

    def __init__(self, code: str, message: str, task_id: str | None = None) -> None:
        super().__init__(code, message, task_id)
        self.code = code
        self.message = message
        self.task_id = task_id

    def __str__(self) -> str:
        """Show the code, the message and the task."""
        told = f"{self.code}: {self.message}"
        return told if self.task_id is None else f"{told} (task {self.task_id})"


class RefusedError(ServiceError):
    """The service did not take a task, and as often as that could help it was asked again."""


class TaskFailedError(ServiceError):
    """A task ended with an error; the service has tried it again as often as it does."""


class LostError(ServiceError):
    """The service is out of reach: what became of the task is not known, and it may go on."""
