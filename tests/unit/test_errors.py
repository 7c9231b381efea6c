"""The exception tree and the closed list of error types."""

from __future__ import annotations

import copy
import inspect
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import errors
from bench.errors import (
    ERROR_TYPES,
    RETRYABLE,
    BenchError,
    CallError,
    ConfigError,
    EndpointError,
    JournalError,
    LostError,
    RefusedError,
    RunError,
    ServiceError,
    TaskFailedError,
    WorkerError,
    WorkloadError,
    error_type_of_status,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What users and other programs read in the records; one more is a change of the format.
PUBLISHED_TYPES: Final = """
connect dns tls timeout_connect timeout_ttft timeout_idle timeout_total stream_reset truncated bad_sse bad_content_type
error_in_200 empty content_filter rate_limited auth bad_request not_found server_error too_large worker_lost cancelled
dropped internal"""

EXAMPLES: Final = [
    ConfigError("wrong", "do this"),
    WorkloadError("line 3 is wrong", "mend it"),
    RunError("stopped"),
    JournalError("disk full"),
    EndpointError("does not start"),
    WorkerError("keeps dying"),
    CallError("rate_limited", "slow down", 429, 12.5),
    CallError("connect", "refused"),
    ServiceError("gone", "it ended too long ago", "4f"),
    RefusedError("queue_full", "no place is free"),
    TaskFailedError("timeout_total", "it took too long", "4f"),
    LostError("connect", "no connection"),
]


def leaves_and_branches(kind: type[BenchError]) -> Iterator[type[BenchError]]:
    """Yield a class and all below it."""
    yield kind
    for below in kind.__subclasses__():
        yield from leaves_and_branches(below)


def raise_one(number: int) -> None:
    """Raise an example; runs in a worker process."""
    raise EXAMPLES[number]


@pytest.mark.parametrize("error", EXAMPLES, ids=repr)
def test_errors_survive_pickle(error: BenchError) -> None:
    """Every error comes out of pickle and copy with its type, its text and all its facts."""
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - our own bytes
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)


def test_every_error_has_an_example() -> None:
    """No error of the tree is missing from the pickle test, nor from the drawing of the tree."""
    tree = set(leaves_and_branches(BenchError)) - {BenchError}
    assert {type(error) for error in EXAMPLES} == tree
    assert [kind.__name__ for kind in tree if kind.__name__ not in (errors.__doc__ or "")] == []
    assert tree == {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, BenchError)} - {
        BenchError
    }


def test_errors_cross_a_process_pool() -> None:
    """An error that a worker process raises reaches its parent as itself and leaves the pool usable."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        for number, error in enumerate(EXAMPLES):
            with pytest.raises(type(error)) as caught:
                pool.submit(raise_one, number).result()
            assert vars(caught.value) == vars(error)


def test_error_types_are_the_published_list() -> None:
    """The list of error types is the one that users were told, in its order."""
    assert list(ERROR_TYPES) == PUBLISHED_TYPES.split()


def test_what_is_tried_again() -> None:
    """What the request itself causes, a spent deadline, a cancellation and our own bugs are never tried again."""
    never = {"tls", "timeout_total", "bad_content_type", "content_filter", "auth", "bad_request", "not_found"}
    never |= {"too_large", "cancelled", "dropped", "internal"}
    assert set(ERROR_TYPES) - never == RETRYABLE
    assert [CallError("empty", "").retryable, CallError("auth", "").retryable] == [True, False]


@pytest.mark.parametrize(
    ("http_status", "error_type"),
    [
        (301, "bad_request"),
        (308, "bad_request"),
        (400, "bad_request"),
        (401, "auth"),
        (403, "auth"),
        (404, "not_found"),
        (408, "server_error"),
        (409, "server_error"),
        (413, "too_large"),
        (418, "bad_request"),
        (422, "bad_request"),
        (429, "rate_limited"),
        (499, "bad_request"),
        (500, "server_error"),
        (503, "server_error"),
        (529, "server_error"),
        (599, "server_error"),
    ],
)
def test_error_type_of_status(http_status: int, error_type: str) -> None:
    """An HTTP status names the error type that users know it by."""
    assert error_type_of_status(http_status) == error_type


@given(st.integers(300, 999))
def test_any_status_has_a_type(http_status: int) -> None:
    """Any status outside 2xx has a type of the closed list, and of the 4xx only 408, 409 and 429 are tried again."""
    error_type = error_type_of_status(http_status)
    assert error_type in ERROR_TYPES
    assert (error_type in RETRYABLE) == (http_status in {408, 409, 429} or http_status >= 500)


def test_texts() -> None:
    """A hint stands on a line of its own, an error without one is its message, and a failed call says its type."""
    assert str(ConfigError("got 0", "give 1")) == "got 0\ngive 1"
    assert str(ConfigError("got 0")) == "got 0"
    assert str(WorkloadError("a.jsonl, line 2", "mend it")) == "a.jsonl, line 2\nmend it"
    assert str(CallError("dns", "no such host")) == "dns: no such host"
