"""`serve`: texts over HTTP as they are written, until it is stopped."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import shlex
from typing import TYPE_CHECKING, Any, Final

from bench.cli.context import FAILED, OK, Context
from bench.cli.help import version
from bench.cli.interrupts import interrupts
from bench.cli.messages import note
from bench.cli.options import PROGRAM, SERVICE_SETTINGS, config_from, option_words
from bench.cli.run import settled
from bench.cli.serve_options import serve_options
from bench.config.service import TOKEN_VARIABLE, ServiceConfig, check_exposure
from bench.endpoints.keys import key_in
from bench.endpoints.resolve import opened, resolve
from bench.errors import ConfigError
from bench.observe.logs import run_logging
from bench.stop import StopSignal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bench.config import ConcurrentConfig
    from bench.providers import Endpoint, Secret

#: Below the results' directory: the records of the service's starts, and their log.
_FOLDER: Final = "service"
_LOG: Final = "service.log"

#: What an installation without the extra lacks.
_PACKAGES: Final = ("fastapi", "granian", "prometheus_client", "uvicorn")


def execute(settings: Mapping[str, Any], context: Context) -> int:
    """Serve until Ctrl+C or SIGTERM, and return the exit code.

    Raises:
        ConfigError: A setting is out of its range, nobody can be asked, or the service would be open to anybody.
        EndpointError: The service cannot listen, or a server of its own does not come up.
    """
    service = ServiceConfig(**{name: settings[name] for name in SERVICE_SETTINGS})
    token = key_in(context.environment, TOKEN_VARIABLE)
    check_exposure(service, has_token=token is not None)
    _check_packages()
    run = _run_config(settings, service)
    resolved = resolve(run, context.environment)
    command = shlex.join(["python", PROGRAM, "serve", *option_words(serve_options(), settings)])
    with opened(resolved) as endpoints, _logged(run, endpoints, token):
        return _serve(service, settled(run, resolved), endpoints, command, token)


def _run_config(settings: Mapping[str, Any], service: ServiceConfig) -> ConcurrentConfig:
    """Return how the service asks: as real work, as much at once as tasks may be under way."""
    return config_from(
        settings,
        mode="asyncio",
        profile="prod",
        concurrency=service.agent_slots + service.max_streams,
        timeout=service.task_timeout,
        report=False,
    )


def _check_packages() -> None:
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"serve needs packages that are not installed: {', '.join(missing)}",
            "./run_concurrent.sh serve installs them; or: pip install -r requirements-serve.lock",
        )


def _serve(
    service: ServiceConfig, run: ConcurrentConfig, endpoints: Sequence[Endpoint], command: str, token: Secret | None
) -> int:
    # Here, because what they import is not part of every installation.
    from bench.service.desk import Desk  # noqa: PLC0415
    from bench.service.server import serve  # noqa: PLC0415

    def ready(address: str) -> None:
        note(f"service: {address}/ (description: {address}/openapi.json)")
        note(f"whoever asks needs the token of {TOKEN_VARIABLE}" if token else "programs of this machine can ask it")
        note("Ctrl+C ends it")

    def announce(stage: str) -> None:
        note(
            f"stopping: nothing new is taken, tasks may end within {service.drain_grace:g} s; Ctrl+C again to stop now"
            if stage == "drain"
            else "stopping: giving up the tasks that are left"
        )

    desk = Desk(service, run, endpoints, command=command, version=version())
    stop = StopSignal()
    with interrupts(stop, grace_s=service.drain_grace, announce=announce):
        serve(service, desk, token=token, stop=stop, ready=ready)
    return OK if stop.draining else FAILED


@contextlib.contextmanager
def _logged(run: ConcurrentConfig, endpoints: Sequence[Endpoint], token: Secret | None) -> Iterator[None]:
    """Keep the service's log inside the block.

    Raises:
        ConfigError: It cannot be written.
    """
    folder = run.results_dir / _FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--results-dir {run.results_dir} cannot be written: {error.strerror}") from error
    keys = [endpoint.api_key for endpoint in endpoints] + [token]
    with run_logging(
        run.log_file or folder / _LOG,
        run_id=_FOLDER,
        level=getattr(logging, run.log_level.upper()),
        console_level=logging.ERROR if run.quiet else logging.WARNING,
        secrets=[key.reveal() for key in keys if key is not None],
    ):
        yield
