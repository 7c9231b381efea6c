"""Where traces go and what they may say, from the variables that LangSmith's own client reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from bench.errors import ConfigError
from bench.providers import Secret
from bench.tracing.make import Shown

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What LangSmith's own client sends to where nothing is said.
ENDPOINT: Final = "https://api.smith.langchain.com"
PROJECT: Final = "default"

#: The prefixes of its variables; the first that is set counts.
_PREFIXES: Final = ("LANGSMITH_", "LANGCHAIN_")

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where traces go, and what they may say.

    Attributes:
        endpoint: The address of the API.
        project: The project.
        key: The key; None where none is needed.
        workspace: The workspace, for keys that are of several.
        shown: What spans may say.
    """

    endpoint: str
    project: str
    key: Secret | None
    workspace: str | None = None
    shown: Shown = field(default_factory=Shown)

    @property
    def name(self) -> str:
        """What it is called in a run's files: two places are two names."""
        return f"{self.endpoint} {self.project}"


def tracing_wanted(environ: Mapping[str, str]) -> bool:
    """Say whether the variables ask for traces; only `true` does."""
    return any((_value(environ, name) or "").lower() == "true" for name in ("TRACING", "TRACING_V2"))


def sample_wanted(environ: Mapping[str, str]) -> float | None:
    """Return the share of traces that the variables ask for, None where they do not.

    Raises:
        ConfigError: It is no share.
    """
    text = _value(environ, "TRACING_SAMPLING_RATE")
    if text is None:
        return None
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ConfigError(f"LANGSMITH_TRACING_SAMPLING_RATE must be from 0 to 1, got {text!r}")
    return share


def destination(environ: Mapping[str, str]) -> Destination | None:
    """Return where traces go; None where they have no key and the endpoint is not on this machine.

    Raises:
        ConfigError: The endpoint is no address, or would get the key over plain http from another machine.
    """
    endpoint = (_value(environ, "ENDPOINT") or ENDPOINT).rstrip("/")
    address = urlsplit(endpoint)
    is_here = (address.hostname or "") in _LOOPBACK
    if address.scheme not in {"http", "https"} or not address.hostname:
        raise ConfigError("LANGSMITH_ENDPOINT must be an address like https://api.smith.langchain.com")
    if address.username or address.password:
        raise ConfigError("LANGSMITH_ENDPOINT has a user or a password in it", "put the key into LANGSMITH_API_KEY")
    if address.scheme == "http" and not is_here:
        raise ConfigError(f"LANGSMITH_ENDPOINT is plain http to {address.hostname}", "use https")
    key = (_value(environ, "API_KEY") or "").strip()
    if not key and not is_here:
        return None
    return Destination(
        endpoint=endpoint,
        project=_value(environ, "PROJECT") or _value(environ, "SESSION") or PROJECT,
        key=Secret(key) if key else None,
        workspace=_value(environ, "WORKSPACE_ID"),
        shown=Shown(
            inputs=not _is_true(environ, "HIDE_INPUTS"),
            outputs=not _is_true(environ, "HIDE_OUTPUTS"),
            metadata=not _is_true(environ, "HIDE_METADATA"),
        ),
    )


def _is_true(environ: Mapping[str, str], name: str) -> bool:
    return (_value(environ, name) or "").lower() == "true"


def _value(environ: Mapping[str, str], name: str) -> str | None:
    return next((value for prefix in _PREFIXES if (value := environ.get(prefix + name))), None)
