"""What the service counts, in Prometheus's format: how it stands as it is asked, and what went by since its start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client.metrics_core import Metric
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from bench.service.desk import Desk
    from bench.service.values import PoolView, ProviderView, ServiceView

_PREFIX: Final = "service"

#: From a cached answer to one that a reasoning model thinks about.
_WAITS_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)

#: Where a request went whose address is none of the service's: they may be any number.
_UNKNOWN: Final = "unknown"


class Metrics:
    """The service's metrics.

    Args:
        desk: What does the work.
    """

    def __init__(self, desk: Desk) -> None:
        # When each counter was made tells nobody anything: all are as old as the service.
        disable_created_metrics()  # type: ignore[no-untyped-call] # the library has no types there
        self._registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self._registry)
        self._registry.register(_Standing(desk))
        self._requests = Counter(
            "requests",
            "Requests that were answered, by the address's pattern, method and status.",
            ("address", "method", "status"),
            namespace=_PREFIX,
            registry=self._registry,
        )
        self._first_text = Histogram(
            "first_text_seconds",
            "From a request to the first piece of its text, where there was one.",
            ("path",),
            namespace=_PREFIX,
            buckets=_WAITS_S,
            registry=self._registry,
        )

    def answer(self, accept: str) -> Response:
        """Return all of them, in the format that a client takes."""
        encode, kind = choose_encoder(accept)
        return Response(encode(self._registry), headers={"Content-Type": kind, "Cache-Control": "no-store"})

    def answered(self, address: str | None, method: str, status: int) -> None:
        """Count a request."""
        self._requests.labels(address or _UNKNOWN, method, status).inc()

    def first_text(self, path: str, wait_s: float) -> None:
        """Count how long the first text of a task took."""
        self._first_text.labels(path).observe(wait_s)


class Counted:
    """Counts requests by their answers.

    Args:
        app: The application behind it.
        metrics: What counts.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; see ASGI."""

        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = scope.get("route")
                self._metrics.answered(getattr(route, "path", None), scope["method"], message["status"])
            await send(message)

        await self._app(scope, receive, counting)


class _Standing(Collector):
    """How the service stands at the instant at which it is asked."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; what was not measured is left out."""
        view = self._desk.status()
        yield from _of_service(view)
        yield from _of_pools(view.pools)
        yield from _of_providers(view.providers)


def _of_service(view: ServiceView) -> Iterator[Metric]:
    info = GaugeMetricFamily(f"{_PREFIX}_info", "Which version serves.", labels=["version"])
    info.add_metric([view.version], 1)
    yield info
    yield _gauge("uptime_seconds", "Time since the start.", view.uptime_s)
    yield _gauge("closing", "1 where nothing new is taken any more.", float(view.closing))
    yield _gauge("readers", "Open streams.", view.readers)
    yield _gauge("journal_bytes", "Size of this start's records.", view.journal_bytes)
    tasks = GaugeMetricFamily(f"{_PREFIX}_tasks", "Tasks that are known, by state.", labels=["state"])
    ended = CounterMetricFamily(f"{_PREFIX}_tasks_ended", "Tasks that have ended, by state.", labels=["state"])
    for family, counts in ((tasks, view.tasks), (ended, view.ended)):
        for state, count in counts.items():
            family.add_metric([state], count)
        yield family


def _of_pools(pools: Iterable[PoolView]) -> Iterator[Metric]:
    told = [(pool.name, pool) for pool in pools]
    yield _gauges("pool_slots", "How much a pool does at once.", "pool", ((name, each.slots) for name, each in told))
    yield _gauges("pool_busy", "How much it is doing.", "pool", ((name, each.busy) for name, each in told))
    yield _gauges("pool_queue_size", "How many may wait.", "pool", ((name, each.queue_size) for name, each in told))
    yield _gauges("pool_queued", "How many wait.", "pool", ((name, each.queued) for name, each in told))
    waits = ((name, each.mean_wait_s) for name, each in told)
    yield _gauges("pool_mean_wait_seconds", "How long the last ones waited.", "pool", waits)
    services = ((name, each.mean_service_s) for name, each in told)
    yield _gauges("pool_mean_service_seconds", "How long the last ones took.", "pool", services)
    rejected = CounterMetricFamily(f"{_PREFIX}_pool_rejected", "Refused because it was full.", labels=["pool"])
    timed_out = CounterMetricFamily(f"{_PREFIX}_pool_timed_out", "Given up, their time being over.", labels=["pool"])
    for name, each in told:
        rejected.add_metric([name], each.rejected)
        timed_out.add_metric([name], each.timed_out)
    yield from (rejected, timed_out)


def _of_providers(routes: Iterable[ProviderView]) -> Iterator[Metric]:
    labels = ["provider", "key"]
    in_flight = GaugeMetricFamily(f"{_PREFIX}_provider_in_flight", "Calls under way.", labels=labels)
    limit = GaugeMetricFamily(f"{_PREFIX}_provider_limit", "How many calls may be under way now.", labels=labels)
    resting = GaugeMetricFamily(f"{_PREFIX}_provider_resting_seconds", "How long it gets no calls.", labels=labels)
    for each in routes:
        route = [each.provider, str(each.key + 1)]
        in_flight.add_metric(route, each.in_flight)
        limit.add_metric(route, each.limit)
        resting.add_metric(route, each.resting_until_s or 0.0)
    yield from (in_flight, limit, resting)


def _gauge(name: str, text: str, value: float | None) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{_PREFIX}_{name}", text, value=value)


def _gauges(name: str, text: str, label: str, values: Iterable[tuple[str, float | None]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"{_PREFIX}_{name}", text, labels=[label])
    for labelled, value in values:
        if value is not None:
            family.add_metric([labelled], value)
    return family
