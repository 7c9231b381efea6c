"""Addresses of APIs: which ones may be sent prompts and keys, and which ones are this machine."""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import SplitResult, urlsplit

from bench.errors import ConfigError

_EXAMPLE: Final = "an address looks like https://api.example.com/v1 or http://127.0.0.1:8000/v1"


def checked_address(text: str) -> str:
    """Return an API's address without a trailing slash, if prompts and keys may be sent there.

    It is http or https, with a host and a path; plain http goes to this machine only. Its message never repeats
    credentials that the address may hold.

    Raises:
        ConfigError: It is none of that kind.
    """
    if any(char.isspace() or not char.isprintable() for char in text):
        raise ConfigError("--base-url holds a blank or a control character", _EXAMPLE)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"--base-url is not an address: {error}", _EXAMPLE) from error
    _refuse_secrets(parts)
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise ConfigError(f"--base-url must be an http or https address with a host, got {text}", _EXAMPLE)
    _refuse_hosts(parts, parts.hostname)
    if parts.path.rstrip("/").endswith("/chat/completions"):
        raise ConfigError(
            f"--base-url is the part before /chat/completions, got {text}", "leave /chat/completions out of it"
        )
    return text.rstrip("/")


def is_loopback(host: str) -> bool:
    """Say whether a host name or address is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _ip_address(host)
    return address is not None and address.is_loopback


def host_of(address: str) -> str:
    """Return the host of an address that was checked."""
    return urlsplit(address).hostname or ""


def _refuse_secrets(parts: SplitResult) -> None:
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            "--base-url holds a user name or password", "set the key with the environment variable CONCURRENT_API_KEY"
        )
    if parts.query or parts.fragment:
        raise ConfigError(
            "--base-url holds a query (?) or fragment (#)",
            "leave it out; a key is set with the environment variable CONCURRENT_API_KEY",
        )


def _refuse_hosts(parts: SplitResult, host: str) -> None:
    address = _ip_address(host)
    if address is not None and (address.is_link_local or address.is_multicast or address.is_unspecified):
        raise ConfigError(f"--base-url must name a host, got {host}, which no API has", _EXAMPLE)
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigError(
            f"--base-url would send prompts and keys unencrypted to {host}",
            "use https, or bring it to this machine with: ssh -L 8000:HOST:PORT ..., then http://127.0.0.1:8000/v1",
        )


def _ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    # ::ffff:127.0.0.1 is 127.0.0.1 by another name.
    return getattr(address, "ipv4_mapped", None) or address
