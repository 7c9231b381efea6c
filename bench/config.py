"""ConcurrentConfig: every setting of a run, its default, its range and its help text, in one place."""

from __future__ import annotations

import types
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from bench.errors import ConfigError
from bench.records import Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Transport = Literal["aiohttp", "httpx2"]
ClientName = Literal["openai", "scripted"]
Backoff = Literal["fixed", "exponential"]
LogLevel = Literal["debug", "info", "warning", "error"]
ProviderName = Literal[
    "bigmodel", "deepseek", "gemini", "openrouter", "siliconflow", "ark", "openai", "local", "simulator"
]

MODES: Final[tuple[Mode, ...]] = get_args(Mode)

#: Slots where none are asked for; serial has one.
DEFAULT_CONCURRENCY: Final = 8

#: More slots than this are a typing error; the engines' own preflight decides what the machine can hold.
MAX_CONCURRENCY: Final = 100_000

#: The longest timeout, a week: a longer one, or an infinite one, would overflow clocks without ever being of use.
MAX_TIMEOUT_S: Final = 604_800

Group = Literal["What to run", "How", "Whom to ask", "Limits", "Output"]

#: The groups of options, in the order of the help page.
GROUPS: Final[tuple[Group, ...]] = get_args(Group)


_PLAIN_KINDS: Final[tuple[tuple[type, str], ...]] = (
    (str, "a text"),
    (bool, "true or false"),
    (Path, "a pathlib.Path"),
    (type(None), "None"),
)


def about(  # noqa: PLR0913 - a table row: each argument is one column
    help_text: str,
    *,
    group: Group,
    alias: str = "",
    metavar: str = "",
    at_least: float | None = None,
    at_most: float | None = None,
    above: float | None = None,
) -> Mapping[str, Any]:
    """Return what a field says of its setting: help text, place in the help page, short name, range in its own unit."""
    return {
        "help": help_text,
        "group": group,
        "alias": alias,
        "metavar": metavar,
        "at_least": at_least,
        "at_most": at_most,
        "above": above,
    }


def option_name(field_name: str) -> str:
    """Return the command-line name of a setting: `max_tokens` is `--max-tokens`."""
    return "--" + field_name.replace("_", "-")


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
    client: ClientName = field(
        default="openai",
        metadata=about(
            "who sends the requests; scripted sends none and answers at once: it shows what the harness itself costs",
            group="How",
        ),
    )
    transport: Transport = field(
        default="aiohttp", metadata=about("HTTP library below the openai client in asyncio mode", group="How")
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
        default=300.0,
        metadata=about(
            "longest time for a task, all its attempts and waits together, in seconds",
            group="Limits",
            above=0,
            at_most=MAX_TIMEOUT_S,
        ),
    )
    ttft_timeout: float = field(
        default=60.0,
        metadata=about(
            "longest wait for an attempt's first token, in seconds", group="Limits", above=0, at_most=MAX_TIMEOUT_S
        ),
    )
    idle_timeout: float = field(
        default=60.0,
        metadata=about("longest silence within an answer, in seconds", group="Limits", above=0, at_most=MAX_TIMEOUT_S),
    )
    connect_timeout: float = field(
        default=5.0,
        metadata=about("longest time to connect, in seconds", group="Limits", above=0, at_most=MAX_TIMEOUT_S),
    )
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
        default=0, metadata=about("seed of the retries' jitter", group="Limits", at_least=0, at_most=2**63 - 1)
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
            _check_kind(each.name, hints[each.name], value)
            _check_range(each, value)
        if self.mode == "serial" and self.concurrency not in {None, 1}:
            raise ConfigError(
                f"--mode serial has one request in flight, got --concurrency {self.concurrency}",
                "leave --concurrency out, or choose --mode threading, multiprocessing or asyncio",
            )
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


def _check_kind(name: str, hint: object, value: object) -> None:
    """Refuse a value that its annotation does not allow, for those who build a configuration in Python."""
    kinds = [_kind(part) for part in _alternatives(hint)]
    if not any(matches(value) for matches, _ in kinds):
        raise ConfigError(f"{option_name(name)} must be {' or '.join(words for _, words in kinds)}, got {value!r}")


def _alternatives(hint: object) -> tuple[object, ...]:
    """Return the members of a union, or the annotation itself."""
    return get_args(hint) if get_origin(hint) in {Union, types.UnionType} else (hint,)


def _kind(hint: object) -> tuple[Callable[[object], bool], str]:
    """Return a check for one annotation, and what it wants in words."""
    if get_origin(hint) is Literal:
        choices = get_args(hint)
        return (lambda value: value in choices), f"one of {', '.join(choices)}"
    if get_origin(hint) is tuple:
        return (lambda value: isinstance(value, tuple) and all(isinstance(part, str) for part in value)), "texts"
    if hint is float or hint is int:
        kinds = int | float if hint is float else int
        words = "a number" if hint is float else "a whole number"
        return (lambda value: isinstance(value, kinds) and not isinstance(value, bool)), words
    kind, words = next((kind, words) for kind, words in _PLAIN_KINDS if kind is hint)
    return (lambda value: isinstance(value, kind)), words


def _check_range(setting: Field[Any], value: object) -> None:
    """Refuse a number outside its range, naming option, value and range."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return
    low, above, high = (setting.metadata[name] for name in ("at_least", "above", "at_most"))
    # Asked so that nan is wrong too.
    right = (low is None or value >= low) and (above is None or value > above) and (high is None or value <= high)
    if not right:
        bounds = (("at least", low), ("above", above), ("at most", high))
        words = [f"{text} {bound}" for text, bound in bounds if bound is not None]
        raise ConfigError(f"{option_name(setting.name)} must be {' and '.join(words)}, got {value}")
