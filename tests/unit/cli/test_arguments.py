"""Arguments: what they mean, and how what they cannot mean is refused."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cli.arguments import Parsed, parse
from bench.cli.layers import Layers
from bench.cli.options import command_line, config_from
from bench.config import MAX_CONCURRENCY, MODES, ConcurrentConfig
from bench.errors import ConfigError

NOWHERE = Path("/nonexistent")


def parsed(*argv: str) -> Parsed:
    """Read arguments, with nothing in the environment."""
    return parse(argv, Layers({}, NOWHERE))


def refusal(*argv: str) -> ConfigError:
    """Return the error with which arguments are refused."""
    with pytest.raises(ConfigError) as refused:
        config_from(parsed(*argv).settings)
    return refused.value


@pytest.mark.parametrize(
    ("argv", "settings"),
    [
        ([], {}),
        (["run"], {}),
        (["--topics", "A", "B", "-c", "3"], {"topics": ("A", "B"), "concurrency": 3}),
        (["--topics", "A", "--topics", "B"], {"topics": ("A", "B")}),
        (["--topics=-5度", "B"], {"topics": ("-5度", "B")}),
        (["--topics", "-5"], {"topics": ("-5",)}),
        (["--topics", "run", "demo"], {"topics": ("run", "demo")}),
        (["--topics", ""], {"topics": ("",)}),
        (["--topics-file", "-"], {"topics_file": Path("-")}),
        (["--prompts", "-", "-q"], {"prompts": Path("-"), "quiet": True}),
        (["-c8", "-mthreading"], {"concurrency": 8, "mode": "threading"}),
        (["--concurrency=8"], {"concurrency": 8}),
        (["--no-stream", "--no-report"], {"stream": False, "report": False}),
        (["--max-tokens", "none"], {"max_tokens": None}),
        (["--temperature", "0.5"], {"temperature": 0.5}),
        (
            ["-p", "simulator", "--simulator", "ttft=1", "itl=0"],
            {"provider": ("simulator",), "simulator": ("ttft=1", "itl=0")},
        ),
        (["-o", "none"], {"output": Path("none")}),
        (["-p", "ark", "openai", "--profile", "prod"], {"provider": ("ark", "openai"), "profile": "prod"}),
        (["--providers", "f"], {"providers_file": Path("f")}),
        (["--profile", "prod", "--cache", "--no-adaptive"], {"profile": "prod", "cache": True, "adaptive": False}),
        (["--no-cache"], {"cache": False}),
        (["--max-failures", "3"], {"max_failures": 3}),
    ],
)
def test_meaning(argv: list[str], settings: dict[str, Any]) -> None:
    """Arguments give the settings that they name; all others keep their defaults."""
    assert config_from(parsed(*argv).settings) == ConcurrentConfig(**settings)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["book"], (Path("data/book_outline.xlsx"), (), Path("output"), "auto")),
        (["book", "-e", "o.ods", "-p", "ark", "-o", "b", "-w", "3"], (Path("o.ods"), ("ark",), Path("b"), "3")),
        (
            ["book", "--excel", "o.csv", "--provider", "all", "--output", "b", "--workers", "auto"],
            (Path("o.csv"), ("all",), Path("b"), "auto"),
        ),
    ],
)
def test_the_options_of_a_book(argv: list[str], expected: tuple[Path, tuple[str, ...], Path, str]) -> None:
    """A book's outline, providers, folder and workers have their options, short and long, and their defaults."""
    found = parsed(*argv).settings
    assert (found["outline"], found["provider"], found["folder"], found["workers"]) == expected


@pytest.mark.parametrize(
    ("argv", "message", "hint"),
    [
        (["--mode", "bogus"], ["--mode", "bogus", "serial", "asyncio"], ["run --help"]),
        (["-c", "0"], ["--concurrency", "0", "at least 1", str(MAX_CONCURRENCY)], []),
        (["-c", "2.5"], ["-c", "whole number", "'2.5'"], []),
        (["-c", "1e3"], ["-c", "whole number", "'1e3'"], []),
        (["-c"], ["-c", "requires an argument"], []),
        (["-c", "1", "-c", "2"], ["-c", "multiple"], []),
        (["--timeout", "nan"], ["--timeout", "above 0", "nan"], []),
        (["--timeout", "inf"], ["--timeout", "at most", "inf"], []),
        (["--temperature", "-1"], ["--temperature", "at least 0", "-1"], []),
        (["--stream=maybe"], ["--stream", "maybe"], []),
        (["--concurrenc", "3"], ["--concurrenc", "did you mean --concurrency?"], ["run --help"]),
        (["simulate", "--bogus"], ["--bogus"], ["simulate --help"]),
        (["demo", "--mode", "serial"], ["--mode"], ["demo --help"]),
        (["--empty-topics"], ["--empty-topics"], []),
        (["--no-topics"], ["--no-topics"], []),
        (["--topics", "-5度"], ["'-5度'"], ["--topics=-5度", "file"]),
        (["--topics", "A", "-5度"], ["'-5度'"], ["--topics=-5度"]),
        (["--topics", "A", "-abc"], ["-abc"], ["--topics=-abc"]),
        (["--topics", "--mode", "serial"], ["--topics", "at least one"], ["--topics=-"]),
        (["--topics"], ["--topics", "at least one"], []),
        (["--topics", "A", "--", "B"], ["'B'"], ["--topics"]),
        (["AI"], ["'AI'"], ["run, report, compare, simulate", "--topics"]),
        (["reprot"], ["did you mean report?"], []),
        (["-c", "3", "demo"], ["comes first", "'demo'"], []),
        ([""], ["''"], []),
    ],
)
def test_refusals(argv: list[str], message: list[str], hint: list[str]) -> None:
    """What cannot be meant is refused by the option's name, the value, what is possible, and what to do."""
    error = refusal(*argv)
    assert all(part in error.message for part in message), error.message
    assert all(part in error.hint for part in hint), error.hint


@pytest.mark.parametrize(
    "option",
    ["--api-key", "--api_key", "-api-key", "--openai-api-key", "--API-KEY", "--apikey", "--secret", "--password"],
)
@pytest.mark.parametrize("joined", [True, False])
def test_keys_on_the_command_line(option: str, joined: bool) -> None:  # noqa: FBT001 - a parameter
    """A key in the arguments is refused without being repeated, and its place is named."""
    value = "sk-canary"
    error = refusal("-c", "3", *([f"{option}={value}"] if joined else [option, value]))
    assert option in error.message
    assert "CONCURRENT_API_KEY" in error.hint
    assert "canary" not in str(error)


def test_unknown_options_do_not_repeat_their_value() -> None:
    """What an unknown option was given may be a secret."""
    assert "canary" not in str(refusal("--tokn=sk-canary"))


def test_max_tokens_is_no_secret() -> None:
    """An option that only sounds like a secret is one like others."""
    assert parsed("--max-tokens", "5").settings["max_tokens"] == 5


def test_words_of_a_report() -> None:
    """The runs of a report are its arguments without a dash."""
    report = parsed("report", "a", "b", "--out", "d")
    assert (report.command.name, report.words) == ("report", ("a", "b"))
    assert report.settings == {"out": Path("d"), "markdown": False, "results_dir": Path("results")}


def test_settings_of_a_simulator() -> None:
    """The simulator's settings are options without the unit in their name."""
    settings = parsed("simulate", "--ttft", "0.3", "--retry-after", "2", "--public", "--max-in-flight", "5").settings
    wanted = {"ttft_s": 0.3, "retry_after_s": 2.0, "public": True, "max_in_flight": 5, "itl_s": 0.0}
    assert {name: settings[name] for name in wanted} == wanted


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
configs = st.builds(
    ConcurrentConfig,
    topics=st.lists(words, max_size=3).map(tuple),
    iterations=st.integers(1, 10**9),
    mode=st.sampled_from([mode for mode in MODES if mode != "serial"]),
    concurrency=st.none() | st.integers(1, MAX_CONCURRENCY),
    model=st.none() | words,
    stream=st.booleans(),
    quiet=st.booleans(),
    max_tokens=st.none() | st.integers(1, 10**9),
    temperature=st.none() | st.floats(0, 2),
    timeout=st.floats(0.001, 1000),
    output=st.none() | words.map(Path),
    provider=st.lists(words, max_size=3).map(tuple),
    providers_file=st.none() | words.map(Path),
    profile=st.just("prod"),
    cache=st.none() | st.booleans(),
    adaptive=st.none() | st.booleans(),
    race=st.booleans(),
    max_failures=st.none() | st.integers(1, 10**9),
)


@given(configs)
def test_command_line_round_trip(config: ConcurrentConfig) -> None:
    """The command that is said to repeat a run gives the very same settings, whatever a topic or a path looks like."""
    python, program, *argv = shlex.split(command_line(config))
    assert (python, program) == ("python", "concurrent_bigmodel.py")
    assert config_from(parsed(*argv).settings) == config


def test_command_line_is_short() -> None:
    """Settings at their default are left out of the command that repeats a run."""
    assert command_line(ConcurrentConfig()) == "python concurrent_bigmodel.py"
    config = ConcurrentConfig(topics=("A b", "C"), mode="threading", report=False)
    assert command_line(config) == "python concurrent_bigmodel.py --topics 'A b' C --mode threading --no-report"
