"""`doctor` and `cache` as a user calls them."""

from __future__ import annotations

import json
import shlex
import subprocess
from typing import TYPE_CHECKING

from tests.command import COMMAND, start

if TYPE_CHECKING:
    from pathlib import Path


def run(*arguments: str, cwd: Path) -> tuple[int, str, str]:
    """Call the command at 80 columns, and return its exit code and what it wrote."""
    with start(*arguments, cwd=cwd, env={"COLUMNS": "80"}) as command:
        out, err = command.communicate()
    return command.returncode, out, err


def test_doctor_without_a_key(tmp_path: Path) -> None:
    """Someone who has set nothing up yet is told what is there, what is missing and three ways on, in 80 columns."""
    code, out, err = run("doctor", cwd=tmp_path)
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["provider", "key", "from", "key", "answer", "price"]
    assert any(line.split() == ["deepseek", "DEEPSEEK_API_KEY", "not", "set", "-", "n/a"] for line in lines)
    assert [line.split()[1] for line in lines if line.startswith("missing ")] == ["to"]
    assert "--provider simulator" in " ".join(out.split())
    assert lines[-1] == "missing: 1; see the lines that begin with that word"
    assert list(tmp_path.iterdir()) == []


def test_doctor_with_few_files(tmp_path: Path) -> None:
    """A limit on open files that N does not fit is named with the need, and with the N that would fit."""
    line = shlex.join([*COMMAND, "doctor", "-p", "simulator", "--offline", "--json", "-c", "500"])
    done = subprocess.run(
        ["sh", "-c", f"ulimit -n 300; exec {line}"], cwd=tmp_path, stdout=subprocess.PIPE, check=False
    )
    assert done.returncode == 1
    (limits,) = (each for each in json.loads(done.stdout)["machine"] if each["level"] == "missing")
    assert limits["name"] == "limits"
    assert "--concurrency 500 in mode asyncio needs 532 open files" in limits["said"]
    assert limits["advice"].startswith("use --concurrency 2")


def test_cache_of_something_else(tmp_path: Path) -> None:
    """A damaged file is set aside with a warning that the user sees, and is still there."""
    path = tmp_path / "notes.txt"
    path.write_text("no database at all" * 100, encoding="utf-8")
    code, out, err = run("cache", "stats", "--cache-file", str(path), cwd=tmp_path)
    assert code == 0
    assert "answers:   0" in out
    assert "notes.txt.damaged-1" in err
    assert (tmp_path / "notes.txt.damaged-1").read_text(encoding="utf-8").startswith("no database")
