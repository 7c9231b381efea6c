"""What a run says about where it ran."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from bench.environment import describe_environment, start_method, usable_cores

ROOT = Path(__file__).parents[2]


def described(root: Path = ROOT) -> dict[str, Any]:
    """Return the description as a reader of run.json gets it."""
    return cast("dict[str, Any]", json.loads(json.dumps(describe_environment(root))))


def git(folder: Path, *words: str) -> str:
    """Run git without any configuration of the user's."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@example.invalid",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@example.invalid",
    }
    done = subprocess.run(
        ["git", "-C", str(folder), *words], env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a repository with one commit."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / "program.py").write_text("1\n", encoding="utf-8")
    git(tmp_path, "add", "program.py")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    return tmp_path


def test_interpreter_and_machine() -> None:
    """Python, system, processors, memory and limits are those of this process, as JSON can hold them."""
    found = described()
    assert found["python"]["version"] == platform.python_version()
    assert found["python"]["gil"] is getattr(sys, "_is_gil_enabled", lambda: True)()
    assert found["system"] == {
        "name": platform.system(),
        "release": platform.release(),
        "machine": platform.machine(),
    }
    assert found["cpu"]["logical"] == os.cpu_count()
    assert 1 <= found["cpu"]["usable_cores"] <= found["cpu"]["allowed"] <= found["cpu"]["logical"]
    assert found["memory_bytes"] > 2**28
    assert found["limits"]["open_files"]["soft"] > 0
    assert found["start_method"] == start_method()


def test_packages() -> None:
    """The packages that decide what is measured are told by version, without being imported."""
    program = (
        "import json, sys; from bench.environment import describe_environment; "
        "print(json.dumps([describe_environment()['packages'], sorted(sys.modules)]))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True)
    packages, modules = json.loads(done.stdout)
    assert {"openai", "httpx2", "aiohttp", "httptools", "msgspec", "uvloop"} == set(packages)
    assert all(version[0].isdigit() for version in packages.values())
    assert not {"openai", "httpx2", "aiohttp", "uvloop", "psutil"} & set(modules)


def test_commit_and_changes(repository: Path) -> None:
    """The commit of the program's folder is told, and whether a tracked file differs from it."""
    commit = git(repository, "rev-parse", "HEAD")
    found = described(repository)["git"]
    assert commit.startswith(found["commit"])
    assert found["dirty"] is False
    (repository / "untracked.txt").write_text("2\n", encoding="utf-8")
    assert described(repository)["git"]["dirty"] is False
    (repository / "program.py").write_text("2\n", encoding="utf-8")
    assert described(repository)["git"] == {"commit": found["commit"], "dirty": True}


def test_commit_of_another_repository(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repository around the program's folder, or one that the environment points git to, is not the program's."""
    inner = repository / "inner"
    inner.mkdir()
    assert described(inner)["git"] is None
    empty = tmp_path_factory.mktemp("empty")
    git(empty, "init", "--quiet")
    monkeypatch.setenv("GIT_DIR", str(repository / ".git"))
    assert described(empty)["git"] is None


def test_no_git(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no git, the commit is None and the rest is there."""
    empty = tmp_path / "bin"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    found = described(repository)
    assert found["git"] is None
    assert found["python"]["version"] == platform.python_version()


def test_slow_git(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A git that does not answer is given up, and the rest is there."""
    script = tmp_path / "bin" / "git"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\nexec /bin/sleep 60\n", encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent))
    assert described(repository)["git"] is None


def test_nothing_private(monkeypatch: pytest.MonkeyPatch) -> None:
    """No value of the environment, no home folder and no user's name is in it."""
    monkeypatch.setenv("BIGMODEL_API_KEY", "sk-private-private")
    monkeypatch.setenv("HOME", "/home/somebody-private")
    monkeypatch.setenv("USER", "somebody-private")
    monkeypatch.setenv("LOGNAME", "somebody-private")
    text = json.dumps(described())
    assert "private" not in text
    assert str(ROOT) not in text
    assert sys.prefix not in text


def test_usable_cores_follow_the_cpu_set() -> None:
    """A process that may run on one processor uses one core, however many there are."""
    program = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        "from bench.environment import usable_cores; print(usable_cores())"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "1"
    assert usable_cores() >= 1


def test_open_files_may_be_as_many_as_the_system_allows() -> None:
    """Raising makes the soft limit the hard one, for this process and those it starts, and once is enough."""
    program = (
        "import resource as r, subprocess; from bench.environment import raise_open_files;"
        "r.setrlimit(r.RLIMIT_NOFILE, (256, 300)); raise_open_files(); raise_open_files();"
        "print(r.getrlimit(r.RLIMIT_NOFILE), subprocess.check_output('ulimit -Sn', shell=True, text=True).strip())"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "(300, 300) 300"
