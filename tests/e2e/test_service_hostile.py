"""A crowd of clients that mean ill, and honest ones among them."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

import psutil
import pytest

from tests.asking import ask, topic
from tests.command import wait_until
from tests.rude import SLOW, WRONG, Cut, Rude, cut_off
from tests.serving import Serving, serving

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.conftest import Show

#: An answer takes a second.
SIMULATOR: Final = ("--provider", "simulator", "--simulator", "ttft=0.05", "itl=0.025", "tokens=40", "--client", "lean")

HONEST: Final = 20

#: First words come after 50 ms and what a busy machine adds. Where an honest client had to wait for a hostile one to be
#: cut off, it would be 10 s at least.
FIRST_WORDS_S: Final = 5.0

#: What the service may need for cutting off beyond its own bound, on a machine that is busy with the crowd itself.
SLACK_S: Final = 5.0

#: What a body may have, for each of a large crowd; Python gives back what it has taken later, if at all.
MORE_BYTES: Final = 64 * 2**20

#: Clients that take nothing: the service waits once the system has taken what it takes, some megabytes for each.
MOST_UNREAD: Final = 10


class Heard(NamedTuple):
    """What an honest client had of its task."""

    first_s: float
    is_whole: bool


async def honest(url: str, number: int) -> Heard:
    """Have a task done."""
    parts = urlsplit(url)
    body = json.dumps(topic(f"honest {number}")).encode()
    head = "POST /chat/stream HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n"
    begun_ns = time.perf_counter_ns()
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    await reader.readuntil(b"event: chunk\n")
    first_s = (time.perf_counter_ns() - begun_ns) / 1e9
    rest = await reader.read()
    writer.close()
    return Heard(first_s, rest.count(b"event: chunk\n") == 39 and b"event: complete\n" in rest)


async def honest_ones(url: str) -> list[Heard]:
    """Have as many tasks done at once as there are honest clients."""
    return await asyncio.gather(*(honest(url, number) for number in range(HONEST)))


class Crowd:
    """So many hostile clients of each kind, at once.

    Args:
        url: The service.
        slow: How many of each kind that a clock cuts off.
        wrong: How many of each kind that is refused at once.

    Attributes:
        cuts: How those ended that the service has cut off.
    """

    def __init__(self, url: str, slow: int, wrong: int) -> None:
        self._slow = self._coming(url, SLOW, slow)
        self._wrong = self._coming(url, WRONG, wrong)
        self.cuts: list[Cut] = []

    @property
    def is_over(self) -> bool:
        """Whether each of them was cut off."""
        return all(client.done() for client in (*self._slow, *self._wrong))

    async def end(self) -> None:
        """Wait for those that are refused at once; the others leave, unless they are cut off."""
        self.cuts += await asyncio.gather(*self._wrong)
        for client in self._slow:
            client.cancel()
        ended = await asyncio.gather(*self._slow, return_exceptions=True)
        self.cuts += [each for each in ended if isinstance(each, Cut)]

    @staticmethod
    def _coming(url: str, kinds: Mapping[str, Rude], count: int) -> list[asyncio.Task[Cut]]:
        return [
            asyncio.create_task(cut_off(url, name, rude))
            for name, rude in kinds.items()
            for _ in range(count if rude.reads else min(count, MOST_UNREAD))
        ]


class Met(NamedTuple):
    """What became of everybody.

    Attributes:
        alone: What honest clients had before the others came.
        among: What they had among them.
        cuts: How the hostile ones ended.
        more_bytes: How much memory the service had more when they were gone.
    """

    alone: Sequence[Heard]
    among: Sequence[Heard]
    cuts: Sequence[Cut]
    more_bytes: int


async def met(service: Serving, slow: int, wrong: int, *, to_the_end: bool) -> Met:
    """Let a crowd come while honest clients do, until it is cut off or, not `to_the_end`, until they are served."""
    process = psutil.Process(service.process.pid)
    alone = await honest_ones(service.url)
    files, before_bytes = process.num_fds(), process.memory_info().rss
    crowd = Crowd(service.url, slow, wrong)
    among = await honest_ones(service.url)
    while to_the_end and not crowd.is_over:
        among += await honest_ones(service.url)
    await crowd.end()
    await asyncio.to_thread(wait_until, lambda: process.num_fds() <= files, "connections are left open", 20)
    return Met(alone, among, crowd.cuts, process.memory_info().rss - before_bytes)


@pytest.mark.parametrize(
    ("slow", "wrong", "to_the_end"),
    [(4, 3, False), pytest.param(50, 20, True, marks=(pytest.mark.full, pytest.mark.timeout(300)))],
)
def test_honest_clients_among_hostile_ones(
    slow: int, wrong: int, tmp_path: Path, show: Show, *, to_the_end: bool
) -> None:
    """What is slow, oversized or malformed is refused or cut off within its bound; honest clients have their texts.

    None of them waits for a hostile one. The service then has as many files open as before, and memory within a bound.
    """
    kinds: dict[str, Rude] = {**SLOW, **WRONG}
    with serving(tmp_path, *SIMULATOR, "--no-cache", "--no-adaptive") as service:
        seen = asyncio.run(met(service, slow, wrong, to_the_end=to_the_end))
        status = ask(service.url, "GET", "/system/status").json
    assert [cut for cut in seen.cuts if cut.status not in kinds[cut.name].statuses] == []
    assert [cut for cut in seen.cuts if cut.after_s > kinds[cut.name].within_s + SLACK_S] == []
    assert {cut.name for cut in seen.cuts} == {*WRONG, *(SLOW if to_the_end else ())}
    assert all(heard.is_whole for heard in (*seen.alone, *seen.among))
    assert max(heard.first_s for heard in seen.among) < FIRST_WORDS_S
    assert status["ended"] == {"succeeded": len(seen.alone) + len(seen.among)}
    assert seen.more_bytes < MORE_BYTES
    firsts_s = [sorted(heard.first_s for heard in each)[len(each) // 2] for each in (seen.alone, seen.among)]
    show(
        "honest clients among hostile ones",
        f"{slow} slow ones of {len(SLOW)} kinds, {wrong} wrong ones of {len(WRONG)}: first words {firsts_s[1]:.3f} s, "
        f"alone {firsts_s[0]:.3f} s; {seen.more_bytes / 2**20:.1f} MiB more memory when they were gone",
    )
