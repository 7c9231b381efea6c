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


@contextlib.contextmanager
def simulated_endpoint(settings: SimulatorSettings) -> Iterator[Endpoint]:
    """Run a simulator inside the block.

    Yields:
        Where it listens.

    Raises:
        EndpointError: It did not come up.
    """
    with contextlib.ExitStack() as open_now:
        try:
            process = open_now.enter_context(SimulatorProcess(settings))
        except SimulatorError as error:
            raise EndpointError(str(error)) from error
        provider = PROVIDERS["simulator"]
        yield Endpoint(provider=provider.name, base_url=process.base_url, model=settings.model, pid=process.pid)
