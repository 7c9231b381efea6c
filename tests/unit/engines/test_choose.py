"""Which engine is meant by a mode."""

from __future__ import annotations

from typing import get_args

from bench.engines.choose import engine_for
from bench.records import Mode


def test_every_mode_has_an_engine_of_its_own() -> None:
    """Each mode is another engine, and each call makes a new one, so that two runs share nothing."""
    modes = get_args(Mode)
    assert len({type(engine_for(mode)) for mode in modes}) == len(modes)
    assert all(engine_for(mode) is not engine_for(mode) for mode in modes)
