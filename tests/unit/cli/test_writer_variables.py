"""The WRITER_ variables: what they set, for which commands, within which ranges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cli.arguments import parse
from bench.cli.layers import Layers
from bench.cli.writer_variables import writer_settings
from bench.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

COUNTS: Final = ("WRITER_CHAPTER_VERSION_COUNT", "WRITER_MAX_PARALLEL_REQUESTS")
WANTED: Final = ("versions", "mode", "concurrency")


def settings_of(folder: Path, *argv: str, **env: str) -> dict[str, Any]:
    """Return the settings that arguments and environment give."""
    return dict(parse(argv, Layers(env, folder)).settings)


@given(st.sampled_from(COUNTS), st.integers(-20, 20).map(str) | st.text(min_size=1, max_size=5))
def test_counts_have_a_range(variable: str, text: str) -> None:
    """A count from 1 to 10 is taken; anything else is refused by variable, place, range and value."""
    try:
        is_count = 1 <= int(text) <= 10
    except ValueError:
        is_count = False
    if is_count:
        ((_, given_value),) = writer_settings({variable: text}, "the environment", WANTED).items()
        assert given_value == (variable, str(int(text)))
        return
    with pytest.raises(ConfigError) as refused:
        writer_settings({variable: text}, "the environment", WANTED)
    assert refused.value.message == f"{variable} in the environment must be a whole number from 1 to 10, got {text!r}"


def test_a_switch_is_true_or_false() -> None:
    """What is neither true nor false is refused by the variable's name."""
    with pytest.raises(ConfigError, match=r"WRITER_PARALLEL_GENERATION in f must be true or false, got 'maybe'"):
        writer_settings({"WRITER_PARALLEL_GENERATION": "maybe"}, "f", WANTED)
    assert writer_settings({"WRITER_PARALLEL_GENERATION": "True"}, "f", WANTED) == {}
    assert writer_settings({"WRITER_PARALLEL_GENERATION": "false"}, "f", ["workers"]) == {
        "workers": ("WRITER_PARALLEL_GENERATION", "1")
    }


def test_real_work_takes_them(tmp_path: Path) -> None:
    """In profile prod they set versions, requests in flight and the mode; not parallel means serial."""
    prod = ("--profile", "prod")
    found = settings_of(tmp_path, *prod, WRITER_CHAPTER_VERSION_COUNT="2", WRITER_MAX_PARALLEL_REQUESTS="3")
    assert (found["versions"], found["concurrency"], found["mode"]) == (2, 3, "asyncio")
    serial = {"WRITER_PARALLEL_GENERATION": "false", "WRITER_MAX_PARALLEL_REQUESTS": "3"}
    found = settings_of(tmp_path, *prod, **serial)
    assert (found["concurrency"], found["mode"]) == (None, "serial")
    found = settings_of(tmp_path, CONCURRENT_PROFILE="prod", **serial)
    assert found["mode"] == "serial"


def test_a_measurement_is_left_alone(tmp_path: Path) -> None:
    """In profile bench they change nothing, not even by a value that is none."""
    env = {"WRITER_PARALLEL_GENERATION": "false", "WRITER_CHAPTER_VERSION_COUNT": "99"}
    assert settings_of(tmp_path, **env) == settings_of(tmp_path)
    assert settings_of(tmp_path, "compare", **env) == settings_of(tmp_path, "compare")


def test_precedence(tmp_path: Path) -> None:
    """An option, and a CONCURRENT_ variable of the same place, go before them; they go before the env file."""
    (tmp_path / ".env").write_text("CONCURRENT_CONCURRENCY=64\nWRITER_CHAPTER_VERSION_COUNT=5\n", encoding="utf-8")
    env = {"CONCURRENT_PROFILE": "prod", "WRITER_MAX_PARALLEL_REQUESTS": "3"}
    found = settings_of(tmp_path, **env)
    assert (found["concurrency"], found["versions"]) == (3, 5)
    assert settings_of(tmp_path, **env, CONCURRENT_CONCURRENCY="7")["concurrency"] == 7
    assert settings_of(tmp_path, "-c", "9", "--versions", "1", **env)["concurrency"] == 9
    assert settings_of(tmp_path, "-m", "threading", **env, WRITER_PARALLEL_GENERATION="false")["mode"] == "threading"


def test_a_wrong_value_is_found_in_its_place(tmp_path: Path) -> None:
    """A value out of its range names the file that it stands in."""
    path = tmp_path / ".env"
    path.write_text("WRITER_MAX_PARALLEL_REQUESTS=0\n", encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        settings_of(tmp_path, "--profile", "prod")
    assert refused.value.message == (
        f"WRITER_MAX_PARALLEL_REQUESTS in {path} must be a whole number from 1 to 10, got '0'"
    )
