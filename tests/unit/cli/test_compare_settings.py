"""An experiment is gone on with under the settings that it was begun with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from bench.cli.compare_settings import check_same_settings, kept_settings
from bench.errors import ConfigError
from tests.experiments import make_experiment

if TYPE_CHECKING:
    from bench.experiment.records import Experiment

SETTINGS = {
    "rate": 50.0,
    "simulator": ("ttft=0.1",),
    "min_duration": 2.0,
    "resume": None,
    "quiet": False,
    "results_dir": Path("results"),
}


def begun() -> Experiment:
    """Return an experiment that was begun with those settings."""
    return msgspec.structs.replace(make_experiment(lambda _arm, _block: 1.0), settings=kept_settings(SETTINGS))


@pytest.mark.parametrize("changes", [{}, {"resume": "an-id", "quiet": True, "results_dir": Path("elsewhere")}])
def test_the_same_settings_go_on(changes: dict[str, object]) -> None:
    """What the cells get is the same: what else the command is given may be other."""
    check_same_settings(begun(), {**SETTINGS, **changes})


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"rate": None}, "--rate 50.0"), ({"simulator": ()}, "--simulator"), ({"min_duration": 1.0}, "--min-duration")],
)
def test_other_settings_are_refused_by_name(changes: dict[str, object], said: str) -> None:
    """A setting that would make later cells others than the first ones is named, and how to go on."""
    with pytest.raises(ConfigError, match=said) as refused:
        check_same_settings(begun(), {**SETTINGS, **changes})
    assert "compare --resume 2026" in str(refused.value.hint)


@pytest.mark.parametrize(("stored", "now"), [(None, ()), ("local", ("local",))])
def test_settings_that_were_one_text_go_on(stored: object, now: object) -> None:
    """An experiment that kept one provider's name goes on where a list of names is kept today."""
    before = msgspec.structs.replace(begun(), settings={"provider": stored})
    check_same_settings(before, {"provider": now})
    with pytest.raises(ConfigError, match="--provider"):
        check_same_settings(before, {"provider": ("ark",)})


def test_an_experiment_that_kept_no_settings_goes_on() -> None:
    """Experiments made before settings were kept are not held against any."""
    check_same_settings(make_experiment(lambda _arm, _block: 1.0), SETTINGS)
