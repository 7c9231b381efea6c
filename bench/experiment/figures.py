"""The numbers of one cell of an experiment, and what machine and server did meanwhile."""

from __future__ import annotations

import msgspec


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of one cell. Rates and latencies are of its steady part; None where there is none.

    Attributes:
        throughput: Successes per second, steady.
        cold_s: From the command's start to the last answer.
        tokens_per_s: Completion tokens per second, over the whole run.
        goodput: Successes per second that met all objectives, steady; `attained` is their share of all attempted.
        latency_p50_s: Quantiles of latency; ttft, tpot and icl likewise.
        success_rate: Over the whole run.
        cpu_us_per_task: The harness's CPU time per task after its start-up.
        peak_pss_mb: Most memory at once, over all its processes.
        startup_s: From the engine's start until all slots stood ready.
        first_send_s: From the command's start until the first request was sent.
        client_lag_p50_s: From the server's stamp on a first token until the client's own; null without stamps.
    """

    throughput: float | None = None
    cold_s: float | None = None
    tokens_per_s: float | None = None
    goodput: float | None = None
    attained: float | None = None
    latency_p50_s: float | None = None
    latency_p90_s: float | None = None
    latency_p95_s: float | None = None
    latency_p99_s: float | None = None
    ttft_p50_s: float | None = None
    ttft_p90_s: float | None = None
    ttft_p95_s: float | None = None
    ttft_p99_s: float | None = None
    tpot_p50_s: float | None = None
    icl_p50_s: float | None = None
    success_rate: float | None = None
    cpu_us_per_task: float | None = None
    peak_pss_mb: float | None = None
    startup_s: float | None = None
    first_send_s: float | None = None
    client_lag_p50_s: float | None = None
    client_lag_p99_s: float | None = None


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """What the machine and the server were doing while a cell ran; None where this machine does not tell.

    Attributes:
        steal_share: Share of CPU time that the hypervisor took.
        busy_share: Share of all CPU time that was used, by anything.
        foreign_share: Share of all CPU time that was used by neither the harness nor its own server.
        pressure_share: Share of the time in which something waited for a CPU.
        runnable: Threads that ran or could have run as it ended.
        switches_voluntary: How often the client waited of its own accord; `switches_involuntary` is for others.
        gc_collections: Its garbage collections.
        open_files: Its open descriptors at the end.
        server_cpu_share: CPU time of the experiment's own server, of one core.
        server_lateness_p99_s: How late that server sent.
        server_peak_in_flight: Most requests that it saw at once.
        server_connections: Connections that carried a request.
        canaries_per_s: Requests to a server of known delay that the harness made beside the load.
    """

    steal_share: float | None = None
    busy_share: float | None = None
    foreign_share: float | None = None
    pressure_share: float | None = None
    runnable: int | None = None
    switches_voluntary: int | None = None
    switches_involuntary: int | None = None
    gc_collections: int | None = None
    open_files: int | None = None
    server_cpu_share: float | None = None
    server_lateness_p99_s: float | None = None
    server_peak_in_flight: int | None = None
    server_connections: int | None = None
    canaries_per_s: float | None = None
