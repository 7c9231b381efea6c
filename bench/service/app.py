"""What the service answers at which address."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

from fastapi import FastAPI, Header
from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotations of what it calls
from starlette.responses import Response

from bench.service.answers import Health, Pools, answer_problems, json_answer
from bench.service.bodies import TaskBody, wish_of
from bench.service.description import describe, described, problems_described, stream_described, text_described
from bench.service.following import ADDRESSES, ENDINGS
from bench.service.pages import page_files
from bench.service.problems import Problem
from bench.service.refusals import Closing, Conflict, EventsGone, Full
from bench.service.streams import EventStream
from bench.service.values import Expired, Kind, Path, ServiceView, TaskView

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from fastapi.telemetry import TelemetryConfig

    from bench.service.desk import Desk
    from bench.service.metrics import Metrics
    from bench.service.values import Wish

    _Endpoint = Callable[..., Awaitable[Response]]

#: Why a task may not be begun.
_BEGINNING: Final = (409, 410, 422, 429, 503)

#: What `X-Execution` says of a path.
_EXECUTION: Final[dict[Path, str]] = {"direct": "direct", "pooled": "pool"}

#: Whatever the environment says: what is asked here is sent to its provider and nowhere else.
_NO_TELEMETRY: Final[TelemetryConfig] = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}

_MAX_EVENTS: Final = 2**63 - 1

_IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=128,
        pattern=r"^[!-~]+$",
        description=(
            "names the request: sent again with it, the same body is not done twice; and its task waits for its client "
            "to come back when the connection breaks"
        ),
    ),
]
_LastEventId = Annotated[
    int, Header(alias="Last-Event-ID", ge=0, le=_MAX_EVENTS, description="id of the last event that has arrived")
]


def make_app(desk: Desk, metrics: Metrics, *, needs_token: bool) -> FastAPI:
    """Return the application.

    Args:
        desk: What does the work.
        metrics: What counts it.
        needs_token: Whether requests have to bring a token, for the description.
    """
    app = FastAPI(
        title="Streaming service",
        version=desk.status().version,
        # The pages for it would load their code from elsewhere.
        docs_url=None,
        redoc_url=None,
        telemetry=_NO_TELEMETRY,
    )
    for address in _addresses(_Endpoints(desk, metrics)):
        _add(app, address)
    for path, file in page_files().items():
        app.add_api_route(path, _sent(file), include_in_schema=False)
    answer_problems(app)
    describe(app, needs_token=needs_token)
    return app


class _Address(NamedTuple):
    """One operation: what answers where, and how it is described."""

    method: str
    path: str
    endpoint: _Endpoint
    operation: str
    summary: str
    answer: dict[str, Any]
    problems: tuple[int, ...] = ()


def _addresses(endpoints: _Endpoints) -> Iterator[_Address]:
    stream, view = stream_described(), described(TaskView, "how it stands")
    for kind, address in ADDRESSES.items():
        for path, ending in ENDINGS.items():
            when = "as soon as a slot is free" if path == "pooled" else "at once"
            begin = endpoints.beginning(kind, path)
            summary = f"{kind.capitalize()}, {when}"
            yield _Address("POST", address + ending, begin, f"{kind}_{path}", summary, stream, _BEGINNING)
    task, missing = "/tasks/{task_id}", (404, 410, 422)
    yield _Address(
        "GET",
        f"{task}/stream",
        endpoints.follow,
        "task_stream",
        "Follow a task from where it broke off",
        stream,
        missing,
    )
    yield _Address("GET", f"{task}/status", endpoints.task_status, "task_status", "How a task stands", view, missing)
    yield _Address("DELETE", task, endpoints.cancel, "task_cancel", "Cancel a task that has not ended", view, missing)
    pools, status = described(Pools, "how they stand"), described(ServiceView, "how it stands")
    yield _Address("GET", "/system/pools", endpoints.pools, "system_pools", "The pools of slots", pools)
    yield _Address("GET", "/system/status", endpoints.status, "system_status", "The service", status)
    metrics = text_described("in Prometheus's text format")
    yield _Address("GET", "/metrics", endpoints.metrics, "metrics", "Counters and gauges", metrics)
    health = described(Health, "it takes tasks")
    yield _Address("GET", "/health", endpoints.health, "health", "Whether it takes tasks", health, (503,))


def _add(app: FastAPI, address: _Address) -> None:
    app.add_api_route(
        address.path,
        address.endpoint,
        methods=[address.method],
        status_code=200,
        response_class=Response,
        responses={200: address.answer, **problems_described(*address.problems)},
        operation_id=address.operation,
        summary=address.summary,
    )


class _Endpoints:
    """The answers, an address each."""

    def __init__(self, desk: Desk, metrics: Metrics) -> None:
        self._desk = desk
        self._metrics = metrics

    def beginning(self, kind: Kind, path: Path) -> _Endpoint:
        """Return what takes a new task of a kind."""

        async def begin(body: TaskBody, idempotency_key: _IdempotencyKey = None) -> Response:
            return self._begun(wish_of(body, kind=kind, path=path, idempotency_key=idempotency_key))

        return begin

    def _begun(self, wish: Wish) -> Response:
        """Begin a task, or say why not before anything is sent."""
        try:
            submitted = self._desk.submit(wish)
        except Full as full:
            raise Problem(
                429,
                f"every place of the {wish.path} tasks is taken; ask again after Retry-After",
                code="full",
                retry_after_s=full.retry_after_s,
            ) from None
        except Conflict:
            raise Problem(409, "this Idempotency-Key was used for another body; take a new one") from None
        except Closing as closing:
            raise _closing(closing.retry_after_s) from None
        if submitted.again:
            return self._stream(submitted.task_id, after=0)
        return self._stream(submitted.task_id, after=0, first_text=partial(self._metrics.first_text, wish.path))

    async def follow(self, task_id: str, last_event_id: _LastEventId = 0) -> Response:
        """Follow a task from the event after the last that has arrived."""
        return self._stream(task_id, after=last_event_id)

    def _stream(self, task_id: str, *, after: int, first_text: Callable[[float], None] | None = None) -> EventStream:
        view = _known(self._desk.view(task_id))
        try:
            events = self._desk.events(task_id, after)
        except EventsGone:
            raise Problem(
                410, "its events are not kept any more; its state is at /tasks/{id}/status", code="events_gone"
            ) from None
        headers = {"X-Task-Id": task_id, "X-Execution": _EXECUTION[view.path]}
        return EventStream(events, headers, first_text=first_text)

    async def task_status(self, task_id: str) -> Response:
        """Say how a task stands; neither its prompt nor its answer is told here."""
        return json_answer(_known(self._desk.view(task_id)))

    async def cancel(self, task_id: str) -> Response:
        """Cancel a task, with its call to the provider."""
        return json_answer(_known(self._desk.cancel(task_id)))

    async def pools(self) -> Response:
        """Say how the pools of slots stand."""
        return json_answer(Pools(pools=tuple(self._desk.pools())))

    async def status(self) -> Response:
        """Say how the service stands."""
        return json_answer(self._desk.status())

    async def metrics(self, request: Request) -> Response:
        """Give what is counted, in the format that the client takes."""
        return self._metrics.answer(request.headers.get("accept", ""))

    async def health(self) -> Response:
        """Say whether new tasks are taken."""
        if self._desk.status().closing:
            raise _closing(1)
        return json_answer(Health(status="ok"))


def _known(view: TaskView | Expired | None) -> TaskView:
    """Return a task, or say that there is none."""
    if view is None:
        raise Problem(404, "there is no such task; ids are in the header X-Task-Id and in a stream's first event")
    if isinstance(view, Expired):
        raise Problem(410, "the task ended too long ago; nothing is kept of it any more")
    return view


def _closing(retry_after_s: int) -> Problem:
    return Problem(503, "the service is being stopped; another start takes new tasks", retry_after_s=retry_after_s)


def _sent(file: Response) -> _Endpoint:
    async def send() -> Response:
        return file

    return send
