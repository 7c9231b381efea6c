"""Parts of the harness for programs of one's own: batches, trying again, and tasks that several processes share."""

from bench.clients.classify import classify
from bench.toolkit.batch import ItemOutcome
from bench.toolkit.manager import Batches, ConcurrencyManager
from bench.toolkit.retrying import ErrorHandler, RetryLimits
from bench.toolkit.task import ItemResult, TaskInfo, TaskStatus
from bench.toolkit.tasks import TaskManager, TaskRun

__all__ = [
    "Batches",
    "ConcurrencyManager",
    "ErrorHandler",
    "ItemOutcome",
    "ItemResult",
    "RetryLimits",
    "TaskInfo",
    "TaskManager",
    "TaskRun",
    "TaskStatus",
    "classify",
]
