"""Addresses of APIs: where prompts and keys may go."""

from __future__ import annotations

import pytest

from bench.endpoints.address import checked_address, is_loopback
from bench.errors import ConfigError


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("https://api.example.com/v1", "https://api.example.com/v1"),
        ("https://api.example.com/v1/", "https://api.example.com/v1"),
        ("https://api.example.com:8443", "https://api.example.com:8443"),
        ("HTTPS://API.example.com/v1", "HTTPS://API.example.com/v1"),
        ("https://10.1.2.3/v1", "https://10.1.2.3/v1"),
        ("https://[2001:db8::1]:8000/v1", "https://[2001:db8::1]:8000/v1"),
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
        ("http://127.8.9.1/v1", "http://127.8.9.1/v1"),
        ("http://localhost:11434/v1", "http://localhost:11434/v1"),
        ("http://api.localhost/v1", "http://api.localhost/v1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("http://[::ffff:127.0.0.1]/v1", "http://[::ffff:127.0.0.1]/v1"),
    ],
)
def test_accepted(given: str, used: str) -> None:
    """Any https address with a host may be used, and plain http on this machine."""
    assert checked_address(given) == used


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("", "http or https"),
        ("api.example.com/v1", "http or https"),
        ("localhost:8000", "http or https"),
        ("file:///etc/passwd", "http or https"),
        ("gopher://h/v1", "http or https"),
        ("https:///v1", "http or https"),
        ("https://h:0/v1", "http or https"),
        ("https://h:port/v1", "not an address"),
        ("https://h:99999/v1", "not an address"),
        ("https://[::1/v1", "not an address"),
        ("https://h /v1", "blank"),
        ("https://h/v1\n", "blank"),
        ("https://h/\x1b[31m", "blank"),
        ("http://api.example.com/v1", "unencrypted"),
        ("http://10.1.2.3:8000/v1", "unencrypted"),
        ("http://127.0.0.1.example.com/v1", "unencrypted"),
        ("http://localhost.example.com/v1", "unencrypted"),
        ("http://0.0.0.0:8000/v1", "no API"),
        ("http://169.254.169.254/latest", "no API"),
        ("https://[fe80::1]/v1", "no API"),
        ("https://[::ffff:169.254.169.254]/v1", "no API"),
        ("https://[fe80::1%25eth0]/v1", "no API"),
        ("https://[fd00:ec2::254]/v1", "no API"),
        ("https://100.100.100.200/v1", "no API"),
        ("https://[64:ff9b::a9fe:a9fe]/v1", "no API"),
        ("https://[2002:a9fe:a9fe::1]/v1", "no API"),
        ("https://[::a9fe:a9fe]/v1", "no API"),
        ("https://[ff02::1]/v1", "no API"),
        ("https://2130706433/v1", "must name a host"),
        ("https://0x7f000001/v1", "must name a host"),
        ("https://0177.0.0.1/v1", "must name a host"),
        ("https://127.1/v1", "must name a host"),
        ("https://api.example.com.1/v1", "must name a host"),
        ("https://%31%32%37.0.0.1/v1", "must name a host"),
        ("https://１２７.0.0.1/v1", "must name a host"),
        ("https://h\\evil/v1", "must name a host"),
        ("https://h..i/v1", "must name a host"),
        ("javascript://h/v1", "http or https"),
        ("https://h/v1/chat/completions", "before /chat/completions"),
        ("https://h/v1/chat/completions/", "before /chat/completions"),
    ],
)
def test_f52_refused(address: str, said: str) -> None:
    """An address that is none, or would give prompts and keys away, is refused with the reason and what to do."""
    with pytest.raises(ConfigError, match=r"^--base-url ") as refused:
        checked_address(address)
    assert said in refused.value.message
    assert refused.value.hint


def test_f52_plain_http_to_another_machine_has_to_be_asked_for() -> None:
    """Where it is asked for, prompts and keys may go unencrypted to another machine, but to no host that has no API."""
    assert checked_address("http://10.1.2.3:8000/v1", insecure=True) == "http://10.1.2.3:8000/v1"
    with pytest.raises(ConfigError, match="--allow-insecure-http"):
        checked_address("http://10.1.2.3:8000/v1")
    with pytest.raises(ConfigError, match="no API"):
        checked_address("http://169.254.169.254/v1", insecure=True)
    with pytest.raises(ConfigError, match="user name or password"):
        checked_address("http://sk-canary@10.1.2.3/v1", insecure=True)


@pytest.mark.parametrize(
    "address",
    [
        "https://user:sk-canary@h/v1",
        "https://sk-canary@h/v1",
        "https://h/v1?api_key=sk-canary",
        "https://h/v1#sk-canary",
        "http://user:sk-canary@127.0.0.1/v1",
        "file://sk-canary:x@h/",
        "https://sk-canary @h/v1",
        "https://user:sk-canary@h:port/v1",
    ],
)
def test_credentials_are_not_repeated(address: str) -> None:
    """An address that holds a password or a key is refused, and the message does not repeat it."""
    with pytest.raises(ConfigError) as refused:
        checked_address(address)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.255.0.3", "::1", "localhost", "x.localhost", "::ffff:127.0.0.1"])
def test_this_machine(host: str) -> None:
    """Every name and address of the loopback interface is this machine."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "128.0.0.1", "2130706433", "0.0.0.0", "localhost.example.com", "notlocalhost"])
def test_other_machines(host: str) -> None:
    """What only looks like this machine is not."""
    assert not is_loopback(host)
