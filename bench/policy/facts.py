"""What a cell of an experiment is judged by, and the bounds that it has to keep to."""

from __future__ import annotations

from typing import Literal

import msgspec

from bench.policy.pause import STANDSTILL_S

LoadModel = Literal["closed", "open"]


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What a cell has to keep to.

    Attributes:
        min_duration_s: Shorter windows hold too few of the machine's own waves.
        min_ok: Successes; 11 is what a median needs.
        max_failed_share: Of all tasks: failures are faster or slower than answers, and change the load.
        clock_invalid: How far monotonic and wall time may part; `clock_warning` is where it is told.
        max_wakeup_lag_s: 99th percentile of how late a sleeping thread wakes.
        max_standstill_s: The same, at most, in seconds.
        steal_invalid: Share of the machine's time that its host took; `steal_warning` is where it is told.
        max_pressure: Share of the time in which something waited for a core.
        max_foreign_cpu: Share of the machine's cores that neither client nor server used.
        max_client_cpu: Share of its cores that a client may use before it is told.
        max_server_lateness_s: 99th percentile of how late the server sent what it had to send.
        max_server_cpu: Share of a core.
        little_low: Lowest ratio of requests in flight to slots in a closed loop; `little_high` is the highest.
        min_achieved: Share of the offered rate that an open loop has to reach.
        max_error_s: Error of the instrument; `max_error_of_ttft` is the same as a share of the median first token.
        max_of_ceiling: Share of what the arm does against a server that answers at once.
    """

    min_duration_s: float = 10.0
    min_ok: int = 11
    max_failed_share: float = 0.01
    clock_invalid: float = 0.01
    clock_warning: float = 0.001
    max_wakeup_lag_s: float = 0.1
    max_standstill_s: float = STANDSTILL_S
    steal_invalid: float = 0.05
    steal_warning: float = 0.01
    max_pressure: float = 0.5
    max_foreign_cpu: float = 0.1
    max_client_cpu: float = 0.9
    max_server_lateness_s: float = 0.005
    max_server_cpu: float = 0.8
    little_low: float = 0.95
    little_high: float = 1.001
    min_achieved: float = 0.95
    max_error_s: float = 0.002
    max_error_of_ttft: float = 0.05
    max_of_ceiling: float = 0.5


class CellFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured of a cell; None is not measured, and breaks no rule (`unmeasured` names it).

    Attributes:
        load_model: `closed` (slots) or `open` (arrivals).
        slots: N.
        duration_s: Length of the window that the figures are of.
        tasks: Tasks that ended in it, of which `ok` and `failed`.
        dropped: Arrivals that were never sent.
        payload_mismatches: Answers that were not those to their question.
        clock_ratio: Monotonic over wall duration.
        wakeup_lag_p99_s: How late a sleeping thread of the client woke; with it the most, over the whole cell.
        steal_share: Of the machine's time, taken by its host.
        pressure_some_share: Of the time, with something waiting for a core.
        foreign_cpu_share: Of the machine's cores, used by neither client nor server.
        cpu_share_client: Of the cores that the client may use.
        server_lateness_p99_s: How late the server sent.
        server_cpu_share: Of one core.
        little_ratio: Requests in flight by Little's law over slots.
        in_flight_mean: Mean in the steady window.
        peak_in_flight_server: Most at once, as the server counted.
        calibration_error_s: What the client adds to the first token against a null server.
        canary_error_s: The same, measured beside the load.
        ttft_p50_s: Median time to first token.
        offered_per_s: Arrivals a second that were asked for.
        achieved_per_s: Requests a second that were sent.
        overloaded: Whether what was under way and the time to first token both kept rising.
        throughput_per_s: Successes a second.
        ceiling_per_s: The same of this arm against a server that answers at once.
        latency_step: Latency after a step in it over latency before; 1 where there is no step.
    """

    load_model: LoadModel
    slots: int | None = None
    duration_s: float | None = None
    tasks: int | None = None
    ok: int | None = None
    failed: int | None = None
    dropped: int | None = None
    payload_mismatches: int | None = None
    clock_ratio: float | None = None
    wakeup_lag_p99_s: float | None = None
    wakeup_lag_max_s: float | None = None
    steal_share: float | None = None
    pressure_some_share: float | None = None
    foreign_cpu_share: float | None = None
    cpu_share_client: float | None = None
    server_lateness_p99_s: float | None = None
    server_cpu_share: float | None = None
    little_ratio: float | None = None
    in_flight_mean: float | None = None
    peak_in_flight_server: int | None = None
    calibration_error_s: float | None = None
    canary_error_s: float | None = None
    ttft_p50_s: float | None = None
    offered_per_s: float | None = None
    achieved_per_s: float | None = None
    overloaded: bool | None = None
    throughput_per_s: float | None = None
    ceiling_per_s: float | None = None
    latency_step: float | None = None
