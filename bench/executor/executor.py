"""ConcurrentBigModelExecutor: configuration -> engine -> journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.executor.opening import begin, take_up
from bench.executor.preflight import prepare_machine
from bench.executor.run import Run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.config import ConcurrentConfig
    from bench.executor.closing import RunOutcome
    from bench.providers import Endpoint
    from bench.workload import Workload


class ConcurrentBigModelExecutor:
    """Runs workloads under one configuration.

    Args:
        config: Every setting.
    """

    def __init__(self, config: ConcurrentConfig) -> None:
        self._config = config

    def open(self, workload: Workload, *endpoints: Endpoint, command: str = "") -> Run:
        """Make a run's directory and journal; nothing is sent yet.

        Args:
            workload: The tasks.
            endpoints: Where they go: one, or in profile `prod` any number.
            command: The command line that reproduces the run, without secrets, for its records.

        Raises:
            ConfigError: The results directory cannot be written, the arrival times cannot be used, or this machine
                cannot hold so many slots.
        """
        prepare_machine(self._config, workload.count, own_server=_has_own_server(endpoints))
        return Run(self._config, workload, endpoints, begin(self._config, workload, endpoints, command))

    def resume(self, run: Path, workload: Workload, *endpoints: Endpoint, retry_failed: bool = False) -> Run:
        """Take up a run where it ended, however it ended; nothing is sent yet.

        Args:
            run: Its directory.
            workload: Its tasks; those without an answer are left to do.
            endpoints: Where they go.
            retry_failed: Do those that failed again.

        Raises:
            ConfigError: Another process writes it, its workload or what shapes its answers has changed, or its records
                cannot be read and written.
        """
        prepare_machine(self._config, workload.count, own_server=_has_own_server(endpoints))
        opened = take_up(run, self._config, workload, endpoints, retry_failed=retry_failed)
        return Run(self._config, workload, endpoints, opened)

    def run(self, workload: Workload, *endpoints: Endpoint) -> RunOutcome:
        """Open a run and do its tasks; for use as a library.

        Raises:
            ConfigError: The results directory cannot be written, or the arrival times cannot be used.
            JournalError: The records cannot be read back.
        """
        return self.open(workload, *endpoints).execute()


def _has_own_server(endpoints: Sequence[Endpoint]) -> bool:
    return any(endpoint.pid is not None for endpoint in endpoints)
