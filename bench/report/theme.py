"""How charts look: colours that the colour-blind tell apart (Okabe and Ito), light and dark, and line styles."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import matplotlib as mpl

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Each role's colour on light paper and on dark paper. The light ones are distinct, because the page finds a role by
#: its colour, and none is pure black, because SVG leaves that unsaid.
ROLES: Final[dict[str, tuple[str, str]]] = {
    "paper": ("#ffffff", "#16191d"),
    "ink": ("#1b1f24", "#e8eaed"),
    "muted": ("#57606a", "#a8b0b9"),
    "grid": ("#e3e6ea", "#31363d"),
    "asyncio": ("#0072b2", "#56b4e9"),
    "threading": ("#d55e00", "#e69f00"),
    "multiprocessing": ("#009e73", "#009e73"),
    "serial": ("#0a0a0a", "#f5f5f5"),
    "hybrid": ("#cc79a7", "#cc79a7"),
    "distributed": ("#7722dd", "#8844ff"),
    # Parts of a bar, in the order in which they stand beside each other: neighbours differ in lightness, too.
    "phase1": ("#1c3f78", "#9dbcf0"),
    "phase2": ("#cc6677", "#b8505f"),
    "phase3": ("#5f7d00", "#a9cf4a"),
    "phase4": ("#3c93bd", "#2f83ad"),
    "phase5": ("#7a1f4d", "#f0a3c4"),
    "phase6": ("#7b4fc9", "#8c5ae0"),
    "phase7": ("#5e4700", "#e6cf6a"),
    "phase8": ("#d4611f", "#c65a1c"),
    "phase9": ("#47505a", "#c3cad2"),
}

#: Where lines of one mode are told apart (several N, several clients), or a mode has no colour of its own.
SPARE_ROLES: Final = ("asyncio", "threading", "multiprocessing", "serial", "hybrid", "distributed")

#: A second sign beside colour, for print and for eyes that see none.
MARKERS: Final[dict[str, str]] = {
    "serial": "o",
    "threading": "s",
    "multiprocessing": "^",
    "asyncio": "D",
    "hybrid": "v",
    "distributed": "P",
}

Dash = tuple[float, tuple[float, ...] | None]
DASHES: Final[tuple[Dash, ...]] = (
    (0, None),
    (0, (6, 2)),
    (0, (1.5, 1.5)),
    (0, (7, 2, 1.5, 2)),
    (0, (3, 1.5)),
    (0, (9, 3)),
)

#: Size of all text in charts, in pixels of the page.
TEXT_PX: Final = 12.0


def light(role: str) -> str:
    """Return a role's colour on light paper."""
    return ROLES[role][0]


def role_of_mode(mode: str) -> str:
    """Return the role that colours a mode."""
    return mode if mode in MARKERS else "distributed"


def css_variables(*, dark: bool) -> str:
    """Return the declarations that give each role its colour in the page."""
    return "".join(f"--{role}:{colours[int(dark)]};" for role, colours in ROLES.items())


def css_value(colour: str) -> str:
    """Return what stands for a colour of a chart in the page: its role's variable, or the colour itself."""
    by_colour = {colours[0]: role for role, colours in ROLES.items()}
    role = by_colour.get(colour.lower())
    return f"var(--{role})" if role else colour


#: The square behind a point that does not count: about as high as a row's bar.
STRIPED: Final[dict[str, object]] = {"s": 15.0**2, "marker": "s", "linewidths": 0.8}


def hatching(role: str) -> dict[str, object]:
    """Return matplotlib's settings for an area that does not count: stripes in place of a full colour."""
    return {"facecolor": "none", "edgecolor": light(role), "hatch": "//////"}


@contextmanager
def drawing(families: Sequence[str], salt: str) -> Iterator[None]:
    """Set matplotlib up for one chart, and back afterwards; its settings are the whole process's.

    Args:
        families: Fonts to draw with, first choice first.
        salt: Makes the ids within a chart its own, and the same in each rendering.
    """
    with mpl.rc_context(
        {
            "font.family": list(families),
            "font.size": TEXT_PX,
            "text.parse_math": False,
            "text.color": light("ink"),
            "axes.labelcolor": light("muted"),
            "axes.labelsize": TEXT_PX,
            "axes.edgecolor": light("grid"),
            "axes.facecolor": "none",
            "axes.linewidth": 1.0,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.axisbelow": True,
            "axes.unicode_minus": False,
            "xtick.color": light("grid"),
            "ytick.color": light("grid"),
            "xtick.labelcolor": light("muted"),
            "ytick.labelcolor": light("muted"),
            "xtick.labelsize": TEXT_PX,
            "ytick.labelsize": TEXT_PX,
            "grid.color": light("grid"),
            "grid.linewidth": 1.0,
            "figure.facecolor": light("paper"),
            "hatch.linewidth": 1.2,
            "lines.linewidth": 1.8,
            "svg.fonttype": "none",
            "svg.hashsalt": salt,
        }
    ):
        yield
