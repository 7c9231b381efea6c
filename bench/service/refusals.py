"""Why the service does not do what it is asked; each becomes an answer that says so, and ends there.

```
DeskError
├── Refused            not now: come back after `retry_after_s`
│   ├── Full           the queue is full, or as many streams are open as may be
│   └── Closing        the service is about to end, or cannot keep records any more
├── Conflict           the idempotency key names another wish
└── EventsGone         the events that were asked for are not kept any more
```
"""

from __future__ import annotations


class DeskError(Exception):
    """The service does not do what it was asked."""


class Refused(DeskError):  # noqa: N818 - read as what became of it
    """A wish was not accepted; another time it may be.

    Args:
        message: Why, in one sentence.
        retry_after_s: When it is worth coming back, in whole seconds from now, at least 1.
    """

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message, retry_after_s)
        self.message = message
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        """Show why, and when to come back."""
        return f"{self.message}; come back in {self.retry_after_s} s"


class Full(Refused):
    """There is no place left."""


class Closing(Refused):
    """Nothing new is accepted any more."""


class Conflict(DeskError):  # noqa: N818 - read as what there is
    """The same idempotency key came with another wish."""


class EventsGone(DeskError):  # noqa: N818 - read as what has happened
    """The events after a number are not kept any more; how the task stands is still told."""
