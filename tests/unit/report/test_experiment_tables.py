"""Tables, charts and Markdown of an experiment: what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from bench.experiment.analyse import with_analysis
from bench.experiment.store import load, save
from bench.policy.objectives import parse_objectives
from bench.policy.validity import check_cell
from bench.report.experiment import charts
from bench.report.experiment.build import build_experiment_report
from bench.report.experiment.curves import in_flight, spreads, top_times
from bench.report.experiment.goals import goal_tables
from bench.report.experiment.meanings import meanings_table
from bench.report.experiment.phases import PARTS, mean_phases, phase_table
from bench.report.experiment.plan import facts as facts_of
from bench.report.experiment.shown import ShownExperiment, read
from bench.report.experiment.tables import arms_table, cells_table, conditions_table, reasons_table
from bench.report.experiment.verdicts import comparison_tables, scaling_table, speed_up_table
from bench.report.fonts import ChartFonts
from bench.report.markdown import code, escaped, experiment_markdown, runs_markdown
from tests.experiment_cases import CASES, Made, make_experiment
from tests.report_cases import CASES as RUNS
from tests.report_runs import make_run

if TYPE_CHECKING:
    from pathlib import Path

    from bench.report.table import Table


def shown(root: Path, made: Made) -> ShownExperiment:
    """Return a made experiment as its report sees it."""
    return read(make_experiment(root, made), ChartFonts())


def column(table: Table, name: str) -> list[str]:
    """Return the texts of a column, each with its remark."""
    place = [column.name for column in table.columns].index(name)
    return [" ".join(filter(None, (row[place].text, row[place].note))) for row in table.rows]


def test_an_arm_that_does_not_count_says_so_in_words(tmp_path: Path) -> None:
    """An INVALID arm is marked by text in its row, in its chart's words, and with its reason in a table of its own."""
    found = shown(tmp_path, Made(foreign=("threading",)))
    table = arms_table(found, found.directory)
    status = dict(zip(column(table, "arm"), column(table, "status"), strict=True))
    assert status["openai/threading@8 httpx2"].startswith("INVALID")
    assert status["openai/asyncio@8 aiohttp"].startswith("VALID")
    reasons = reasons_table(found)
    assert (
        "other programs used 40.0%"
        in dict(zip(column(reasons, "arm"), column(reasons, "reasons"), strict=True))["openai/threading@8"]
    )
    assert {each.arm.mode for each in found.arms if not each.valid} == {"threading"}


def test_the_control_comes_first(tmp_path: Path) -> None:
    """In every table of verdicts the comparison of an arm with itself is the first row."""
    for table in comparison_tables(shown(tmp_path, CASES["small"])):
        if table.rows:
            assert column(table, "arms")[0].endswith("(again) control (A/A)")


def test_verdicts_of_many_n_are_split(tmp_path: Path) -> None:
    """Of many comparisons those of the highest N stand open and the others are folded; none is left out."""
    found = shown(tmp_path, CASES["two clients"])
    tables = {table.name: table for table in comparison_tables(found)}
    judged = [each for each in found.analysis.comparisons if each.metric == "throughput"]
    top, lower = tables["verdicts-throughput"], tables["verdicts-throughput-lower"]
    assert not top.folded
    assert lower.folded
    assert all("@64" in arms for arms in column(top, "arms"))
    assert len(top.rows) + len(lower.rows) == len(judged)


def test_a_verdict_shows_ratio_interval_p_and_words(tmp_path: Path) -> None:
    """A true difference is a row with the better arm, its ratio, the interval that was judged, p, and the sentence."""
    found = shown(tmp_path, Made(modes=("threading", "asyncio"), faster={"asyncio": 1.5}))
    table = comparison_tables(found)[0]
    assert column(table, "verdict")[1] == "openai/asyncio@8 better"
    assert float(column(table, "ratio")[1]) == pytest.approx(0.9 / 0.97 / 1.5, abs=0.03)
    assert column(table, "p")[1] == "< 0.0001"
    assert column(table, "in words")[1].startswith("openai/asyncio@8 finishes 1.")


def test_a_verdict_that_cells_barred_names_the_arms_and_not_each_rule(tmp_path: Path) -> None:
    """Where arms are INVALID the row says which; their rules stand in the table of reasons, not in every row."""
    table = comparison_tables(shown(tmp_path, CASES["all invalid"]))[0]
    for words in column(table, "in words"):
        assert words.startswith("No verdict: ")
        assert words.endswith(" INVALID.")
        assert "other programs" not in words


def test_every_cell_has_its_status_and_its_conditions(tmp_path: Path) -> None:
    """Cells and conditions have a row for each cell, null servers' ones as well; what could not begin says why."""
    found = shown(tmp_path, Made(error="no route to host", kept=0))
    cells = cells_table(found, found.directory)
    assert len(cells.rows) == len(found.experiment.cells) == len(conditions_table(found).rows)
    assert column(cells, "status").count("INVALID") == len(found.arms)
    assert sum("no route to host" in reasons for reasons in column(cells, "reasons")) == len(found.arms)
    assert column(cells, "cell")[0] == "ceiling"


def test_a_part_that_the_client_cannot_see_is_not_zero(tmp_path: Path) -> None:
    """Parsing that a client does not do apart is n/a in the table and named as not measured below the chart."""
    found = shown(tmp_path, CASES["small"])
    assert set(column(phase_table(found), "parsing")) == {"n/a"}
    assert mean_phases(found.arms[0])["parse_s"] is None
    assert [field for field, *_ in PARTS] == list(mean_phases(found.arms[0]))
    from_chart = charts.client_share(found)
    assert from_chart.draw is not None


def test_without_stamps_what_the_client_adds_is_not_drawn(tmp_path: Path) -> None:
    """Where neither stamps nor calibration told what the client adds, the chart's place says so and arms show n/a."""
    found = shown(tmp_path, CASES["no stamps"])
    assert charts.client_share(found).draw is None
    assert set(column(arms_table(found, found.directory), "client adds (ms)")) == {"n/a"}


def test_goodput_is_drawn_only_with_objectives(tmp_path: Path) -> None:
    """With objectives the caption names them, without it says that goodput was not measured."""
    assert "Goodput was not measured" in charts.success(shown(tmp_path / "a", CASES["small"])).caption
    with_some = charts.success(shown(tmp_path / "b", Made(objectives="ttft<1s", kept=0)))
    assert "met ttft<1s" in with_some.caption


def test_records_that_are_gone_are_said_to_be(tmp_path: Path) -> None:
    """Without the cells' records the curves' places say so, and everything else is still there."""
    found = shown(tmp_path, Made(kept=0))
    tops = top_times(found)
    assert [chart.draw for chart in (*spreads(found, tops, tmp_path), in_flight(tops, tmp_path))] == [None] * 3
    assert "not here" in column(arms_table(found, tmp_path), "raw")[0]
    assert charts.throughput(found).draw is not None


def test_a_sweep_has_a_knee(tmp_path: Path) -> None:
    """Where a mode has several N the table names its knee, or why there is none, and the law's fit."""
    table = scaling_table(shown(tmp_path, Made(modes=("asyncio",), levels=(1, 2, 4, 8, 16, 32), kept=0)))
    assert column(table, "client/mode") == ["openai/asyncio"]
    assert column(table, "knee")[0].startswith(("N = ", "none "))


def test_speed_up_time_saved_and_efficiency_are_three_things(tmp_path: Path) -> None:
    """Against the serial arm: how many times its throughput, how much of its time is saved, how much of N is used."""
    table = speed_up_table(shown(tmp_path, Made(noise=0.0, kept=0)))
    place = column(table, "arm").index("openai/asyncio@8")
    truth = 8 * 0.97 / (1 + 8 / 400) * (1 + 1 / 400)
    assert float(column(table, "speed-up")[place]) == pytest.approx(truth, abs=0.006)
    assert column(table, "time saved")[place] == f"{(1 - 1 / truth) * 100:.1f} %"
    assert column(table, "efficiency")[place] == f"{truth / 8 * 100:.1f} %"
    alone = speed_up_table(shown(tmp_path / "alone", Made(modes=("asyncio",), kept=0)))
    assert alone.rows == ()


def test_words_are_explained_beside_other_tools() -> None:
    """TTFT, TPOT, ICL and latency are explained, ours first, beside four other tools."""
    table = meanings_table()
    assert [column.name for column in table.columns][1:] == [
        "here",
        "AIPerf",
        "GuideLLM",
        "vLLM bench serve",
        "MLPerf LoadGen",
    ]
    assert {row[0].text.split()[0] for row in table.rows} >= {"TTFT", "TPOT", "ICL", "E2E"}
    assert all(cell.text for row in table.rows for cell in row)


@pytest.mark.parametrize("case", CASES)
def test_markdown_is_short_and_says_the_same(tmp_path: Path, case: str) -> None:
    """The Markdown page has the headline, arms, verdicts and validity in 60 lines, no table row wider than its head."""
    directory = make_experiment(tmp_path, CASES[case])
    text = experiment_markdown(directory)
    lines = text.splitlines()
    assert len(lines) <= 60
    for sentence in read(directory).analysis.headline[:3]:
        assert escaped(sentence) in text
    assert "**Arms**" in text
    assert "**What does not count, and why**" in text
    width = 0
    for line in lines:
        bars = line.replace("\\\\", "").replace("\\|", "").count("|") if line.startswith("|") else 0
        assert not bars or not width or bars == width, line
        width = bars
    # The last line holds the command as code, in which nothing means anything.
    assert "<img" not in "".join(lines[:-1]).replace("\\<", "")
    assert "\u202e" not in text


def test_a_command_cannot_leave_its_code() -> None:
    """A command with backticks stands between more of them than it has in a row."""
    assert code("a b") == "`a b`"
    assert code("a ``` b `c`") == "```` a ``` b `c` ````"


def test_pipes_and_backticks_are_escaped() -> None:
    """What means something to Markdown is shown as it stands, on one line."""
    assert escaped("a|b `c` <d> [e](f)\n# g") == r"a\|b \`c\` \<d\> \[e\](f) \# g"


@pytest.mark.parametrize("case", ["one", "four modes", "hostile"])
def test_markdown_of_runs(tmp_path: Path, case: str) -> None:
    """Runs have a page too, with their sentences, figures and errors."""
    runs = [make_run(tmp_path, plan) for plan in RUNS[case]]
    text = runs_markdown(runs)
    assert len(text.splitlines()) <= 60
    assert "**Runs**" in text
    assert "**Errors**" in text
    assert "<img" not in text.replace("\\<", "")


def test_r49_overload_stands_in_the_table_of_arrivals_and_of_validity(tmp_path: Path) -> None:
    """Of an open loop each arm has a row with what was offered, sent and dropped; its overload is a reason by name."""
    directory = make_experiment(tmp_path, Made(modes=("asyncio",), kept=0))
    stored = load(directory)
    cells = []
    for cell in stored.cells:
        facts = msgspec.structs.replace(
            cell.facts, load_model="open", offered_per_s=60.0, achieved_per_s=46.5, dropped=1, overloaded=True
        )
        cells.append(msgspec.structs.replace(cell, facts=facts, reasons=check_cell(facts)))
    plan = msgspec.structs.replace(stored.plan, rate_per_s=60.0)
    save(directory, with_analysis(msgspec.structs.replace(stored, cells=tuple(cells), plan=plan)))
    found = read(directory)
    (table,) = goal_tables(found)
    assert [row[0].text for row in table.rows] == ["openai/asyncio@8", "openai/asyncio@8 (again)"]
    assert [cell.text for cell in table.rows[0][1:]] == ["60.0", "46.5", "6", "in 6 of 6 blocks"]
    assert all("overload: requests under way" in reasons for reasons in column(reasons_table(found), "reasons"))
    assert dict(facts_of(found))["Load"] == "open loop, 60.0 arrivals/s, N = 8"
    assert [each.name for each in comparison_tables(found) if not each.folded] == ["verdicts-latency-p50"]
    assert charts.latency(found).caption.startswith("From the arrival of the task")
    text = experiment_markdown(directory)
    assert "| openai/asyncio@8 | 60.0 | 46.5 | 6 | in 6 of 6 blocks |" in text
    (first,) = (each for each in comparison_tables(found) if not each.folded)
    assert len(text.splitlines()) <= 80
    assert f"**{escaped(first.title)}**" in text, "the verdicts that the first sentence is about"


def test_objectives_on_percentiles_have_a_table(tmp_path: Path) -> None:
    """Each objective on a percentile has a row for each arm, with what became of it; goodput names the others alone."""
    goals = parse_objectives("latency_p50<1s,ttft_p99<1s,latency<20s")
    directory = make_experiment(tmp_path, Made(modes=("asyncio",), kept=0, objectives="latency_p50<1s,latency<20s"))
    stored = load(directory)
    cells = [
        msgspec.structs.replace(cell, objectives=goals.aggregates({"latency_p50": 0.2, "ttft_p99": None}))
        for cell in stored.cells
    ]
    save(directory, with_analysis(msgspec.structs.replace(stored, cells=tuple(cells))))
    found = read(directory)
    (table,) = goal_tables(found)
    assert column(table, "objective")[:2] == ["latency_p50<1s", "ttft_p99<1s"]
    assert column(table, "outcome") == ["met", "too few samples"] * 2
    assert column(table, "median over blocks (ms)")[:2] == ["200", "n/a"]
    assert "met latency<20s." in charts.success(found).caption
    assert r"| openai/asyncio@8 | latency\_p50\<1s | met | 200 |" in experiment_markdown(directory)


def test_an_experiment_without_either_has_no_such_table(tmp_path: Path) -> None:
    """A closed loop without objectives on percentiles has no table about them."""
    assert list(goal_tables(shown(tmp_path, Made(modes=("asyncio",), kept=0)))) == []


def test_r41_what_was_not_checked_is_said_where_validity_is(tmp_path: Path) -> None:
    """Page and Markdown name what no cell measured and what it takes, also where every cell counts; its figure is n/a.

    The lag with which a thread wakes is such a figure in short cells.
    """
    counting = shown(tmp_path / "counting", Made(modes=("asyncio",), kept=0))
    assert reasons_table(counting).rows == ()
    page = build_experiment_report(counting.directory).read_text(encoding="utf-8")
    for said in (page, experiment_markdown(counting.directory).replace("\\", "")):
        assert "ot measured in any cell, so that no rule about it was checked: " in said
        assert "wakeup_lag_p99_s (takes 662 samples, a cell of 13 s)" in said
    assert set(column(conditions_table(counting), "wake-up lag p99 (ms)")) == {"n/a"}
    barred = shown(tmp_path / "barred", Made(modes=("asyncio",), kept=0, foreign=("asyncio",)))
    intro = reasons_table(barred).intro
    assert reasons_table(barred).rows
    assert intro.startswith("Not measured in any cell, so that no rule about it was checked: ")
    assert escaped(intro) in experiment_markdown(barred.directory)
