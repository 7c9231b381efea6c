"""Running one workload under one configuration."""

from bench.executor.closing import RunOutcome
from bench.executor.executor import ConcurrentBigModelExecutor
from bench.executor.left import answers
from bench.executor.run import Run
from bench.executor.unchanged import SHAPING, check_asked, check_settings

__all__ = ["SHAPING", "ConcurrentBigModelExecutor", "Run", "RunOutcome", "answers", "check_asked", "check_settings"]
