"""An experiment whose arms the machine cannot hold is refused before it begins."""

from __future__ import annotations

import pytest

from bench.errors import ConfigError
from bench.experiment.plan import make_arms
from bench.experiment.preflight import prepare_arms
from bench.policy.preflight import Headroom, Room

ROOM = Headroom(tasks=Room(left=200, limit="pids.max 256"))


def test_every_mode_without_room_is_named_with_what_fits() -> None:
    """Each mode whose largest N finds no room is named with its need and the N that fits; one that fits is not."""
    arms = make_arms(["serial", "threading", "multiprocessing", "asyncio"], [8, 400], ["lean"])
    with pytest.raises(ConfigError) as refused:
        prepare_arms(arms, ROOM)
    said = str(refused.value)
    assert "lean/threading@400: --concurrency 400 in mode threading needs 424 threads and processes" in said
    assert "200 more can be started (pids.max 256): --concurrency 176 is the most that fits" in said
    assert "lean/multiprocessing@400: " in said
    assert "asyncio" not in said
    assert refused.value.hint == "use --concurrency 88 at most, or leave these out of --modes or --client"


def test_where_not_one_fits_only_leaving_out_helps() -> None:
    """Without room for a single slot the advice is to leave the mode out."""
    with pytest.raises(ConfigError, match="not even --concurrency 1 fits") as refused:
        prepare_arms(make_arms(["threading"], [8], ["lean"]), Headroom(tasks=Room(left=3, limit="pids.max 8")))
    assert refused.value.hint == "leave these out of --modes or --client"


def test_arms_that_fit_are_let_through() -> None:
    """What there is enough of is no reason."""
    prepare_arms(make_arms(["threading", "multiprocessing"], [8], ["openai", "lean"]), ROOM)
