"""What every log record carries, and its way from a worker process to the run's one log.

A worker process opens no log file: many writers of one file tear each other's lines. Its records travel to the parent
as bytes, whole and already rendered, and the parent feeds them to its own handlers.
"""

from __future__ import annotations

import contextlib
import html
import logging
import re
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

#: The root of this program's loggers.
OWN_LOGGER: Final = "bench"

#: Libraries whose warnings are worth keeping; below that they would log every request.
LIBRARY_LOGGERS: Final = ("aiohttp", "asyncio", "httpcore2", "httpx2", "openai", "py.warnings", "uvicorn")

#: What stands for the task on a line that belongs to none.
NO_TASK: Final = "-"

#: Shorter values are placeholders such as "x"; replacing them would garble every other word.
_SHORTEST_SECRET_CHARS: Final = 4

#: A record is evidence, not an archive: a longer message or traceback is cut.
_LONGEST_TEXT_CHARS: Final = 20_000

# A context variable has to be a module's own: it is the key under which each thread and each coroutine keeps its value.
_task_id: Final[ContextVar[str]] = ContextVar("task_id", default=NO_TASK)


class _WireRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A log record between two processes."""

    name: str
    level: int
    created_s: float
    process: int | None
    process_name: str | None
    thread_name: str | None
    task_id: str
    text: str


class task_scope:  # noqa: N801 - read as the function that it stands for
    """Name the task to which log records of this thread or coroutine belong inside the block."""

    __slots__ = ("_task_id", "_token")

    def __init__(self, task_id: str) -> None:
        self._task_id = task_id

    def __enter__(self) -> None:
        """Begin."""
        self._token = _task_id.set(self._task_id)

    def __exit__(self, *_: object) -> None:
        """End."""
        _task_id.reset(self._token)


def task_of(record: logging.LogRecord) -> str:
    """Return the id of the task that the record belongs to, or `-`; to be called in the thread that logged it."""
    return getattr(record, "task_id", None) or _task_id.get()


class Scrubber:
    """Replaces secret values by `****`, in letters of either case, percent-encoded, or escaped for HTML.

    Args:
        secrets: The exact values; one of less than four characters is left alone.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # The longest first: a secret may contain another.
        values = sorted({value for value in secrets if len(value) >= _SHORTEST_SECRET_CHARS}, key=len, reverse=True)
        forms = "|".join("".join(map(_forms, value)) for value in values)
        self._pattern = re.compile(forms, re.IGNORECASE) if values else None

    def __call__(self, text: str) -> str:
        """Return the text without the secrets."""
        return text if self._pattern is None else self._pattern.sub("****", text)


def _forms(char: str) -> str:
    """Return a pattern of what stands for a character where a server repeats it."""
    literal = re.escape(char)
    if char.isalnum():
        return literal
    encoded = "".join(f"%{byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))
    named = re.escape(html.escape(char))
    return rf"(?:{encoded}|{named}|&#0*{ord(char)};|&#x0*{ord(char):x};|\\?{literal})"


def record_text(record: logging.LogRecord, scrub: Scrubber) -> str:
    """Return a record's message, traceback and stack as one text, scrubbed, encodable and not endless; never raises."""
    try:
        text = _rendered(record)
    except Exception as exc:  # noqa: BLE001 - a log call whose arguments cannot be shown must not stop a task
        msg = record.msg if isinstance(record.msg, str) else type(record.msg).__name__
        text = f"{msg} (cannot be shown with its arguments: {type(exc).__name__})"
    text = scrub(text)
    if (beyond := len(text) - _LONGEST_TEXT_CHARS) > 0:
        text = f"{text[:_LONGEST_TEXT_CHARS]} .. ({beyond} more characters)"
    # Half of a surrogate pair cannot be written in UTF-8.
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _rendered(record: logging.LogRecord) -> str:
    text = record.getMessage()
    if record.exc_info and not record.exc_text:
        record.exc_text = logging.Formatter().formatException(record.exc_info)
    return "\n".join(part for part in (text, record.exc_text, record.stack_info) if part)


class PipeLogHandler(logging.Handler):
    """Sends each record as bytes to the parent, which calls `replay` with them.

    Args:
        send: Takes one whole record; called from any thread, one at a time. Its OSError and ValueError (the parent
            is gone, the pipe is closed) are passed over.
        secrets: Values that must not leave the process in a log record.
    """

    def __init__(self, send: Callable[[bytes], object], *, secrets: Sequence[str] = ()) -> None:
        super().__init__()
        self._send = send
        self._scrub = Scrubber(secrets)

    def emit(self, record: logging.LogRecord) -> None:
        """Send the record."""
        wire = _WireRecord(
            name=record.name,
            level=record.levelno,
            created_s=record.created,
            process=record.process,
            process_name=record.processName,
            thread_name=record.threadName,
            task_id=task_of(record),
            text=record_text(record, self._scrub),
        )
        with contextlib.suppress(OSError, ValueError):
            self._send(msgspec.msgpack.encode(wire))


def replay(record_bytes: bytes) -> None:
    """Log, in this process, a record that a `PipeLogHandler` sent; one that cannot be read becomes a warning."""
    try:
        wire = msgspec.msgpack.decode(record_bytes, type=_WireRecord)
    except msgspec.DecodeError as exc:
        logging.getLogger(OWN_LOGGER).warning("a log record from a worker process cannot be read: %s", exc)
        return
    logger = logging.getLogger(wire.name)
    if not logger.isEnabledFor(wire.level):
        return
    fields = {
        "name": wire.name,
        "msg": wire.text,
        "levelno": wire.level,
        "levelname": logging.getLevelName(wire.level),
        "created": wire.created_s,
        "process": wire.process,
        "processName": wire.process_name,
        "threadName": wire.thread_name,
        "task_id": wire.task_id,
    }
    logger.handle(logging.makeLogRecord(fields))


@contextlib.contextmanager
def logging_to(own: Sequence[logging.Handler], libraries: Sequence[logging.Handler], *, level: int) -> Iterator[None]:
    """Inside the block, send this program's records to `own`, its libraries' warnings to `libraries`; nowhere else.

    Args:
        own: Handlers for loggers below `bench`.
        libraries: Handlers for the loggers of `LIBRARY_LOGGERS`.
        level: Least severity of this program's records.
    """
    with contextlib.ExitStack() as undo:
        undo.enter_context(_routed(OWN_LOGGER, own, level))
        for name in LIBRARY_LOGGERS:
            undo.enter_context(_routed(name, libraries, logging.WARNING))
        yield


@contextlib.contextmanager
def logged_as_library(*names: str) -> Iterator[None]:
    """Inside the block, send the warnings of these loggers where those of `LIBRARY_LOGGERS` go; nowhere else."""
    handlers = logging.getLogger(LIBRARY_LOGGERS[0]).handlers or [logging.NullHandler()]
    with contextlib.ExitStack() as undo:
        for name in names:
            undo.enter_context(_routed(name, handlers, logging.WARNING))
        yield


@contextlib.contextmanager
def _routed(name: str, handlers: Sequence[logging.Handler], level: int) -> Iterator[None]:
    logger = logging.getLogger(name)
    before = (logger.level, logger.propagate, list(logger.handlers))
    logger.handlers[:] = handlers
    logger.propagate = False
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before[0])
        logger.propagate = before[1]
        logger.handlers[:] = before[2]


def keep_library_warnings_only(record: logging.LogRecord) -> bool:
    """Say whether a record may pass: a library that lowers its own level on import still gives warnings only."""
    return record.levelno >= logging.WARNING or record.name.partition(".")[0] == OWN_LOGGER


@contextlib.contextmanager
def logging_to_parent(send: Callable[[bytes], object], *, level: int, secrets: Sequence[str] = ()) -> Iterator[None]:
    """Inside the block, send what a worker process logs to its parent, as `PipeLogHandler` does."""
    handler = PipeLogHandler(send, secrets=secrets)
    handler.addFilter(keep_library_warnings_only)
    with logging_to([handler], [handler], level=level):
        yield
