"""Real work instead of a measurement: several providers, a cache, races; all of it is off in a measurement."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003 - the kinds of settings are read from their annotations
from typing import Literal

from bench.config.whom import WhomSettings
from bench.errors import ConfigError
from bench.settings import MAX_TIMEOUT_S, about, option_name

Profile = Literal["bench", "prod"]


@dataclass(frozen=True, kw_only=True)
class RealWorkSettings(WhomSettings):
    """What to run, how, whom to ask, and what helps where answers count and not times."""

    profile: Profile = field(
        default="bench",
        metadata=about(
            "bench measures: one provider with one key, every task a call; prod gets work done: several providers and "
            "keys, within their limits, with a cache",
            group="Real work",
        ),
    )
    cache: bool | None = field(
        default=None,
        metadata=about(
            "keep whole answers, and take an equal request's from there (default: in prod)", group="Real work"
        ),
    )
    cache_file: Path | None = field(
        default=None,
        metadata=about(
            "where they are kept, for any number of runs at once (default: cache.sqlite in --results-dir)",
            group="Real work",
            metavar="FILE",
        ),
    )
    adaptive: bool | None = field(
        default=None,
        metadata=about(
            "find by trial how many requests each provider takes at once, up to --concurrency (default: in prod)",
            group="Real work",
        ),
    )
    race: bool = field(
        default=False,
        metadata=about(
            "ask the next provider as well where the first is slow or fails; the first whole answer counts, the other "
            "call is given up",
            group="Real work",
        ),
    )
    hedge_delay: float | None = field(
        default=None,
        metadata=about(
            "when --race asks the next one, in seconds (default: when 95 of 100 answers of the first would be there)",
            group="Real work",
            at_least=0,
            at_most=MAX_TIMEOUT_S,
        ),
    )
    warm_first: bool = field(
        default=False,
        metadata=about(
            "let the first request over each provider and key be answered before the others go: a provider that keeps "
            "what prompts have in common need not read it for each of them",
            group="Real work",
        ),
    )

    @property
    def caches(self) -> bool:
        """Whether answers are kept and taken from the cache."""
        return self.profile == "prod" if self.cache is None else self.cache

    @property
    def adapts(self) -> bool:
        """Whether the number of requests in flight follows what a provider takes."""
        return self.profile == "prod" if self.adaptive is None else self.adaptive

    def _check_profile(self) -> None:
        """Refuse in a measurement what would colour it, and the delay of a race where there is none."""
        if self.profile == "bench":
            for name in ("cache", "adaptive", "race", "warm_first"):
                if getattr(self, name):
                    raise ConfigError(
                        f"{option_name(name)} is for --profile prod, got --profile bench: it would not be the provider "
                        "that is measured",
                        "add --profile prod, or leave it out",
                    )
        if self.hedge_delay is not None and not self.race:
            raise ConfigError(f"--hedge-delay {self.hedge_delay:g} is for --race, got no --race", "add --race")
