"""The command's entry: help at once, everything else after the imports that it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.cli.help import requested_page

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """Run the command and return its exit code.

    Args:
        argv: The arguments, without the program's name.
    """
    page = requested_page(argv)
    if page is not None:
        print(page, end="")
        return 0
    # Here, because a help page is not to wait for the libraries that parse arguments and draw tables.
    from bench.cli.dispatch import dispatch  # noqa: PLC0415

    return dispatch(argv)
