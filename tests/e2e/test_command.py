"""The command as a user calls it: help, wrong usage, settings from files, and that nothing is sent when it refuses."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import pytest

from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from tests.modes import OF_ONE_MACHINE

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
COMMAND: Final = [sys.executable, str(ROOT / "concurrent_bigmodel.py")]

#: What only a run, a chart or a parser of arguments needs: a help page and a new worker process do without.
HEAVY: Final = {
    "openai",
    "aiohttp",
    "httpx2",
    "pandas",
    "numpy",
    "matplotlib",
    "langsmith",
    "cyclopts",
    "rich",
    "jinja2",
}


def run(
    *arguments: str, cwd: Path, env: dict[str, str] | None = None, stdin: bytes = b""
) -> subprocess.CompletedProcess[str]:
    """Call the command in a folder, with nothing of the user's in its environment but what is given."""
    result = subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        input=stdin,
        capture_output=True,
        check=False,
    )
    return subprocess.CompletedProcess(result.args, result.returncode, result.stdout.decode(), result.stderr.decode())


@pytest.fixture
def server() -> Iterator[SimulatorProcess]:
    """A server that counts what is sent to it."""
    with SimulatorProcess(SimulatorSettings()) as process:
        yield process


def at(server: SimulatorProcess) -> tuple[str, ...]:
    """Return the options that ask a server."""
    return ("--base-url", server.base_url, "--model", "simulated")


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help(tmp_path: Path, flag: str) -> None:
    """Help goes to standard output with exit code 0, and imports neither parser nor terminal library."""
    result = run(flag, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "--concurrency" in result.stdout
    probe = f"import sys; from bench.cli.app import main; main(['{flag}']); print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    modules = {name.partition(".")[0] for name in eval(loaded.splitlines()[-1], {})}  # noqa: S307 - a list of names
    assert not HEAVY & modules


def test_importing_loads_nothing_heavy() -> None:
    """Importing the command's file, as each worker process does again, or the package loads no library."""
    probe = "import sys, concurrent_bigmodel, bench; print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    modules = {name.partition(".")[0] for name in eval(loaded, {})}  # noqa: S307 - a list of names
    assert not (HEAVY | {"msgspec"}) & modules


def test_names_of_the_library() -> None:
    """The command's file hands out the names of the library, and no others."""
    probe = (
        "import concurrent_bigmodel as c; print([getattr(c, name).__name__ for name in c.__all__]); "
        "print(hasattr(c, 'nothing'))"
    )
    told = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = [
        *("ConcurrencyManager", "ConcurrentBigModelExecutor", "ConcurrentConfig", "ErrorHandler", "TaskManager"),
        *("TaskResult", "TaskWorker"),
    ]
    assert told.splitlines() == [str(names), "False"]


WRONG: Final = [
    (["--concurrency", "0"], ["--concurrency", "got 0", "at least 1"]),
    (["--mode", "bogus"], ["--mode", "bogus", "serial", "multiprocessing"]),
    (["--mode", "serial", "-c", "2"], ["--mode serial", "--concurrency 2"]),
    (["--topics-file", "absent.txt"], ["absent.txt", "No such file"]),
    (["--topics-file", "folder"], ["folder", "directory"]),
    (["--topics", ""], ["topic 1", "no visible character"]),
    (["--prompts", "wrong.jsonl"], ["wrong.jsonl, line 2"]),
    (["--prompts", "-"], ["standard input holds no task"]),
    (["--topics", "A", "--prompts", "wrong.jsonl"], ["--topics", "--prompts"]),
    (["--topics", "-5度"], ["--topics=-5度"]),
    (["--output", "nowhere/results.json"], ["--output", "nowhere"]),
    (["--results-dir", "wrong.jsonl"], ["wrong.jsonl"]),
    (["--log-file", "folder"], ["--log-file", "folder"]),
    (["--env-file", "absent.env"], ["absent.env"]),
    (["report", "absent"], ["absent", "no run"]),
    (["report", "folder"], ["folder", "run.json"]),
    (["report"], ["no run"]),
    (["demo", "--topics"], ["--topics"]),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG, ids=" ".join)
def test_wrong_usage(tmp_path: Path, server: SimulatorProcess, arguments: list[str], said: list[str]) -> None:
    """Wrong usage is one message with option, value and what is possible, exit code 2, and nothing is sent."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "wrong.jsonl").write_text('{"prompt": "x"}\n{"promt": "x"}\n', encoding="utf-8")
    whom = () if arguments[0] in {"report", "demo"} else at(server)
    result = run(*arguments, *whom, cwd=tmp_path)
    assert result.returncode == 2, result.stderr
    assert all(part in result.stderr for part in said), result.stderr
    assert result.stderr.count("error:") == 1
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert server.stats().connections_used == 0
    assert not (tmp_path / "results").exists()


def test_nobody_to_ask(tmp_path: Path) -> None:
    """Without a key and a provider one clear message names three ways on."""
    result = run("--topics", "A", cwd=tmp_path)
    assert result.returncode == 2
    ways = ("BIGMODEL_API_KEY", "--provider local", "--provider simulator")
    assert all(way in result.stderr for way in ways), result.stderr
    assert result.stdout == ""


def test_a_key_on_the_command_line(tmp_path: Path) -> None:
    """A key in the arguments is refused, and repeated nowhere."""
    result = run("--api-key", "sk-marked", cwd=tmp_path)
    assert (result.returncode, "environment" in result.stderr) == (2, True)
    assert "marked" not in result.stderr + result.stdout


def test_terminal_codes_are_not_passed_on(tmp_path: Path) -> None:
    """An argument cannot act on the terminal through the message that refuses it."""
    result = run("--mode", "\x1b[31mred\u202e", cwd=tmp_path)
    assert result.returncode == 2
    assert not {"\x1b", "\u202e"} & set(result.stderr)
    assert "red" in result.stderr


def test_errors_name_where_a_setting_is(tmp_path: Path) -> None:
    """A wrong setting from a file is told with the file; an option takes its place; a parent's file is not read."""
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / ".env").write_text("CONCURRENT_CONCURRENCY=-1\n", encoding="utf-8")
    (inner / ".env").write_text("CONCURRENT_CONCURRENCY=0\nCONCURRENT_MOOD=x\n", encoding="utf-8")
    result = run(cwd=inner)
    assert result.returncode == 2
    assert "got 0" in result.stderr
    assert "CONCURRENT_CONCURRENCY in .env" in result.stderr
    assert "unknown names, ignored: CONCURRENT_MOOD" in result.stderr
    result = run(cwd=inner, env={"CONCURRENT_CONCURRENCY": "-2"})
    assert "got -2" in result.stderr
    assert "CONCURRENT_CONCURRENCY in the environment" in result.stderr
    result = run("-c", "-3", cwd=inner, env={"CONCURRENT_CONCURRENCY": "-2"})
    assert "got -3" in result.stderr


def run_manifest(folder: Path) -> dict[str, object]:
    """Return run.json of the only run of a folder."""
    (path,) = (folder / "results").glob("*/run.json")
    manifest: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return manifest


def test_precedence(tmp_path: Path, server: SimulatorProcess) -> None:
    """A run is made with the option before the environment, that before the file, and that before the default."""
    (tmp_path / "concurrent_config.env").write_text(
        "CONCURRENT_SEED=1\nCONCURRENT_RETRIES=1\nCONCURRENT_MAX_TOKENS=1\n", encoding="utf-8"
    )
    env = {"CONCURRENT_SEED": "2", "CONCURRENT_RETRIES": "2", "CONCURRENT_REPORT": "false"}
    result = run("--topics", "A", "--seed", "3", *at(server), cwd=tmp_path, env=env)
    assert result.returncode == 0, result.stderr
    manifest = run_manifest(tmp_path)
    config = manifest["config"]
    assert isinstance(config, dict)
    names = ("seed", "retries", "max_tokens", "connect_timeout")
    assert [config[name] for name in names] == [3, 2, 1, 5.0]
    for part in ("--topics A", "--seed 3", "--retries 2", "--max-tokens 1", "--no-report", server.base_url):
        assert part in str(manifest["command"])
        assert part in result.stdout


def test_failures_have_a_hint(tmp_path: Path) -> None:
    """Tasks that fail are told by type, each with what to do, and the exit code is 1; quiet tells the same."""
    for quiet in ((), ("--quiet",)):
        result = run(
            *("--topics", "A", "B", "--base-url", "http://127.0.0.1:9/v1", "--model", "m"),
            *("--retries", "0", "--no-report", *quiet),
            cwd=tmp_path,
        )
        assert result.returncode == 1, result.stderr
        assert "error: 2 tasks failed: connect" in result.stderr
        assert "is the address right" in result.stderr
        assert bool(result.stdout) != bool(quiet)


class WrongServer(http.server.BaseHTTPRequestHandler):
    """Answers what is asked with a page, or not at all."""

    def do_POST(self) -> None:
        """Answer a request."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200 if self.path.startswith("/page") else 404)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", "13")
        self.end_headers()
        self.wfile.write(b"<html></html>")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def wrong_server() -> Iterator[int]:
    """Return the port of a server that does not speak the protocol."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), WrongServer) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield listening.server_port
        listening.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("path", "error_type", "hint"), [("/page/v1", "bad_content_type", "with a page"), ("/v1", "not_found", "--model")]
)
def test_addresses_that_answer_wrongly(
    tmp_path: Path, wrong_server: int, path: str, error_type: str, hint: str
) -> None:
    """An address that answers with a page or with 404 is told as that, with what to do, and the exit code is 1."""
    address = f"http://127.0.0.1:{wrong_server}{path}"
    result = run("quick", "--base-url", address, "--model", "m", cwd=tmp_path)
    assert result.returncode == 1
    assert f"error: 1 task failed: {error_type}: " in result.stderr
    assert hint in result.stderr


def test_keys_are_nowhere(tmp_path: Path, server: SimulatorProcess) -> None:
    """A key is in nothing that a run writes or says, whether it comes from the environment or a file."""
    keys = {"CONCURRENT_API_KEY": "sk-marked-environment"}
    (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-marked-file\nBIGMODEL_API_KEY=sk-marked-big\n", encoding="utf-8")
    result = run("--topics", "A", "--log-level", "debug", "--no-report", *at(server), cwd=tmp_path, env=keys)
    assert result.returncode == 0, result.stderr
    assert "marked" not in result.stdout + result.stderr
    written = [path for path in (tmp_path / "results").rglob("*") if path.is_file()]
    assert len(written) >= 5
    assert [path for path in written if b"marked" in path.read_bytes()] == []


def test_standard_input(tmp_path: Path, server: SimulatorProcess) -> None:
    """Topics and prompts come from standard input as well."""
    topics = run("--topics-file", "-", "--no-report", *at(server), cwd=tmp_path, stdin="AI\n新能源\n".encode())
    assert topics.returncode == 0, topics.stderr
    assert server.stats().requests == 2


def test_quick_shows_the_answer(tmp_path: Path) -> None:
    """A first call shows what came back."""
    result = run("quick", "--provider", "simulator", "--simulator", "ttft=0", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "answer: " in result.stdout


def test_a_damaged_run_is_not_reported_on(tmp_path: Path, server: SimulatorProcess) -> None:
    """A run whose records do not parse is wrong input of `report`: exit 2, the file and the line named."""
    done = run("--base-url", server.base_url, "--model", "m", "--topics", "A", "--no-report", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (directory,) = (tmp_path / "results").iterdir()
    (directory / "tasks.jsonl").write_bytes(b"{}\n{}\n")
    done = run("report", directory.name, cwd=tmp_path)
    assert done.returncode == 2
    assert "tasks.jsonl" in done.stderr
    assert "Traceback" not in done.stderr


def test_demo(tmp_path: Path) -> None:
    """The demo runs every mode on one simulator, compares them and names one report, whatever the environment says."""
    env = {"CONCURRENT_PROVIDER": "openai", "CONCURRENT_MODE": "bogus"}
    pace = ("--simulator", "ttft=0", "itl=0", "tokens=1")
    result = run("demo", "--iterations", "1", "-c", "2", *pace, cwd=tmp_path, env=env)
    assert result.returncode == 0, result.stderr
    for mode in OF_ONE_MACHINE:
        assert f": {mode}, 3 tasks" in result.stderr
        (manifest,) = (tmp_path / "results").glob(f"*-{mode}-*/run.json")
        assert json.loads(manifest.read_bytes())["concurrency"] == (1 if mode == "serial" else 2)
    assert "time saved" in result.stdout
    page = tmp_path / result.stdout.split("report:")[1].strip()
    assert page.is_file()
    names = [path.parent.name for path in (tmp_path / "results").glob("*/run.json")]
    again = run("report", *names, "--out", "mine", cwd=tmp_path)
    assert (again.returncode, (tmp_path / "mine" / "report.html").is_file()) == (0, True), again.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.full)])
def test_interrupt(tmp_path: Path, number: signal.Signals) -> None:
    """A run that is interrupted finishes what is in flight, keeps it, starts nothing more, and exits with 130."""
    with SimulatorProcess(SimulatorSettings(ttft_s=1.0)) as slow:
        arguments = ("--iterations", "50", "-c", "2", "--no-report", *at(slow))
        with subprocess.Popen([*COMMAND, *arguments], cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
            while slow.stats().in_flight < 2:
                assert process.poll() is None
            process.send_signal(number)
            _, said = process.communicate(timeout=60)
        stats = slow.stats()
    assert process.returncode == 130, said
    assert "stopping: waiting up to 10 s for 2 in flight" in said
    (run_json,) = (tmp_path / "results").glob("*/run.json")
    assert json.loads(run_json.read_bytes())["status"] == "interrupted"
    kept = [json.loads(line) for line in run_json.with_name("tasks.jsonl").read_bytes().splitlines()]
    assert [record["status"] for record in kept] == ["ok"] * stats.requests
    assert stats.requests < 150


def test_simulate(tmp_path: Path) -> None:
    """The simulator says where it listens, and ends with its statistics as JSON and exit code 0 when it is told to."""
    for number in (signal.SIGTERM, signal.SIGINT):
        with subprocess.Popen(
            [*COMMAND, "simulate", "--tokens", "3"],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr is not None
            said = process.stderr.readline()
            address = said.split()[1]
            assert urlsplit(address).hostname == "127.0.0.1"
            while "Ctrl+C" not in process.stderr.readline():
                pass
            process.send_signal(number)
            stdout, _ = process.communicate(timeout=20)
        assert process.returncode == 0
        assert json.loads(stdout)["settings"]["tokens"] == 3
