"""Tests of a run's log file and of the warnings on its terminal."""

from __future__ import annotations

import io
import logging
import os
import re
import subprocess
import sys
import textwrap
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from bench.errors import ConfigError
from bench.logcontext import task_scope
from bench.observe.logs import run_logging
from bench.observe.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable

LOG = logging.getLogger("bench.somewhere")
ROOT = Path(__file__).parents[3]
RUN_ID = "20260102T030405Z-threading-ab12"
SECRET = "sk-live/0123456789+abcdef=="  # noqa: S105 - a made-up one


class Logged(Protocol):
    """Logs inside a run and gives back the lines of the file and of the terminal."""

    def __call__(self, act: Callable[[], object], *, level: int = logging.INFO) -> tuple[list[str], list[str]]:
        """Call `act` inside a run."""


@pytest.fixture
def logged(tmp_path: Path) -> Logged:
    """Return what logs inside a run and gives back the lines of the file and of the terminal."""

    def run(act: Callable[[], object], *, level: int = logging.INFO) -> tuple[list[str], list[str]]:
        path, screen = tmp_path / "run.log", io.StringIO()
        with run_logging(path, run_id=RUN_ID, level=level, secrets=(SECRET, ""), terminal=Terminal(screen)):
            act()
        return path.read_text(encoding="utf-8").splitlines(), screen.getvalue().splitlines()

    return run


def test_a_line_says_when_who_and_what(logged: Logged) -> None:
    """A line holds UTC time, level, process, thread, run, task, logger and message, each a field of its own."""

    def act() -> None:
        with task_scope("3-i0-v1"):
            thread = threading.Thread(target=lambda: LOG.info("without a task"), name="slot 7")
            thread.start()
            thread.join()
            LOG.info("took %d s", 2)

    file, screen = logged(act)
    when = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.fullmatch(
        rf"{when} INFO    pid=\d+ MainProcess/slot_7 run={RUN_ID} task=- bench.somewhere: without a task", file[0]
    )
    assert re.fullmatch(rf"{when} INFO    pid=\d+ MainProcess/MainThread run=\S+ task=3-i0-v1 \S+: took 2 s", file[1])
    assert screen == []


def test_a_record_is_a_line(logged: Logged) -> None:
    """Line breaks, controls and direction marks of a message become escapes, and a traceback stays on its line."""

    def act() -> None:
        LOG.warning("first\r\nsecond\x1b[2J\u202e\x85\u2028end")
        try:
            int("not a number")
        except ValueError:
            LOG.exception("parsing failed")

    file, screen = logged(act)
    assert len(file) == 2
    assert file[0].endswith(r"first\r\nsecond\x1b[2J\u202e\x85\u2028end")
    assert r"parsing failed\nTraceback (most recent call last):\n" in file[1]
    assert screen == [
        "warning: first (more in the log file)",
        "error: parsing failed (ValueError: invalid literal for int() with base 10: 'not a number')",
    ]


def test_secrets(logged: Logged) -> None:
    """A secret is replaced in messages, arguments, addresses and tracebacks with causes, in file and terminal."""

    def fail() -> None:
        try:
            os.environ[SECRET]
        except KeyError as error:
            message = f"the server said: bad key {SECRET}"
            raise RuntimeError(message) from error

    def act() -> None:
        LOG.warning("key %s of %r", SECRET, {"Authorization": f"Bearer {SECRET}"})
        LOG.warning("https://host/?key=sk-live%2F0123456789%2Babcdef%3D%3D")
        try:
            fail()
        except RuntimeError:
            LOG.exception("failed with %s", SECRET)

    file, screen = logged(act)
    text = "\n".join([*file, *screen])
    assert "0123456789" not in text
    assert "key **** of {'Authorization': 'Bearer ****'}" in text
    assert r"KeyError: '****'\n" in text
    assert "https://host/?key=****" in text


def test_levels(logged: Logged) -> None:
    """The file takes what its level says, the terminal warnings and errors."""

    def act() -> None:
        for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
            LOG.log(level, "level %d", level)

    file, screen = logged(act, level=logging.DEBUG)
    assert [line.rpartition(": ")[2] for line in file] == ["level 10", "level 20", "level 30", "level 40"]
    assert screen == ["warning: level 30", "error: level 40"]
    file, screen = logged(act, level=logging.ERROR)
    assert (len(file), len(screen)) == (4 + 1, 2)


def test_libraries(logged: Logged) -> None:
    """Of the libraries, warnings and nothing less go to the file, and nothing to the terminal, at any level."""

    def act() -> None:
        for name in ("openai._base_client", "httpx2", "httpcore2.http11", "aiohttp.client", "asyncio"):
            logging.getLogger(name).info("a request")
            logging.getLogger(name).warning("a warning of %s", name)
        logging.getLogger("openai").setLevel(logging.DEBUG)
        logging.getLogger("openai").debug("lowered")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("a Python warning", UserWarning, stacklevel=1)

    file, screen = logged(act)
    assert len(file) == 6
    assert all("warning" in line for line in file)
    assert "openai._base_client: a warning of openai._base_client" in file[0]
    assert screen == []


def test_logging_is_as_before_afterwards(tmp_path: Path) -> None:
    """After a run the loggers have the handlers, levels and ways that they had before it."""

    def state() -> list[tuple[int, bool, list[logging.Handler]]]:
        loggers = [logging.getLogger(name) for name in ("bench", "openai", "asyncio")]
        return [(logger.level, logger.propagate, list(logger.handlers)) for logger in loggers]

    before = state()
    assert all(propagate for _, propagate, _ in before)
    with run_logging(tmp_path / "run.log", run_id=RUN_ID, terminal=Terminal(None)):
        assert state() != before
    assert state() == before


def test_a_flood_of_warnings(logged: Logged) -> None:
    """A thousand warnings are a thousand lines in the file, and on the terminal a few and their number."""

    def act() -> None:
        for number in range(1000):
            LOG.warning("warning %d", number)

    file, screen = logged(act)
    assert len(file) == 1000
    assert len(screen) < 100
    assert re.fullmatch(r"\d+ more warnings are in .*run\.log", screen[-1])
    hidden = sum(int(line.split()[0]) for line in screen if "more warnings" in line)
    assert hidden + sum(line.startswith("warning:") for line in screen) == 1000


def test_a_log_call_that_cannot_be_shown(logged: Logged) -> None:
    """A log call with wrong arguments, half a character, a megabyte of text or none leaves a line and no error."""

    class Broken:
        def __str__(self) -> str:
            raise ZeroDivisionError

    def act() -> None:
        LOG.warning("%d tasks", "many")
        LOG.warning("%s", Broken())
        LOG.warning(Broken())
        LOG.warning("half \ud83d pair")
        LOG.info("x" * 1_000_000)
        LOG.warning("")

    file, screen = logged(act)
    assert file[0].endswith("%d tasks (cannot be shown with its arguments: TypeError)")
    assert file[1].endswith("%s (cannot be shown with its arguments: ZeroDivisionError)")
    assert file[2].endswith("Broken (cannot be shown with its arguments: ZeroDivisionError)")
    assert file[3].endswith("half \\ud83d pair")
    assert file[4].endswith("xxx .. (980000 more characters)")
    assert screen[-1] == "warning: "


def test_full_disk() -> None:
    """A log on a full disk loses its lines and nothing else."""
    screen = io.StringIO()
    with run_logging(Path("/dev/full"), run_id=RUN_ID, terminal=Terminal(screen)):
        for number in range(3):
            LOG.warning("warning %d", number)
    assert screen.getvalue().splitlines() == ["warning: warning 0", "warning: warning 1", "warning: warning 2"]


def test_a_disk_that_fills_up_in_the_middle_of_a_line(tmp_path: Path) -> None:
    """When there is room again after a line was cut off, the next line begins on a line of its own."""
    program = textwrap.dedent("""
        import logging, resource, sys, time
        from pathlib import Path
        from bench.observe.logs import run_logging
        path = Path(sys.argv[1])
        with run_logging(path, run_id="r"):
            resource.setrlimit(resource.RLIMIT_FSIZE, (300, resource.RLIM_INFINITY))
            for number in range(3):
                logging.getLogger("bench").info("number %d %s", number, "x" * 150)
            while path.stat().st_size < 300:
                time.sleep(0.001)
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            logging.getLogger("bench").info("room again")
    """)
    path = tmp_path / "run.log"
    ended = subprocess.run([sys.executable, "-c", program, str(path)], cwd=ROOT, capture_output=True, check=True)
    lines = path.read_text().splitlines()
    assert (ended.stdout, ended.stderr) == (b"", b"")
    assert lines[0].endswith("number 0 " + "x" * 150)
    assert lines[-1].endswith("bench: room again")
    assert lines[-1].count("Z INFO") == 1


def test_a_log_file_that_cannot_be_opened(tmp_path: Path) -> None:
    """A log file that cannot be opened is told before anything is sent, with its name and the reason."""
    with (
        pytest.raises(ConfigError, match=r"no/such/run\.log cannot be written: No such file or directory"),
        run_logging(tmp_path / "no/such/run.log", run_id=RUN_ID),
    ):
        pass
