"""The pool of routes: choice, limits, pauses and budgets behind one object."""

from bench.policy.pool.pool import Pool
from bench.policy.pool.values import (
    Change,
    ChangeKind,
    Grant,
    Never,
    Outcome,
    PoolSettings,
    RouteInfo,
    RouteState,
    Wait,
)

__all__ = [
    "Change",
    "ChangeKind",
    "Grant",
    "Never",
    "Outcome",
    "Pool",
    "PoolSettings",
    "RouteInfo",
    "RouteState",
    "Wait",
]
