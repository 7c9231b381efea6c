"""The options of `serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bench.cli.options import SETTINGS, run_options, service_options

if TYPE_CHECKING:
    from bench.cli.options import Option

#: The settings of a run that a service has: whom it asks, within which limits, and what is written.
_SHARED: Final = frozenset(
    {"provider", "providers_file", "model", "base_url", "allow_insecure_http", "simulator", "max_tokens", "temperature"}
    | {"client", "transport", "cache", "cache_file", "adaptive"}
    | {"ttft_timeout", "idle_timeout", "connect_timeout", "retries", "retry_delay", "backoff", "seed"}
    | {"results_dir", "quiet", "log_level", "log_file", "env_file"}
)


def serve_options() -> tuple[Option, ...]:
    """Return the options of `serve`: those of its own, and those of whom it asks."""
    # A text is longer than the analysis of a topic.
    return (*service_options(), *run_options(without=frozenset(SETTINGS) - _SHARED, max_tokens=2048))
