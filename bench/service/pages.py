"""The page at `/`: a few files, sent as they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

_FOLDER: Final = Path(__file__).parent / "page"

#: What is at which address, and its type.
_FILES: Final[Mapping[str, tuple[str, str]]] = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/stream.js": ("stream.js", "text/javascript"),
}

#: The addresses of the page.
PAGE_PATHS: Final = frozenset(_FILES)

#: The page runs its own code alone and asks this service alone, whatever a model writes into it.
_HEADERS: Final = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def page_files() -> dict[str, Response]:
    """Return the answer at each address of the page."""
    return {
        path: Response((_FOLDER / name).read_bytes(), headers=_HEADERS, media_type=kind)
        for path, (name, kind) in _FILES.items()
    }
