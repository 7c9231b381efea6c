"""`plan` as a user calls it, held against runs that it has not seen."""

from __future__ import annotations

import statistics
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from bench.planning.records import PlanRecord
from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from bench.summary import Summary
from tests.command import COMMAND, write_topics
from tests.pages import check_self_contained
from tests.realwork import write_providers

if TYPE_CHECKING:
    from pathlib import Path

    from bench.planning.records import Answer, Bound
    from tests.conftest import Show

#: How far a plan may be from what then happens.
WITHIN: Final = 0.10


@dataclass(frozen=True, kw_only=True)
class Case:
    """A server, the N that are measured, and what is planned from them and then run.

    Attributes:
        server: What the server does.
        measured: Tasks by N.
        n: The N that is planned, with its tasks.
        tasks: See above.
        bound: What binds there.
        repeats: How often each is run: in turn, so that the machine's waves meet all of them.
        options: Of every run.
        per_min: Requests a minute that the provider allows; those who measure do not keep to it.
    """

    server: SimulatorSettings
    measured: dict[int, int]
    n: int
    tasks: int
    bound: Bound
    repeats: int = 2
    options: tuple[str, ...] = ("-m", "asyncio", "--client", "lean")
    per_min: float | None = None


def answers(**more: float) -> SimulatorSettings:
    """A server whose answers take 120 to 280 ms."""
    return msgspec.convert({"ttft_s": 0.13, "itl_s": 0.01, "tokens": 8, "jitter": 0.4, **more}, SimulatorSettings)


CASES: Final = {
    "slots": Case(server=answers(), measured={6: 120, 30: 420}, n=14, tasks=500, bound="slots"),
    "endpoint": Case(
        server=answers(capacity=12), measured={6: 120, 24: 300, 64: 500}, n=40, tasks=500, bound="endpoint"
    ),
    "requests per minute": Case(
        server=answers(), measured={6: 120, 24: 300}, n=12, tasks=300, bound="requests per minute", per_min=900
    ),
    "retries": Case(
        server=answers(error_rate=0.15),
        measured={8: 240, 32: 700},
        n=18,
        tasks=900,
        bound="slots",
        options=("-m", "asyncio", "--client", "lean", "--retry-delay", "0.2"),
    ),
    "two processes": Case(
        server=answers(),
        measured={8: 160, 32: 420},
        n=20,
        tasks=700,
        bound="slots",
        options=("-m", "hybrid", "--processes", "2", "--client", "lean"),
    ),
}


@dataclass
class Bench:
    """A folder in which one server is measured, planned for and asked."""

    folder: Path
    case: Case
    address: str
    sources: list[str] = field(default_factory=list)

    def call(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Call the command and wait for it."""
        done = subprocess.run(
            [*COMMAND, *arguments], cwd=self.folder, capture_output=True, check=False, encoding="utf-8"
        )
        assert done.returncode == code, done.stderr
        return done

    def run(self, n: int, tasks: int, *, real: bool = False) -> Path:
        """Do so many tasks with N in flight; for real within the provider's limits."""
        before = set((self.folder / "results").glob("*"))
        topics = write_topics(self.folder / "topics.txt", tasks)
        limited = real and self.case.per_min is not None
        if limited:
            fields = {"requests_per_min": self.case.per_min}
            write_providers(self.folder, {"limited": (self.address, fields)})
        whom = (
            ("--profile", "prod", "-p", "limited", "--no-cache")
            if limited
            else ("--base-url", self.address, "--model", "m")
        )
        # Some tasks have no answer at the end where the server fails: that is no failure of the test.
        done = subprocess.run(
            [*COMMAND, *whom, "--topics-file", str(topics), "-c", str(n), *self.case.options, "--no-report", "--quiet"],
            cwd=self.folder,
            capture_output=True,
            check=False,
            encoding="utf-8",
        )
        assert done.returncode in {0, 1}, done.stderr
        (run,) = set((self.folder / "results").glob("*")) - before
        return run

    def plan(self, *options: str) -> Answer:
        """Plan the case from the runs so far."""
        limits = () if self.case.per_min is None else ("--requests-per-min", str(self.case.per_min))
        self.call(
            *("plan", *self.sources, "--tasks", str(self.case.tasks), "-c", str(self.case.n), "--machines", "1"),
            *("--output", "plan.json", "--no-report", *limits, *options),
        )
        record = msgspec.json.decode((self.folder / "plan.json").read_bytes(), type=PlanRecord)
        (row,) = record.rows
        assert row.answer is not None
        return row.answer


def wall_s(run: Path) -> float:
    """How long a run took, from its first request to its last answer."""
    took_s = msgspec.json.decode((run / "summary.json").read_bytes(), type=Summary).wall_s
    assert took_s is not None
    return took_s


@pytest.mark.full
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", CASES)
def test_a_plan_comes_true(name: str, tmp_path: Path, show: Show) -> None:
    """At an N that was not measured the work takes as long as was planned, within a tenth, and what binds is named."""
    case, real_s = CASES[name], []
    with SimulatorProcess(case.server) as server:
        bench = Bench(tmp_path, case, server.base_url)
        for _ in range(case.repeats):
            for n in sorted({*case.measured, case.n}):
                if n in case.measured:
                    bench.sources.append(bench.run(n, case.measured[n]).name)
                else:
                    real_s.append(wall_s(bench.run(n, case.tasks, real=True)))
        answer, took_s = bench.plan(), statistics.median(real_s)
    show(
        "plan against what then happened",
        f"{name:<20} N = {case.n:<3} {case.tasks:>4} tasks: planned {answer.duration_s:5.2f} s "
        f"({answer.low_s:.2f} to {answer.high_s:.2f}), took {took_s:5.2f} s ({answer.duration_s / took_s - 1:+.1%}); "
        f"binds: {answer.bound}",
    )
    assert answer.bound == case.bound
    assert answer.duration_s == pytest.approx(took_s, rel=WITHIN)


def test_what_is_told_and_what_is_not(tmp_path: Path) -> None:
    """A plan from runs says what to run with its command, keeps itself with a page that stands alone, and names the
    run that would tell what these do not; where nothing keeps to what is wanted its exit code is 3.
    """
    case = Case(server=answers(), measured={4: 60, 12: 160}, n=8, tasks=100_000, bound="slots")
    with SimulatorProcess(case.server) as server:
        bench = Bench(tmp_path, case, server.base_url)
        bench.sources += [bench.run(n, tasks).name for n, tasks in case.measured.items()]
    prices = ("--price-in", "1", "--price-out", "2", "--price-machine", "3")
    said = bench.call(
        "plan", *bench.sources, "--tasks", "100000", "-c", "8", "40", "--machines", "1", "5", *prices
    ).stdout
    assert "Recommended: asyncio with client lean, N = 8, on 1 machine" in said
    assert "not told for lean/asyncio@40" in said
    assert "compare --modes asyncio --client lean --concurrency 40" in said
    assert "run --client lean --mode asyncio --concurrency 8 --model m --base-url" in said
    (page,) = (tmp_path / "results").glob("*-plan-*/report.html")
    check_self_contained(page)
    record = msgspec.json.decode((page.parent / "plan.json").read_bytes(), type=PlanRecord)
    assert record.sources == tuple(bench.sources)
    (told,) = (row.answer for row in record.rows if row.answer is not None)
    # A server of 200 ms on average: eight slots do 40 tasks a second.
    assert 100_000 / 40 * 0.9 < told.duration_s < 100_000 / 40 * 1.5
    assert told.money == pytest.approx((told.prompt_tokens or 0) / 1e6 + 1.6 + 3 * told.duration_s / 3600, rel=1e-6)
    hurried = bench.call("plan", *bench.sources, "--tasks", "100000", "--within", "1m", "--no-report", code=3)
    assert "Nothing to recommend: the quickest takes up to" in hurried.stdout
    assert "money is n/a: give --price-in and --price-out" in hurried.stderr
