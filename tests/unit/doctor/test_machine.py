"""The machine: what is there is told, what a run needs and would not find is named with a way on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.config import ConcurrentConfig
from bench.doctor import Finding, machine_findings
from tests.disks import small_disk

if TYPE_CHECKING:
    from pathlib import Path


def found(config: ConcurrentConfig) -> dict[str, Finding]:
    """What is found for a configuration, by name."""
    return {each.name: each for each in machine_findings(config)}


def test_a_machine_that_has_everything(tmp_path: Path) -> None:
    """Interpreter, packages, cores, limits, disk, font and clock are told of, and nothing is missing."""
    findings = found(ConcurrentConfig(results_dir=tmp_path / "not" / "yet"))
    assert list(findings) == ["Python", "packages", "cores", "limits", "disk", "CJK font", "clock"]
    assert all(each.level != "missing" and each.said for each in findings.values())
    assert "GIL" in findings["Python"].said or "free-threaded" in findings["Python"].said
    assert all(name in findings["packages"].said for name in ("uvloop", "openai", "msgspec"))
    assert "8 in flight, mode asyncio" in findings["limits"].said
    assert "ns" in findings["clock"].said
    assert not (tmp_path / "not").exists()


def test_too_little_memory(tmp_path: Path) -> None:
    """What no machine has is named as missing, with the N that fits."""
    limits = found(ConcurrentConfig(mode="multiprocessing", concurrency=100_000, results_dir=tmp_path))["limits"]
    assert limits.level == "missing"
    assert "is the most that fits" in limits.said
    assert limits.advice.startswith("use --concurrency")


def test_a_place_that_cannot_be(tmp_path: Path) -> None:
    """Where no results can be kept, the disk is missing."""
    (tmp_path / "file").touch()
    disk = found(ConcurrentConfig(results_dir=tmp_path / "file" / "results"))["disk"]
    assert disk.level == "missing"
    assert "no directory" in disk.said
    assert "--results-dir" in disk.advice


@pytest.mark.root
def test_a_full_disk(tmp_path: Path) -> None:
    """A disk with room for a few records only is named, one that may not do for a long run is noted."""
    for size, level in (("1m", "missing"), ("200m", "note")):
        with small_disk(tmp_path / size, size) as disk:
            finding = found(ConcurrentConfig(results_dir=disk / "results"))["disk"]
        assert finding.level == level
        assert "MB free" in finding.said
        assert finding.advice
