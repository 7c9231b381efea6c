"""The simulator's own clock over the wire: times of writing in its chunks, and a while in which it stands still."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import time

import pytest

from tests.simulator_socket import PROMPT, STREAM_END, chat, connected, read_reply, read_until, request, simulator


def contents(stream: bytes) -> list[str]:
    """Return the content of each chunk of a stream that has any, from its HTTP body."""
    events = [json.loads(event) for event in re.findall(rb"data: (\{.*\})\n\n", stream)]
    texts = [event["choices"][0]["delta"].get("content") for event in events if event["choices"]]
    return [text for text in texts if text]


def chunk_lengths_hold(stream: bytes) -> bool:
    """Say whether each length that the HTTP body announces is that of what follows."""
    body = stream.partition(b"\r\n\r\n")[2]
    while body:
        length, _, rest = body.partition(b"\r\n")
        size = int(length, 16)
        if rest[size : size + 2] != b"\r\n":
            return False
        body = rest[size + 2 :]
        if size == 0:
            return body == b""
    return False


@pytest.mark.parametrize("pace", [(), ("ttft=0.02", "itl=0.02")], ids=["at once", "paced"])
def test_stamps_are_the_times_of_writing(pace: tuple[str, ...]) -> None:
    """With stamps each token begins with the time at which it was written, on the clock that this process reads too.

    What follows the stamps is what the same simulator sends without them.
    """
    streams: dict[str, bytes] = {}
    window_ns = (0, 0)
    for stamps in ("true", "false"):
        with simulator("tokens=5", f"stamps={stamps}", *pace) as process, connected(process) as connection:
            sent_ns = time.perf_counter_ns()
            connection.sendall(chat())
            streams[stamps] = read_until(connection, STREAM_END)
            received_ns = time.perf_counter_ns()
            if stamps == "true":
                window_ns = (sent_ns, received_ns)
    assert chunk_lengths_hold(streams["true"])
    stamped = [re.fullmatch(r"(\d{19}) (.*)", text, re.DOTALL) for text in contents(streams["true"])]
    assert all(stamped)
    instants_ns = [int(each[1]) for each in stamped if each]
    assert [each[2] for each in stamped if each] == contents(streams["false"])
    assert contents(streams["false"])[0] == f"[{hashlib.sha256(PROMPT.encode()).hexdigest()[:16]}] "
    assert [window_ns[0], *instants_ns, window_ns[1]] == sorted([window_ns[0], *instants_ns, window_ns[1]])
    if pace:
        assert instants_ns[0] - window_ns[0] >= 20_000_000
        assert instants_ns[-1] - instants_ns[0] >= 60_000_000
    else:
        assert len(set(instants_ns)) == 1


def test_a_whole_answer_has_no_stamp() -> None:
    """An answer that is not streamed is one document, not chunks, and stays as it is."""
    with simulator("tokens=3", "stamps=true") as process, connected(process) as connection:
        connection.sendall(chat(stream=False))
        _, _, body = read_reply(connection)
    assert json.loads(body)["choices"][0]["message"]["content"].startswith("[")


@pytest.mark.parametrize("settings", [("tokens=1",), ("ttft=0.01", "itl=0.001", "tokens=3")], ids=["at once", "paced"])
def test_the_server_stands_still_once(settings: tuple[str, ...]) -> None:
    """Counted from its first request, at the time asked for, nothing is answered for so long, and afterwards all is."""
    with (
        simulator("freeze-at=0.3", "freeze=0.6", *settings) as process,
        connected(process) as connection,
        connected(process) as other,
    ):
        answered_ns: list[int] = []
        begun_ns = time.perf_counter_ns()
        while not answered_ns or answered_ns[-1] - begun_ns < 1_500_000_000:
            connection.sendall(chat())
            assert read_until(connection, STREAM_END)
            answered_ns.append(time.perf_counter_ns())
        other.sendall(request("/health", method="GET"))
        assert read_reply(other)[0] == 200
        gaps_ns = [later - earlier for earlier, later in itertools.pairwise(answered_ns)]
        long = [place for place, gap_ns in enumerate(gaps_ns) if gap_ns >= 500_000_000]
        assert len(long) == 1
        assert answered_ns[long[0] + 1] - begun_ns >= 900_000_000
        assert long[0] > 0, "answers came before it"


def test_nothing_is_accepted_meanwhile() -> None:
    """A frozen server serves nobody: a request on another connection waits for the end of the freeze too."""
    with simulator("freeze=0.5", "tokens=1") as process, connected(process) as first, connected(process) as second:
        begun_ns = time.perf_counter_ns()
        first.sendall(chat())
        read_until(first, STREAM_END)
        second.sendall(request("/health", method="GET"))
        assert read_reply(second)[0] == 200
        assert time.perf_counter_ns() - begun_ns >= 500_000_000
