"""Running one workload under one configuration."""

from bench.executor.executor import ConcurrentBigModelExecutor, Run, RunOutcome
from bench.executor.left import answers
from bench.executor.unchanged import SOURCES, check_settings

__all__ = ["SOURCES", "ConcurrentBigModelExecutor", "Run", "RunOutcome", "answers", "check_settings"]
