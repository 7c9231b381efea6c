"""The same spans over OTLP, to a receiver that decodes them."""

from __future__ import annotations

import json
import threading
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from bench.errors import ConfigError
from bench.tracing.destination import destination
from bench.tracing.follow import Wanted, push_traces
from bench.tracing.push import Patience
from tests.samples import failed_attempt, make_attempt, make_result
from tests.tracing_runs import wanted_ids, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.tracing.outcome import Outcome

RUN_ID = "20261122T030506Z-asyncio-0a1b"
KEY = "otlp-kanarie-0123456789"


@dataclass
class Collector:
    """What came, by span id, and how requests are answered."""

    url: str = ""
    status: int = 200
    spans: dict[bytes, Span] = field(default_factory=dict)
    bodies: list[bytes] = field(default_factory=list)
    services: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    paths: set[str] = field(default_factory=set)

    def take(self, body: bytes) -> None:
        """Take in a request."""
        self.bodies.append(body)
        for part in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.services |= {each.value.string_value for each in part.resource.attributes}
            self.spans |= {span.span_id: span for scope in part.scope_spans for span in scope.spans}


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector on loopback."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_POST(self) -> None:
            """Take spans in, or refuse them."""
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.paths.add(self.path)
            collector.keys.add(self.headers.get("x-key", ""))
            if collector.status == 200:
                collector.take(body)
            self.send_response(collector.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()


def run_in(folder: Path) -> Path:
    """A run with a task whose second call succeeded."""
    folder.mkdir(exist_ok=True)
    attempts = (
        failed_attempt(sent_s=0.0, end_s=1.0, http_status=500),
        make_attempt(sent_s=1.5, first_content_s=1.75, end_s=2.0, wait_before_s=0.5),
    )
    result = make_result(0, task_id="0-i0-v0", attempts=attempts, scheduled_s=0.0, started_s=0.0, ended_s=2.0)
    return write(folder / "run", [result], tasks=1)


def push(run: Path, collector: Collector, **more: str) -> Outcome:
    """Send what is missing."""
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_EXPORTER_OTLP_HEADERS": f"x-key={KEY}", **more}
    to = destination(environ, "otlp")
    assert to is not None
    return push_traces(run, Wanted(to=to, patience=Patience(first_wait_s=0.01)))


def attributes(span: Span) -> dict[str, Any]:
    """The attributes of a span."""
    return {each.key: getattr(each.value, str(each.value.WhichOneof("value"))) for each in span.attributes}


def test_tree_and_names(tmp_path: Path, collector: Collector) -> None:
    """Each span arrives once under its parent with the times of its record; a call has the conventions' attributes."""
    run = run_in(tmp_path)
    outcome = push(run, collector)
    assert (outcome.is_whole, outcome.traces_sent, outcome.url) == (True, 1, None)
    assert push(run, collector).is_whole
    assert len(collector.bodies) == 2, "a task and its root, and nothing twice"
    assert (collector.paths, collector.keys, collector.services) == ({"/v1/traces"}, {KEY}, {"concurrent_bigmodel"})
    wanted = wanted_ids(run, RUN_ID)
    assert len(wanted) == 4
    assert {uuid.UUID(each).bytes[8:] for each in wanted} == set(collector.spans)
    (root,) = (each for each, (parent, _, _) in wanted.items() if parent is None)
    for each, (parent, start_s, end_s) in wanted.items():
        span = collector.spans[uuid.UUID(each).bytes[8:]]
        assert span.trace_id == uuid.UUID(root).bytes
        assert span.parent_span_id == (uuid.UUID(parent).bytes[8:] if parent else b"")
        if parent:
            assert span.end_time_unix_nano - span.start_time_unix_nano == round((end_s - start_s) * 1e9)
    failed, ok = sorted(
        (span for span in collector.spans.values() if span.kind == Span.SPAN_KIND_CLIENT),
        key=lambda span: span.start_time_unix_nano,
    )
    found = attributes(ok)
    assert ok.name == f"chat {found['gen_ai.request.model']}"
    assert found["gen_ai.operation.name"] == "chat"
    assert found["gen_ai.provider.name"]
    assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"]) == (5, 10)
    assert found["gen_ai.response.time_to_first_chunk"] == 0.25
    assert failed.status.code == Status.STATUS_CODE_ERROR
    assert attributes(failed)["http.response.status_code"] == 500
    assert attributes(failed)["error.type"]


def test_content_is_asked_for(tmp_path: Path, collector: Collector) -> None:
    """Prompts and answers leave where OpenTelemetry's variable says so, and not else; no key does."""
    push(run_in(tmp_path / "silent"), collector)
    assert not [body for body in collector.bodies if b"question" in body or b"an answer" in body]
    push(run_in(tmp_path / "told"), collector, OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="true")
    said = [attributes(span) for span in collector.spans.values() if "gen_ai.output.messages" in attributes(span)]
    assert [json.loads(each["gen_ai.input.messages"])[0]["parts"][0]["content"] for each in said] == ["question 0"]
    assert [json.loads(each["gen_ai.output.messages"])[0]["parts"][0]["content"] for each in said] == ["an answer"]
    assert not [body for body in collector.bodies if KEY.encode() in body]


def test_refused(tmp_path: Path, collector: Collector) -> None:
    """A collector that lets nobody in is asked once, and what is missing is counted with the reason."""
    collector.status = 401
    outcome = push(run_in(tmp_path), collector)
    assert (outcome.traces_sent, outcome.traces_failed) == (0, 1)
    assert outcome.reason == "it answers 401: the key is not accepted"


def test_addresses() -> None:
    """Without variables it is the collector on this machine; one elsewhere is not spoken to over plain http."""
    to = destination({}, "otlp")
    assert to is not None
    assert to.endpoint == "http://localhost:4318/v1/traces"
    with pytest.raises(ConfigError, match="plain http to collector"):
        destination({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, "otlp")
