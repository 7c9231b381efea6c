"""What N slots take, and which N fits."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.policy.preflight import Headroom, Load, Room, shortage
from bench.records import Mode

if TYPE_CHECKING:
    from bench.policy.preflight import Resource

MODES = get_args(Mode)


def load(mode: Mode, slots: int, **changes: object) -> Load:
    """A load with enough tasks, on two worker processes where there is a choice."""
    plain = Load(mode=mode, slots=slots, processes=min(2, slots), requests=1_000_000, own_server=False, light=False)
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type] # any of its fields


def room(left: int) -> Room:
    """So much of anything."""
    return Room(left=left, limit="a limit")


@given(
    mode=st.sampled_from(MODES),
    slots=st.integers(1, 20_000),
    requests=st.integers(1, 50_000),
    resource=st.sampled_from(["files", "tasks", "memory"]),
    left=st.integers(0, 200_000),
    light=st.booleans(),
)
def test_what_is_said_to_fit_fits_and_one_more_does_not(
    mode: Mode, slots: int, requests: int, resource: Resource, left: int, *, light: bool
) -> None:
    """A refusal names an N below the one asked for that is not refused, and the next larger one is."""
    there_is = Headroom(**{resource: room(left * (1_000_000 if resource == "memory" else 1))})
    asked = load(mode, slots, requests=requests, light=light)
    lacking = shortage(asked, there_is)
    if lacking is None:
        return
    assert (lacking.resource, lacking.fits < slots) == (resource, True)
    assert lacking.needed > lacking.room.left
    if lacking.fits:
        assert shortage(dataclasses.replace(asked, slots=lacking.fits), there_is) is None
    assert shortage(dataclasses.replace(asked, slots=lacking.fits + 1), there_is) is not None


@pytest.mark.parametrize("mode", MODES)
def test_no_limit_refuses_nothing(mode: Mode) -> None:
    """Where nothing is known of the machine, every load is let through."""
    assert shortage(load(mode, 100_000), Headroom()) is None


def test_idle_slots_open_no_connection() -> None:
    """With fewer tasks than slots, as many files are needed as there are tasks, but each slot still has its thread."""
    few = load("threading", 5000, requests=3)
    assert shortage(few, Headroom(files=room(100))) is None
    lacking = shortage(few, Headroom(tasks=room(100)))
    assert lacking is not None
    assert lacking.resource == "tasks"


def test_worker_processes_take_more_of_everything_than_slots_on_a_loop() -> None:
    """What 500 slots on an event loop fit into is too little for 500 processes, in files, threads and memory."""
    for resource, left in (("files", 600), ("tasks", 600), ("memory", 1_000_000_000)):
        there_is = Headroom(**{resource: room(left)})
        assert shortage(load("asyncio", 500), there_is) is None
        lacking = shortage(load("multiprocessing", 500), there_is)
        assert lacking is not None
        assert 0 < lacking.fits < 500


def test_a_server_of_the_runs_own_has_all_connections_in_one_process() -> None:
    """Slots that are spread over processes still meet in the simulator, which is held to the same limit."""
    there_is = Headroom(files=room(100))
    assert shortage(load("hybrid", 100), there_is) is None
    lacking = shortage(load("hybrid", 100, own_server=True), there_is)
    assert lacking is not None
    assert lacking.fits == 68
