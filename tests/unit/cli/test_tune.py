"""`tune`: what it refuses, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.cli.compare_cells import Cells
from bench.cli.context import Context
from bench.cli.dispatch import dispatch
from bench.cli.tune_words import TuneWatcher, say_tuning
from bench.config import ConcurrentConfig
from bench.experiment.conduct import Target
from bench.experiment.records import Arm
from bench.tuning.records import Answer, Goal, Held, ModeRow, Probe, Tuning

SEEN = Probe(
    mode="asyncio",
    concurrency=8,
    purpose="closing",
    requests=60,
    tokens=900,
    steady=True,
    throughput_per_s=40.0,
    goodput_per_s=38.5,
    attempted=40,
    attained=39,
    latency_mean_s=0.2,
    latency_sd_s=0.02,
    ttft_p95_s=0.151,
    cpu_us_per_task=1234.0,
)


def tuning(*probes: Probe, answer: Answer, objectives: str = "") -> Tuning:
    """Return a search that ended."""
    return Tuning(
        tuning_id="t",
        status="completed",
        command="c",
        started_at="",
        ended_at=None,
        goal=Goal(modes=("asyncio",)),
        objectives=objectives,
        client="lean",
        source="s",
        environment={},
        settings={},
        probes=probes,
        answer=answer,
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--modes", "serial", "asyncio"], "begins with serial"),
        (["--goodput", "0"], "--goodput must be above 0"),
        (["--budget", "0"], "--budget must be at least 1"),
        (["--max-concurrency", "0"], "--max-concurrency must be at least 1"),
        (["--max-concurrency", "1", "--modes", "hybrid"], "hybrid takes 2"),
        (["--slo", "speed<1s"], "'speed'"),
        (["--concurrency", "4"], "--concurrency"),
    ],
)
def test_wrong_usage_sends_nothing(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What makes no search is refused with exit code 2 before a directory is made."""
    monkeypatch.chdir(tmp_path)
    assert dispatch(["tune", "--provider", "simulator", *arguments]) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_answer_is_said_with_its_ground(capsys: pytest.CaptureFixture[str]) -> None:
    """A row for each probe with goodput and its interval, p95, what it kept and CPU time; answer, cost, command."""
    answer = Answer(
        outcome="found",
        words="8 in flight give 38.5 good requests a second, the most there is; 7 do not",
        concurrency=8,
        low_per_s=36.0,
        high_per_s=41.0,
        knee=8.2,
        modes=(ModeRow(mode="asyncio", standing="cheapest", words="1,234 us CPU a task"),),
        mode="asyncio",
        command="python concurrent_bigmodel.py -c 8",
        warnings=("this machine was 90% busy",),
    )
    say_tuning(tuning(SEEN, answer=answer, objectives="ttft<1s"), quiet=False)
    out, err = capsys.readouterr()
    (row,) = [line for line in out.splitlines() if line.startswith("asyncio@8")]
    assert row.split() == ["asyncio@8", "60", "38.5", "2.3", "151", "39", "of", "40", "good", "1,234"]
    assert "found: 8 in flight give 38.5" in out
    assert "knee by Little's law: 8.2 in flight" in out
    assert "asyncio: cheapest (1,234 us CPU a task)" in out
    assert "cost:   60 requests, 900 tokens, 1 probes" in out
    assert "run:    python concurrent_bigmodel.py -c 8" in out
    assert "this machine was 90% busy" in err


def test_what_a_probe_broke_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """A probe that was refused, missed an objective or did not run says that in place of `met`."""
    common = {"mode": "asyncio", "concurrency": 9, "purpose": "edge", "attempted": 20, "attained": 20}
    missed = (Held(objective="ttft_p95<1s", share=0.95, met=10, of=20),)
    probes = [
        Probe(**common, refused=15),  # type: ignore[arg-type] # a table of them
        Probe(**common, held=missed, steady=True),  # type: ignore[arg-type]
        Probe(**common, steady=True),  # type: ignore[arg-type]
        Probe(mode="hybrid", concurrency=9, purpose="mode", error="no room"),
    ]
    watcher = TuneWatcher(quiet=False)
    for probe in probes:
        watcher.ended(probe)
    answer = Answer(outcome="unreachable", words="no N does")
    say_tuning(tuning(*probes, answer=answer, objectives="ttft_p95<1s"), quiet=False)
    out, err = capsys.readouterr()
    told = [line for line in out.splitlines() if "@9" in line]
    words = ["15 refused", "10 of 20 kept", "met", "did not run"]
    assert all(word in line for word, line in zip(words, told, strict=True))
    assert "out of reach: no N does" in out
    assert "no room" in err


def test_quiet_leaves_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    """With --quiet there are the answer and the command, and nothing else."""
    answer = Answer(outcome="found", words="8 in flight do", mode="asyncio", command="python x -c 8")
    TuneWatcher(quiet=True).ended(SEEN)
    say_tuning(tuning(SEEN, answer=answer), quiet=True)
    out, err = capsys.readouterr()
    assert out.splitlines() == ["found: 8 in flight do", "run:    python x -c 8"]
    assert err == ""


def test_a_probe_takes_its_tasks_from_its_own_file_alone(tmp_path: Path) -> None:
    """Whatever source the tasks came from, the command of a cell names the file of its own and no other source."""
    arm = Arm(name="lean/asyncio@2", mode="asyncio", concurrency=2, client="lean")
    tasks = tmp_path / "tasks-0.jsonl"
    tasks.write_bytes(b'{"prompt": "a"}\n')
    sources: list[dict[str, Any]] = [
        {"topics": ("a",)},
        *({name: Path("x")} for name in ("topics_file", "prompts", "outline")),
    ]
    for source in sources:
        config = ConcurrentConfig(provider=("simulator",), **source)
        words = Cells(config, tmp_path, Context(environment={})).command(arm, tasks, Target(options=()), 1)
        assert words[words.index("--prompts") + 1] == str(tasks.resolve())
        assert not {"--topics", "--topics-file", "--outline"} & set(words)
