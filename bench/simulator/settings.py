"""What a simulator does: its latencies, its limits, its faults, all checked at birth."""

import ipaddress
import math
from collections.abc import Iterable
from typing import Any, Final, Self

import msgspec

#: Largest latency and Retry-After: a day. Beyond it a value is a typing error, not a wish.
MAX_WAIT_S: Final = 86_400.0
#: Longest answer. Each of its tokens is one write, so more is a test of patience only.
MAX_TOKENS: Final = 100_000
#: Seeds are mixed in 64-bit arithmetic, see draws.py.
MAX_SEED: Final = 2**63 - 1

#: Field -> (kind, lowest, highest) of every number.
_RANGES: Final[tuple[tuple[str, type[int | float], float, float], ...]] = (
    ("port", int, 0, 65_535),
    ("ttft_s", float, 0, MAX_WAIT_S),
    ("itl_s", float, 0, MAX_WAIT_S),
    ("tokens", int, 1, MAX_TOKENS),
    ("jitter", float, 0, 1),
    ("seed", int, 0, MAX_SEED),
    ("retry_after_s", float, 0, MAX_WAIT_S),
    ("freeze_at_s", float, 0, MAX_WAIT_S),
    ("freeze_s", float, 0, MAX_WAIT_S),
    ("requests_per_minute", float, 1e-3, 1e9),
    ("max_in_flight", int, 1, 1_000_000),
    ("capacity", int, 1, 1_000_000),
    ("reject_rate", float, 0, 1),
    ("error_rate", float, 0, 1),
    ("cut_rate", float, 0, 1),
    ("truncate_rate", float, 0, 1),
    ("malformed_rate", float, 0, 1),
    ("stall_rate", float, 0, 1),
)
#: Numbers that may be left out: there is no such limit then.
_OPTIONAL: Final = frozenset({"requests_per_minute", "max_in_flight", "capacity"})
_SWITCHES: Final = frozenset({"public", "stamps"})
_SHARES: Final = tuple(name for name, *_ in _RANGES if name.endswith("_rate"))


class SettingsError(ValueError):
    """A setting is unknown, cannot be read, or is out of its range."""


class SimulatorSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that a simulator does, as one value.

    The six shares (`*_rate`) exclude each other, so they add up to 1 at most.
    A limit that is None does not exist.

    Attributes:
        host: Address to listen on; a loopback address unless `public` is true.
        port: Port to listen on, 0 for any free one.
        public: Allow a `host` that other machines can reach.
        model: Name that `/v1/models` lists.
        ttft_s: Time from a request's last byte to its first token.
        itl_s: Time between two tokens.
        tokens: Length of an answer, unless the request asks for fewer.
        jitter: Relative half-width of the uniform spread of `ttft_s` and `itl_s`.
        seed: Decides jitter, faults and words; the same seed gives the same schedule.
        reject_rate: Share answered 429 at once, with Retry-After.
        error_rate: Share answered 500 when the first token would have been due.
        cut_rate: Share whose connection is reset in the middle of the answer.
        truncate_rate: Share that ends cleanly in the middle, with no finish reason.
        malformed_rate: Share with one chunk (or the whole body) that is not JSON.
        stall_rate: Share that goes silent in the middle and keeps its connection.
        retry_after_s: What a 429 asks for, except that of `requests_per_minute`.
        requests_per_minute: Token bucket holding one second's worth, at least 1.
        max_in_flight: Requests answered at once; one more is answered 429.
        capacity: Requests worked on at once; further ones wait for their turn in order of arrival, and `ttft_s` counts
            from there. Beyond it throughput rises no more, and latency does.
        request_log: File that gets one JSON line per finished request.
        freeze_at_s: When, after its first request, it stops serving for `freeze_s`.
        freeze_s: How long it then does nothing at all, once; 0 is never.
        stamps: Begin the content of each streamed token with the time at which it is written: CLOCK_MONOTONIC in
            nanoseconds, 19 digits and a blank.

    Raises:
        SettingsError: A value is of the wrong kind or out of its range.
    """

    host: str = "127.0.0.1"
    port: int = 0
    public: bool = False
    model: str = "simulated"
    ttft_s: float = 0.0
    itl_s: float = 0.0
    tokens: int = 16
    jitter: float = 0.0
    seed: int = 0
    reject_rate: float = 0.0
    error_rate: float = 0.0
    cut_rate: float = 0.0
    truncate_rate: float = 0.0
    malformed_rate: float = 0.0
    stall_rate: float = 0.0
    retry_after_s: float = 1.0
    requests_per_minute: float | None = None
    max_in_flight: int | None = None
    capacity: int | None = None
    request_log: str | None = None
    freeze_at_s: float = 0.0
    freeze_s: float = 0.0
    stamps: bool = False

    def __post_init__(self) -> None:
        for name, kind, low, high in _RANGES:
            _check_number(name, getattr(self, name), kind=kind, low=low, high=high)
        total = math.fsum(getattr(self, name) for name in _SHARES)
        if total > 1 + 1e-9:
            raise SettingsError(f"the shares {', '.join(_SHARES)} add up to {total:g}; 1 at most is possible")
        _check_texts(self)
        if not self.public and not _is_loopback(self.host):
            raise SettingsError(
                f"host is {self.host!r}, which other machines may reach; "
                "give a loopback address (127.0.0.1), or public=true if that is meant"
            )

    @classmethod
    def from_pairs(cls, pairs: Iterable[str]) -> Self:
        """Read settings from texts of the form KEY=VALUE.

        A key is a field's name; dashes may stand for underscores, and a
        trailing `_s` may be left out: `ttft=0.5`, `error-rate=0.1`.

        Raises:
            SettingsError: A pair has no `=`, a key is unknown or comes twice, or
                a value is out of its range.
        """
        values: dict[str, str] = {}
        for pair in pairs:
            key, equals, value = pair.partition("=")
            if not equals:
                raise SettingsError(f"{pair!r} is not of the form KEY=VALUE, for example ttft=0.5")
            name = _field_of(key.strip(), cls.__struct_fields__)
            if name in values:
                raise SettingsError(f"{key.strip()!r} is given twice; give it once")
            values[name] = value.strip()
        # A value that could not be read is still a text here: the check at birth names it.
        read: dict[str, Any] = {name: _read(name, value) for name, value in values.items()}
        return cls(**read)

    @property
    def is_instant(self) -> bool:
        """Whether answers wait for nothing at all."""
        return self.ttft_s == 0 and self.itl_s == 0


def _check_number(name: str, value: object, *, kind: type[int | float], low: float, high: float) -> None:
    if value is None and name in _OPTIONAL:
        return
    noun = "a whole number" if kind is int else "a number"
    wanted = f"{noun} from {low:.12g} to {high:.12g} is possible"
    kinds = (int,) if kind is int else (int, float)
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise SettingsError(f"{name} is {value!r}; {wanted}")
    if not low <= value <= high:  # also false for nan
        raise SettingsError(f"{name} is {value:.12g}; {wanted}")


def _check_texts(settings: SimulatorSettings) -> None:
    if not settings.model.strip():
        raise SettingsError(f"model is {settings.model!r}; a name of at least one character is needed")
    if settings.request_log is not None and not settings.request_log.strip():
        raise SettingsError(f"request_log is {settings.request_log!r}; the path of a file is needed")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _field_of(key: str, fields: tuple[str, ...]) -> str:
    name = key.replace("-", "_")
    for candidate in (name, f"{name}_s"):
        if candidate in fields:
            return candidate
    known = ", ".join(field.removesuffix("_s").replace("_", "-") for field in fields)
    raise SettingsError(f"{key!r} is not a setting of the simulator; possible are {known}")


def _read(name: str, text: str) -> str | float | bool:
    """Read one value as its field wants it; a text that fits no number stays text."""
    if name in _SWITCHES:
        if text.lower() not in {"true", "false"}:
            raise SettingsError(f"{name} is {text!r}; true or false is possible")
        return text.lower() == "true"
    kinds = [kind for field, kind, *_ in _RANGES if field == name]
    if not kinds:
        return text
    try:
        return kinds[0](text)
    except ValueError:
        return text
