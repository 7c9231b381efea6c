"""The simulator as an endpoint: started for a run, in a process of its own, and stopped with it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import msgspec

from bench.errors import ConfigError, EndpointError
from bench.providers import PROVIDERS, Endpoint
from bench.simulator.process import SimulatorError, SimulatorProcess
from bench.simulator.settings import SettingsError, SimulatorSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What a run's own simulator does where nothing else is said: the pace of a quick hosted model.
_RUN_DEFAULTS: Final[dict[str, float]] = {"ttft_s": 0.2, "itl_s": 0.01, "tokens": 32}


def simulator_settings(pairs: tuple[str, ...]) -> SimulatorSettings:
    """Return the settings of a run's simulator: first token after 200 ms, 32 tokens, 10 ms apart, and what `pairs` say.

    Args:
        pairs: Texts of the form KEY=VALUE.

    Raises:
        ConfigError: A pair cannot be read, or a value is out of its range.
    """
    named = {pair.partition("=")[0].strip().replace("-", "_") for pair in pairs}
    rest = {name: value for name, value in _RUN_DEFAULTS.items() if not {name, name.removesuffix("_s")} & named}
    try:
        return msgspec.structs.replace(SimulatorSettings.from_pairs(pairs), **rest)
    except SettingsError as error:
        raise ConfigError(f"--simulator: {error}", "its keys are the options of: simulate --help") from error


class ServerWindow(msgspec.Struct, frozen=True, kw_only=True):
    """What a server counted since it was last asked.

    Attributes:
        window_s: Since then.
        cpu_s: CPU time of its process.
        peak_in_flight: Most requests that it saw at once.
        connections_used: Connections that carried a request.
        lateness_p99_s: How late it sent; 99 of 100 were no later.
        requests: Requests that it read.
    """

    window_s: float
    cpu_s: float
    peak_in_flight: int
    connections_used: int
    lateness_p99_s: float | None
    requests: int


class SimulatedServer:
    """A simulator that runs, and what it counts.

    Attributes:
        endpoint: Where it listens.
        stamped: Whether it stamps what it sends with this machine's clock.
    """

    def __init__(self, process: SimulatorProcess, settings: SimulatorSettings) -> None:
        self._process = process
        self.stamped = settings.stamps
        self.endpoint = Endpoint(
            provider=PROVIDERS["simulator"].name, base_url=process.base_url, model=settings.model, pid=process.pid
        )

    def __repr__(self) -> str:
        """Show where it listens."""
        return f"<SimulatedServer {self.endpoint.base_url}>"

    def reset(self) -> ServerWindow:
        """Begin to count anew; return the counts until now.

        Raises:
            EndpointError: It does not answer.
        """
        try:
            stats = self._process.reset()
        except SimulatorError as error:
            raise EndpointError(str(error)) from error
        return ServerWindow(
            window_s=stats.window_s,
            cpu_s=stats.cpu_s,
            peak_in_flight=stats.peak_in_flight,
            connections_used=stats.connections_used,
            lateness_p99_s=stats.lateness_p99_s,
            requests=stats.requests,
        )


@contextlib.contextmanager
def simulated_server(settings: SimulatorSettings) -> Iterator[SimulatedServer]:
    """Run a simulator inside the block.

    Yields:
        The simulator.

    Raises:
        EndpointError: It did not come up.
    """
    with contextlib.ExitStack() as open_now:
        try:
            process = open_now.enter_context(SimulatorProcess(settings))
        except SimulatorError as error:
            raise EndpointError(str(error)) from error
        yield SimulatedServer(process, settings)


def null_settings(*, ttft_s: float, itl_s: float, tokens: int) -> SimulatorSettings:
    """Return the settings of a server whose timing is known: no jitter, no faults, stamps on what it sends."""
    return SimulatorSettings(ttft_s=ttft_s, itl_s=itl_s, tokens=tokens, stamps=True)
