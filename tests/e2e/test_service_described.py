"""The service against its own description: whatever that allows, and much that it does not, gets a described answer."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.asking import ask, streaming, topic
from tests.serving import serving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Show
    from tests.serving import Serving

#: Answers are short, so that thousands of them take little time.
QUICK: Final = ("--provider", "simulator", "--simulator", "ttft=0", "itl=0", "tokens=3", "--client", "lean")

#: A task that was cancelled is told as that, and not as one that never was, which looks like use after its deletion.
CHECKS: Final = ("--checks", "all", "--exclude-checks", "use_after_free", "--continue-on-failure")


def examined(service: Serving, folder: Path, *options: str) -> Counter[tuple[str, str, int]]:
    """Have a service asked by its description, and return what was answered: path, method, status, and how often."""
    command = (sys.executable, "-m", "schemathesis.cli", "run", f"{service.url}/openapi.json", *CHECKS, *options)
    examination = subprocess.run(
        [*command, "--no-color", "--generation-database", "none"],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert examination.returncode == 0, examination.stdout[-6000:] + examination.stderr[-2000:]
    families = text_string_to_metric_families(ask(service.url, "GET", "/metrics").body.decode())
    (requests,) = (family for family in families if family.name == "service_requests")
    return Counter(
        {
            (sample.labels["address"], sample.labels["method"], int(sample.labels["status"])): int(sample.value)
            for sample in requests.samples
        }
    )


def operations(service: Serving) -> set[tuple[str, str]]:
    """Return what the description names."""
    paths = ask(service.url, "GET", "/openapi.json").json["paths"]
    return {(path, method.upper()) for path, methods in paths.items() for method in methods}


def test_a_few_cases(tmp_path: Path) -> None:
    """Every operation is asked, as described and otherwise, and no answer is one that the description lacks."""
    with serving(tmp_path, *QUICK) as service:
        answers = examined(service, tmp_path, "--phases", "fuzzing,stateful", "--max-examples", "3")
        assert operations(service) <= {(path, method) for path, method, _ in answers}
        assert max(status for *_, status in answers) < 500
        with streaming(service.url, "/chat/stream", topic()) as stream:
            assert list(stream)[-1].name == "complete"


@pytest.mark.full
@pytest.mark.timeout(1200)
def test_thousands_of_cases(tmp_path: Path, show: Show) -> None:
    """In 2,000 cases and more, single ones and sequences, every operation succeeds and none fails on our side."""
    with serving(tmp_path, *QUICK, "--no-adaptive") as service:
        answers = examined(service, tmp_path, "--max-examples", "200", "--workers", "2")
        described = operations(service)
        assert described <= {(path, method) for path, method, status in answers if status == 200}
        assert max(status for *_, status in answers) < 500
        cases = sum(count for (path, method, _), count in answers.items() if (path, method) in described)
        assert cases >= 2000
        with streaming(service.url, "/chat/stream", topic()) as stream:
            assert list(stream)[-1].name == "complete"
    statuses = Counter[int]()
    for (_, _, status), count in answers.items():
        statuses[status] += count
    show("the service against its description", f"{cases} cases; answers by status: {dict(sorted(statuses.items()))}")
