"""A cluster on this machine that begins and ends with its run, in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
from typing import IO, TYPE_CHECKING, Final

import msgspec

from bench.engines.cluster.local_host import LocalEnd, LocalReady, LocalSettings
from bench.engines.launch import environment_of_workers
from bench.environment import ROOT
from bench.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

#: It starts in about two seconds; a machine that is busy with everything else gets thirty times that.
_START_S: Final = 60.0

#: How long it may take to end by itself.
_END_S: Final = 8.0


class LocalCluster:
    """A scheduler and nodes that are starting, or have started.

    Args:
        host: Their process.
        errors: What that writes where something is wrong.
    """

    def __init__(self, host: asyncio.subprocess.Process, errors: IO[bytes]) -> None:
        self._host = host
        self._errors = errors

    def __repr__(self) -> str:
        """Show the process."""
        return f"<LocalCluster pid={self._host.pid}>"

    async def address(self) -> str:
        """Wait until it has started, and return the scheduler's address; once.

        Raises:
            WorkerError: It does not start.
        """
        line = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_S):
                line = b"" if self._host.stdout is None else await self._host.stdout.readline()
        try:
            return msgspec.json.decode(line, type=LocalReady).address
        except msgspec.DecodeError as error:
            self._errors.seek(0)
            written = self._errors.read().decode(errors="replace").strip()
            msg = f"the cluster on this machine does not start within {_START_S:g} s; it wrote: {written}"
            raise WorkerError(msg) from error


@contextlib.asynccontextmanager
async def local_cluster(
    nodes: int, client: str, keys: Mapping[str, str], cpu_used: Callable[[float], None]
) -> AsyncIterator[LocalCluster]:
    """Run a scheduler and nodes on this machine inside the block.

    They have a session of their own, so that Ctrl+C reaches the run alone.

    Args:
        nodes: How many nodes.
        client: The client that they use.
        keys: The keys that they need, by variable; they get no other.
        cpu_used: Takes the CPU seconds of all its processes, once it has ended.
    """
    settings = LocalSettings(nodes=nodes, client=client, keys=dict(keys))
    with tempfile.TemporaryFile() as errors:
        with environment_of_workers():
            environment = dict(os.environ)
        host = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bench.engines.cluster.local_host",
            cwd=ROOT,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        try:
            if host.stdin is not None:
                host.stdin.write(msgspec.json.encode(settings) + b"\n")
            yield LocalCluster(host, errors)
        finally:
            await _end(host, cpu_used)


async def _end(host: asyncio.subprocess.Process, cpu_used: Callable[[float], None]) -> None:
    """End the host, which ends its nodes; where it does not, kill it, and they end by themselves."""
    if host.stdin is not None:
        host.stdin.close()
    try:
        async with asyncio.timeout(_END_S):
            said, _ = await host.communicate()
    except TimeoutError:
        host.kill()
        await host.wait()
        return
    # The last of its lines; none where it did not end as it should.
    with contextlib.suppress(msgspec.DecodeError, IndexError):
        cpu_used(msgspec.json.decode(said.splitlines()[-1], type=LocalEnd).cpu_s)
