"""Doing one task: the flow, its two drivers, and the records it makes."""

from bench.worker.flow import TaskWorker
from bench.worker.spec import Assignment, WorkerSpec

__all__ = ["Assignment", "TaskWorker", "WorkerSpec"]
