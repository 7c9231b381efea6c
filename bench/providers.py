"""Providers: named endpoints that speak the OpenAI protocol, and the resolved endpoint of a run."""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

#: What a variable that holds a key is called. Only by such a name is one looked for, and what it holds is kept out of
#: logs and messages.
_KEY_VARIABLE: Final = re.compile(r"[A-Z][A-Z0-9_]*_(?:KEY|TOKEN|SECRET)(?:_[0-9]+)?")

Quota = Literal["key", "provider"]


def is_key_variable(name: str) -> bool:
    """Say whether a variable of this name holds a key: BIGMODEL_API_KEY, BIGMODEL_API_KEY_2, HOST_TOKEN."""
    return _KEY_VARIABLE.fullmatch(name) is not None


class Secret:
    """A string that shows itself only when asked to; printing, formatting and encoding it give no secret away.

    Attributes:
        variable: The environment variable that holds it, or an empty string.
    """

    __slots__ = ("_value", "variable")

    def __init__(self, value: str, variable: str = "") -> None:
        self._value = value
        self.variable = variable

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


class RouteLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider lets one of its keys do, as far as it is known; None where it is not.

    Attributes:
        in_flight: Calls under way at once.
        requests_per_min: Requests in any 60 s.
        tokens_per_min: Tokens of prompts and answers in any 60 s.
        quota: Routes with one non-empty name here share their rates and pauses; empty: the route has its own.
    """

    in_flight: int | None = None
    requests_per_min: float | None = None
    tokens_per_min: float | None = None
    quota: str = ""


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long a run waits where its settings do not say; enough for a hosted model.

    Attributes:
        task_s: For a task, all its attempts and waits together.
        first_token_s: For an attempt's first token.
        next_token_s: For each further one.
    """

    task_s: float = 300.0
    first_token_s: float = 60.0
    next_token_s: float = 60.0


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How long a call may take, and what it costs; None where that is not known.

    Attributes:
        timeout_s: Longest time for one attempt, in seconds, where the provider has one of its own.
        patience: How long a run waits where its settings do not say.
        price_in: Price of a million tokens of prompts.
        price_out: Price of a million tokens of answers.
        currency: What both prices are in.
    """

    timeout_s: float | None = None
    patience: Patience = Patience()
    price_in: float | None = None
    price_out: float | None = None
    currency: str = "USD"


class Provider(Terms, frozen=True, kw_only=True):
    """A named endpoint, its keys by name, what it allows, and its terms for `model`; None where that is not known.

    Attributes:
        name: The name used in options and records.
        base_url: Address up to and including the version part; empty where the run starts the server itself.
        model: The model asked for when none is named.
        key_env: The environment variable that holds its key; further ones are this with _2, _3 and so on. Empty where
            `keys` names them, or none is needed.
        keys: The variables that hold its keys, where they are named one by one.
        quota: Whether each of its keys has rates of its own, or all of them share the provider's.
        in_flight: Calls under way at once, a key.
        requests_per_min: Requests in any 60 s, a key, or all keys where they share them.
        tokens_per_min: Tokens of prompts and answers in any 60 s, counted likewise.
    """

    name: str
    base_url: str
    model: str
    key_env: str = ""
    keys: tuple[str, ...] = ()
    quota: Quota = "key"
    in_flight: int | None = None
    requests_per_min: float | None = None
    tokens_per_min: float | None = None

    @property
    def is_own(self) -> bool:
        """Whether a run starts its server itself."""
        return not self.base_url

    @property
    def limits(self) -> RouteLimits:
        """What one of its keys may do."""
        return RouteLimits(
            in_flight=self.in_flight,
            requests_per_min=self.requests_per_min,
            tokens_per_min=self.tokens_per_min,
            quota=self.name if self.quota == "provider" else "",
        )


#: The presets. Models are the providers' inexpensive general ones; any other is named with --model. Limits are given
#: where the provider publishes them for every account, else they are learnt from its answers. Keys share a quota where
#: the provider says that it counts by account or project. Prices are given where they are published and have stood.
PROVIDERS: Final[dict[str, Provider]] = {
    preset.name: preset
    for preset in (
        Provider(
            name="bigmodel",
            base_url="https://open.bigmodel.cn/api/paas/v4",
            model="glm-4-flash",
            key_env="BIGMODEL_API_KEY",
            price_in=0.0,
            price_out=0.0,
            currency="CNY",
        ),
        Provider(
            name="deepseek", base_url="https://api.deepseek.com/v1", model="deepseek-chat", key_env="DEEPSEEK_API_KEY"
        ),
        Provider(
            name="gemini",
            base_url="https://generativelanguage.googleapis.com/v1beta/openai",
            model="gemini-2.0-flash",
            key_env="GEMINI_API_KEY",
            quota="provider",
            price_in=0.10,
            price_out=0.40,
        ),
        Provider(
            name="openrouter",
            base_url="https://openrouter.ai/api/v1",
            model="deepseek/deepseek-chat",
            key_env="OPENROUTER_API_KEY",
            quota="provider",
        ),
        Provider(
            name="siliconflow",
            base_url="https://api.siliconflow.cn/v1",
            model="Qwen/Qwen2.5-7B-Instruct",
            key_env="SILICONFLOW_API_KEY",
            quota="provider",
            # What its smallest accounts have, for any chat model.
            requests_per_min=1000,
            tokens_per_min=50_000,
            price_in=0.0,
            price_out=0.0,
            currency="CNY",
        ),
        Provider(
            name="ark",
            base_url="https://ark.cn-beijing.volces.com/api/v3",
            model="doubao-1-5-lite-32k-250115",
            key_env="ARK_API_KEY",
            currency="CNY",
        ),
        Provider(
            name="openai",
            base_url="https://api.openai.com/v1",
            model="gpt-4o-mini",
            key_env="OPENAI_API_KEY",
            quota="provider",
            price_in=0.15,
            price_out=0.60,
        ),
        # Two at once get as many tokens out of a CPU as eight do, and a first one in a quarter of the time: the prompts
        # of all that have come are read before any is answered. Beside other work that is 30 tokens a second, so that
        # two prompts as long as the model holds take minutes.
        Provider(
            name="local",
            base_url="",
            model="SmolLM2-135M-Instruct",
            in_flight=2,
            patience=Patience(task_s=3600.0, first_token_s=600.0, next_token_s=600.0),
        ),
        Provider(name="simulator", base_url="", model="simulated"),
    )
}


class Endpoint(Terms, frozen=True, kw_only=True):
    """Where a run sends its requests, and the terms for that.

    Attributes:
        provider: Provider's name, or `custom` for a bare address.
        base_url: Address up to and including the version part.
        model: The model asked for.
        api_key: The key, or None where none is needed.
        extra_body: Fields added to each request body (`cache_prompt` for the local model).
        headers: Fields added to each request's head (`Connection` for the local model).
        pid: Process of a server that the run started for itself, whose cost is not the harness's.
        key: Which of the provider's keys this is, from 0; never the key.
        limits: What may go over it, as far as it is known.
    """

    provider: str
    base_url: str
    model: str
    api_key: Secret | None = None
    extra_body: dict[str, object] = {}
    headers: dict[str, str] = {}
    pid: int | None = None
    key: int = 0
    limits: RouteLimits = RouteLimits()
