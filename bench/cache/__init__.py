"""Answers that are kept: one SQLite file, used by any number of processes of one machine at once."""

from bench.cache.answer import CachedAnswer
from bench.cache.cache import DEFAULT_CLAIM_S, DEFAULT_MAX_AGE_S, DEFAULT_MAX_BYTES, Cache, CacheStats
from bench.cache.claim import Busy, Claim
from bench.cache.key import cache_key

__all__ = [
    "DEFAULT_CLAIM_S",
    "DEFAULT_MAX_AGE_S",
    "DEFAULT_MAX_BYTES",
    "Busy",
    "Cache",
    "CacheStats",
    "CachedAnswer",
    "Claim",
    "cache_key",
]
