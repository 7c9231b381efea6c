"""The service's own description (OpenAPI), with the schemas of what it really answers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, get_args

import msgspec
from fastapi.openapi.utils import get_openapi

from bench.service.answers import Health, Pools
from bench.service.problems import REASONS, ProblemBody
from bench.service.values import EventName, ServiceView, TaskView

if TYPE_CHECKING:
    from fastapi import FastAPI

_ANSWERS: Final = (TaskView, ServiceView, Pools, Health, ProblemBody)
_REFERENCE: Final = "#/components/schemas/{name}"

#: What may be answered to any request, before its address is even looked at.
_ANYWHERE: Final = (400, 401, 405, 408, 413, 421, 429, 431, 500)

_RETRY_AFTER: Final = {
    "Retry-After": {"description": "seconds until it is worth trying again", "schema": {"type": "integer"}}
}

#: One event of a stream.
_EVENT: Final = {
    "type": "object",
    "required": ["id", "event", "data"],
    "properties": {
        "id": {"type": "string", "pattern": "^[0-9]+$", "description": "its number, from 1"},
        "event": {"enum": list(get_args(EventName))},
        "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": {"type": "object"}},
    },
}

_ABOUT: Final = """\
Texts are written by a language model and streamed while they are.

A stream is made of server-sent events, each with an id, counted from 1: `start` (task_id, position in the queue),
`chunk` (text), `progress`, and at the end either `complete` (finish_reason, usage, timings) or `error` (code, message,
retryable). A task ends with its last reader: it is cancelled, and its call closed. One whose request had an
`Idempotency-Key` waits for its client to come back, as long as `start` says (reconnect_grace_s): a stream that broke
off goes on at `/tasks/{task_id}/stream` with the header `Last-Event-ID`. `.../stream` begins at once or is refused;
`.../stream/async` waits for one of few slots, and is refused where the queue is full. What is not done is said as
`{"error": {"code", "message"}}`.
"""


def described(answer: type[msgspec.Struct], description: str) -> dict[str, Any]:
    """Return how an answer of one of our records is told."""
    return _content(description, "application/json", schema=_reference(answer))


def text_described(description: str) -> dict[str, Any]:
    """Return how an answer that is plain text is told."""
    return _content(description, "text/plain", schema={"type": "string"})


def stream_described() -> dict[str, Any]:
    """Return how a stream is told, and which operations its task's id is for."""
    task = {"parameters": {"task_id": "$response.header.X-Task-Id"}}
    return {
        **_content("the task's events, as they come", "text/event-stream", itemSchema=_EVENT),
        "headers": {
            "X-Task-Id": {"description": "the task's id", "schema": {"type": "string"}},
            "X-Execution": {"description": "how it is done", "schema": {"enum": ["direct", "pool"]}},
        },
        "links": {
            operation: {"operationId": operation, **task} for operation in ("task_status", "task_stream", "task_cancel")
        },
    }


def problems_described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return how an operation's problems are told: those named, and those that any request may meet."""
    told: dict[int | str, dict[str, Any]] = {}
    for status in sorted({*statuses, *_ANYWHERE}):
        told[status] = _content(REASONS[status], "application/json", schema=_reference(ProblemBody))
        if status in {429, 503}:
            told[status]["headers"] = _RETRY_AFTER
    return told


def _content(description: str, media_type: str, **schema: object) -> dict[str, Any]:
    return {"description": description, "content": {media_type: schema}}


def _reference(record: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(name=record.__name__)}


def describe(app: FastAPI, *, needs_token: bool) -> None:
    """Have an application tell its description.

    Args:
        app: The application, with all its addresses.
        needs_token: Whether requests have to bring a token.
    """

    def description() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _complete(app, needs_token=needs_token)
        return app.openapi_schema

    app.openapi = description  # type: ignore[method-assign] # the documented way


def _complete(app: FastAPI, *, needs_token: bool) -> dict[str, Any]:
    told = get_openapi(title=app.title, version=app.version, description=_ABOUT, routes=app.routes)
    components = told["components"]
    _, schemas = msgspec.json.schema_components(_ANSWERS, ref_template=_REFERENCE)
    components["schemas"].update({name: _explained(schema) for name, schema in schemas.items()})
    if needs_token:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        told["security"] = [{"token": []}]
        told["paths"]["/health"]["get"]["security"] = []
    return told


def _explained(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a record's schema with what its docstring says of each field at that field."""
    summary, _, attributes = schema.get("description", "").partition("\n\n")
    for name, field in schema.get("properties", {}).items():
        # An attribute's text goes on as long as its lines are indented deeper.
        said = re.search(rf"^ {{8}}{name}: (.+(?:\n {{9}}.+)*)", attributes, re.MULTILINE)
        if said is not None:
            field["description"] = " ".join(said[1].split())
    return {**schema, "description": summary}
