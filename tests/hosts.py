"""Hosts on one machine, for tests: each with its own address, name, processes and clock, and a cable that can be cut.

A host is a set of Linux namespaces that lives as long as its first process. That one waits for the end of a pipe from
the test run, and all others of the host end with it: nothing stays behind even where the test run itself is killed.
Making one needs root.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Protocol

import psutil

from tests.command import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

#: A network that nothing leads to or from; its first address is nobody's.
_NETWORK: Final = "10.231.77"

#: What a host's first process does: set the host up, say so, and wait for the end of its standard input.
_FIRST: Final = 'ip link set lo up && hostname "$0" && echo ready && exec cat'
_BRIDGE: Final = "ip link add bridge type bridge && ip link set bridge up && echo ready && exec cat"

#: Writes what comes out of each host's cable to standard output, each piece once: where from, where to, the content.
#: 3 is ETH_P_ALL, 33 SO_RCVBUFFORCE, 0x0800 IPv4.
_RECORDER: Final = """
import socket, sys
tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
tap.setsockopt(socket.SOL_SOCKET, 33, 1 << 26)
sys.stdout.buffer.write(b"ready\\n")
sys.stdout.flush()
while True:
    sys.stdout.flush()
    packet, (interface, protocol, kind, *_) = tap.recvfrom(1 << 17)
    start = (packet[0] & 15) * 4
    comes_in = interface.startswith("port") and kind != socket.PACKET_OUTGOING
    if comes_in and protocol == 0x0800 and packet[9] == socket.IPPROTO_TCP:
        content = packet[start + (packet[start + 12] >> 4) * 4 : int.from_bytes(packet[2:4])]
        ends = "{}:{} {}:{}".format(
            socket.inet_ntoa(packet[12:16]), int.from_bytes(packet[start : start + 2]),
            socket.inet_ntoa(packet[16:20]), int.from_bytes(packet[start + 2 : start + 4]),
        )
        sys.stdout.buffer.write(f"{ends} {len(content)}\\n".encode() + content)
"""

#: The programs of all hosts see the same files.
_ENTERED: Final = ("--net", "--uts", "--mount", "--pid", "--time")


class Machine(Protocol):
    """Where programs can be started: this machine, or a host on it."""

    @property
    def address(self) -> str:
        """The one under which the others reach it."""

    def start(
        self, *command: str, cwd: Path, env: Mapping[str, str] | None = None, output: Path | None = None
    ) -> subprocess.Popen[str]:
        """Start a program in a process group of its own, as a terminal would.

        Args:
            command: It and its arguments.
            cwd: The folder that it works in.
            env: What its environment has besides that of this process.
            output: The file that what it writes is added to; None for two pipes.
        """


def program(started: subprocess.Popen[str]) -> psutil.Process:
    """Return the process of a program that a machine has started; on a host it is a child of the one started here."""
    first = psutil.Process(started.pid)
    if first.name() != "nsenter":
        return first
    children: list[psutil.Process] = []

    def look() -> bool:
        children[:] = first.children()
        return bool(children)

    wait_until(look, "a program on a host", timeout_s=10)
    return children[0]


@dataclass
class ThisMachine:
    """This machine under its loopback address."""

    address: str = "127.0.0.1"
    _entrance: tuple[str, ...] = ()
    _started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(
        self, *command: str, cwd: Path, env: Mapping[str, str] | None = None, output: Path | None = None
    ) -> subprocess.Popen[str]:
        """Start a program; see `Machine.start`."""
        inside = (*self._entrance, f"--wd={cwd}", "--") if self._entrance else ()
        with contextlib.ExitStack() as opened:
            to = subprocess.PIPE if output is None else opened.enter_context(output.open("ab"))
            started = subprocess.Popen(
                [*inside, *command],
                cwd=cwd,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=to,
                stderr=to,
                encoding="utf-8",
                process_group=0,
            )
        self._started.append(started)
        return started

    def close(self) -> None:
        """Kill what was started here and still runs, with its whole group."""
        for started in self._started:
            if started.poll() is None:
                os.killpg(started.pid, signal.SIGKILL)
            started.communicate()


class _Namespaces:
    """Namespaces of their own, held by a process that ends with the pipe to it."""

    def __init__(self, *kinds: str, first: tuple[str, ...]) -> None:
        self._outer = subprocess.Popen(
            ["unshare", "--net", *kinds, "--fork", "--kill-child", "--", "sh", "-c", *first],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            process_group=0,
        )
        assert self._outer.stdout is not None
        said = self._outer.stdout.readline()
        assert said == "ready\n", "this machine makes no namespaces"
        (self._first,) = psutil.Process(self._outer.pid).children()

    @property
    def pid(self) -> int:
        """The process that holds them."""
        return self._first.pid

    def ip(self, *commands: str) -> None:
        """Run `ip` in their network."""
        subprocess.run(
            ["nsenter", "--target", str(self.pid), "--net", "ip", "-batch", "-"],
            input="\n".join(commands),
            encoding="utf-8",
            check=True,
        )

    def end(self) -> None:
        """End them; where they have process ids of their own, all their processes end at once."""
        if self._outer.poll() is None:
            self._outer.communicate()


class Host(ThisMachine):
    """A host in a network."""

    def __init__(self, name: str, *, number: int, switch: _Namespaces, clock_ahead_s: int) -> None:
        own = ("--uts", "--pid", "--mount-proc", "--time", f"--monotonic={clock_ahead_s}")
        self._namespaces = _Namespaces(*own, first=(_FIRST, name))
        super().__init__(
            address=f"{_NETWORK}.{number}",
            _entrance=("nsenter", f"--target={self._namespaces.pid}", *_ENTERED),
        )
        self.name = name
        self._switch = switch
        self._port = f"port{number}"
        switch.ip(
            f"link add {self._port} type veth peer name eth0 netns {self._namespaces.pid}",
            f"link set {self._port} master bridge up",
        )
        self._namespaces.ip(f"address add {self.address}/24 dev eth0", "link set eth0 up")

    def __repr__(self) -> str:
        """Show its name and address."""
        return f"<Host {self.name} {self.address}>"

    def cable(self, to: Literal["up", "down"]) -> None:
        """Cut its cable or mend it: its programs go on, and nobody hears of them."""
        self._switch.ip(f"link set {self._port} {to}")

    def power_off(self) -> None:
        """End all that runs on it at once; nobody is told."""
        self.cable("down")
        self.close()

    def close(self) -> None:
        """End all that runs on it, and the host."""
        self._namespaces.end()
        super().close()


class Network:
    """Hosts that reach each other and nothing else."""

    def __init__(self) -> None:
        self._switch = _Namespaces(first=(_BRIDGE,))
        self._hosts: list[Host] = []
        self._recorders: list[subprocess.Popen[bytes]] = []

    def __repr__(self) -> str:
        """Show who is in it."""
        return f"<Network {self._hosts}>"

    def host(self, name: str, *, clock_ahead_s: int = 0) -> Host:
        """Add a host.

        Args:
            name: Its host name.
            clock_ahead_s: How far its monotonic clock is ahead of this machine's; it cannot be behind zero.
        """
        made = Host(name, number=len(self._hosts) + 2, switch=self._switch, clock_ahead_s=clock_ahead_s)
        self._hosts.append(made)
        return made

    def record(self, to: Path) -> None:
        """Write from now on to a file what goes over the cables; `recorded` reads it."""
        with to.open("wb") as file:
            self._recorders.append(
                subprocess.Popen(
                    ["nsenter", f"--target={self._switch.pid}", "--net", sys.executable, "-c", _RECORDER], stdout=file
                )
            )
        wait_until(lambda: to.stat().st_size > 0, "the recorder")

    def close(self) -> None:
        """Take all of it away."""
        for recorder in self._recorders:
            recorder.kill()
            recorder.wait()
        for host in self._hosts:
            host.close()
        self._switch.end()


def recorded(path: Path) -> dict[tuple[str, str], bytes]:
    """Return what each end of a connection has sent to the other, by their addresses with ports.

    In the order in which it went over the cable: what was sent again stands there again.
    """
    sent: dict[tuple[str, str], list[bytes]] = {}
    with path.open("rb") as file:
        file.readline()
        while head := file.readline().split():
            origin, target, length = head
            sent.setdefault((origin.decode(), target.decode()), []).append(file.read(int(length)))
    return {ends: b"".join(pieces) for ends, pieces in sent.items()}


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """Provide a network for the block."""
    made = Network()
    try:
        yield made
    finally:
        made.close()
