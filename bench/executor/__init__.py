"""Running one workload under one configuration."""

from bench.executor.executor import ConcurrentBigModelExecutor, Run, RunOutcome

__all__ = ["ConcurrentBigModelExecutor", "Run", "RunOutcome"]
