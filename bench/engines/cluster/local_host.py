"""The process of a cluster on this machine: a scheduler and nodes, for as long as standard input is open.

It is told what to do by a line on standard input, and says on standard output where its scheduler listens, and at the
end the CPU seconds of all its processes. A run that is killed closes the pipe, too.
"""

from __future__ import annotations

import sys

import msgspec

from bench.engines.launch import worker_context


class LocalSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be started.

    Attributes:
        nodes: How many nodes.
        client: The client that they use.
        keys: The keys that they need, by variable. They go this way, because other processes of a user can read the
            environment with which one was started.
    """

    nodes: int
    client: str
    keys: dict[str, str]


class LocalReady(msgspec.Struct, frozen=True, kw_only=True):
    """Where the scheduler listens."""

    address: str


class LocalEnd(msgspec.Struct, frozen=True, kw_only=True):
    """The CPU seconds of all processes."""

    cpu_s: float


def say(message: LocalReady | LocalEnd) -> None:
    """Say something to the run."""
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    """Serve as the line on standard input says."""
    settings = msgspec.json.decode(sys.stdin.buffer.readline(), type=LocalSettings)
    worker_context(settings.client, "distributed.nanny", "bench.engines.cluster.node")
    # Here, so that the fork server imports at the same time; and each node imports this file again.
    from bench.engines.cluster.local_nodes import serve_nodes  # noqa: PLC0415

    cpu_s = serve_nodes(
        settings.nodes, settings.keys, lambda address: say(LocalReady(address=address)), sys.stdin.buffer.read
    )
    say(LocalEnd(cpu_s=cpu_s))


if __name__ == "__main__":
    main()
