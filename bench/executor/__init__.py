"""Running one workload under one configuration."""

from bench.executor.executor import ConcurrentBigModelExecutor, Run, RunOutcome
from bench.executor.left import answers
from bench.executor.unchanged import SHAPING, check_settings

__all__ = ["SHAPING", "ConcurrentBigModelExecutor", "Run", "RunOutcome", "answers", "check_settings"]
