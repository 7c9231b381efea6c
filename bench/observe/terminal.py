"""Standard error as a run uses it: a live display or plain lines, and warnings; a broken one stops nothing."""

from __future__ import annotations

import contextlib
import io
import os
from typing import TYPE_CHECKING, TextIO

from rich.cells import cell_len
from rich.console import Console, ConsoleDimensions

if TYPE_CHECKING:
    from rich.text import Text


class SafeStream(io.TextIOBase):
    """Writes to a text stream and never raises: what cannot be written is lost, and after a broken pipe everything is.

    It writes to the file descriptor, past Python's own buffer: what is left in that after a failed write is tried again
    when the interpreter exits, which then complains and changes the exit code.

    Args:
        stream: Where to write, or None where there is nothing (a process started with a closed descriptor).
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._fd: int | None = None
        if stream is None:
            return
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
            self._fd = stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override] # the base class has it writable, no one writes it
        """The encoding of the stream."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    @property
    def fd(self) -> int | None:
        """The file descriptor, or None where there is none."""
        return self._fd

    def isatty(self) -> bool:
        """Whether a person may be looking."""
        try:
            return self._stream is not None and self._stream.isatty()
        except ValueError:
            return False

    def writable(self) -> bool:
        """Whether it may be written to, as a file object says it: always."""
        return True

    def write(self, text: str, /) -> int:
        """Write the text as far as that is possible; a character that the encoding lacks becomes `?`."""
        data = _encoded(text, self.encoding)
        try:
            if self._fd is not None:
                _write_all(self._fd, data)
            elif self._stream is not None:
                self._stream.write(data.decode(self.encoding))
                self._stream.flush()
        except BlockingIOError:
            pass  # a terminal in non-blocking mode that does not keep up: this text is lost, the next may pass
        except (OSError, ValueError):
            self._stream = self._fd = None
        return len(text)


def _encoded(text: str, encoding: str) -> bytes:
    """Encode text; what the encoding lacks becomes question marks of the same width, so that no line gets longer."""
    try:
        return text.encode(encoding)
    except UnicodeEncodeError:
        fitting = (c if c.encode(encoding, "ignore") else "?" * cell_len(c) for c in text)
        return "".join(fitting).encode(encoding)


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


class _SafeConsole(Console):
    """A rich console that asks its own stream for the size, takes no markup, and leaves the cursor alone."""

    def __init__(self, stream: SafeStream, *, force_terminal: bool | None = None) -> None:
        self._safe_stream = stream
        super().__init__(file=stream, force_terminal=force_terminal, markup=False, emoji=False, highlight=False)  # type: ignore[arg-type] # rich asks for IO[str] and uses write, flush, isatty, encoding

    @property  # type: ignore[misc] # nothing here sets a size
    def size(self) -> ConsoleDimensions:
        """The stream's own size where it has one: rich would ask standard input first, and believe COLUMNS."""
        if self._safe_stream.fd is not None:
            with contextlib.suppress(OSError):
                columns, lines = os.get_terminal_size(self._safe_stream.fd)
                if columns > 0 and lines > 0:
                    return ConsoleDimensions(columns, lines)
        return super().size

    def show_cursor(self, show: bool = True) -> bool:  # noqa: ARG002, FBT001, FBT002 - rich's signature
        """Leave the cursor as it is: a run that is killed could not bring it back."""
        return False


def output_console(stream: TextIO | None) -> Console:
    """Return a console for tables on `stream`: colours if it is a terminal, never an exception, never markup."""
    return _SafeConsole(SafeStream(stream))


class Terminal:
    """Where a run shows itself and its warnings; any thread may write.

    Args:
        stream: Standard error, or None where that is closed.

    Attributes:
        console: The console behind it.
        live: Whether it is a terminal that can redraw; otherwise it gets plain lines without control codes.
    """

    def __init__(self, stream: TextIO | None) -> None:
        safe = SafeStream(stream)
        self.live = safe.isatty() and os.environ.get("TERM", "").lower() not in {"dumb", "unknown"}
        self.console: Console = _SafeConsole(safe, force_terminal=self.live)

    def line(self, text: Text) -> None:
        """Write a line, above the live display where there is one; the text must be printable."""
        self.console.print(text, soft_wrap=True)
