"""Spans over OTLP/HTTP with the names of the semantic conventions for generative AI; the one file that speaks it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

import msgspec
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Status
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

from bench.tracing.answer import Answer, answer_to
from bench.tracing.payload import Operation, Part

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.records import JsonObject
    from bench.tracing.destination import Destination
    from bench.tracing.secrets import KeyScrubber
    from bench.tracing.span import Span

#: Longest waits for a connection and for an answer. Nobody waits for them but who sends.
_TIMEOUTS_S: Final = (3.0, 15.0)

_NS_PER_US: Final = 1000

#: The conventions' names of what a call may be searched by.
_OF_CALL: Final = {
    "ls_provider": "gen_ai.provider.name",
    "ls_model_name": "gen_ai.request.model",
    "ls_max_tokens": "gen_ai.request.max_tokens",
    "ls_temperature": "gen_ai.request.temperature",
    "first_token_s": "gen_ai.response.time_to_first_chunk",
    "http_status": "http.response.status_code",
    "error_type": "error.type",
}
_OF_USAGE: Final = {"input_tokens": "gen_ai.usage.input_tokens", "output_tokens": "gen_ai.usage.output_tokens"}

#: What is ours alone.
_OWN: Final = "bench."


class OtlpWriter:
    """Turns spans into requests of one span each: such requests, one after the other, are one request.

    Args:
        service: What the spans' service is called.
        scrub: Takes keys out.
    """

    def __init__(self, service: str, scrub: KeyScrubber) -> None:
        self._resource = Resource(attributes=[_pair("service.name", service)])
        self._scope = InstrumentationScope(name="concurrent_bigmodel")
        self._scrub = scrub

    def parts(self, span: Span, operation: Operation = "post") -> tuple[Part, ...]:
        """Return the part of a span; what was said before of the same one is said once more."""
        spans = [self._span(span)]
        scopes = [ScopeSpans(scope=self._scope, spans=spans)]
        request = ExportTraceServiceRequest(resource_spans=[ResourceSpans(resource=self._resource, scope_spans=scopes)])
        return (Part(f"{operation}.{span.id}", request.SerializeToString()),)

    def _span(self, span: Span) -> OtlpSpan:
        is_call = span.kind == "llm"
        model = span.metadata.get("ls_model_name")
        attributes = dict(_call(span) if is_call else _labels(span))
        clean = self._scrub.value({name: value for name, value in attributes.items() if value is not None})
        return OtlpSpan(
            trace_id=uuid.UUID(span.trace_id).bytes,
            span_id=_span_id(span.id),
            parent_span_id=b"" if span.parent_id is None else _span_id(span.parent_id),
            name=self._scrub.text(f"chat {model}" if is_call and model else span.name),
            kind=OtlpSpan.SPAN_KIND_CLIENT if is_call else OtlpSpan.SPAN_KIND_INTERNAL,
            start_time_unix_nano=span.start_us * _NS_PER_US,
            end_time_unix_nano=span.end_us * _NS_PER_US,
            attributes=[_pair(name, value) for name, value in clean.items()] if isinstance(clean, dict) else [],
            events=[OtlpSpan.Event(name=name, time_unix_nano=at_us * _NS_PER_US) for name, at_us in span.events],
            status=Status(
                code=Status.STATUS_CODE_UNSET if span.error is None else Status.STATUS_CODE_ERROR,
                message=self._scrub.text(span.error or ""),
            ),
        )


class Otlp:
    """A connection to whatever takes OTLP over HTTP; for one thread. Whoever sends decides what is tried again.

    Args:
        to: Where it is.
    """

    def __init__(self, to: Destination) -> None:
        self._to = to
        self._session = requests.Session()
        self._session.headers["Content-Type"] = "application/x-protobuf"
        self._session.headers.update({name: value.reveal() for name, value in to.headers.items()})

    def __repr__(self) -> str:
        """Show where it is."""
        return f"<Otlp {self._to.name}>"

    def post(self, parts: Sequence[Part]) -> Answer:
        """Send spans, once."""
        body = b"".join(part.data for part in parts)
        try:
            self._session.post(self._to.endpoint, data=body, timeout=_TIMEOUTS_S).raise_for_status()
        except requests.RequestException as error:
            return answer_to(error)
        return Answer(taken=True)

    def project_url(self) -> str | None:
        """Return None: where spans are looked at is not known."""
        return None


def _call(span: Span) -> Iterator[tuple[str, object]]:
    """Yield the attributes of a call, and of its messages where these may be shown."""
    yield "gen_ai.operation.name", "chat"
    yield "gen_ai.request.stream", bool(span.events) or None
    for name, theirs in _OF_CALL.items():
        yield theirs, span.metadata.get(name)
    used = span.metadata.get("usage_metadata")
    if isinstance(used, dict):
        for name, theirs in _OF_USAGE.items():
            yield theirs, used.get(name)
    for name in ("task_id", "attempt", "key", "wait_before_s"):
        yield _OWN + name, span.metadata.get(name)
    inputs, outputs = span.inputs or {}, span.outputs or {}
    if inputs:
        yield "gen_ai.input.messages", _json([_message(each) for each in _listed(inputs.get("messages"))])
    for choice in _listed(outputs.get("choices")):
        finish = choice["finish_reason"]
        yield "gen_ai.response.model", outputs.get("model")
        yield "gen_ai.response.finish_reasons", None if finish is None else [finish]
        yield "gen_ai.output.messages", _json([{**_message(choice["message"]), "finish_reason": finish}])


def _labels(span: Span) -> Iterator[tuple[str, object]]:
    """Yield what a task or an iteration may be searched by."""
    for name, value in span.metadata.items():
        yield _OWN + name, value


def _listed(value: object) -> list[dict[str, Any]]:
    return value if isinstance(value, list) else []


def _message(message: JsonObject) -> JsonObject:
    """Return a message of a chat in the conventions' form."""
    return {"role": message["role"], "parts": [{"type": "text", "content": message["content"]}]}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _span_id(span_id: str) -> bytes:
    """Return the half of an id in which no time is."""
    return uuid.UUID(span_id).bytes[8:]


def _pair(name: str, value: object) -> KeyValue:
    return KeyValue(key=name, value=_any(value))


def _any(value: object) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case list():
            return AnyValue(array_value=ArrayValue(values=[_any(each) for each in value]))
        case _:
            return AnyValue(string_value=str(value))
