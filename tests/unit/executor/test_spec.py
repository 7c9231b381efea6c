"""What a configuration asks of the workers."""

from __future__ import annotations

from bench.config import ConcurrentConfig
from bench.endpoints.resolve import resolve
from bench.executor.spec import patience
from bench.providers import Endpoint, Patience


def test_the_slowest_is_waited_for() -> None:
    """Where nobody says how long to wait, the slowest of those who are asked decides: a model on this machine's CPU has
    minutes for its first token; what is said holds for it too.
    """
    hosted = Endpoint(provider="p", base_url="http://127.0.0.1/v1", model="m")
    (local,) = resolve(ConcurrentConfig(provider=("local",)), {}).routes
    assert patience(ConcurrentConfig(), (hosted,)) == Patience(task_s=300, first_token_s=60, next_token_s=60)
    assert patience(ConcurrentConfig(), (hosted, local)) == Patience(task_s=3600, first_token_s=600, next_token_s=600)
    said = ConcurrentConfig(timeout=7, idle_timeout=60)
    assert patience(said, (local,)) == Patience(task_s=7, first_token_s=600, next_token_s=60)
