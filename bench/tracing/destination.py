"""Where traces go and what they may say, from the variables that LangSmith's own client and OpenTelemetry's read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from bench.errors import ConfigError
from bench.providers import Secret
from bench.tracing.make import Shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.config import TraceTo

#: What LangSmith's own client sends to where nothing is said.
ENDPOINT: Final = "https://api.smith.langchain.com"
PROJECT: Final = "default"

#: Where OpenTelemetry's exporters send to then, and what this program is called there.
OTLP_ENDPOINT: Final = "http://localhost:4318"
SERVICE: Final = "concurrent_bigmodel"

#: The prefixes of its variables; the first that is set counts.
_PREFIXES: Final = ("LANGSMITH_", "LANGCHAIN_")

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where traces go, and what they may say.

    Attributes:
        kind: Who speaks there: LangSmith, or whatever takes OTLP.
        endpoint: The address of the API; for OTLP that of the traces.
        project: The project; for OTLP the name of the service.
        key: The key; None where none is needed.
        workspace: The workspace, for keys that are of several.
        headers: Further fields of each request's head, for OTLP.
        shown: What spans may say.
    """

    kind: TraceTo = "langsmith"
    endpoint: str
    project: str
    key: Secret | None
    workspace: str | None = None
    headers: Mapping[str, Secret] = field(default_factory=dict)
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


def destination(environ: Mapping[str, str], kind: TraceTo = "langsmith") -> Destination | None:
    """Return where traces go; None where LangSmith has no key and its endpoint is not on this machine.

    Raises:
        ConfigError: The endpoint is no address, or would be sent prompts and keys over plain http to another machine.
    """
    return _otlp(environ) if kind == "otlp" else _langsmith(environ)


def _langsmith(environ: Mapping[str, str]) -> Destination | None:
    endpoint = (_value(environ, "ENDPOINT") or ENDPOINT).rstrip("/")
    is_here = _check(endpoint, "LANGSMITH_ENDPOINT", "put the key into LANGSMITH_API_KEY")
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


def _otlp(environ: Mapping[str, str]) -> Destination:
    """Return where OpenTelemetry's own variables say that traces go."""
    base = (environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or OTLP_ENDPOINT).rstrip("/")
    endpoint = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or f"{base}/v1/traces"
    _check(endpoint, "OTEL_EXPORTER_OTLP_ENDPOINT", "put keys into OTEL_EXPORTER_OTLP_HEADERS")
    headers = environ.get("OTEL_EXPORTER_OTLP_TRACES_HEADERS") or environ.get("OTEL_EXPORTER_OTLP_HEADERS") or ""
    fields = (each.partition("=") for each in headers.split(",") if "=" in each)
    content = environ.get("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "").lower() == "true"
    return Destination(
        kind="otlp",
        endpoint=endpoint,
        project=environ.get("OTEL_SERVICE_NAME") or SERVICE,
        key=None,
        headers={name.strip(): Secret(unquote(value.strip())) for name, _, value in fields},
        shown=Shown(inputs=content, outputs=content),
    )


def _check(endpoint: str, variable: str, instead: str) -> bool:
    """Return whether an endpoint is on this machine.

    Raises:
        ConfigError: It is no address, has a key in it, or is plain http to another machine.
    """
    address = urlsplit(endpoint)
    is_here = (address.hostname or "") in _LOOPBACK
    if address.scheme not in {"http", "https"} or not address.hostname:
        raise ConfigError(f"{variable} must be an address like https://traces.example")
    if address.username or address.password:
        raise ConfigError(f"{variable} has a user or a password in it", instead)
    if address.scheme == "http" and not is_here:
        raise ConfigError(f"{variable} is plain http to {address.hostname}", "use https")
    return is_here


def _is_true(environ: Mapping[str, str], name: str) -> bool:
    return (_value(environ, name) or "").lower() == "true"


def _value(environ: Mapping[str, str], name: str) -> str | None:
    return next((value for prefix in _PREFIXES if (value := environ.get(prefix + name))), None)
