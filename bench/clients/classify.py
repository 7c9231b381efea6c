"""Whether what a call raised is worth another attempt."""

from __future__ import annotations

import socket
import ssl
from typing import Final

from bench.clients._translate import Translator
from bench.errors import CallError

#: The SDK and its transports, by the first part of their modules' names.
_SDK: Final = frozenset({"openai", "httpx2", "httpcore2", "aiohttp"})


def classify(error: Exception) -> CallError | None:
    """Return what an exception says about a call, in the words of `bench.errors`; None where it is no failure of one.

    Known are CallError itself, what the openai SDK and its transports raise, TimeoutError, and the system's errors of
    connections. What is unknown, as a ValueError in one's own code, another attempt would not mend.
    """
    if isinstance(error, CallError):
        return error
    if any(kind.__module__.partition(".")[0] in _SDK for kind in type(error).__mro__):
        from bench.clients.sdk_errors import call_error  # noqa: PLC0415 - 0.4 s that others need not pay

        return call_error(error)
    if isinstance(error, TimeoutError):
        return CallError("timeout_ttft", f"no answer in time: {error}")
    if isinstance(error, ConnectionError | socket.gaierror | ssl.SSLError):
        return Translator(None, unconnected=(ConnectionRefusedError,)).network(error, head_seen=False)
    return None
