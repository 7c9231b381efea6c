"""What a node is told, and why it may not take part."""

from __future__ import annotations

import pickle

import msgspec
import pytest

from bench.engines.cluster.orders import Facts, Orders, difference, facts, with_keys, without_keys
from bench.errors import ConfigError
from bench.providers import Endpoint, Secret
from tests.flows import make_spec

KEY = "kanarie0123456789abcdef"


def endpoint(key: Secret | None) -> Endpoint:
    """Somewhere to ask."""
    return Endpoint(provider="p", base_url="http://127.0.0.1:1/v1", model="m", api_key=key)


def test_keys_stay_at_home() -> None:
    """Orders hold the names of variables and no key; the node takes each key from its own environment."""
    spec = make_spec()
    bare, variables = without_keys([endpoint(Secret(KEY, "P_API_KEY")), endpoint(None)])
    orders = Orders(spec=msgspec.structs.replace(spec, endpoints=bare), variables=variables, node="n1", log_level=20)
    assert KEY.encode() not in pickle.dumps(orders)
    there, missing = with_keys(orders, {"P_API_KEY": "another"})
    assert missing == []
    assert [each.api_key and each.api_key.reveal() for each in there.endpoints] == ["another", None]
    assert with_keys(orders, {})[1] == ["P_API_KEY"]


def test_a_key_without_a_variable_cannot_go() -> None:
    """A key that stands in no variable is refused, because no node could have it; it is not repeated."""
    with pytest.raises(ConfigError, match="the key of p does not come from an environment variable") as refusal:
        without_keys([endpoint(Secret(KEY))])
    assert KEY not in str(refusal.value)


def test_differences_are_named() -> None:
    """What a node has in another version is named with both; the same versions are no difference."""
    ours = facts()
    assert difference(ours, ours) is None
    theirs = msgspec.structs.replace(ours, versions={**ours.versions, "openai": "0.0.1", "Python": "3.10"})
    told = difference(theirs, ours) or ""
    assert f"openai 0.0.1, here {ours.versions['openai']}" in told
    assert f"Python 3.10, here {ours.versions['Python']}" in told
    assert "msgspec" not in told
    assert "uvloop none, here" in (difference(Facts(host="h", pid=1, versions={}), ours) or "")
