"""The cache: whole answers are kept, equal calls under way become one, bounds hold."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING

import msgspec
import pytest

from bench.cache import Busy, Cache, CachedAnswer, Claim
from bench.owner import Owner, this_process
from tests.answers_kept import ANSWER, answer, change, claimed, fill, integrity, key_of, opened
from tests.command import ROOT

if TYPE_CHECKING:
    from pathlib import Path

KEY = key_of("a")


def test_an_answer_is_kept(cache: Cache, path: Path) -> None:
    """What was stored is found again with every field, by this cache, another one, and one opened later."""
    assert claimed(cache, KEY).store(ANSWER)
    assert cache.look(KEY) == ANSWER
    with opened(path) as other:
        assert other.look(KEY) == ANSWER
    cache.close()
    with opened(path) as later:
        assert later.look(KEY) == ANSWER


@pytest.mark.parametrize(
    "change",
    [{"finish_reason": reason} for reason in ("length", "tool_calls", "content_filter", "")] + [{"content": ""}],
    ids=str,
)
def test_only_whole_answers_are_kept(cache: Cache, change: dict[str, str]) -> None:
    """What was cut, filtered, a call of a tool or empty is not kept, and the next one who asks makes the call."""
    assert not claimed(cache, KEY).store(msgspec.structs.replace(ANSWER, **change))
    assert isinstance(cache.look(KEY), Claim)


def test_equal_calls_become_one(cache: Cache) -> None:
    """Of many threads that ask for one key at once, exactly one makes the call."""
    together = threading.Barrier(8)
    found: list[CachedAnswer | Claim | Busy] = []

    def ask() -> None:
        together.wait()
        found.append(cache.look(KEY))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(map(type, found)) == {Claim: 1, Busy: 7}
    assert {each.pid for each in found if isinstance(each, Busy)} == {os.getpid()}


@pytest.mark.parametrize("stores", [False, True])
def test_equal_calls_of_processes_become_one(cache: Cache, path: Path, stores: bool) -> None:  # noqa: FBT001
    """Where another process is quicker between the look and the claim, the call is not made a second time."""
    quicker: list[Claim] = []

    def overtake(statement: str) -> None:
        if statement == "BEGIN IMMEDIATE" and not quicker:
            quicker.append(claimed(other, KEY))
            if stores:
                quicker[0].store(ANSWER)

    with opened(path) as other:
        cache._file.current().set_trace_callback(overtake)
        found = cache.look(KEY)
    assert len(quicker) == 1
    assert isinstance(found, CachedAnswer if stores else Busy)


def test_a_claim_is_ended_once(cache: Cache) -> None:
    """A claim that was given back passes on; it stores nothing any more and does not end its successor."""
    first = claimed(cache, KEY)
    first.release()
    second = claimed(cache, KEY)
    first.release()
    assert not first.store(ANSWER)
    assert isinstance(cache.look(KEY), Busy)
    assert second.store(ANSWER)
    assert not second.store(answer("another"))
    assert cache.look(KEY) == ANSWER


def test_a_claim_has_a_deadline(path: Path) -> None:
    """A claim that was held too long passes on; its late answer is kept all the same, and leaves the next claim be."""
    with opened(path, claim_s=1e-6) as hasty, opened(path) as patient:
        late = claimed(hasty, KEY)
        claimed(patient, KEY)
        change(path, "UPDATE entries SET key = 'x'")
        assert late.store(ANSWER)
        assert hasty.look(KEY) == ANSWER
        assert change(path, "UPDATE claims SET owner = owner") == 1


def test_closing_ends_claims(cache: Cache, path: Path) -> None:
    """What a closed cache had claimed is free for others, and the claim itself is dead."""
    left = claimed(cache, KEY)
    cache.close()
    cache.close()
    with opened(path) as other:
        assert isinstance(other.look(KEY), Claim)
        assert not left.store(ANSWER)
        assert isinstance(cache.look(KEY), Claim)


def test_a_killed_process_holds_nothing(path: Path) -> None:
    """The claim of a process that was killed is free, also while its parent has not noticed its end."""
    program = (
        "import pathlib, sys\nfrom tests.answers_kept import claimed, opened\n"
        "claimed(opened(pathlib.Path(sys.argv[1])), sys.argv[2])\nprint('claimed', flush=True)\nsys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(path), KEY]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with opened(path) as cache:
            assert cache.look(KEY) == Busy(process.pid)
            process.kill()
            # Its end is known, and it is not yet waited for: a zombie.
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            assert isinstance(cache.look(KEY), Claim)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("owner", "passes_on"),
    [
        ({"started": "1"}, True),
        ({"boot": "another"}, True),
        ({"pid": 2**22 + 1}, True),
        ({"namespace": "pid:[1]", "pid": 2**22 + 1}, False),
        ({}, False),
    ],
    ids=str,
)
def test_whose_a_claim_is(cache: Cache, path: Path, owner: dict[str, object], passes_on: bool) -> None:  # noqa: FBT001
    """A process is known by its number and its start; what cannot be seen from here is left to the deadline."""
    held = claimed(cache, KEY)
    changed = msgspec.structs.replace(this_process(), **owner)
    assert change(path, "UPDATE claims SET owner = ?", msgspec.json.encode(changed).decode()) == 1
    with opened(path) as other:
        assert isinstance(other.look(KEY), Claim if passes_on else Busy)
    held.release()


def test_an_owner_that_cannot_be_read(cache: Cache, path: Path) -> None:
    """A claim whose owner is nonsense is nobody's."""
    claimed(cache, KEY)
    change(path, "UPDATE claims SET owner = 'nonsense'")
    assert isinstance(cache.look(KEY), Claim)
    assert msgspec.json.decode(msgspec.json.encode(this_process()), type=Owner) == this_process()


def test_old_answers_do_not_count(path: Path) -> None:
    """An answer that is older than allowed, or from a clock that was ahead, is made anew, and then counts again."""
    with opened(path, max_age_s=3600) as cache:
        fill(cache, "old", "ahead", "young")
        change(path, "UPDATE entries SET stored_s = stored_s - 3700 WHERE key = ?", key_of("old"))
        change(path, "UPDATE entries SET stored_s = stored_s + 3700 WHERE key = ?", key_of("ahead"))
        assert isinstance(cache.look(key_of("young")), CachedAnswer)
        fill(cache, "old", "ahead")
        assert all(isinstance(cache.look(key_of(prompt)), CachedAnswer) for prompt in ("old", "ahead"))


def test_the_size_is_bounded(path: Path) -> None:
    """Beyond the bound the oldest answers go, one that is too large is not kept, and the newest are there."""
    bound = 2**18
    with opened(path, max_bytes=bound) as cache:
        prompts = [f"{number} {'x' * 4000}" for number in range(200)]
        fill(cache, *prompts)
        assert not claimed(cache, KEY).store(answer("x" * bound))
        stats = cache.stats()
        kept = [isinstance(cache.look(key_of(prompt)), CachedAnswer) for prompt in prompts]
    assert stats.used_bytes <= bound
    assert sum(kept) == stats.entries >= 16
    assert kept == sorted(kept)
    assert path.stat().st_size < 1.2 * bound
    assert integrity(path) == "ok"


@pytest.mark.parametrize("bounds", [{"max_bytes": 1000}, {"max_age_s": 0}, {"claim_s": 0}], ids=str)
def test_bounds_that_keep_nothing(path: Path, bounds: dict[str, int]) -> None:
    """A bound that would keep nothing is refused, and no file is made."""
    with pytest.raises(ValueError, match="at least"):
        opened(path, **bounds)
    assert not path.exists()


def test_stats_and_clear(cache: Cache, path: Path) -> None:
    """The counts are those of all processes, and clearing takes answers and counts, and gives the space back."""
    fill(cache, "a", "b" * 200_000)
    with opened(path) as other:
        assert isinstance(other.look(KEY), CachedAnswer)
    cache.look(KEY)
    claim = claimed(cache, key_of("c"))
    stats = cache.stats()
    assert (stats.entries, stats.stored, stats.hits, stats.tokens_saved, stats.under_way) == (2, 2, 2, 14, 1)
    assert stats.oldest_s is not None
    assert stats.newest_s is not None
    assert 60 > stats.oldest_s >= stats.newest_s >= 0
    assert stats.used_bytes > 200_000
    assert cache.clear() == 2
    assert path.stat().st_size < 100_000
    stats = cache.stats()
    assert (stats.entries, stats.stored, stats.hits, stats.oldest_s, stats.under_way) == (0, 0, 0, None, 1)
    assert claim.store(ANSWER)


def test_only_the_owner_reads_it(cache: Cache, path: Path) -> None:
    """The file and what SQLite keeps beside it are readable to their owner alone."""
    fill(cache, "a")
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert len(modes) == 3
    assert set(modes.values()) == {0o600}


def test_a_fork_is_refused(cache: Cache) -> None:
    """A cache that was opened before a fork is not used after it: two processes with one connection would damage it."""
    cache._file._pid += 1
    with pytest.raises(RuntimeError, match="fork"):
        cache.look(KEY)
    cache._file._pid -= 1
