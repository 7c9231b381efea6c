"""What `run.json` holds: what was run, with what, where, how it ended, and what the harness itself cost."""

from __future__ import annotations

import msgspec

from bench.records import SCHEMA_VERSION, JsonObject, LoadModel, Mode, RunStatus


class HarnessCost(msgspec.Struct, frozen=True, kw_only=True):
    """What the harness itself cost in one segment, over all its processes; None where this machine does not tell.

    Attributes:
        startup_s: From the engine's start until all slots stood ready.
        startup_cpu_s: CPU time of that, user and system.
        cpu_s: CPU time of the whole segment.
        peak_pss_bytes: Most memory at once (proportional set size).
        wakeup_lag_p99_s: How late a thread of the parent woke that slept for 20 ms, 99th percentile.
        wakeup_lag_max_s: The same, at most: how long the parent stood still.
        server_cpu_s: CPU time of the server that the run started for itself, which is no part of the others.
        switches_voluntary: How often the parent process waited for something of its own accord.
        switches_involuntary: How often it was made to wait for others.
        gc_collections: Garbage collections of the parent process.
        open_files: Descriptors that the parent process had open at the end; None where the system does not tell it.
        canaries: Requests to a server of known delay that were answered.
        canary_p50_s: What the client added to their first token: half of them at most this.
        canary_p99_s: The same for 99 of 100.
    """

    startup_s: float | None = None
    startup_cpu_s: float | None = None
    cpu_s: float | None = None
    peak_pss_bytes: int | None = None
    wakeup_lag_p99_s: float | None = None
    wakeup_lag_max_s: float | None = None
    server_cpu_s: float | None = None
    switches_voluntary: int | None = None
    switches_involuntary: int | None = None
    gc_collections: int | None = None
    open_files: int | None = None
    canaries: int | None = None
    canary_p50_s: float | None = None
    canary_p99_s: float | None = None


class NodeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A node of a cluster, as a segment of mode `distributed` had it.

    Attributes:
        name: Its own among the segment's nodes: the one that its worker was started with, else its host's.
        host: The machine's name.
        address: Where its worker listens.
        pid: The worker's process.
        slots: How many tasks it takes at once; None where it said nothing.
        joined_s: When it was ready, in seconds on the run's clock.
        left_s: When it was gone; None where it stayed until the end.
        lost: Tasks that it had at that moment.
        cpu_s: CPU time that its worker spent on the segment; None where it could not tell any more.
    """

    name: str
    host: str
    address: str
    pid: int
    slots: int | None = None
    joined_s: float | None = None
    left_s: float | None = None
    lost: int = 0
    cpu_s: float | None = None


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """One start or resume of a run.

    Attributes:
        started_at: UTC time of its beginning.
        host: The machine.
        pid: The process that wrote the records.
        origin_ns: Its clock's zero on `perf_counter_ns` of that boot of its host.
        origin_utc_us: The same instant in microseconds since 1970, UTC.
        ended_at: UTC time of its end; None while it runs, and where it was killed.
        cost: What the harness itself cost; None as above.
        tasks: How many tasks it was to do.
        changed: The settings that are others than those of the run's `config`.
        nodes: Of mode `distributed`: the nodes that took part, in the order in which they came.
    """

    started_at: str
    host: str
    pid: int
    origin_ns: int | None = None
    origin_utc_us: int | None = None
    ended_at: str | None = None
    cost: HarnessCost | None = None
    tasks: int | None = None
    changed: JsonObject = {}
    nodes: tuple[NodeFacts, ...] = ()


class RunManifest(msgspec.Struct, frozen=True, kw_only=True):
    """`run.json`: what was run, with what, where, and how it ended.

    Attributes:
        run_id: `YYYYMMDDTHHMMSSZ-<mode>-<4 hex>`, also the directory's name.
        status: How it stands.
        error: Why it failed, if it did.
        config: Every setting, defaults included, without secrets.
        command: The command that reproduces it.
        endpoint: Provider, model and address that were used; of several the first.
        routes: Profile `prod`: provider, model, address, number of the key, limits and prices of each route, in order;
            what is not known is left out.
        workload: Kind of the source, number of tasks, fingerprint; the topics, where they were given one by one.
        environment: Versions and machine.
        load_model: `open` where tasks arrive on a schedule, `closed` where a slot takes the next when the last ended.
        segments: One per start or resume.
        tasks: Number of tasks of the whole workload.
    """

    schema_version: int = SCHEMA_VERSION
    run_id: str
    status: RunStatus
    error: str | None = None
    mode: Mode
    concurrency: int
    tasks: int
    load_model: LoadModel = "closed"
    config: JsonObject
    command: str
    endpoint: JsonObject
    routes: tuple[JsonObject, ...] = ()
    workload: JsonObject
    environment: JsonObject
    segments: tuple[Segment, ...]

    @property
    def asked(self) -> tuple[JsonObject, ...]:
        """Whom the run asked: its routes, or its one endpoint."""
        return self.routes or (self.endpoint,)
