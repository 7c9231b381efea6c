"""Clients made from settings; the SDK is imported only when one of its clients is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.clients.lean import LeanAsyncClient, LeanSyncClient
from bench.clients.scripted import ScriptedAsyncClient, ScriptedSyncClient
from bench.errors import ConfigError

if TYPE_CHECKING:
    from bench.clients._base import AsyncClient, ClientSettings, SyncClient
    from bench.providers import Endpoint


def make_sync_client(settings: ClientSettings, endpoint: Endpoint) -> SyncClient:
    """Make a client for threads, in the process that is to use it.

    Raises:
        ConfigError: There is no such client, or the key cannot be sent.
    """
    match settings.client:
        case "openai":
            from bench.clients.openai_sdk import OpenAISyncClient  # noqa: PLC0415 - 0.4 s that others need not pay

            return OpenAISyncClient(settings, endpoint)
        case "lean":
            return LeanSyncClient(settings, endpoint)
        case "scripted":
            return ScriptedSyncClient()
        case _:
            raise _unknown(settings)


def make_async_client(settings: ClientSettings, endpoint: Endpoint) -> AsyncClient:
    """Make a client for the running event loop.

    Raises:
        ConfigError: There is no such client, or the key cannot be sent.
    """
    match settings.client:
        case "openai":
            from bench.clients.openai_sdk import OpenAIAsyncClient  # noqa: PLC0415 - 0.4 s that others need not pay

            return OpenAIAsyncClient(settings, endpoint)
        case "lean":
            return LeanAsyncClient(settings, endpoint)
        case "service-direct" | "service-pooled":
            from bench.clients.service import ServiceAsyncClient  # noqa: PLC0415 - 0.1 s that others need not pay

            return ServiceAsyncClient(settings, endpoint)
        case "scripted":
            return ScriptedAsyncClient()
        case _:
            raise _unknown(settings)


def _unknown(settings: ClientSettings) -> ConfigError:
    return ConfigError(
        f"--client must be openai, lean or scripted, or for an event loop the service, got {settings.client}"
    )
