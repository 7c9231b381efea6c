"""Spans as the body of a request: the multipart form that LangSmith's own client sends."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from bench.tracing.span import time_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.tracing.secrets import KeyScrubber
    from bench.tracing.span import Span

#: Where requests go, below the endpoint.
PATH: Final = "/runs/multipart"

_RUNTIME: Final = {"library": "concurrent_bigmodel", "runtime": "python"}

Operation = Literal["post", "patch"]


@dataclass(frozen=True)
class Part:
    """A part of a body: its name and its JSON."""

    name: str
    data: bytes


class Writer:
    """Turns spans into parts.

    Args:
        project: The project that they belong to.
        scrub: Takes keys out.
    """

    def __init__(self, project: str, scrub: KeyScrubber) -> None:
        self._project = project
        self._scrub = scrub

    def parts(self, span: Span, operation: Operation = "post") -> tuple[Part, ...]:
        """Return the parts of a span; a patch says the same about a span that was posted before."""
        name = f"{operation}.{span.id}"
        return tuple(
            Part(f"{name}.{each}" if each else name, self._scrub.json(value))
            for each, value in self._fields(span, operation)
        )

    def _fields(self, span: Span, operation: Operation) -> Iterator[tuple[str, object]]:
        """Yield the fields of their own with their names, the rest first."""
        yield (
            "",
            {
                "id": span.id,
                "trace_id": span.trace_id,
                "parent_run_id": span.parent_id,
                "dotted_order": span.order,
                "session_name": self._project,
                "name": span.name,
                "run_type": span.kind,
                "start_time": time_text(span.start_us),
                "end_time": time_text(span.end_us),
                "tags": span.tags,
                # What had failed and was done again has not failed.
                **({"error": None} if operation == "patch" else {}),
            },
        )
        yield "inputs", span.inputs or {}
        if span.outputs is not None:
            yield "outputs", span.outputs
        yield "events", [{"name": name, "time": time_text(at_us)} for name, at_us in span.events]
        yield "extra", {"metadata": span.metadata, "runtime": _RUNTIME}
        if span.error is not None:
            yield "error", span.error
        if span.kind == "llm":
            yield "serialized", {"name": span.name}


def body_of(parts: Sequence[Part]) -> tuple[bytes, str]:
    """Return the body with these parts, and its content type."""
    boundary = secrets.token_hex(16)
    pieces: list[bytes] = []
    for part in parts:
        pieces += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{part.name}"\r\n'
            f"Content-Type: application/json\r\nContent-Length: {len(part.data)}\r\n\r\n".encode(),
            part.data,
            b"\r\n",
        )
    pieces.append(f"--{boundary}--\r\n".encode())
    return b"".join(pieces), f"multipart/form-data; boundary={boundary}"
