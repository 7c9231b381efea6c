"""Providers: named endpoints that speak the OpenAI protocol, and the resolved endpoint of a run."""

from __future__ import annotations

from typing import Final

import msgspec


class Secret:
    """A string that shows itself only when asked to; printing, formatting and encoding it give no secret away."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        """Show that there is one."""
        return "Secret(****)"

    def __eq__(self, other: object) -> bool:
        """Compare by value."""
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        """Hash by value."""
        return hash(self._value)

    def reveal(self) -> str:
        """Return the value; only a client about to send it has a use for it."""
        return self._value


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """A named endpoint.

    Attributes:
        name: The name used in options and records.
        base_url: Address up to and including the version part; empty where the run starts the server itself.
        model: The model asked for when none is named.
        key_env: The environment variable that holds its key; empty where none is needed.
    """

    name: str
    base_url: str
    model: str
    key_env: str = ""


#: The presets. Models are the providers' inexpensive general ones; any other is named with --model.
PROVIDERS: Final[dict[str, Provider]] = {
    preset.name: preset
    for preset in (
        Provider(
            name="bigmodel",
            base_url="https://open.bigmodel.cn/api/paas/v4",
            model="glm-4-flash",
            key_env="BIGMODEL_API_KEY",
        ),
        Provider(
            name="deepseek", base_url="https://api.deepseek.com/v1", model="deepseek-chat", key_env="DEEPSEEK_API_KEY"
        ),
        Provider(
            name="gemini",
            base_url="https://generativelanguage.googleapis.com/v1beta/openai",
            model="gemini-2.0-flash",
            key_env="GEMINI_API_KEY",
        ),
        Provider(
            name="openrouter",
            base_url="https://openrouter.ai/api/v1",
            model="deepseek/deepseek-chat",
            key_env="OPENROUTER_API_KEY",
        ),
        Provider(
            name="siliconflow",
            base_url="https://api.siliconflow.cn/v1",
            model="Qwen/Qwen2.5-7B-Instruct",
            key_env="SILICONFLOW_API_KEY",
        ),
        Provider(
            name="ark",
            base_url="https://ark.cn-beijing.volces.com/api/v3",
            model="doubao-1-5-lite-32k-250115",
            key_env="ARK_API_KEY",
        ),
        Provider(name="openai", base_url="https://api.openai.com/v1", model="gpt-4o-mini", key_env="OPENAI_API_KEY"),
        Provider(name="local", base_url="", model="SmolLM2-135M-Instruct"),
        Provider(name="simulator", base_url="", model="simulated"),
    )
}


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run sends its requests.

    Attributes:
        provider: Provider's name, or `custom` for a bare address.
        base_url: Address up to and including the version part.
        model: The model asked for.
        api_key: The key, or None where none is needed.
        extra_body: Fields added to each request body (`cache_prompt` for the local model).
        headers: Fields added to each request's head (`Connection` for the local model).
        pid: Process of a server that the run started for itself, whose cost is not the harness's.
    """

    provider: str
    base_url: str
    model: str
    api_key: Secret | None = None
    extra_body: dict[str, object] = {}
    headers: dict[str, str] = {}
    pid: int | None = None
