"""How a run is done: the concurrency model, how many requests at once, when they arrive, and who sends them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003 - the kinds of settings are read from their annotations
from typing import Final, Literal, get_args

from bench.config.work import WorkSettings
from bench.errors import ConfigError
from bench.records import LoadModel, Mode
from bench.settings import MAX_TIMEOUT_S, Arrival, Transport, about

ClientName = Literal["openai", "lean", "scripted", "service-direct", "service-pooled"]

MODES: Final[tuple[Mode, ...]] = get_args(Mode)

#: Slots where none are asked for; serial has one.
DEFAULT_CONCURRENCY: Final = 8

#: More slots than this are a typing error; the engines' own preflight decides what the machine can hold.
MAX_CONCURRENCY: Final = 100_000

#: More than any client here can send; beyond it a rate is a typing error.
MAX_RATE_PER_S: Final = 1_000_000


#: A scheduler's address.
_SCHEDULER: Final = re.compile(r"(?:tcp|tls)://(?:[^\s/:\[\]]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}")


@dataclass(frozen=True, kw_only=True)
class LoadSettings(WorkSettings):
    """What to run, and how."""

    mode: Mode = field(default="asyncio", metadata=about("concurrency model", group="How", alias="-m"))
    concurrency: int | None = field(
        default=None,
        metadata=about(
            f"requests in flight (default: {DEFAULT_CONCURRENCY}; serial: 1)",
            group="How",
            alias="-c",
            metavar="N",
            at_least=1,
            at_most=MAX_CONCURRENCY,
        ),
    )
    processes: int | None = field(
        default=None,
        metadata=about(
            "worker processes of hybrid mode, nodes of distributed mode where these are of this machine; they share "
            "the requests in flight (default: usable cores)",
            group="How",
            alias="--workers",
            metavar="P",
            at_least=1,
            at_most=MAX_CONCURRENCY,
        ),
    )
    scheduler: str | None = field(
        default=None,
        metadata=about(
            "distributed mode: where the Dask scheduler of the nodes listens, as tcp://HOST:PORT or tls://HOST:PORT "
            "(default: nodes of this machine, which begin and end with the run)",
            group="How",
            metavar="ADDRESS",
        ),
    )
    rate: float | None = field(
        default=None,
        metadata=about(
            "open loop: requests arrive at this rate, in requests/s, whatever the answers take, and at most "
            "--concurrency are in flight (default: each slot sends its next request when the last is answered)",
            group="How",
            metavar="R",
            above=0,
            at_most=MAX_RATE_PER_S,
        ),
    )
    arrival: Arrival = field(
        default="constant",
        metadata=about("arrivals of --rate: at equal distances, or at random ones from --seed", group="How"),
    )
    arrival_times: Path | None = field(
        default=None,
        metadata=about(
            "open loop: file with the time of each arrival in seconds, a line each, instead of --rate",
            group="How",
            metavar="FILE",
        ),
    )
    max_wait: float | None = field(
        default=None,
        metadata=about(
            "open loop: longest wait of an arrival for a free slot, in seconds, after which it is dropped "
            "(default: --timeout)",
            group="How",
            above=0,
            at_most=MAX_TIMEOUT_S,
        ),
    )
    stop_on_overload: bool = field(
        default=False,
        metadata=about(
            "open loop: end the run once more arrives than is answered: from then on its times say only how long it "
            "went on",
            group="How",
        ),
    )
    client: ClientName = field(
        default="openai",
        metadata=about(
            "who sends the requests; openai is the SDK as applications use it, lean costs a fiftieth of it and is for "
            "measuring endpoints, scripted sends none and answers at once: it shows what the harness itself costs, "
            "service-direct and service-pooled have `serve` at --base-url do each request as a task (asyncio, hybrid)",
            group="How",
        ),
    )
    transport: Transport = field(
        default="aiohttp",
        metadata=about("HTTP library below the openai client in asyncio and hybrid mode", group="How"),
    )
    canary: bool = field(
        default=False,
        metadata=about(
            "ask a server of known delay ten times a second, to tell what the client itself adds", group="How"
        ),
    )

    @property
    def slots(self) -> int:
        """N: how many requests may be in flight."""
        return self.concurrency or (1 if self.mode == "serial" else DEFAULT_CONCURRENCY)

    @property
    def load_model(self) -> LoadModel:
        """Open where requests arrive at given times, closed where each slot takes its next when the last one ended."""
        return "closed" if self.rate is None and self.arrival_times is None else "open"

    def _check_slots(self) -> None:
        if self.mode == "serial" and self.concurrency not in {None, 1}:
            raise ConfigError(
                f"--mode serial has one request in flight, got --concurrency {self.concurrency}",
                "leave --concurrency out, or choose another --mode",
            )
        if self.client.startswith("service-") and self.mode not in {"asyncio", "hybrid"}:
            raise ConfigError(
                f"--client {self.client} is for an event loop, got --mode {self.mode}", "choose --mode asyncio"
            )
        if self.processes is not None and self.mode not in {"hybrid", "distributed"}:
            raise ConfigError(
                f"--processes is for --mode hybrid and distributed, got --mode {self.mode}",
                "leave it out, or choose --mode hybrid",
            )
        if self.processes is not None and self.processes > self.slots:
            raise ConfigError(
                f"--processes {self.processes} is more than --concurrency {self.slots}: some would have nothing to do",
                "give each process at least one request",
            )

    def _check_cluster(self) -> None:
        if self.scheduler is None:
            return
        if self.mode != "distributed":
            raise ConfigError(
                f"--scheduler is for --mode distributed, got --mode {self.mode}",
                "leave it out, or choose --mode distributed",
            )
        if self.processes is not None:
            raise ConfigError(
                f"--workers {self.processes} is for nodes of this machine, got --scheduler {self.scheduler} as well",
                "leave one of them out",
            )
        if _SCHEDULER.fullmatch(self.scheduler) is None:
            raise ConfigError(
                f"--scheduler must be tcp://HOST:PORT or tls://HOST:PORT, got {self.scheduler}",
                "the scheduler names its address when it starts",
            )

    def _check_load(self) -> None:
        if self.rate is not None and self.arrival_times is not None:
            raise ConfigError(
                f"--rate {self.rate:g} and --arrival-times {self.arrival_times} both say when requests arrive",
                "leave one of them out",
            )
        if self.rate is None and self.arrival != "constant":
            raise ConfigError(f"--arrival {self.arrival} needs a rate, got none", "add --rate REQUESTS_PER_SECOND")
        if self.load_model == "closed" and self.max_wait is not None:
            raise ConfigError(
                f"--max-wait {self.max_wait:g} is for requests that arrive at given times, got no such times",
                "add --rate or --arrival-times",
            )
        if self.load_model == "closed" and self.stop_on_overload:
            raise ConfigError(
                "--stop-on-overload is for requests that arrive at given times, got no such times",
                "add --rate or --arrival-times",
            )
