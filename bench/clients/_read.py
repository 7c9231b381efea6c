"""The SDK's objects read into a Collector. The SDK checks no types, so that any field may be missing or anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.errors import CallError

if TYPE_CHECKING:
    from bench.clients._collect import Collector
    from bench.clients._translate import Translator

#: What reading a field of the wrong kind raises.
_WRONG_FORM = (AttributeError, TypeError, LookupError)


def take_chunk(chunk: Any, collector: Collector, now_ns: int) -> None:  # noqa: ANN401 - see the module
    """Feed one chunk of a stream, which came at `now_ns`.

    Raises:
        CallError: It has not the form of a chunk.
    """
    try:
        if choices := chunk.choices:
            choice = choices[0]
            delta = choice.delta
            collector.on_chunk(now_ns, _text(delta.content), _reasoning(delta), _text(choice.finish_reason))
        else:
            collector.on_chunk(now_ns, None, None, None)
        _take_model(chunk, collector)
        if usage := chunk.usage:
            _take_usage(usage, collector)
    except _WRONG_FORM as error:
        raise CallError("bad_sse", f"a chunk that has not the form of a chat completion's: {error}") from error


def take_answer(answer: Any, collector: Collector, translator: Translator) -> None:  # noqa: ANN401 - see the module
    """Feed an answer that was not streamed.

    Raises:
        CallError: It is no answer.
    """
    if isinstance(answer, str):
        raise translator.not_an_answer(collector.content_type, answer, "JSON")
    try:
        if answer.choices is None:
            raise translator.in_200(answer.model_extra)
        if not answer.choices:
            raise CallError("empty", "the answer has no choices")
        choice = answer.choices[0]
        collector.on_answer(_text(choice.message.content), _text(choice.finish_reason))
        _take_model(answer, collector)
        if usage := answer.usage:
            _take_usage(usage, collector)
    except _WRONG_FORM as error:
        raise CallError("bad_content_type", f"JSON that has not the form of a chat completion: {error}") from error


def not_a_stream(body: bytes, collector: Collector, translator: Translator) -> CallError:
    """Word the body of an answer that is no stream although one was asked for."""
    return translator.not_an_answer(collector.content_type, body.decode(errors="replace"), "text/event-stream")


def _take_usage(usage: Any, collector: Collector) -> None:  # noqa: ANN401 - see the module
    details = usage.completion_tokens_details
    collector.on_usage(usage.prompt_tokens, usage.completion_tokens, details.reasoning_tokens if details else None)


def _take_model(said: Any, collector: Collector) -> None:  # noqa: ANN401 - see the module
    """Note who answers; not every server says so."""
    if isinstance(model := getattr(said, "model", None), str) and model:
        collector.server_model = model


def _reasoning(delta: Any) -> str | None:  # noqa: ANN401 - see the module
    """Return a delta's reasoning: not among the SDK's fields, and named differently from provider to provider."""
    extra = delta.model_extra
    return _text(extra.get("reasoning_content") or extra.get("reasoning")) if extra else None


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise TypeError(f"{type(value).__name__} where text belongs")
