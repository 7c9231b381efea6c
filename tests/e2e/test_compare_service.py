"""`compare --target service`: the service's two paths, in front of the same simulator."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

import msgspec
import psutil
import pytest

from bench.cli.compare_service import behind_service
from bench.endpoints.simulated import null_settings, simulated_server
from bench.experiment.conduct import Target
from bench.experiment.records import Experiment
from bench.service.client import ServiceClient
from tests.command import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import StartCommand

ARMS: Final = {"service-direct/asyncio@2", "service-pooled/asyncio@2"}


def test_a_service_in_front(tmp_path: Path) -> None:
    """The service answers with what the simulator sends it, its own CPU time counts as the server's, and it ends."""
    with simulated_server(null_settings(ttft_s=0.0, itl_s=0.0, tokens=4)) as simulator:
        options = ("--base-url", simulator.endpoint.base_url, "--model", simulator.endpoint.model)
        target = Target(options=options, server=simulator, stamped=True)
        with behind_service(target, most_slots=2, folder=tmp_path) as behind:
            (process,) = (each for each in psutil.Process().children() if "serve" in each.cmdline())
            address = dict(zip(behind.options[::2], behind.options[1::2], strict=True))["--base-url"]
            assert behind.server is not None
            behind.server.reset()
            with ServiceClient(address) as client:
                result = client.generate("chat", {"topic": "城市的黎明"}, "pooled")
            window = behind.server.reset()
    digest = hashlib.sha256("城市的黎明".encode()).hexdigest()[:16]
    assert re.search(rf"\b\d{{19}} \[{digest}\]", result.text), result.text
    assert window.requests == 1
    assert window.cpu_s > 0
    wait_until(lambda: not process.is_running(), "the service's end")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--modes", "threading"), "--target service is asked from one event loop, got --modes threading"),
        (
            ("--base-url", "http://127.0.0.1:9/v1", "--model", "m"),
            "in front of the simulator, got http://127.0.0.1:9/v1",
        ),
    ],
)
def test_refused(start: StartCommand, tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    """What the service's paths cannot be compared in is refused before anything is sent."""
    process = start("compare", "--target", "service", *options, cwd=tmp_path)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, said in errors) == (2, True), errors


@pytest.mark.full
@pytest.mark.timeout(300)
def test_direct_against_pooled(start: StartCommand, tmp_path: Path) -> None:
    """Both paths do the same work through the whole machinery: ceilings, blocks, an A/A arm, and verdicts on pairs."""
    options = ("-c", "2", "--repeats", "1", "--min-duration", "0.5", "--no-report", "--simulator", "tokens=8")
    process = start("compare", "--target", "service", *options, cwd=tmp_path)
    _, errors = process.communicate(timeout=200)
    assert process.returncode in {0, 1}, errors
    (found,) = (tmp_path / "results").glob("*/experiment.json")
    experiment = msgspec.json.decode(found.read_bytes(), type=Experiment)
    assert {arm.name for arm in experiment.plan.arms if arm.again is None} == ARMS
    assert {(cell.kind, cell.arm) for cell in experiment.cells if cell.kind == "ceiling"} == {
        ("ceiling", arm) for arm in ARMS
    }
    for cell in experiment.cells:
        assert (cell.error, cell.facts.payload_mismatches) == (None, 0)
        assert cell.tasks > 0
        assert cell.conditions.server_cpu_share
        assert cell.figures.client_lag_p50_s is None or cell.figures.client_lag_p50_s < 1
