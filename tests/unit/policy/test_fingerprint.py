"""What makes two tasks the same request, in every process and for good."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bench.policy.fingerprint import task_fingerprint, workload_fingerprint
from bench.records import Task
from tests.samples import make_task

if TYPE_CHECKING:
    from bench.records import JsonObject

ROOT: Final = Path(__file__).parents[3]

#: A task with everything in it, as JSON, and its fingerprint. A change here makes every stored fingerprint useless.
GOLDEN_TASK: Final = (
    '{"index":5,"version":2,"model":"m-1","topic":"AI技术","messages":[{"role":"system","content":"简短"},'
    '{"role":"user","content":"Ünïcode 🙂"}],"params":{"temperature":0.5,"max_tokens":64,"stop":["a","b"],'
    '"response_format":{"type":"json_object","strict":true},"seed":null}}'
)
GOLDEN: Final = "f69477d96befb22d3bbb9023f9a17c17606595c5ed0d5d2df7992e01d417df36"

IN_ANOTHER_PROCESS: Final = """
import sys, msgspec
from bench.policy.fingerprint import task_fingerprint
from bench.records import Task
print(task_fingerprint(msgspec.json.decode(sys.argv[1], type=Task)))
"""

keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(0, 2) | keys
trees = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3))


def reordered(value: object) -> object:
    """Return the same value with the keys of every object in the opposite order."""
    match value:
        case dict():
            return {key: reordered(value[key]) for key in reversed(value)}
        case list():
            return [reordered(part) for part in value]
        case _:
            return value


def of_params(params: JsonObject) -> str:
    """Return the fingerprint of a plain task with these parameters."""
    return task_fingerprint(make_task(params=params))


def test_the_golden_value() -> None:
    """The fingerprint of a given task is the same today as on the day on which it was first stored."""
    assert task_fingerprint(msgspec.json.decode(GOLDEN_TASK, type=Task)) == GOLDEN


@pytest.mark.parametrize("hash_seed", ["0", "1", "4242"])
def test_it_is_the_same_in_every_process(hash_seed: str) -> None:
    """Another process, however its dictionaries and hashes fall out, computes the same fingerprint."""
    environment = {"PYTHONHASHSEED": hash_seed, "PYTHONUTF8": "1"}
    printed = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS, GOLDEN_TASK],
        check=True,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert printed.stdout.strip() == GOLDEN


@given(st.dictionaries(keys, trees, max_size=4))
def test_order_of_keys_does_not_matter(params: JsonObject) -> None:
    """The same request with its keys in another order, at any depth, is the same request."""
    again = reordered(params)
    assert isinstance(again, dict)
    assert of_params(again) == of_params(params)


def test_order_of_keys_in_messages_does_not_matter() -> None:
    """The keys of a message have no order either."""
    one, other = {"role": "user", "content": "x"}, {"content": "x", "role": "user"}
    assert task_fingerprint(make_task(messages=(one,))) == task_fingerprint(make_task(messages=(other,)))


@given(st.lists(trees, min_size=2, max_size=5))
def test_order_in_lists_matters(parts: list[object]) -> None:
    """A list in another order is another request."""
    turned = parts[::-1]
    same = msgspec.json.encode(parts, order="deterministic") == msgspec.json.encode(turned, order="deterministic")
    assert (of_params({"stop": parts}) == of_params({"stop": turned})) == same


def test_order_of_messages_matters() -> None:
    """A conversation in another order is another request."""
    one, other = {"role": "user", "content": "a"}, {"role": "user", "content": "b"}
    assert task_fingerprint(make_task(messages=(one, other))) != task_fingerprint(make_task(messages=(other, one)))


def test_types_matter() -> None:
    """A number, its text, a truth value, a fraction, null, an empty text, an absent key and a list of it all differ."""
    values: tuple[object, ...] = (1, "1", True, 1.0, [1], 0, False, None, "", "null", [], {})
    alike: list[JsonObject] = [{"x": value} for value in values]
    alike += [{}, {"x": 1, "y": None}]
    prints = {of_params(params) for params in alike}
    assert len(prints) == len(alike)


def test_what_is_part_of_a_request() -> None:
    """Messages, parameters, model and version make the request."""
    changed: tuple[dict[str, object], ...] = (
        {},
        {"messages": ({"role": "user", "content": "other"},)},
        {"params": {"max_tokens": 1}},
        {"model": "m-2"},
        {"version": 1},
    )
    prints = {task_fingerprint(make_task(**change)) for change in changed}
    assert len(prints) == 5


def test_what_is_no_part_of_a_request() -> None:
    """Where a task stands and how it is labelled does not make it another request."""
    plain = make_task()
    changes = ({"index": 3}, {"iteration": 2}, {"topic": "t"}, {"chapter": "c"}, {"custom_id": "id"})
    assert {task_fingerprint(replace(plain, **change)) for change in changes} == {task_fingerprint(plain)}


@given(st.lists(st.sampled_from(["a" * 64, "b" * 64, "c" * 64]), max_size=6))
def test_a_workload_is_its_tasks_in_order(prints: list[str]) -> None:
    """A workload's fingerprint depends on each task, their number and their order, and takes a lazy source."""
    whole = workload_fingerprint(iter(prints))
    assert re.fullmatch("[0-9a-f]{64}", whole)
    assert whole != workload_fingerprint([*prints, "a" * 64])
    assert (whole == workload_fingerprint(prints[::-1])) == (prints == prints[::-1])
