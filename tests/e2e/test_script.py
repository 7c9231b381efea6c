"""`run_concurrent.sh` as a user meets it: another folder, awkward paths, a machine that lacks things, two at once."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
LOCKS: Final = tuple(f"requirements{part}.lock" for part in ("", "-serve", "-distributed", "-all", "-local"))

#: What the script needs of a machine besides Python.
TOOLS: Final = ("bash", "cmp", "cp", "dirname", "env", "flock", "mkdir", "readlink", "rm", "sed", "tr", "uniq", "wc")

#: Stands for the command: says how it was called, then exits as told.
COMMAND: Final = """\
import json, os, signal, sys
seen = {"arguments": sys.argv[1:], "folder": os.getcwd(), "prefix": sys.prefix, "pid": os.getpid()}
print(json.dumps(seen), flush=True)
if "wait" in sys.argv:
    signal.sigwait({signal.SIGUSR1})
sys.exit(int(sys.argv[-1]) if sys.argv[-1].isdigit() else 0)
"""

#: Stands for the test suite: what needs things of a machine, and what must hold on every one.
SUITE: Final = """\
import os, socket, threading, pytest

@pytest.mark.browser
def test_browser(): pass

@pytest.mark.full
def test_full(): pass

@pytest.mark.full
def test_thread():
    threading.Thread(target=threading.Event().wait, args=(8,)).start()

def test_closed():
    assert "BIGMODEL_API_KEY" not in os.environ
    with socket.socket() as s, pytest.raises(RuntimeError, match="192.0.2.1"):
        s.connect(("192.0.2.1", 80))
"""

#: Stands for a Python that is too old: this one, under another version.
OLD_PYTHON: Final = f"""\
#!/bin/sh
[ "$1" = --version ] && echo "Python 3.8.10" && exit 0
exec '{sys.executable}' -c "import sys; sys.version_info = (3, 8, 10); $2"
"""


def has_uv() -> bool:
    """Tell whether this machine has a uv that runs: a version manager's shim may be found and yet not run."""
    uv = shutil.which("uv")
    return uv is not None and subprocess.run([uv, "--version"], capture_output=True, check=False).returncode == 0


#: What this machine can install with, the quickest last.
INSTALLERS: Final = ["pip", *(["uv"] if has_uv() else [])]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the script in a folder with blanks and Chinese characters, with empty locks and a stand-in command."""
    folder = tmp_path / "my project 并发 测试"
    folder.mkdir()
    shutil.copy2(ROOT / "run_concurrent.sh", folder)
    for lock in LOCKS:
        (folder / lock).write_text("# nothing\n", encoding="utf-8")
    (folder / "concurrent_bigmodel.py").write_text(COMMAND, encoding="utf-8")
    return folder


@pytest.fixture
def ready(project: Path) -> Path:
    """The copy with the environment of this test run as its `.venv`, stamped as set up for every lock."""
    adopt_environment(project)
    return project


def adopt_environment(project: Path) -> None:
    """Give a copy this test run's packages, in a `.venv` of its own that is stamped as set up."""
    venv = project / ".venv"
    (venv / "installed").mkdir(parents=True)
    shutil.copy2(Path(sys.prefix) / "pyvenv.cfg", venv)
    for name in ("bin", "lib"):
        (venv / name).symlink_to(Path(sys.prefix) / name)
    for lock in LOCKS:
        shutil.copy2(project / lock, venv / "installed")


def machine(folder: Path, *, python: str | None = None) -> dict[str, str]:
    """Return the environment of a machine with the tools alone, and with this Python or a stand-in as its only one."""
    folder.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None, f"this machine has no {tool}"
        (folder / tool).symlink_to(found)
    if python is None:
        (folder / "python3").symlink_to(Path(sys.executable).resolve())
    else:
        (folder / "python3").write_text(python, encoding="utf-8")
        (folder / "python3").chmod(0o755)
    return {"PATH": str(folder), "LANG": "C.UTF-8"}


def able_machine(folder: Path, installer: str = INSTALLERS[-1]) -> dict[str, str]:
    """Return the environment of a machine that can set up, offline, from the wheels in a folder."""
    env = machine(folder / "bin")
    if installer == "uv":
        env["PATH"] += os.pathsep + os.environ["PATH"]
    offline = {"FIND_LINKS": str(folder), "CACHE_DIR": str(folder / "cache")}
    env |= {f"{tool}_{name}": value for tool in ("PIP", "UV") for name, value in offline.items()}
    return env | {"PIP_NO_INDEX": "1", "UV_OFFLINE": "1"}


def run(
    project: Path, *arguments: str, env: dict[str, str] | None = None, cwd: Path = Path("/")
) -> subprocess.CompletedProcess[str]:
    """Call the copy's script from another folder."""
    command = [str(project / "run_concurrent.sh"), *arguments]
    return subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, check=False, timeout=100)


def write_wheel(folder: Path, name: str) -> str:
    """Write the smallest package into a folder and return its requirement line with its hash."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": "MARK = 1\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {path: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()) for path, text in files.items()}
    record = "".join(f"{path},sha256={digest.decode().rstrip('=')},\n" for path, digest in digests.items())
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(path, text)
    return f"{name}==1.0 \\\n    --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


@pytest.mark.parametrize("code", [0, 1, 2, 3, 130])
def test_exit_codes_pass_through(ready: Path, code: int) -> None:
    """The command's exit code is the script's."""
    assert run(ready, "--mode", "serial", str(code)).returncode == code


def test_arguments_pass_through(ready: Path, tmp_path: Path) -> None:
    """Every argument arrives as it was given, in the folder that the user is in, with nothing said on the way."""
    arguments = ["-c", "8", "--topics", "AI 技术", "", "$HOME", "a'b\"c", "*", "--", "-5度"]
    result = run(ready, *arguments, cwd=tmp_path)
    seen = json.loads(result.stdout)
    assert seen["arguments"] == arguments
    assert seen["folder"] == str(tmp_path)
    assert seen["prefix"] == str(ready / ".venv")
    assert result.stderr == ""


@pytest.mark.parametrize("flag", ["--demo", "--quick", "--performance"])
def test_own_flags_name_a_command(ready: Path, flag: str) -> None:
    """The script's own flags are the command's subcommands, and what follows goes with them."""
    result = run(ready, flag, "--quiet")
    assert json.loads(result.stdout)["arguments"] == [flag.removeprefix("--"), "--quiet"]


def test_called_through_a_link(ready: Path, tmp_path: Path) -> None:
    """A link to the script from elsewhere finds the project."""
    (tmp_path / "link").symlink_to(ready / "run_concurrent.sh")
    result = subprocess.run([tmp_path / "link", "3"], cwd="/", capture_output=True, text=True, check=False)
    assert (result.returncode, json.loads(result.stdout)["arguments"]) == (3, ["3"])


def test_interrupt_reaches_the_command(ready: Path) -> None:
    """The script becomes the command: a signal to its process is a signal to the command's."""
    with subprocess.Popen([ready / "run_concurrent.sh", "wait"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["pid"] == process.pid
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == -signal.SIGTERM


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_without_home(tmp_path: Path, flag: str) -> None:
    """Help tells the script's flags and then the command's, also where there is no HOME."""
    project = tmp_path / "的 copy"
    shutil.copytree(ROOT, project, ignore=shutil.ignore_patterns(".*", "results", "tests", "__pycache__"))
    adopt_environment(project)
    env = {name: value for name, value in os.environ.items() if name != "HOME"}
    result = run(project, flag, env=env)
    assert result.returncode == 0, result.stderr
    own, command = result.stdout.index("--setup-local"), result.stdout.index("--concurrency")
    assert own < command


def test_usage_error(tmp_path: Path) -> None:
    """A wrong value of the real command is exit code 2 through the script too."""
    project = tmp_path / "copy"
    shutil.copytree(ROOT, project, ignore=shutil.ignore_patterns(".*", "results", "tests", "__pycache__"))
    adopt_environment(project)
    result = run(project, "--mode", "bogus")
    assert (result.returncode, "bogus" in result.stderr) == (2, True), result.stderr


def test_old_python_is_refused(project: Path, tmp_path: Path) -> None:
    """Where the only Python is too old, the message names its version and what to do, and nothing is made."""
    result = run(project, env=machine(tmp_path / "bin", python=OLD_PYTHON))
    assert result.returncode == 2
    assert "3.11" in result.stderr
    assert "3.8.10" in result.stderr
    assert "Install" in result.stderr
    assert not (project / ".venv").exists()


@pytest.mark.parametrize(("no_color", "coloured"), [(None, True), ("", True), ("1", False)])
def test_colour(project: Path, tmp_path: Path, no_color: str | None, coloured: bool) -> None:  # noqa: FBT001 - a parameter
    """Status lines are coloured on a terminal, and there too not under NO_COLOR."""
    env = machine(tmp_path / "bin", python=OLD_PYTHON) | ({} if no_color is None else {"NO_COLOR": no_color})
    terminal, end = pty.openpty()
    subprocess.run([project / "run_concurrent.sh"], env=env, stderr=end, check=False)
    os.close(end)
    shown = os.read(terminal, 10_000).decode()
    os.close(terminal)
    assert "3.8.10" in shown
    assert ("\x1b[" in shown) == coloured


def test_no_colour_off_a_terminal(project: Path, tmp_path: Path) -> None:
    """Where the messages go to a file or a pipe they hold no colours."""
    assert "\x1b" not in run(project, env=machine(tmp_path / "bin", python=OLD_PYTHON)).stderr


# The gate sets the project up itself, by whichever of the two it finds.
@pytest.mark.full
@pytest.mark.parametrize("installer", INSTALLERS)
def test_set_up(project: Path, tmp_path: Path, installer: str) -> None:
    """The first call says what it installs and installs it; the second is silent; a changed lock is installed again."""
    env = able_machine(tmp_path, installer)
    lock = project / "requirements.lock"
    lock.write_text(write_wheel(tmp_path, "first"), encoding="utf-8")

    first = run(project, "7", env=env)
    assert first.returncode == 7, first.stderr
    assert "Installing the 1 packages of requirements.lock" in first.stderr
    assert "first" in first.stderr
    assert list((project / ".venv").glob("lib/*/site-packages/__pycache__/first.*.pyc"))
    assert json.loads(first.stdout)["prefix"] == str(project / ".venv")
    assert run(project, "7", env=env).stderr == ""

    lock.write_text(lock.read_text(encoding="utf-8") + write_wheel(tmp_path, "second"), encoding="utf-8")
    assert "Installing the 2 packages" in run(project, env=env).stderr
    assert list((project / ".venv").glob("lib/*/site-packages/second.py"))
    assert ("pip" in {path.name for path in project.glob(".venv/lib/*/site-packages/*")}) == (installer == "pip")


@pytest.mark.parametrize(
    "pin", ["first==1.0 --hash=sha256:" + "0" * 64, pytest.param("first==1.0", marks=pytest.mark.full)]
)
def test_unproven_package_is_refused(project: Path, tmp_path: Path, pin: str) -> None:
    """A package with another hash than the lock's, or with none, is not installed, and the call ends with 2."""
    env, proven = able_machine(tmp_path), write_wheel(tmp_path, "first")
    (project / "requirements.lock").write_text(pin + "\n", encoding="utf-8")
    result = run(project, env=env)
    assert result.returncode == 2
    assert "could not be installed" in result.stderr
    assert not list((project / ".venv").glob("lib/*/site-packages/first.py"))
    (project / "requirements.lock").write_text(proven, encoding="utf-8")
    assert run(project, "4", env=env).returncode == 4


@pytest.mark.full
def test_failed_addition_leaves_what_was_there(project: Path, tmp_path: Path) -> None:
    """Where further packages cannot be had, what was set up before goes on serving."""
    env = able_machine(tmp_path)
    assert run(project, "4", env=env).returncode == 4
    (project / "requirements-all.lock").write_text("absent==1.0 --hash=sha256:" + "0" * 64 + "\n", encoding="utf-8")
    assert run(project, "--test", env=env).returncode == 2
    again = run(project, "4", env=env)
    assert (again.returncode, again.stderr) == (4, "")


def test_interrupted_set_up_starts_afresh(project: Path, tmp_path: Path) -> None:
    """What a killed set-up left is thrown away, not built upon."""
    env = able_machine(tmp_path)
    assert run(project, "4", env=env).returncode == 4
    venv = project / ".venv"
    (venv / "incomplete").touch()
    (venv / "left-over").touch()
    result = run(project, "4", env=env)
    assert result.returncode == 4, result.stderr
    assert not (venv / "left-over").exists()
    assert run(project, env=env).stderr == ""


def test_two_at_once(project: Path, tmp_path: Path) -> None:
    """Of two first calls at once one sets up, the other uses what it made, and both run the command."""
    env = able_machine(tmp_path)
    command = [str(project / "run_concurrent.sh"), "5"]
    pipe = subprocess.PIPE
    both = [subprocess.Popen(command, env=env, text=True, stdout=pipe, stderr=pipe) for _ in range(2)]
    said = [process.communicate(timeout=100)[1] for process in both]
    assert [process.returncode for process in both] == [5, 5], said
    assert sum(text.count("Installing") for text in said) == 1


@pytest.mark.parametrize("flag", ["--setup-local", "--setup-distributed"])
def test_a_set_up_takes_no_argument(ready: Path, flag: str) -> None:
    """An argument that would be lost is refused."""
    result = run(ready, flag, "--force")
    assert (result.returncode, "--force" in result.stderr) == (2, True)


def test_suite_tells_what_it_left_out(ready: Path, tmp_path: Path) -> None:
    """`--test` runs what this machine can, hides the user's keys, and tells what it left out and which test leaks."""
    shutil.copy2(ROOT / "pyproject.toml", ready)
    (ready / "bench").symlink_to(ROOT / "bench")
    (ready / "tests" / "unit").mkdir(parents=True)
    for shared in (ROOT / "tests").glob("*.py"):
        shutil.copy2(shared, ready / "tests")
    (ready / "tests" / "unit" / "test_few.py").write_text(SUITE, encoding="utf-8")
    env = machine(tmp_path / "bin") | {"BIGMODEL_API_KEY": "secret"}

    some = run(ready, "--test", "tests/unit", env=env)
    assert some.returncode == 0, some.stdout
    assert "left out: 1 marked browser, which need Chromium" in some.stdout
    assert "left out: 2 marked full" in some.stdout
    assert "1 passed, 3 deselected" in some.stdout

    more = run(ready, "--test", "tests/unit", "--full", env=env)
    assert "3 passed, 1 deselected, 1 error" in more.stdout
    assert "threads left running" in more.stdout


@pytest.mark.local_model
def test_setup_local_finds_the_model(ready: Path) -> None:
    """Where the local model is installed, its file of weights is found and named."""
    result = run(ready, "--setup-local")
    assert (result.returncode, ".gguf" in result.stdout) == (0, True), result.stderr
