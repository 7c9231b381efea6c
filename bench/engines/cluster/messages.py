"""What a run and its nodes say to each other, and how nothing of it counts twice or gets lost.

A node is called over and over, and a call may have to be repeated because it broke: then either what it brought or its
answer was lost. So each task goes with a ticket, and a node passes over a ticket that its slot has had; and what a node
says stays there, numbered, until the next call says that it was heard.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Literal

import msgspec

from bench.worker import Assignment

#: How far a run has got: it goes on, takes nothing new, or gives up what is under way.
Stage = Literal["run", "drain", "cancel"]

#: From a node: what its slots ended in one turn of its loop.
DONE: Final = b"t"
LOG: Final = b"l"
#: From a node: what its client added to a canary, in seconds.
CANARY: Final = b"k"


class Given(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A task for a slot. Its instants are ages: so many nanoseconds before it was sent."""

    slot: int
    ticket: int
    assignment: Assignment


class Done(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A result, encoded as JSON."""

    slot: int
    ticket: int
    line: bytes


class Parcel(msgspec.Struct, frozen=True, array_like=True):
    """To a node.

    Attributes:
        given: Tasks.
        heard: The number of the last message of the node that has come.
        stage: How far the run has got.
    """

    given: list[Given]
    heard: int
    stage: Stage


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """From a node: messages that were not heard yet.

    Attributes:
        first: The number of the first of them.
        messages: What each is, and its content.
        bug: What ended the node's work, if anything did.
    """

    first: int
    messages: list[tuple[bytes, bytes]]
    bug: str | None = None


class Ended(msgspec.Struct, frozen=True, array_like=True):
    """From a node, as its last: the CPU seconds that it used, and what was not heard yet."""

    cpu_s: float
    answer: Answer


_pack: Final = msgspec.msgpack.Encoder().encode
_parcel: Final = msgspec.msgpack.Decoder(Parcel)
_answer: Final = msgspec.msgpack.Decoder(Answer)
_ended: Final = msgspec.msgpack.Decoder(Ended)
_done: Final = msgspec.msgpack.Decoder(list[Done])


def pack(message: Parcel | Answer | Ended | list[Done]) -> bytes:
    """Return a message as it is sent."""
    return _pack(message)


def unpack_parcel(content: bytes) -> Parcel:
    """Return what was packed."""
    return _parcel.decode(content)


def unpack_answer(content: bytes) -> Answer:
    """Return what was packed."""
    return _answer.decode(content)


def unpack_ended(content: bytes) -> Ended:
    """Return what was packed."""
    return _ended.decode(content)


def unpack_done(content: bytes) -> list[Done]:
    """Return what was packed."""
    return _done.decode(content)


class Outbox:
    """What a node has said and nobody is known to have heard."""

    def __init__(self) -> None:
        self._unheard: deque[tuple[bytes, bytes]] = deque()
        self._first = 1

    def __repr__(self) -> str:
        """Show which messages there are."""
        return f"<Outbox from {self._first}, {len(self._unheard)} unheard>"

    def __bool__(self) -> bool:
        """Whether there is anything to say."""
        return bool(self._unheard)

    def put(self, kind: bytes, content: bytes) -> None:
        """Say something."""
        self._unheard.append((kind, content))

    def heard(self, number: int) -> None:
        """Forget the messages up to this number."""
        while self._unheard and self._first <= number:
            self._unheard.popleft()
            self._first += 1

    def answer(self, bug: str | None = None) -> Answer:
        """Return what is to be heard; it stays here until it was."""
        return Answer(self._first, list(self._unheard), bug)


class Inbox:
    """What of a node's messages has come.

    Attributes:
        heard: The number of the last one.
    """

    def __init__(self) -> None:
        self.heard = 0

    def __repr__(self) -> str:
        """Show how many there were."""
        return f"<Inbox {self.heard}>"

    def take(self, answer: Answer) -> list[tuple[bytes, bytes]]:
        """Return the messages of an answer that have not come before."""
        new = answer.messages[max(0, self.heard + 1 - answer.first) :]
        self.heard = max(self.heard, answer.first + len(answer.messages) - 1)
        return new


class Tickets:
    """Which tickets the slots of a node have had; those of a slot ascend."""

    def __init__(self) -> None:
        self._last: dict[int, int] = {}

    def __repr__(self) -> str:
        """Show how many slots have had one."""
        return f"<Tickets of {len(self._last)} slots>"

    def is_new(self, slot: int, ticket: int) -> bool:
        """Note a ticket; return whether the slot had not had it."""
        if ticket <= self._last.get(slot, -1):
            return False
        self._last[slot] = ticket
        return True

    def of(self, slot: int) -> int:
        """Return the ticket that a slot had last."""
        return self._last[slot]
