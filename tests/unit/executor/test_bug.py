"""What a bug of this program's own leaves behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.config import ConcurrentConfig
from bench.executor import ConcurrentBigModelExecutor
from bench.providers import Endpoint, Secret
from tests.workloads import CountedWorkload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.records import Task

KEY = "sk-kanarie-0123456789"


class Breaking(CountedWorkload):
    """Tasks of which the second cannot be had; what is raised quotes the key, as an HTTP library's error may."""

    def __iter__(self) -> Iterator[Task]:
        """Yield one task, then fail, but not while its fingerprint is taken."""
        for place, task in enumerate(super().__iter__()):
            if place == 1 and hasattr(self, "fingerprint"):
                msg = f"invalid header b'Authorization: Bearer {KEY}'"
                raise ValueError(msg) from KeyError(KEY)
            yield task


def test_f50_an_error_that_quotes_the_key(tmp_path: Path) -> None:
    """A bug whose message and cause hold the key fails the run in words, and neither they nor any file hold it."""
    config = ConcurrentConfig(client="scripted", mode="serial", results_dir=tmp_path)
    endpoint = Endpoint(provider="scripted", base_url="none", model="scripted", api_key=Secret(KEY))
    outcome = ConcurrentBigModelExecutor(config).run(Breaking(3), endpoint)
    assert outcome.status == "failed"
    assert "a bug stopped the run (ValueError: invalid header b'Authorization: Bearer ****')" in str(outcome.error)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) >= 4
    assert [path for path in files if b"kanarie" in path.read_bytes()] == []
