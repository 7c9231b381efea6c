"""Who speaks to a destination: each is imported where it is needed, because LangSmith's client alone takes a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.tracing.destination import Destination
    from bench.tracing.push import Connection, SpanWriter
    from bench.tracing.secrets import KeyScrubber


def sink_of(to: Destination, scrub: KeyScrubber) -> tuple[Connection, SpanWriter]:
    """Return the way to a destination, and what writes spans as it takes them."""
    if to.kind == "langsmith":
        from bench.tracing.client import LangSmith  # noqa: PLC0415 - see above
        from bench.tracing.payload import Writer  # noqa: PLC0415 - see above

        return LangSmith(to), Writer(to.project, scrub)
    from bench.tracing.otlp import Otlp, OtlpWriter  # noqa: PLC0415 - see above

    return Otlp(to), OtlpWriter(to.project, scrub)
