"""The limits of a run: timeouts, retries, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from bench.config.real import RealWorkSettings
from bench.providers import PROVIDERS, Patience
from bench.settings import MAX_TIMEOUT_S, about

if TYPE_CHECKING:
    from collections.abc import Mapping

Backoff = Literal["fixed", "exponential"]


def _limit(help_text: str) -> Mapping[str, Any]:
    """Return what a timeout's field says of it."""
    return about(help_text, group="Limits", above=0, at_most=MAX_TIMEOUT_S)


def _patience(help_text: str, name: str) -> Mapping[str, Any]:
    """Return the same of one whose default is as long as the provider takes."""
    hosted, local = (getattr(patience, name) for patience in (Patience(), PROVIDERS["local"].patience))
    return _limit(f"{help_text} (default: {hosted:g}; the local model: {local:g})")


@dataclass(frozen=True, kw_only=True)
class LimitSettings(RealWorkSettings):
    """What to run, how, whom to ask, and within which limits. Times are in seconds."""

    timeout: float | None = field(
        default=None,
        metadata=_patience("longest time for a task, all its attempts and waits together, in seconds", "task_s"),
    )
    ttft_timeout: float | None = field(
        default=None, metadata=_patience("longest wait for an attempt's first token, in seconds", "first_token_s")
    )
    idle_timeout: float | None = field(
        default=None, metadata=_patience("longest silence within an answer, in seconds", "next_token_s")
    )
    connect_timeout: float = field(default=5.0, metadata=_limit("longest time to connect, in seconds"))
    retries: int = field(default=3, metadata=about("attempts after the first", group="Limits", at_least=0, at_most=100))
    retry_delay: float = field(
        default=1.0,
        metadata=about("base of the wait between attempts, in seconds", group="Limits", at_least=0, at_most=60),
    )
    max_failures: int | None = field(
        default=None,
        metadata=about(
            "stop the run when so many tasks have failed (default: never)", group="Limits", metavar="K", at_least=1
        ),
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
        default=0,
        metadata=about(
            "seed of jitter, random arrivals and further versions", group="Limits", at_least=0, at_most=2**63 - 1
        ),
    )
