"""What is wrong with the file costs calls, and never a run or somebody else's data."""

from __future__ import annotations

import logging
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from bench.cache import Cache, CachedAnswer, Claim
from bench.errors import ConfigError
from tests.answers_kept import ANSWER, change, claimed, fill, integrity, key_of, opened
from tests.disks import files_limited_to

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = key_of("a")


def filled(path: Path) -> bytes:
    """Make a cache of some answers, and return its bytes."""
    with opened(path) as cache:
        fill(cache, *(f"{number} {'x' * 3000}" for number in range(50)))
    return path.read_bytes()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _whole: b"these are no pages of a database",
        lambda whole: whole[: len(whole) // 2 + 100],
        lambda whole: bytes(100) + whole[100:],
        lambda whole: whole[:4096] + b"\xa5" * (len(whole) - 4096),
        lambda whole: whole[:100] + b"\xa5" * 3996 + whole[4096:],
    ],
    ids=["text", "truncated", "no header", "pages overwritten", "first page overwritten"],
)
def test_a_damaged_file_is_set_aside(
    path: Path, spoil: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    """It is renamed, warned of once, and a new one begun, whenever the damage is met; nothing of it is lost."""
    spoilt = spoil(filled(path))
    path.write_bytes(spoilt)
    with opened(path) as cache:
        for number in range(50):
            prompt = f"{number} {'x' * 3000}"
            found = cache.look(key_of(prompt))
            if isinstance(found, Claim):
                assert found.store(ANSWER)
        found = cache.look(KEY)
        assert isinstance(found, Claim)
        assert found.store(ANSWER)
    assert integrity(path) == "ok"
    aside = path.with_name("cache.sqlite.damaged-1")
    assert len(aside.read_bytes()) == len(spoilt)
    (warning,) = caplog.messages
    assert "is damaged" in warning
    assert aside.name in warning


def test_an_empty_file_is_a_new_one(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that was cut to nothing is begun anew."""
    filled(path)
    path.write_bytes(b"")
    with opened(path) as cache:
        fill(cache, "a")
    assert integrity(path) == "ok"
    assert caplog.messages == []


def test_one_sets_a_damaged_file_aside(path: Path) -> None:
    """Of several who meet the damage at once one renames the file, and the others use the new one."""
    path.parent.mkdir()
    path.write_bytes(b"damage" * 10_000)
    together = threading.Barrier(6)
    caches: list[Cache] = []

    def use(number: int) -> None:
        together.wait()
        caches.append(opened(path))
        fill(caches[-1], str(number))

    threads = [threading.Thread(target=use, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(isinstance(each.look(key_of(str(number))), CachedAnswer) for each in caches for number in range(6))
    for each in caches:
        each.close()
    assert [each.name for each in path.parent.glob("*damaged*")] == ["cache.sqlite.damaged-1"]
    assert integrity(path) == "ok"


def test_damage_under_way(path: Path) -> None:
    """A file that is spoilt while it is in use is set aside, and whoever else had it open follows to the new one."""
    filled(path)
    with opened(path) as first, opened(path) as second:
        path.write_bytes(b"\xa5" * path.stat().st_size)
        fill(first, "a")
        assert isinstance(second.look(KEY), CachedAnswer)
        fill(second, "b")
        assert isinstance(first.look(key_of("b")), CachedAnswer)
    aside = {each.name for each in path.parent.glob("*damaged*")}
    assert aside == {"cache.sqlite.damaged-1", "cache.sqlite.damaged-1-wal", "cache.sqlite.damaged-1-shm"}
    assert integrity(path) == "ok"


def test_the_new_file_is_not_set_aside(path: Path) -> None:
    """Whoever meets the damage after another has begun a new file goes on with that one."""
    filled(path)
    with opened(path) as first, opened(path) as second:
        path.write_bytes(b"\xa5" * path.stat().st_size)
        fill(first, "a")
        second._file.set_aside(sqlite3.DatabaseError("damage met before the file was replaced"))
        assert isinstance(second.look(KEY), CachedAnswer)
    assert not path.with_name("cache.sqlite.damaged-2").exists()


def test_a_removed_file_is_begun_anew(cache: Cache, path: Path) -> None:
    """Whoever removes the file of a running process loses what was in it, and nothing of what comes after."""
    fill(cache, "a")
    path.unlink()
    fill(cache, "a", "b")
    with opened(path) as other:
        assert isinstance(other.look(KEY), CachedAnswer)
    cache.close()
    assert integrity(path) == "ok"
    with opened(path) as later:
        assert isinstance(later.look(key_of("b")), CachedAnswer)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET answer = replace(answer, 'a', 'b')",
        "UPDATE entries SET answer = CAST(replace(answer, 'solar', 'lunar') AS BLOB)",
        "UPDATE entries SET answer = x''",
        "UPDATE entries SET answer = substr(answer, 1, length(answer) - 1)",
        "UPDATE entries SET answer = x'00ff', digest = x'00ff'",
        "UPDATE entries SET stored_s = 'never', answer = 7",
        "UPDATE entries SET key = ?",
    ],
)
def test_a_damaged_answer_is_not_given(
    cache: Cache, path: Path, statement: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An answer that was changed, cut, or stands under another key is missed, told of once, and made anew."""
    assert claimed(cache, key_of("another")).store(ANSWER)
    values = (KEY,) if "?" in statement else ()
    assert change(path, statement, *values) == 1
    key = KEY if values else key_of("another")
    found = cache.look(key)
    assert isinstance(found, Claim)
    found.release()
    found = cache.look(key)
    assert isinstance(found, Claim)
    assert found.store(ANSWER)
    assert cache.look(key) == ANSWER
    assert ["damaged answer" in message for message in caplog.messages] == [True]


def test_other_databases_are_left_alone(path: Path) -> None:
    """A database of another program, or of another version of this one, is refused and stays as it is."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bookmarks (address TEXT)")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="no cache of this version"):
        opened(path)
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A link that somebody planted is not followed, and a folder or a place that cannot be is named."""
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for place in ("link", ".", "link/below"):
        with pytest.raises(ConfigError, match="the cache"):
            opened(tmp_path / place)
    assert not (tmp_path / "target").exists()


def test_a_full_disk(cache: Cache, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where nothing can be written, calls are made without the cache, one warning says so, and it recovers."""
    fill(cache, "a")
    caplog.set_level(logging.WARNING)
    with files_limited_to(1):
        assert isinstance(cache.look(KEY), CachedAnswer)
        claims = [claimed(cache, key_of("b")), claimed(cache, key_of("b"))]
        assert [claim.store(ANSWER) for claim in claims] == [False, False]
    assert len(caplog.messages) == 1
    fill(cache, "b")
    cache.close()
    assert integrity(path) == "ok"
