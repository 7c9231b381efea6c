"""The tables of a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.report.fonts import ChartFonts
from bench.report.load import load
from bench.report.provenance import address, environment, settings, sources
from bench.report.series import arrange
from bench.report.tables import tables
from tests.report_cases import CASES, HOSTILE
from tests.report_runs import REFUSAL, Plan, make_run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.report.table import Table


def made(root: Path, plans: Sequence[Plan]) -> dict[str, Table]:
    """Return the tables about made runs by name."""
    shown = arrange([load(make_run(root, plan)) for plan in plans], ChartFonts())
    return {table.name: table for table in (*tables(shown), environment(shown), settings(shown))}


def column(table: Table, name: str) -> list[str]:
    """Return the texts of a column, each with its remark."""
    place = [column.name for column in table.columns].index(name)
    return [" ".join(filter(None, (row[place].text, row[place].note))) for row in table.rows]


def test_a_percentile_needs_its_samples(tmp_path: Path) -> None:
    """With 24 successes the median is given and p90, p95, p99 are n/a with the number that they need."""
    times = made(tmp_path, CASES["one"])["times"]
    assert column(times, "p50")[0].endswith(" ms")
    assert column(times, "p90")[0] == "n/a needs n = 64"
    assert column(times, "p95")[0] == "n/a needs n = 130"
    assert column(times, "p99")[0] == "n/a needs n = 662"


def test_with_samples_enough_every_percentile_is_given(tmp_path: Path) -> None:
    """With 700 successes no percentile is n/a."""
    times = made(tmp_path, [Plan(tasks=700)])["times"]
    assert not [text for name in ("p50", "p90", "p95", "p99") for text in column(times, name)[:6] if "n/a" in text]


def test_nothing_measured_is_never_zero(tmp_path: Path) -> None:
    """An all-failed run has no latency, rate or token number: each is n/a; the failures' own latency is apart."""
    found = made(tmp_path, CASES["all failed"])
    for name in ("mean", "sd", "min", "p50", "max"):
        assert column(found["times"], name)[0] == "n/a", name
    assert column(found["runs"], "tasks/s") == ["n/a"]
    assert column(found["runs"], "tokens/s") == ["n/a"]
    assert column(found["times"], "n")[-1] == "24"
    assert column(found["times"], "mean")[-1].endswith(" ms")


def test_errors_are_listed_by_class_with_their_first_message(tmp_path: Path) -> None:
    """Each class of error has a row with the tasks it ended, the attempts it met, and what the server said first."""
    errors = made(tmp_path, [Plan(error_rate=1.0, retries=2)])["errors"]
    assert column(errors, "error") == ["server_error"]
    assert column(errors, "HTTP status") == ["503"]
    assert column(errors, "tasks") == ["24"]
    assert column(errors, "attempts") == ["72"]
    assert column(errors, "first message") == [REFUSAL]


def test_retries_are_counted(tmp_path: Path) -> None:
    """Attempts that followed a failure stand beside the attempts."""
    assert column(made(tmp_path, [Plan(error_rate=1.0, retries=2)])["runs"], "attempts") == ["72 48 again"]


def test_a_run_on_several_nodes_has_a_row_for_each(tmp_path: Path) -> None:
    """A node's row names it and its host, counts its tasks and losses, and shows its bound where it has one."""
    found = made(tmp_path, CASES["nodes"])
    nodes = found["nodes-1"]
    names = column(nodes, "node")
    assert set(names) == {f"n{number} on n{number}.lan" for number in (1, 2, 3)}
    assert sum(map(int, column(nodes, "tasks"))) == 700
    lost = dict(zip(names, column(nodes, "lost"), strict=True))
    assert lost == {"n1 on n1.lan": "0", "n2 on n2.lan": "3", "n3 on n3.lan": "0"}
    peaks = dict(zip(names, column(nodes, "most in flight"), strict=True))
    assert peaks["n1 on n1.lan"].startswith("20 of 32 mean ")
    assert peaks["n2 on n2.lan"].startswith("20 mean ")
    assert column(nodes, "latency p50")[0].endswith(" ms")
    processes = column(found["workers-1"], "process")
    assert set(processes[:-1]) == {f"4242 on n{number}" for number in (1, 2, 3)}
    assert processes[-1] == "process ids: 3"


def test_hundreds_of_nodes_are_fifty_rows_and_a_sum(tmp_path: Path) -> None:
    """Of 80 nodes the 50 with most tasks have rows, and the last row adds the other 30 up."""
    names = tuple(f"n{number}" for number in range(80))
    nodes = made(tmp_path, [Plan(mode="distributed", concurrency=160, tasks=400, nodes=names)])["nodes-1"]
    assert column(nodes, "node")[-1] == "and 30 more added up"
    assert len(nodes.rows) == 51
    assert sum(int(tasks) for tasks in column(nodes, "tasks")) == 400


def test_a_run_on_one_machine_has_no_table_of_nodes(tmp_path: Path) -> None:
    """Where there are no nodes, nothing is said of nodes."""
    assert not [name for name in made(tmp_path, CASES["one"]) if name.startswith("nodes")]


def test_600_workers_are_twenty_rows_and_a_sum(tmp_path: Path) -> None:
    """Of 600 workers the 20 busiest have rows, and the last row adds the other 580 up."""
    workers = made(tmp_path, CASES["600 workers"])["workers-1"]
    assert len(workers.rows) == 21
    assert column(workers, "slot")[-1] == "and 580 more added up"
    total = sum(int(text.replace(",", "")) for text in column(workers, "tasks"))
    assert total == 2400


def test_a_hostile_message_is_shown_not_obeyed(tmp_path: Path) -> None:
    """A message with markup and control characters stands in the table with the latter written out."""
    (message,) = set(column(made(tmp_path, CASES["hostile"])["errors"], "first message"))
    assert message.startswith("<img src=x onerror=alert(1)></style><script>")
    assert "\\u202e" in message
    assert "\u202e" not in message
    assert "\x1b" not in message
    assert message != HOSTILE


def test_settings_say_which_run_has_which(tmp_path: Path) -> None:
    """A setting that is the same everywhere has one value; one that differs names the runs with each."""
    found = made(tmp_path, [Plan(), Plan(mode="threading", seed=1)])["settings"]
    values = dict(zip(column(found, "name"), column(found, "value"), strict=True))
    assert values["max_tokens"] == "512"
    assert values["mode"] == "threading (threading, N=8); asyncio (asyncio, N=8)"


def test_environment_is_written_flat(tmp_path: Path) -> None:
    """Nested facts about the machine are rows of their own."""
    found = made(tmp_path, CASES["one"])["environment"]
    values = dict(zip(column(found, "name"), column(found, "value"), strict=True))
    assert values["packages.openai"] == "3.54.0"
    assert values["host"] == "bench-host"


def test_addresses_of_raw_files_are_relative_and_never_have_a_scheme(tmp_path: Path) -> None:
    """Links lead from the page to the run's files, through blanks, Chinese, and names that look like schemes."""
    out_dir = tmp_path / "结果 与 报告"
    run = make_run(tmp_path / "javascript:alert(1)", Plan())
    shown = arrange([load(run)], ChartFonts())
    (source,) = sources(shown, out_dir)
    assert [link.text for link in source.files] == ["run.json", "tasks.jsonl"]
    assert source.files[0].address == f"./../javascript%3Aalert%281%29/{run.name}/run.json"
    assert address(out_dir / "charts" / "a b.png", out_dir) == "./charts/a%20b.png"
    assert source.command.startswith("python concurrent_bigmodel.py run ")
