"""What one call brings, collected and judged; every client feeds a Collector, so that no judgement exists twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from bench.clients._base import Reply
from bench.clients._pieces import Pieces, encodable
from bench.clock import NS_PER_S
from bench.errors import CallError

if TYPE_CHECKING:
    from bench.clients._base import Sink, Timeouts
    from bench.errors import ErrorType
    from bench.records import RateLimits, TokenSource

#: `sensitive` is BigModel's word for an answer that its audit stopped.
_FILTERED: Final = frozenset({"content_filter", "sensitive"})

#: Ends that are the server's failure: BigModel's `network_error` (inference broke off), OpenRouter's `error`.
_FAILED: Final = frozenset({"network_error", "error"})


class Collector:
    """The state of one call: fed with plain values, asked for the current time limit, and finished into a Reply.

    It has no clock: instants (`perf_counter_ns`) come with what is fed. For an answer that is not streamed no token can
    be told from another, so the limits for the first token and for silence do not apply to it; the deadline does.

    Args:
        stream: Whether a stream was asked for.
        timeouts: Limits of the attempt.
        sent_ns: When the call was handed to the client.
        deadline_ns: When the call must be over.
        reads_limits: Whether the client is to look for what the answer's head says of the provider's limits.
        sink: Takes the text as it is fed.
    """

    __slots__ = (
        "_completion_tokens",
        "_content_ns",
        "_deadline_ns",
        "_error",
        "_first_chunk_ns",
        "_headers_ns",
        "_parts",
        "_pieces",
        "_prompt_tokens",
        "_reasoning_tokens",
        "_sent_ns",
        "_stream",
        "_timeouts",
        "content_type",
        "finish_reason",
        "http_status",
        "rate_limits",
        "reads_limits",
        "server_model",
    )

    def __init__(
        self,
        *,
        stream: bool,
        timeouts: Timeouts,
        sent_ns: int,
        deadline_ns: int,
        reads_limits: bool = False,
        sink: Sink | None = None,
    ) -> None:
        self._stream = stream
        self._timeouts = timeouts
        self._sent_ns = sent_ns
        self._deadline_ns = deadline_ns
        self._headers_ns: int | None = None
        self._first_chunk_ns: int | None = None
        self._content_ns: list[int] = []
        self._parts: list[str] = []
        self._pieces = None if sink is None else Pieces(sink)
        self._prompt_tokens: int | None = None
        self._completion_tokens: int | None = None
        self._reasoning_tokens: int | None = None
        self._error: CallError | None = None
        self.http_status: int | None = None
        self.content_type = ""
        self.finish_reason: str | None = None
        self.server_model: str | None = None
        self.reads_limits = reads_limits
        self.rate_limits: RateLimits | None = None

    def __repr__(self) -> str:
        """Show how far the call has come."""
        return f"<Collector status={self.http_status} tokens={len(self._content_ns)} end={self.finish_reason}>"

    def limit(self) -> tuple[int, ErrorType]:
        """Return the instant at which the call is to be given up as things stand, and what that is called then."""
        if self._stream:
            name: ErrorType = "timeout_idle" if self._content_ns else "timeout_ttft"
            if self._content_ns:
                due_ns = self._content_ns[-1] + int(self._timeouts.idle_s * NS_PER_S)
            else:
                due_ns = self._sent_ns + int(self._timeouts.ttft_s * NS_PER_S)
            if due_ns < self._deadline_ns:
                return due_ns, name
        return self._deadline_ns, "timeout_total"

    @property
    def blind_s(self) -> float:
        """How long nobody need look at `limit`, whatever comes meanwhile, in seconds.

        Before the first token it may be far off, and nearer as soon as one comes: by the limit for silence.
        """
        return self._timeouts.idle_s if self._stream and not self._content_ns else float("inf")

    def timed_out(self) -> CallError:
        """Return the error of a call that has reached its limit."""
        due_ns, name = self.limit()
        if name == "timeout_ttft":
            return CallError(name, f"no first token within {self._timeouts.ttft_s:g} s")
        if name == "timeout_idle":
            return CallError(name, f"no further token for {self._timeouts.idle_s:g} s")
        return CallError(name, f"the deadline passed {max(0, due_ns - self._sent_ns) / NS_PER_S:.3g} s after sending")

    @property
    def hands_on(self) -> bool:
        """Whether text is handed on as it is fed, so that it is to be fed as it arrives."""
        return self._pieces is not None

    @property
    def is_event_stream(self) -> bool:
        """Whether the answer's head promises events; one without a content type is taken at its word."""
        return not self.content_type or self.content_type.startswith("text/event-stream")

    def on_head(self, now_ns: int, http_status: int, content_type: str) -> None:
        """Take the answer's head."""
        self._headers_ns = now_ns
        self.http_status = http_status
        self.content_type = content_type.strip().lower()

    def on_chunk(self, now_ns: int, content: str | None, reasoning: str | None, finish_reason: str | None) -> None:
        """Take one chunk of a stream; it counts as a token when it has content or reasoning."""
        if self._first_chunk_ns is None:
            self._first_chunk_ns = now_ns
        if content:
            self._content_ns.append(now_ns)
            self._parts.append(content)
            if self._pieces is not None:
                self._pieces.take(content)
        elif reasoning:
            self._content_ns.append(now_ns)
        if finish_reason:
            self.finish_reason = finish_reason

    def on_chunks(self, first_ns: int, content_ns: list[int], texts: list[str], finish_reason: str | None) -> None:
        """Take chunks, the first of which came at `first_ns`: when those came that count as a token, and the texts."""
        if self._first_chunk_ns is None:
            self._first_chunk_ns = first_ns
        self._content_ns += content_ns
        self._parts += texts
        if self._pieces is not None:
            for text in texts:
                self._pieces.take(text)
        if finish_reason:
            self.finish_reason = finish_reason

    def on_answer(self, content: str | None, finish_reason: str | None) -> None:
        """Take a whole answer that was not streamed."""
        if content:
            self._parts.append(content)
            if self._pieces is not None:
                self._pieces.take(content)
        self.finish_reason = finish_reason or None

    def on_usage(self, prompt_tokens: object, completion_tokens: object, reasoning_tokens: object) -> None:
        """Take the server's count of tokens; what is no count is left out. A later count replaces an earlier one."""
        # A bool is no count. Three lines instead of a function: this is asked of every answer.
        if type(prompt_tokens) is int and prompt_tokens >= 0:
            self._prompt_tokens = prompt_tokens
        if type(completion_tokens) is int and completion_tokens >= 0:
            self._completion_tokens = completion_tokens
        if type(reasoning_tokens) is int and reasoning_tokens >= 0:
            self._reasoning_tokens = reasoning_tokens

    def fail(self, error: CallError) -> None:
        """Take the reason why the call broke off; the first one stands."""
        if self._error is None:
            self._error = error

    def finish(
        self, end_ns: int, *, cancelled: bool = False, connect_ns: int | None = None, parse_ns: int | None = None
    ) -> Reply:
        """Judge what there is.

        Args:
            end_ns: When the client was done with the call.
            cancelled: Whether the run gave the call up; an answer that was whole by then stays one.
            connect_ns: Duration of making the connection, or None.
            parse_ns: Duration of parsing, where the client does it apart.
        """
        if self._pieces is not None:
            self._pieces.end()
        error = self._verdict()
        cancelled = cancelled and error is not None
        if cancelled:
            error = CallError("cancelled", "given up because the run was cancelled", self.http_status)
        completion_tokens, token_source = self._tokens()
        reply = Reply(
            sent_ns=self._sent_ns,
            end_ns=end_ns,
            http_status=self.http_status,
            content=encodable("".join(self._parts)) or None,
            finish_reason=self.finish_reason and encodable(self.finish_reason),
            prompt_tokens=self._prompt_tokens,
            completion_tokens=completion_tokens,
            reasoning_tokens=self._reasoning_tokens,
            token_source=token_source,
            server_model=self.server_model and encodable(self.server_model),
            headers_ns=self._headers_ns,
            first_chunk_ns=self._first_chunk_ns,
            content_ns=tuple(self._content_ns),
            connect_ns=connect_ns,
            parse_ns=parse_ns,
        )
        # What few replies have comes after: a call with more than 15 names is made by way of a dictionary.
        if error is None and self.rate_limits is None:
            return reply
        return replace(reply, error=error, cancelled=cancelled, rate_limits=self.rate_limits)

    def _verdict(self) -> CallError | None:
        """Say why what there is is not a whole answer, or None if it is one."""
        if (error := self._error) is not None:
            http_status = error.http_status or self.http_status
            return CallError(error.error_type, error.message, http_status, error.retry_after_s)
        wrong = self._wrong()
        return None if wrong is None else CallError(*wrong, self.http_status)

    def _wrong(self) -> tuple[ErrorType, str] | None:
        """Name what is wrong with an answer that came to its end, or None if nothing is."""
        reason = self.finish_reason
        if reason is None and self._stream and self._first_chunk_ns is None:
            return "empty", "the stream ended without a chunk"
        if reason is None:
            return "truncated", "the answer ended without a finish reason"
        if reason in _FILTERED:
            return "content_filter", f"the provider's filter stopped the answer (finish reason {reason})"
        if reason in _FAILED:
            return "error_in_200", f"the provider broke the answer off (finish reason {reason})"
        if not self._parts:
            return "empty", f"the answer has no text (finish reason {encodable(reason)!r})"
        return None

    def _tokens(self) -> tuple[int | None, TokenSource | None]:
        """Return the answer's tokens and who counted them; without the server's count a chunk is taken for a token."""
        if self._completion_tokens is not None:
            return self._completion_tokens, "server"
        if self._content_ns:
            return len(self._content_ns), "estimated"
        return None, None if self._prompt_tokens is None else "server"
