"""Runs over several servers of this machine, called as a user calls them, and servers that judge their keys."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from bench.clock import NS_PER_S
from bench.journal import iter_lines
from bench.records import RouteChange
from tests.command import write_topics
from tests.wire import answer, completion

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from bench.records import Mode
    from tests.command import StartCommand
    from tests.faultserver import Exchange, Script

_log = logging.getLogger("tests.realwork")

#: A provider's table in the file: its address, and what else is said of it.
Provider = tuple[str, Mapping[str, object]]


def write_providers(folder: Path, providers: Mapping[str, Provider]) -> None:
    """Write the providers' file of a folder."""
    tables = []
    for name, (base_url, fields) in providers.items():
        entry = {"base_url": base_url, "model": "simulated", **fields}
        lines = [f"{key} = {msgspec.json.encode(value).decode()}" for key, value in entry.items()]
        tables.append("\n".join([f"[providers.{name}]", *lines]))
    (folder / "providers.toml").write_text("\n\n".join(tables), encoding="utf-8")


def begin(
    start: StartCommand,
    folder: Path,
    providers: Mapping[str, Provider],
    tasks: int,
    *options: str,
    mode: Mode = "asyncio",
    profile: str = "prod",
    slots: int = 6,
    env: dict[str, str] | None = None,
) -> subprocess.Popen[str]:
    """Begin a run over these providers, in the folder, without a cache unless the options say otherwise."""
    write_providers(folder, providers)
    topics = write_topics(folder / "topics.txt", tasks)
    return start(
        *("--profile", profile, "-p", *providers, "-m", mode, *([] if mode == "serial" else ["-c", str(slots)])),
        *("--client", "lean", "--topics-file", str(topics), "--no-report", "--quiet"),
        *(options or (["--no-cache"] if profile == "prod" else [])),
        cwd=folder,
        env=env,
    )


def changes_of(run: Path) -> list[RouteChange]:
    """What changed about the routes of a run."""
    return [msgspec.json.decode(line, type=RouteChange) for line in iter_lines(run / "routes.jsonl")]


def told(what: str, **figures: object) -> None:
    """Log the figures that a test goes by, to be read with `--log-cli-level=INFO`."""
    _log.info("%s: %s", what, ", ".join(f"{name} {_shown(value)}" for name, value in figures.items()))


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def most_within(instants_s: list[float], window_s: float) -> int:
    """The most instants in any stretch of time of this length; the instants are in order."""
    return max(sum(at_s <= each < at_s + window_s for each in instants_s) for at_s in instants_s)


@dataclass
class Judge:
    """What a server allows, and what it has seen; its script answers as it says.

    Attributes:
        at_once: How many requests it answers at once; one more is refused with 429.
        lasts_s: How long an answer takes.
        revoked: Keys that it does not accept.
        fields: Further fields of each answer's head.
        arrived_s: When each request came, by key, in seconds on `perf_counter_ns`.
        refused_s: When each request came that was refused with 429.
    """

    at_once: int = 1_000_000
    lasts_s: float = 0.0
    revoked: frozenset[str] = frozenset()
    fields: tuple[str, ...] = ()
    arrived_s: dict[str, list[float]] = field(default_factory=dict)
    refused_s: list[float] = field(default_factory=list)
    in_flight: int = 0

    @property
    def script(self) -> Script:
        """What a server does that judges so."""
        return self._answer

    @property
    def all_s(self) -> list[float]:
        """When each request came, whatever its key."""
        return sorted(at_s for each in self.arrived_s.values() for at_s in each)

    async def _answer(self, exchange: Exchange) -> None:
        now_s = time.perf_counter_ns() / NS_PER_S
        key = exchange.headers.get("authorization", "").removeprefix("Bearer ")
        self.arrived_s.setdefault(key, []).append(now_s)
        if key in self.revoked:
            await exchange.send(self._said("401 Unauthorized"))
            return
        if self.in_flight >= self.at_once:
            self.refused_s.append(now_s)
            await exchange.send(self._said("429 Too Many Requests"))
            return
        self.in_flight += 1
        try:
            await asyncio.sleep(self.lasts_s)
        finally:
            self.in_flight -= 1
        await exchange.send(answer(completion("好"), "200 OK", "application/json", *self.fields))

    def _said(self, status: str) -> bytes:
        return answer({"error": {"message": "no"}}, status, "application/json", *self.fields)
