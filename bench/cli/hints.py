"""What to do about each type of failure, in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bench.endpoints.resolve import CUSTOM, CUSTOM_KEYS
from bench.providers import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.errors import ErrorType
    from bench.summary import Summary

HINTS: Final[Mapping[ErrorType, str]] = {
    "connect": "nothing accepts connections there: is the address right, and the server running?",
    "dns": "the host's name is unknown: is it spelled right, and is there a network?",
    "tls": "the server's certificate was not accepted: is the clock right, and the authority known (SSL_CERT_FILE)?",
    "timeout_connect": "no connection in time: is the address reachable from here? --connect-timeout waits longer",
    "timeout_ttft": "no first token in time: is the server overloaded? Lower --concurrency, or raise --ttft-timeout",
    "timeout_idle": "the answer stopped in the middle: raise --idle-timeout if the model thinks that long",
    "timeout_total": "a task took too long with all its attempts: raise --timeout, or lower --retries or --max-tokens",
    "stream_reset": "the server or something before it closed the connection: lower --concurrency, or raise --retries",
    "truncated": "answers ended without a finish reason: something between here and the model cuts streams",
    "bad_sse": "the server sent something that is no chunk of an answer: does it speak the OpenAI protocol there?",
    "bad_content_type": "the address answers, but with a page, not an API's answer: it usually ends in /v1",
    "error_in_200": "the server reports an error within a successful answer: its message is in the record",
    "empty": "answers held no text: does the model need another prompt or more --max-tokens?",
    "content_filter": "the provider's filter refused the content: change the prompt",
    "rate_limited": "the provider refuses so many requests: lower --concurrency, or raise --retries and --retry-delay",
    "auth": "the provider refuses the key: is {key} right, and allowed to use the model?",
    "bad_request": "the provider refuses the request: is the model's name right, and does it take these settings?",
    "not_found": "there is no such model or address: check --model, and that the address ends in /v1 or the like",
    "server_error": "the provider failed: try again later, or raise --retries",
    "too_large": "the request is too large for the provider: shorten the prompt",
    "worker_lost": "worker processes died: is there memory enough? Lower --concurrency",
    "cancelled": "the run was stopped before they ended: run them again",
    "dropped": "requests arrived faster than they were answered: raise --concurrency, or lower --rate",
    "internal": "this program failed: its log holds the traceback",
}


def hint_for(error_type: ErrorType, provider: str | None) -> str:
    """Return what to do about a type of failure with a provider, None if it is not known."""
    return HINTS[error_type].format(key=_key_of(provider))


def _key_of(provider: str | None) -> str:
    """Return what holds a provider's key; those of a providers' file have names of their own."""
    if provider in {None, CUSTOM}:
        return CUSTOM_KEYS[0]
    preset = PROVIDERS.get(provider or "")
    return preset.key_env if preset is not None and preset.key_env else "its key"


def failure_lines(summary: Summary) -> list[tuple[str, str]]:
    """Return what failed, most frequent first, and what to do about it; what was cancelled was meant to be."""
    lines = []
    for row in sorted(summary.errors, key=lambda row: -row.tasks):
        if row.tasks and row.type != "cancelled":
            tasks = "1 task" if row.tasks == 1 else f"{row.tasks} tasks"
            how = "not sent" if row.type == "dropped" else "failed"
            lines.append((f"{tasks} {how}: {row.type}: {row.message}", hint_for(row.type, summary.provider)))
    return lines
