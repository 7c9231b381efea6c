"""What a run works through: topics and prompts, from options, files and standard input."""

from bench.workload._base import Workload
from bench.workload.build import build_workload

__all__ = ["Workload", "build_workload"]
