"""ConcurrentConfig: every setting of a run, its default, its range and its help text, in one place."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args, get_type_hints

from bench.errors import ConfigError
from bench.records import LoadModel, Mode
from bench.settings import Arrival, LogLevel, ProviderName, Transport, about, check_kind, check_range, option_name

if TYPE_CHECKING:
    from collections.abc import Mapping

ClientName = Literal["openai", "lean", "scripted"]
Backoff = Literal["fixed", "exponential"]

MODES: Final[tuple[Mode, ...]] = get_args(Mode)

#: Slots where none are asked for; serial has one.
DEFAULT_CONCURRENCY: Final = 8

#: More slots than this are a typing error; the engines' own preflight decides what the machine can hold.
MAX_CONCURRENCY: Final = 100_000

#: The longest timeout, a week: a longer one, or an infinite one, would overflow clocks without ever being of use.
MAX_TIMEOUT_S: Final = 604_800

#: More than any client here can send; beyond it a rate is a typing error.
MAX_RATE_PER_S: Final = 1_000_000


def _limit(help_text: str) -> Mapping[str, Any]:
    """Return what a timeout's field says of it."""
    return about(help_text, group="Limits", above=0, at_most=MAX_TIMEOUT_S)


@dataclass(frozen=True, kw_only=True)
class ConcurrentConfig:
    """Every setting of a run. Times are in seconds.

    Raises:
        ConfigError: A value of the wrong kind or out of its range, or settings that exclude each other.
    """

    topics: tuple[str, ...] = field(
        default=(), metadata=about("topics to analyse, a task each", group="What to run", metavar="A B ..")
    )
    topics_file: Path | None = field(
        default=None,
        metadata=about("file with a topic a line, or - for standard input", group="What to run", metavar="FILE"),
    )
    prompts: Path | None = field(
        default=None,
        metadata=about(
            'JSONL file, a task a line: {"prompt": ".."} or the OpenAI batch form with custom_id and body; '
            "- for standard input",
            group="What to run",
            metavar="FILE",
        ),
    )
    iterations: int = field(
        default=1,
        metadata=about(
            "how often the whole source is repeated", group="What to run", at_least=1, at_most=1_000_000_000
        ),
    )

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
            "worker processes of hybrid mode, which share the requests in flight (default: usable cores)",
            group="How",
            metavar="P",
            at_least=1,
            at_most=MAX_CONCURRENCY,
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
    client: ClientName = field(
        default="openai",
        metadata=about(
            "who sends the requests; openai is the SDK as applications use it, lean costs a fiftieth of it and is for "
            "measuring endpoints, scripted sends none and answers at once: it shows what the harness itself costs",
            group="How",
        ),
    )
    transport: Transport = field(
        default="aiohttp",
        metadata=about("HTTP library below the openai client in asyncio and hybrid mode", group="How"),
    )

    provider: ProviderName | None = field(
        default=None, metadata=about("provider (default: bigmodel if its key is set)", group="Whom to ask", alias="-p")
    )
    model: str | None = field(
        default=None, metadata=about("model to ask for (default: the provider's)", group="Whom to ask")
    )
    base_url: str | None = field(
        default=None,
        metadata=about(
            "address of any OpenAI-compatible API, instead of --provider", group="Whom to ask", metavar="URL"
        ),
    )
    allow_insecure_http: bool = field(
        default=False,
        metadata=about(
            "let --base-url be plain http to another machine: prompts and key can be read on the way",
            group="Whom to ask",
        ),
    )
    simulator: tuple[str, ...] = field(
        default=(),
        metadata=about(
            "settings of --provider simulator: the options of `simulate`", group="Whom to ask", metavar="KEY=VALUE .."
        ),
    )
    stream: bool = field(default=True, metadata=about("ask for streamed answers", group="Whom to ask"))
    max_tokens: int | None = field(
        default=512,
        metadata=about("longest answer in tokens, or none for the provider's limit", group="Whom to ask", at_least=1),
    )
    temperature: float | None = field(
        default=None,
        metadata=about("sampling temperature (default: the provider's)", group="Whom to ask", at_least=0, at_most=2),
    )

    timeout: float = field(
        default=300.0, metadata=_limit("longest time for a task, all its attempts and waits together, in seconds")
    )
    ttft_timeout: float = field(default=60.0, metadata=_limit("longest wait for an attempt's first token, in seconds"))
    idle_timeout: float = field(default=60.0, metadata=_limit("longest silence within an answer, in seconds"))
    connect_timeout: float = field(default=5.0, metadata=_limit("longest time to connect, in seconds"))
    retries: int = field(default=3, metadata=about("attempts after the first", group="Limits", at_least=0, at_most=100))
    retry_delay: float = field(
        default=1.0,
        metadata=about("base of the wait between attempts, in seconds", group="Limits", at_least=0, at_most=60),
    )
    backoff: Backoff = field(
        default="exponential",
        metadata=about("growth of that wait: exponential with full jitter up to 60 s, or fixed", group="Limits"),
    )
    grace: float = field(
        default=10.0,
        metadata=about(
            "how long requests in flight may go on after Ctrl+C, in seconds",
            group="Limits",
            at_least=0,
            at_most=MAX_TIMEOUT_S,
        ),
    )
    seed: int = field(
        default=0, metadata=about("seed of jitter and random arrivals", group="Limits", at_least=0, at_most=2**63 - 1)
    )

    output: Path | None = field(
        default=None,
        metadata=about(
            "also write run, summary and all results to this JSON file", group="Output", alias="-o", metavar="FILE.json"
        ),
    )
    results_dir: Path = field(
        default=Path("results"), metadata=about("where runs are kept", group="Output", metavar="DIR")
    )
    canary: bool = field(
        default=False,
        metadata=about(
            "ask a server of known delay ten times a second, to tell what the client itself adds", group="How"
        ),
    )
    chunk_times: bool = field(
        default=False, metadata=about("keep the instant of every chunk in the records", group="Output")
    )
    report: bool = field(default=True, metadata=about("draw charts and an HTML report at the end", group="Output"))
    quiet: bool = field(default=False, metadata=about("show nothing but errors", group="Output", alias="-q"))
    log_level: LogLevel = field(
        default="info", metadata=about("least severity that goes to the run's log file", group="Output")
    )
    log_file: Path | None = field(
        default=None,
        metadata=about("log file (default: run.log in the run's directory)", group="Output", metavar="FILE"),
    )
    env_file: Path | None = field(
        default=None,
        metadata=about(
            "file with settings and keys (default: ./concurrent_config.env, else ./.env)",
            group="Output",
            metavar="FILE",
        ),
    )

    def __post_init__(self) -> None:
        """Check every value by itself, then what excludes each other."""
        hints = get_type_hints(type(self))
        for each in fields(self):
            value = getattr(self, each.name)
            check_kind(option_name(each.name), hints[each.name], value)
            check_range(option_name(each.name), each.metadata, value)
        self._check_slots()
        self._check_load()
        self._check_source_and_endpoint()

    def _check_slots(self) -> None:
        if self.mode == "serial" and self.concurrency not in {None, 1}:
            raise ConfigError(
                f"--mode serial has one request in flight, got --concurrency {self.concurrency}",
                "leave --concurrency out, or choose another --mode",
            )
        if self.processes is not None and self.mode != "hybrid":
            raise ConfigError(
                f"--processes is for --mode hybrid, got --mode {self.mode}", "leave it out, or choose --mode hybrid"
            )
        if self.processes is not None and self.processes > self.slots:
            raise ConfigError(
                f"--processes {self.processes} is more than --concurrency {self.slots}: some would have nothing to do",
                "give each process at least one request",
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

    def _check_source_and_endpoint(self) -> None:
        sources = [option_name(name) for name in ("topics", "topics_file", "prompts") if getattr(self, name)]
        if len(sources) > 1:
            raise ConfigError(f"one source of tasks at a time, got {' and '.join(sources)}", "leave all but one out")
        if self.provider is not None and self.base_url is not None:
            raise ConfigError(
                f"--provider {self.provider} has an address of its own, got --base-url as well", "name one of the two"
            )
        if self.simulator and self.provider != "simulator":
            got = "no --provider" if self.provider is None else f"--provider {self.provider}"
            raise ConfigError(f"--simulator sets up --provider simulator, got {got}", "add --provider simulator")

    @property
    def slots(self) -> int:
        """N: how many requests may be in flight."""
        return self.concurrency or (1 if self.mode == "serial" else DEFAULT_CONCURRENCY)

    @property
    def load_model(self) -> LoadModel:
        """Open where requests arrive at given times, closed where each slot takes its next when the last one ended."""
        return "closed" if self.rate is None and self.arrival_times is None else "open"
