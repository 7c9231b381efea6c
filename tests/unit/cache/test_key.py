"""Keys: everything that shapes an answer is in them, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.cache import cache_key

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=3),
    max_leaves=6,
)
PLAIN: dict[str, Any] = {
    "base_url": "https://api.example.com/v1",
    "model": "m",
    "messages": [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}],
    "params": {"temperature": 0.5, "max_tokens": 10, "stop": ["x", "y"]},
    "version": 0,
    "iteration": 0,
}


@pytest.mark.parametrize(
    "change",
    [
        {"base_url": "https://api.example.com/v2"},
        {"model": "n"},
        {"messages": PLAIN["messages"][::-1]},
        {"messages": [{"role": "system", "content": "a edited"}, PLAIN["messages"][1]]},
        {"messages": PLAIN["messages"][1:]},
        {"messages": [PLAIN["messages"][0], {"role": "user", "content": "b edited"}]},
        {"params": PLAIN["params"] | {"temperature": 0.6}},
        {"params": PLAIN["params"] | {"max_tokens": 11}},
        {"params": PLAIN["params"] | {"max_tokens": "10"}},
        {"params": PLAIN["params"] | {"stop": ["y", "x"]}},
        {"params": PLAIN["params"] | {"seed": None}},
        {"version": 1},
        {"iteration": 1},
        {"version": True},
    ],
    ids=str,
)
def test_each_part_counts(change: dict[str, Any]) -> None:
    """Another address, model, message, parameter, version or iteration is another key, whatever the last prompt is."""
    assert cache_key(**PLAIN | change) != cache_key(**PLAIN)


def test_the_key_stays() -> None:
    """A key is the same in every process and version: another would make every stored answer useless."""
    assert cache_key(**PLAIN) == "555f2fa025420b0a6e22dba19af85971c595d5b84cd99c30520ed4410a9bb307"


def test_what_makes_no_difference() -> None:
    """The order of parameters' names and a slash at the address's end do not count."""
    turned = dict(reversed(PLAIN["params"].items()))
    assert cache_key(**PLAIN | {"params": turned, "base_url": PLAIN["base_url"] + "/"}) == cache_key(**PLAIN)
    assert len(cache_key(**PLAIN)) == 64


@settings(max_examples=50)
@given(st.dictionaries(st.text("abc", max_size=2), JSON), st.dictionaries(st.text("abc", max_size=2), JSON))
def test_keys_are_equal_where_values_are(one: dict[str, object], other: dict[str, object]) -> None:
    """Two sets of parameters have one key only if they are the same, 1 and true being two values."""
    same = repr(sorted_deeply(one)) == repr(sorted_deeply(other))
    assert (cache_key(**PLAIN | {"params": one}) == cache_key(**PLAIN | {"params": other})) == same


def sorted_deeply(value: object) -> object:
    """The value with the keys of every object in order."""
    if isinstance(value, dict):
        return {name: sorted_deeply(value[name]) for name in sorted(value)}
    return [sorted_deeply(each) for each in value] if isinstance(value, list) else value
