"""What `plan` refuses, and the commands that it writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.cli.arguments import parse
from bench.cli.context import Context
from bench.cli.durations import duration_s
from bench.cli.layers import Layers
from bench.cli.plan import execute
from bench.cli.plan_words import run_command, settling
from bench.errors import ConfigError
from bench.planning.records import Choice, Row

if TYPE_CHECKING:
    from pathlib import Path

LEAN = Choice(mode="asyncio", client="lean", n=40)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "nothing to plan from"),
        (("nowhere",), "'nowhere' is neither experiment nor run"),
        (("--tasks", "0"), "--tasks must be above 0, got 0"),
        (("--within", "soon"), "--within must be a duration"),
        (("--price-in", "-1"), "--price-in must be at least 0"),
        (("--for", "0"), "--for must be above 0"),
        (("--machines", "0"), "--machines must be at least 1"),
        (("-p", "nobody"), "--provider must be one of"),
        (("-p", "openai", "gemini"), "--provider must be one of"),
    ],
)
def test_wrong_usage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str) -> None:
    """What cannot be planned is refused with its option's name, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    tasks = () if "--tasks" in arguments else ("--tasks", "10")
    parsed = parse(["plan", *arguments, *tasks], Layers({}, tmp_path))
    with pytest.raises(ConfigError) as refused:
        execute(parsed.settings, Context(environment={}, words=parsed.words))
    assert said in refused.value.message
    assert not any(tmp_path.iterdir())


def test_the_number_of_tasks_is_asked_for(tmp_path: Path) -> None:
    """Without --tasks there is no plan, and the message says so."""
    parsed = parse(["plan", "x"], Layers({}, tmp_path))
    with pytest.raises(ConfigError, match="--tasks is missing"):
        execute(parsed.settings, Context(environment={}, words=parsed.words))


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90.0), ("90s", 90.0), ("10m", 600.0), ("1.5h", 5400.0), ("2d", 172_800.0)]
)
def test_durations(text: str, seconds: float) -> None:
    """A duration is a number with s, m, h or d, or seconds alone."""
    assert duration_s(text, "--within") == seconds


@pytest.mark.parametrize("text", ["", "h", "-1m", "0", "inf", "nan", "2 weeks"])
def test_no_durations(text: str) -> None:
    """What is no length of time above 0 is refused by the option's name."""
    with pytest.raises(ConfigError, match=r"--within must be a duration such as 90s, 10m, 1\.5h or 2d, got"):
        duration_s(text, "--within")


@pytest.mark.parametrize(
    ("choice", "keeps_limits", "command"),
    [
        (LEAN, False, "run --client lean --mode asyncio --concurrency 40 --provider deepseek"),
        (LEAN, True, "run --client lean --mode asyncio --concurrency 40 --profile prod --provider deepseek"),
        (
            Choice(mode="asyncio", client="lean", n=40, machines=3),
            False,
            "run --client lean --mode distributed --scheduler ADDRESS --concurrency 120 --provider deepseek",
        ),
    ],
)
def test_the_command_does_what_is_recommended(choice: Choice, keeps_limits: bool, command: str) -> None:  # noqa: FBT001 - a parameter of the test
    """One machine runs the mode itself, several a cluster with all their requests in flight; limits take profile prod.

    What was measured with is not what is to be worked on.
    """
    asked: dict[str, object] = {"provider": ["deepseek"], "topics_file": "topics.txt"}
    assert run_command(choice, asked, keeps_limits=keeps_limits) == f"python concurrent_bigmodel.py {command}"


def test_the_command_that_would_tell() -> None:
    """What is not told is measured by one experiment for each mode and client, of whom the measurement asked."""
    rows = [Row(choice=LEAN, reason="x", settle_n=(n,)) for n in (64, 40, 64)]
    (command,) = settling(rows, {"base_url": "http://127.0.0.1:1/v1", "topics_file": "topics.txt"})
    assert command == (
        "python concurrent_bigmodel.py compare --modes asyncio --client lean --concurrency 40 64 "
        "--topics-file topics.txt --base-url http://127.0.0.1:1/v1"
    )
