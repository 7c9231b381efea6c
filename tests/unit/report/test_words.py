"""The sentences of a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.report.cautions import cautions
from bench.report.fonts import ChartFonts
from bench.report.load import load
from bench.report.series import arrange
from bench.report.words import facts, glance, heading, lead, notes
from tests.report_cases import CASES
from tests.report_runs import Plan, make_run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.report.series import ShownRun


def shown_runs(root: Path, plans: Sequence[Plan]) -> tuple[ShownRun, ...]:
    """Return made runs as a page shows them."""
    return arrange([load(make_run(root, plan)) for plan in plans], ChartFonts())


def kinds(shown: Sequence[ShownRun]) -> dict[str, str]:
    """Return what there is to keep in mind, by kind, and where."""
    return {caution.kind: caution.where for caution in cautions(shown, ChartFonts())}


def test_one_run_is_told_in_a_sentence_with_its_figures(tmp_path: Path) -> None:
    """The first sentence names the mode, N, the tasks, the time and the rate."""
    shown = shown_runs(tmp_path, CASES["one"])
    assert heading(shown) == "asyncio, 8 requests in flight"
    first, middle = lead(shown)
    assert first.startswith("asyncio with 8 requests in flight finished 24 of 24 tasks in 1.")
    assert " tasks/s, " in first
    assert first.endswith(" tokens/s.")
    assert middle.startswith("Half of the successful tasks took ")
    assert "first token within" in middle


def test_several_runs_carry_no_verdict(tmp_path: Path) -> None:
    """For several runs the figures of each are said, and that they decide nothing between modes."""
    shown = shown_runs(tmp_path, CASES["four modes"])
    assert [name for name, _ in glance(shown)] == [item.name for item in shown]
    assert all(" tasks/s" in outcome for _, outcome in glance(shown))
    assert any("No verdict between modes" in sentence for sentence in lead(shown))
    said = " ".join(lead(shown)).lower()
    assert not [word for word in ("faster", "slower", "best", "wins") if word in said]


def test_many_runs_are_told_by_their_range(tmp_path: Path) -> None:
    """Of more runs than one can take in, the lowest and the highest rate are named."""
    shown = shown_runs(tmp_path, CASES["twelve"])
    assert glance(shown) == ()
    assert lead(shown)[0].startswith("12 runs finished 1,24")
    assert "N=1) to " in lead(shown)[0]


def test_an_all_failed_run_has_no_figures(tmp_path: Path) -> None:
    """Where all failed, the sentences give no latency and no rate, and no 0 in their place."""
    said = " ".join(lead(shown_runs(tmp_path, CASES["all failed"])))
    assert "0 of 24 tasks" in said
    assert "no latency and no throughput" in said
    assert "tasks/s" not in said


def test_too_few_for_a_median_is_said(tmp_path: Path) -> None:
    """Ten successes give their range and no median."""
    said = " ".join(lead(shown_runs(tmp_path, [Plan(tasks=10)])))
    assert "too few for a median (n = 10, needs 11)" in said
    assert "The one successful task took" in " ".join(lead(shown_runs(tmp_path / "1", CASES["single task"])))


def test_a_run_without_records_says_so(tmp_path: Path) -> None:
    """A run that stopped before its first record is told without figures."""
    assert lead(shown_runs(tmp_path, CASES["nothing recorded"])) == (
        "asyncio with 8 requests in flight finished none of 24 tasks: no record was written.",
    )


def test_r01_the_load_model_is_named_on_page_and_charts(tmp_path: Path) -> None:
    """The facts and the line above each chart file say that the loop was closed, and N."""
    shown = shown_runs(tmp_path, CASES["four modes"])
    assert dict(facts(shown))["Load"] == "closed loop, N = 1 and 8"
    assert "closed loop, N = 1 and 8" in notes(shown)[0]
    assert dict(facts(shown))["Workload"] == "topics (24 tasks)"


def test_cautions_are_found(tmp_path: Path) -> None:
    """A short, failing, interrupted, varying or unequal run is each named with its figures; a good run has none."""
    failing = kinds(shown_runs(tmp_path / "failing", CASES["all failed"]))
    assert failing["failures"] == "24 of 24 tasks"
    assert "few" not in failing
    interrupted = kinds(shown_runs(tmp_path / "interrupted", CASES["interrupted"]))
    assert interrupted["unfinished"] == "interrupted, 11 of 1,000 tasks recorded"
    unequal = kinds(shown_runs(tmp_path / "unequal", [Plan(model="a"), Plan(model="b", seed=1)]))
    assert unequal["different_work"] == "1 workload, 2 models"
    quick = kinds(shown_runs(tmp_path / "quick", CASES["slow and quick"]))
    assert "threading, N=8: at most 3 of 8 in flight" in quick["never_full"]
    assert quick["spread"].startswith("asyncio, N=8: sd 20.4 % of the mean")
    assert kinds(shown_runs(tmp_path / "instant", [Plan(first_token_s=0.0001, token_s=0.0)]))["too_quick"]
    good = Plan(tasks=700, provider="bigmodel", first_token_s=0.35, token_s=0.024)
    assert kinds(shown_runs(tmp_path / "good", [good])) == {}


def test_runs_with_the_same_figures_share_a_caution(tmp_path: Path) -> None:
    """What is so of all runs alike is said once."""
    assert kinds(shown_runs(tmp_path, CASES["repeats"]))["few"] == "all runs: 24 successful tasks"
