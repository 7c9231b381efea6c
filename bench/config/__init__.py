"""Every setting of a run, its default, its range and its help text, in one place."""

from bench.config.limits import Backoff
from bench.config.load import DEFAULT_CONCURRENCY, MAX_CONCURRENCY, MAX_RATE_PER_S, MODES, ClientName
from bench.config.real import Profile
from bench.config.whole import ConcurrentConfig, TraceTo
from bench.config.work import MAX_VERSIONS, SOURCES
from bench.settings import MAX_TIMEOUT_S

__all__ = [
    "DEFAULT_CONCURRENCY",
    "MAX_CONCURRENCY",
    "MAX_RATE_PER_S",
    "MAX_TIMEOUT_S",
    "MAX_VERSIONS",
    "MODES",
    "SOURCES",
    "Backoff",
    "ClientName",
    "ConcurrentConfig",
    "Profile",
    "TraceTo",
]
