"""The server of known delay that a run asks beside its work."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from bench.endpoints.simulated import null_settings, simulated_server
from bench.worker.spec import Canary

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Long enough for the client to do other work meanwhile, as it does while it waits for a real first token.
_DELAY_S: Final = 0.02


@contextlib.contextmanager
def canary_server(*, wanted: bool) -> Iterator[Canary | None]:
    """Run a server of known delay inside the block, in a process of its own.

    Args:
        wanted: Whether there is to be one.

    Yields:
        Where it listens, and its delay; None if none is wanted.

    Raises:
        EndpointError: It did not come up.
    """
    if not wanted:
        yield None
        return
    with simulated_server(null_settings(ttft_s=_DELAY_S, itl_s=0.0, tokens=1)) as server:
        yield Canary(endpoint=server.endpoint, delay_s=_DELAY_S)
