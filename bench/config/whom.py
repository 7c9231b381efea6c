"""Whom a run asks, and for what kind of answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003 - the kinds of settings are read from their annotations

from bench.config.load import LoadSettings
from bench.errors import ConfigError
from bench.settings import about


@dataclass(frozen=True, kw_only=True)
class WhomSettings(LoadSettings):
    """What to run, how, and whom to ask."""

    provider: tuple[str, ...] = field(
        default=(),
        metadata=about(
            "provider (default: bigmodel if its key is set); with --profile prod several, or all: each that has a key",
            group="Whom to ask",
            alias="-p",
            metavar="A B ..",
        ),
    )
    providers_file: Path | None = field(
        default=None,
        metadata=about(
            "TOML file with more providers, and with limits and prices (default: ./providers.toml, if it is there)",
            group="Whom to ask",
            alias="--providers",
            metavar="FILE",
        ),
    )
    model: str | None = field(
        default=None, metadata=about("model to ask for (default: the provider's)", group="Whom to ask")
    )
    base_url: str | None = field(
        default=None,
        metadata=about(
            "address of any OpenAI-compatible API, instead of --provider", group="Whom to ask", metavar="URL"
        ),
    )
    allow_insecure_http: bool = field(
        default=False,
        metadata=about(
            "let an address be plain http to another machine: prompts and key can be read on the way",
            group="Whom to ask",
        ),
    )
    simulator: tuple[str, ...] = field(
        default=(),
        metadata=about(
            "settings of --provider simulator: the options of `simulate`", group="Whom to ask", metavar="KEY=VALUE .."
        ),
    )
    stream: bool = field(default=True, metadata=about("ask for streamed answers", group="Whom to ask"))
    max_tokens: int | None = field(
        default=512,
        metadata=about("longest answer in tokens, or none for the provider's limit", group="Whom to ask", at_least=1),
    )
    temperature: float | None = field(
        default=None,
        metadata=about("sampling temperature (default: the provider's)", group="Whom to ask", at_least=0, at_most=2),
    )

    def _check_endpoint(self) -> None:
        """Refuse two addresses, and settings of a simulator where none is asked."""
        if "" in self.provider:
            raise ConfigError("--provider names a provider, got an empty text", "leave it out, or name one")
        if self.provider and self.base_url is not None:
            raise ConfigError(
                f"--provider {' '.join(self.provider)} has an address of its own, got --base-url as well",
                "name one of the two",
            )
        if self.simulator and "simulator" not in self.provider:
            got = f"--provider {' '.join(self.provider)}" if self.provider else "no --provider"
            raise ConfigError(f"--simulator sets up --provider simulator, got {got}", "add --provider simulator")
