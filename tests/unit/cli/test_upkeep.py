"""`doctor` and `cache`: what they write and return."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from bench.cli.dispatch import dispatch
from tests.answers_kept import fill, opened

if TYPE_CHECKING:
    from pathlib import Path

KEY = "k-3f9a71c2d84e5b60"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Call commands from an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_doctor_for_programs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON it is one document without any key, and the exit code is 0 where all is well."""
    monkeypatch.setenv("BIGMODEL_API_KEY", KEY)
    monkeypatch.setenv("BIGMODEL_API_KEY_2", f"{KEY}-2")
    assert dispatch(["doctor", "--json", "--offline"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert KEY not in out
    document = json.loads(out)
    assert document["ok"] is True
    assert [row["key"] for row in document["providers"] if row["provider"] == "bigmodel"] == [1, 2]
    assert {each["name"] for each in document["machine"]} >= {"cores", "limits", "disk", "CJK font", "clock", "to ask"}


def test_doctor_of_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown provider is wrong usage."""
    assert dispatch(["doctor", "-p", "nobody"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "got 'nobody'" in err


def test_no_cache(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is no cache, none is made."""
    assert [dispatch(["cache", word]) for word in ("stats", "clear")] == [0, 0]
    assert capsys.readouterr().out == "there is no cache results/cache.sqlite\n" * 2
    assert list(folder.iterdir()) == []


def test_a_cache(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is kept is told, also while it is in use, and removed."""
    path = folder / "results" / "cache.sqlite"
    with opened(path) as cache:
        fill(cache, "a", "b")
        cache.look("x" * 64)
        assert dispatch(["cache", "stats"]) == 0
    lines = capsys.readouterr().out.splitlines()
    said = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    assert said["answers"].startswith("2, stored ")
    assert said["under way"] == "1 call"
    assert said["size"].endswith("of at most 1.00 GB")
    assert dispatch(["cache", "clear", "--cache-file", str(path)]) == 0
    assert capsys.readouterr().out == f"2 answers removed from {path}\n"
    assert dispatch(["cache", "stats"]) == 0
    assert "answers:   0\n" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["statistics"], ["stats", "clear"]], ids=str)
def test_other_words(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Anything but one of the two words is wrong usage."""
    assert dispatch(["cache", *words]) == 2
    assert "takes one of stats and clear" in capsys.readouterr().err
