"""What the SDK and its transports raise to a program that uses them itself, in our own words."""

from __future__ import annotations

from typing import Final

import aiohttp
import httpcore2
import httpx2
import openai

from bench.clients._translate import Translator
from bench.errors import CallError

_UNCONNECTED: Final = (httpx2.ConnectError, httpcore2.ConnectError, aiohttp.ClientConnectorError)
_LATE: Final = (httpx2.ConnectTimeout, httpx2.PoolTimeout, aiohttp.ConnectionTimeoutError)
_SLOW: Final = (openai.APITimeoutError, httpx2.TimeoutException, httpcore2.TimeoutException)
_BROKEN: Final = (
    openai.APIConnectionError,
    httpx2.TransportError,
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    aiohttp.ClientConnectionError,
    aiohttp.ClientPayloadError,
)


def call_error(error: Exception) -> CallError | None:
    """Return what an exception of the SDK or of its transports says, or None where it is no failure of a call."""
    # The caller's key is not known here: the SDK's messages do not hold it.
    translator = Translator(None, unconnected=_UNCONNECTED, late=_LATE)
    match error:
        case openai.APIStatusError():
            return translator.status(error.status_code, error.body, error.response.headers)
        case aiohttp.ClientResponseError():
            return translator.status(error.status, error.message, error.headers or {})
        case _ if isinstance(error, _SLOW) and not isinstance(error.__cause__ or error, _LATE):
            return CallError("timeout_ttft", f"no answer in time: {translator.quote(str(error))}")
        case _ if isinstance(error, _BROKEN + _SLOW):
            return translator.network(error, head_seen=False)
        case openai.APIError():
            return translator.in_200(error.body)
        case _:
            return None
