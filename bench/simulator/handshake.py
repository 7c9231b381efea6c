"""What the simulator's process tells the one that started it."""

import msgspec


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """The one line on the process's standard output: where it listens, or why it does not."""

    port: int | None = None
    pid: int | None = None
    error: str | None = None
