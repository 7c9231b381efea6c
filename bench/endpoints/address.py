"""Addresses of APIs: which ones may be sent prompts and keys, and which ones are this machine."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from bench.errors import ConfigError

_IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

#: A name as the network knows it; a name in other letters has such a form too (xn--...).
_NAME: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?", re.IGNORECASE)

#: What ends like this is taken for an address in numbers by some resolvers: 2130706433, 0x7f.1 and 127.1 are 127.0.0.1.
_NUMBER_AT_END: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?", re.IGNORECASE)

#: Where clouds give credentials to whoever asks from within, beside the link-local 169.254.169.254.
_METADATA: Final = tuple(map(ipaddress.ip_network, ("fd00:ec2::/32", "100.100.100.200/32", "168.63.129.16/32")))

#: IPv6 addresses that end in an IPv4 address: translated, and the old compatible form.
_EMBEDDING: Final = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "::/96")))

_KEY_ADVICE: Final = "set the key with an environment variable: CONCURRENT_API_KEY for --base-url"

_EXAMPLE: Final = "an address looks like https://api.example.com/v1 or http://127.0.0.1:8000/v1"


def checked_address(text: str, *, insecure: bool = False, name: str = "--base-url") -> str:
    """Return an API's address without a trailing slash, if prompts and keys may be sent there.

    It is http or https, with a host and a path. The message of an error never repeats credentials that the address
    may hold.

    Args:
        text: The address.
        insecure: Whether plain http may go to another machine than this one.
        name: What it is called in messages.

    Raises:
        ConfigError: It is none of that kind.
    """
    if any(char.isspace() or not char.isprintable() for char in text):
        raise ConfigError(f"{name} holds a blank or a control character", _EXAMPLE)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"{name} is not an address: {error}", _EXAMPLE) from error
    _refuse_secrets(parts, name)
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise ConfigError(f"{name} must be an http or https address with a host, got {text}", _EXAMPLE)
    _refuse_hosts(parts.hostname, name)
    if parts.scheme == "http" and not insecure and not is_loopback(parts.hostname):
        raise ConfigError(
            f"{name} would send prompts and keys unencrypted to {parts.hostname}",
            "use https, or bring it to this machine with: ssh -L 8000:HOST:PORT ..., then http://127.0.0.1:8000/v1; "
            "--allow-insecure-http sends them all the same",
        )
    if parts.path.rstrip("/").endswith("/chat/completions"):
        raise ConfigError(
            f"{name} is the part before /chat/completions, got {text}", "leave /chat/completions out of it"
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


def _refuse_secrets(parts: SplitResult, name: str) -> None:
    if parts.username is not None or parts.password is not None:
        raise ConfigError(f"{name} holds a user name or password", _KEY_ADVICE)
    if parts.query or parts.fragment:
        raise ConfigError(
            f"{name} holds a query (?) or fragment (#)",
            f"leave it out; {_KEY_ADVICE}",
        )


def _refuse_hosts(host: str, name: str) -> None:
    address = _ip_address(host)
    if address is None and (not _NAME.fullmatch(host) or _NUMBER_AT_END.fullmatch(host)):
        raise ConfigError(
            f"{name} must name a host, got {host!r}",
            "write an address as 192.0.2.1 or [2001:db8::1], a name in ASCII",
        )
    if address is not None and _has_no_api(address):
        raise ConfigError(f"{name} must name a host, got {host}, which no API has", _EXAMPLE)


def _has_no_api(address: _IPAddress) -> bool:
    return (
        address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or any(address in network for network in _METADATA)
    )


def _ip_address(host: str) -> _IPAddress | None:
    """Return an address, of one that carries another the other one: ::ffff:127.0.0.1 is 127.0.0.1."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if any(address in network for network in _EMBEDDING) and not (address.is_loopback or address.is_unspecified):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
