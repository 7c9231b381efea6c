"""Concurrency models as parameters of tests: some in every run of the suite, the others only with --full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

import pytest

from bench.records import Mode

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet

MODES: Final[tuple[Mode, ...]] = get_args(Mode)

#: Those of one machine. The slots of a node are those of a worker process of mode hybrid, so what happens within one
#: task need not be shown again for `distributed`.
OF_ONE_MACHINE: Final[tuple[Mode, ...]] = tuple(mode for mode in MODES if mode != "distributed")

#: One that shares a process and one that does not: what fails in any of the others mostly fails in one of them.
QUICK: Final[tuple[Mode, ...]] = ("asyncio", "multiprocessing")


def modes(*quick: Mode) -> list[ParameterSet]:
    """Return every model; those that are not named are left to --full."""
    return [pytest.param(mode, marks=() if mode in (quick or QUICK) else pytest.mark.full) for mode in MODES]


every_mode: Final = pytest.mark.parametrize("mode", modes())
