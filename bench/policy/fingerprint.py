"""What makes two tasks the same request: sha256 over canonical JSON."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.records import Task

_CANONICAL = msgspec.json.Encoder(order="deterministic")


def task_fingerprint(task: Task) -> str:
    """Return the sha256 (64 hex digits) of a task's messages, parameters, model and version.

    Order in lists matters, order of keys does not, and 1, "1" and true are three values.
    """
    material = (task.messages, task.params, task.model, task.version)
    return hashlib.sha256(_CANONICAL.encode(material)).hexdigest()


def workload_fingerprint(fingerprints: Iterable[str]) -> str:
    """Return the sha256 (64 hex digits) over the fingerprints of tasks, in order; takes any number of them."""
    digest = hashlib.sha256()
    for fingerprint in fingerprints:
        digest.update(fingerprint.encode())
    return digest.hexdigest()
