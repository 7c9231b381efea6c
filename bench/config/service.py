"""How the service serves: where it listens, how many tasks it takes, and for how long."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field, fields
from pathlib import Path  # noqa: TC003 - the kinds of settings are read from their annotations
from typing import TYPE_CHECKING, Any, Final, get_type_hints

from bench.errors import ConfigError
from bench.settings import MAX_TIMEOUT_S, about, check_kind, check_range, option_name

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Holds what clients have to know, if anything; never an option, because other users can read command lines.
TOKEN_VARIABLE: Final = "SERVICE_TOKEN"  # noqa: S105 - its name

#: More slots, waiting tasks or streams than one process of this kind serves.
MAX_PLACES: Final = 10_000

_HIGHEST_PORT: Final = 65_535

#: A body is a topic with a few words about it; whoever needs more than this sends no topic.
_MOST_BODY_BYTES: Final = 16 * 2**20


def _served(help_text: str, *, metavar: str = "") -> Mapping[str, Any]:
    return about(help_text, group="Service", metavar=metavar)


def _places(help_text: str, *, at_least: int = 1) -> Mapping[str, Any]:
    """Return what the field of a number of places says of it."""
    return about(help_text, group="Service", metavar="N", at_least=at_least, at_most=MAX_PLACES)


def _time(help_text: str) -> Mapping[str, Any]:
    """Return what a time's field says of it."""
    return about(help_text, group="Service", metavar="SECONDS", above=0, at_most=MAX_TIMEOUT_S)


@dataclass(frozen=True, kw_only=True)
class ServiceConfig:
    """Every setting of the service besides those of whom it asks. Times are in seconds.

    Raises:
        ConfigError: A value of the wrong kind or out of its range, or settings that exclude each other.
    """

    host: str = field(
        default="127.0.0.1",
        metadata=_served(
            "address to listen at; any but this machine's own needs a token in SERVICE_TOKEN", metavar="ADDRESS"
        ),
    )
    port: int = field(
        default=8000,
        metadata=about(
            "port to listen at; 0 for any that is free",
            group="Service",
            metavar="PORT",
            at_least=0,
            at_most=_HIGHEST_PORT,
        ),
    )
    http2: bool = field(default=False, metadata=_served("speak HTTP/2 as well; needs --tls-cert and --tls-key"))
    tls_cert: Path | None = field(
        default=None, metadata=_served("certificate of the service, PEM: speak TLS", metavar="FILE")
    )
    tls_key: Path | None = field(default=None, metadata=_served("private key of that certificate, PEM", metavar="FILE"))
    agent_slots: int = field(default=3, metadata=_places("pooled tasks that are answered at the same time"))
    agent_queue: int = field(
        default=20, metadata=_places("pooled tasks that may wait; one more is refused with 429", at_least=0)
    )
    task_timeout: float = field(
        default=300.0, metadata=_time("longest time for a task from its start, all its attempts together, in seconds")
    )
    queue_timeout: float = field(default=120.0, metadata=_time("longest wait for a slot, in seconds"))
    ageing: float = field(
        default=30.0,
        metadata=_time("a task that has waited so long, in seconds, counts as one class of priority higher"),
    )
    system_slots: int = field(default=5, metadata=_places("jobs of the service itself that run at the same time"))
    system_queue: int = field(default=50, metadata=_places("such jobs that may wait", at_least=0))
    system_timeout: float = field(default=60.0, metadata=_time("longest time for such a job, in seconds"))
    max_streams: int = field(default=200, metadata=_places("direct tasks at the same time; one more is refused"))
    reconnect_grace: float = field(
        default=10.0,
        metadata=_time(
            "how long a task goes on without a reader, in seconds, if it was asked for with an Idempotency-Key; any "
            "other ends with its reader"
        ),
    )
    drain_grace: float = field(
        default=30.0,
        metadata=about(
            "how long tasks may go on after Ctrl+C or SIGTERM, in seconds",
            group="Service",
            metavar="SECONDS",
            at_least=0,
            at_most=MAX_TIMEOUT_S,
        ),
    )
    task_ttl: float = field(
        default=3600.0,
        metadata=_time("how long the state of a task that ended is told, in seconds, and then that there was one"),
    )
    max_body_bytes: int = field(
        default=65_536,
        metadata=about(
            "largest body of a request, in bytes",
            group="Service",
            metavar="BYTES",
            at_least=256,
            at_most=_MOST_BODY_BYTES,
        ),
    )
    requests_per_minute: int | None = field(
        default=None,
        metadata=about(
            "most requests of one client's address in a minute, 0 for no bound (default: no bound where this machine "
            "alone can ask, else 600)",
            group="Service",
            metavar="N",
            at_least=0,
            at_most=60_000_000,
        ),
    )

    def __post_init__(self) -> None:
        """Check every value by itself, then what excludes each other."""
        hints = get_type_hints(type(self))
        for each in fields(self):
            value = getattr(self, each.name)
            check_kind(option_name(each.name), hints[each.name], value)
            check_range(option_name(each.name), each.metadata, value)
        if not self.host or any(char.isspace() or not char.isprintable() for char in self.host):
            raise ConfigError(f"--host must be an address or a name, got {self.host!r}", "write it as 127.0.0.1 or ::1")
        if (self.tls_cert is None) != (self.tls_key is None):
            given, missing = ("cert", "key") if self.tls_key is None else ("key", "cert")
            raise ConfigError(f"--tls-{given} goes with --tls-{missing}, got one of them", "name both files")
        if self.http2 and self.tls_cert is None:
            raise ConfigError(
                "--http2 is spoken over TLS alone, got no --tls-cert", "add --tls-cert FILE --tls-key FILE"
            )

    @property
    def is_local(self) -> bool:
        """Whether programs of this machine alone can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def scheme(self) -> str:
        """`https` with a certificate, else `http`."""
        return "http" if self.tls_cert is None else "https"


def check_exposure(config: ServiceConfig, *, has_token: bool) -> None:
    """Refuse to be reached from other machines by anybody.

    Raises:
        ConfigError: The service would listen at such an address without a token.
    """
    if not has_token and not config.is_local:
        raise ConfigError(
            f"--host {config.host} can be reached from other machines, and {TOKEN_VARIABLE} is not set",
            f"set {TOKEN_VARIABLE} in the environment or the env file to a long random text, which clients then send "
            "as Authorization: Bearer ..; or leave --host out and use ssh -L",
        )
