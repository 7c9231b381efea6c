"""Colours that can be seen and told apart."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest

from bench.report.theme import ROLES, css_value
from tests.report_runs import MODES

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: How the three kinds of colour blindness see linear RGB (Machado, Oliveira and Fernandes 2009, severity 1).
SEEN_BY: Final = {
    "all": np.eye(3),
    "protanopes": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopes": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
    ),
    "tritanopes": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]]
    ),
}
PAPERS: Final = {"light": 0, "dark": 1}


def linear(colour: str) -> NDArray[np.float64]:
    """Return linear RGB of `#rrggbb`."""
    parts = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def lab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return CIE Lab of linear RGB."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(to_xyz @ np.clip(rgb, 0.0001, 1) / np.array([0.9505, 1.0, 1.089]))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as WCAG counts it."""
    weights = np.array([0.2126, 0.7152, 0.0722])
    low, high = sorted(float(weights @ linear(colour)) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("paper", PAPERS)
def test_text_and_marks_stand_out_from_the_paper(paper: str) -> None:
    """On light and dark paper, text has a contrast of at least 4.5 and the colours of modes at least 3."""
    place = PAPERS[paper]
    ground = ROLES["paper"][place]
    for role in ("ink", "muted"):
        assert contrast(ROLES[role][place], ground) >= 4.5, role
    for mode in MODES:
        assert contrast(ROLES[mode][place], ground) >= 3, mode


@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("eyes", SEEN_BY)
def test_modes_are_told_apart_by_every_eye(paper: str, eyes: str) -> None:
    """No two modes look alike, to whichever kind of colour blindness, on light or dark paper."""
    seen = {mode: lab(SEEN_BY[eyes] @ linear(ROLES[mode][PAPERS[paper]])) for mode in MODES}
    for one, other in combinations(MODES, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > 15, (one, other)


def test_the_page_can_find_each_role_by_its_colour() -> None:
    """Each light colour stands for one role, and none is pure black, which SVG leaves out."""
    lights = [light for light, _ in ROLES.values()]
    assert len(set(lights)) == len(lights)
    assert "#000000" not in lights
    assert css_value("#0072B2") == "var(--asyncio)"
    assert css_value("#123456") == "#123456"


@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("eyes", SEEN_BY)
def test_neighbouring_parts_of_a_bar_are_told_apart(paper: str, eyes: str) -> None:
    """Parts that stand beside each other, or with one left out between them, do not look alike to any eye."""
    roles = [role for role in ROLES if role.startswith("phase")]
    seen = [lab(SEEN_BY[eyes] @ linear(ROLES[role][PAPERS[paper]])) for role in roles]
    for place, role in enumerate(roles):
        assert contrast(ROLES[role][PAPERS[paper]], ROLES["paper"][PAPERS[paper]]) >= 3, role
        for other in range(place + 1, min(place + 3, len(roles))):
            assert np.linalg.norm(seen[place] - seen[other]) > 15, (role, roles[other])
