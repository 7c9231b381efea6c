"""The command's entry: help at once, everything else after the imports that it needs."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from bench.cli.help import requested_page

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """Run the command and return its exit code.

    Args:
        argv: The arguments, without the program's name.
    """
    _open_standard_streams()
    page = requested_page(argv)
    if page is not None:
        print(page, end="")
        return 0
    # Here, because a help page is not to wait for the libraries that parse arguments and draw tables.
    from bench.cli.dispatch import dispatch  # noqa: PLC0415

    return dispatch(argv)


def _open_standard_streams() -> None:
    """Put a device that takes all in the place of a standard stream that was closed before this program began.

    Else the next file or socket would have its number, and get what somebody writes for a terminal.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free, which is this one; child processes are to have it too.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003 - its one argument
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - for good
