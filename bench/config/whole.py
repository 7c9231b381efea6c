"""ConcurrentConfig: every setting of a run, its default, its range and its help text."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal, get_type_hints

from bench.config.limits import LimitSettings
from bench.settings import LogLevel, about, check_kind, check_range, option_name

TraceTo = Literal["langsmith", "otlp"]


@dataclass(frozen=True, kw_only=True)
class ConcurrentConfig(LimitSettings):
    """Every setting of a run. Times are in seconds.

    The groups are declared in a file each, one on top of the other: what to run, how, whom to ask, real work, limits;
    here is what is written, and all of it is checked.

    Raises:
        ConfigError: A value of the wrong kind or out of its range, or settings that exclude each other.
    """

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
    trace: bool | None = field(
        default=None,
        metadata=about("send traces while the run goes on (default: as LANGSMITH_TRACING says)", group="Output"),
    )
    trace_sample: float = field(
        default=1.0,
        metadata=about("share of the tasks whose traces are sent, from 0 to 1", group="Output", at_least=0, at_most=1),
    )
    trace_to: TraceTo = field(
        default="langsmith",
        metadata=about(
            "who takes the traces: LangSmith, or whatever speaks OTLP over HTTP at OTEL_EXPORTER_OTLP_ENDPOINT",
            group="Output",
        ),
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
        self._check_cluster()
        self._check_load()
        self._check_source()
        self._check_endpoint()
        self._check_profile()

    @property
    def cache_path(self) -> Path:
        """Where the cache is, if there is one."""
        return self.cache_file or self.results_dir / "cache.sqlite"
