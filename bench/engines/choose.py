"""Which engine is meant by a mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from bench.engines.cluster.engine import DistributedEngine
from bench.engines.coroutines import CoroutinesEngine
from bench.engines.processes import HybridEngine, ProcessesEngine
from bench.engines.serial import SerialEngine
from bench.engines.threads import ThreadsEngine

if TYPE_CHECKING:
    from bench.engines._base import Engine
    from bench.records import Mode


def engine_for(mode: Mode) -> Engine:
    """Return a new engine of that mode."""
    match mode:
        case "serial":
            return SerialEngine()
        case "threading":
            return ThreadsEngine()
        case "multiprocessing":
            return ProcessesEngine()
        case "asyncio":
            return CoroutinesEngine()
        case "hybrid":
            return HybridEngine()
        case "distributed":
            return DistributedEngine()
        case _:
            assert_never(mode)
