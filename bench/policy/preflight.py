"""Whether a machine can hold N slots: what they take in each mode, against what there is; nothing is read here.

The amounts were measured, with answers under way in every slot, and rounded up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, assert_never

if TYPE_CHECKING:
    from bench.records import Mode

Resource = Literal["files", "tasks", "memory"]

#: Open files beside the slots' own: journal, log, event loop, names of hosts, the pipes of servers that a run starts.
_OTHER_FILES: Final = 32

#: Open files of this process for each worker process: its pipe, and two that tell when it ends.
_FILES_PER_WORKER: Final = 3

#: Threads of a process that has an event loop: its own, and those in which names of hosts are looked up.
_THREADS_PER_LOOP: Final = 16

#: Threads and processes beside the slots' own: display, usage, fork server, simulator, canary.
_OTHER_TASKS: Final = 24

#: A blocking worker process has a thread for its task and one that listens to its parent.
_THREADS_PER_WORKER: Final = 2

#: Open files, for each node of this machine, of the process that starts these, and of one with nodes elsewhere.
_FILES_PER_NODE: Final = 10

#: Threads of a node of this machine beside its event loop's, and those that watch it.
_THREADS_PER_NODE: Final = 6

_MB: Final = 1_000_000

#: The first process with everything that it imports, and a server of its own.
_OTHER_BYTES: Final = 100 * _MB

#: What Dask takes in the run's own process and in those that start nodes.
_CLUSTER_BYTES: Final = 160 * _MB


@dataclass(frozen=True, kw_only=True)
class Room:
    """How much of something is left.

    Attributes:
        left: So many files, threads and processes together, or bytes.
        limit: What ends it, in words.
    """

    left: int
    limit: str


@dataclass(frozen=True, kw_only=True)
class Headroom:
    """What a machine gives a process; None where there is no limit, or none that can be learnt.

    Attributes:
        files: Files that it may open beside those that it has open.
        tasks: Threads and processes that may be started.
        memory: Bytes that can be had without swapping.
    """

    files: Room | None = None
    tasks: Room | None = None
    memory: Room | None = None


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is to be run.

    Attributes:
        mode: Concurrency model.
        slots: N.
        processes: Worker processes of mode hybrid; nodes of this machine of mode distributed, 0 if they are elsewhere.
        requests: Tasks there are: with fewer of them than slots, not every slot opens a connection.
        own_server: Whether the run starts the server, a process under the same limits, for itself.
        light: Whether the client does without the SDK, of which each worker process has a copy.
    """

    mode: Mode
    slots: int
    processes: int
    requests: int
    own_server: bool
    light: bool


@dataclass(frozen=True, kw_only=True)
class Shortage:
    """What there is too little of.

    Attributes:
        resource: Files, threads and processes, or memory.
        needed: So much of it is needed.
        room: So much there is.
        fits: The largest N that would fit; 0 if none does.
    """

    resource: Resource
    needed: int
    room: Room
    fits: int


def shortage(load: Load, headroom: Headroom) -> Shortage | None:
    """Return what a machine has too little of for a load, with the largest N for which it has enough; None if nothing.

    Args:
        load: What is to be run.
        headroom: What there is.
    """
    lacking = _lacking(load, load.slots, headroom)
    if lacking is None:
        return None
    resource, needed, room = lacking
    fits, too_many = 0, load.slots
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if _lacking(load, middle, headroom) is None:
            fits = middle
        else:
            too_many = middle
    return Shortage(resource=resource, needed=needed, room=room, fits=fits)


def _lacking(load: Load, slots: int, headroom: Headroom) -> tuple[Resource, int, Room] | None:
    """Return the first thing that N slots would take more of than there is, how much of it, and how much there is."""
    needs: tuple[tuple[Resource, int, Room | None], ...] = (
        ("files", _files(load, slots), headroom.files),
        ("tasks", _tasks(load, slots), headroom.tasks),
        ("memory", _bytes(load, slots), headroom.memory),
    )
    for resource, needed, room in needs:
        if room is not None and needed > room.left:
            return resource, needed, room
    return None


def _files(load: Load, slots: int) -> int:
    """Return how many files the process with the most of them opens."""
    connections = min(slots, load.requests)
    server = connections if load.own_server else 0
    match load.mode:
        case "serial" | "threading" | "asyncio":
            most = connections
        case "multiprocessing":
            most = _FILES_PER_WORKER * slots
        case "hybrid":
            processes = min(load.processes, slots)
            most = max(_FILES_PER_WORKER * processes, -(-connections // processes), server)
        case "distributed":
            nodes = min(load.processes, slots)
            most = max(_FILES_PER_NODE * nodes, -(-connections // nodes), server) if nodes else _FILES_PER_NODE
        case _:
            assert_never(load.mode)
    return most + _OTHER_FILES


def _tasks(load: Load, slots: int) -> int:
    """Return how many threads and processes are started; each process has at least one thread."""
    match load.mode:
        case "serial":
            return _OTHER_TASKS
        case "threading":
            return slots + _OTHER_TASKS
        case "asyncio":
            return _THREADS_PER_LOOP + _OTHER_TASKS
        case "multiprocessing":
            return _THREADS_PER_WORKER * slots + _OTHER_TASKS
        case "hybrid":
            return (1 + _THREADS_PER_LOOP) * min(load.processes, slots) + _OTHER_TASKS
        case "distributed":
            return (_THREADS_PER_NODE + _THREADS_PER_LOOP) * min(load.processes, slots) + _OTHER_TASKS
        case _:
            assert_never(load.mode)


def _bytes(load: Load, slots: int) -> int:
    """Return how much memory all processes take together, what they share counted once."""
    slot = (_MB if load.light else 2 * _MB) // 20
    match load.mode:
        case "serial" | "threading" | "asyncio":
            workers = 0
        case "multiprocessing":
            workers = slots * (6 if load.light else 17) * _MB
        case "hybrid":
            workers = min(load.processes, slots) * (20 if load.light else 35) * _MB
        case "distributed":
            workers = min(load.processes, slots) * (30 if load.light else 45) * _MB + _CLUSTER_BYTES
        case _:
            assert_never(load.mode)
    return _OTHER_BYTES + workers + slots * slot
