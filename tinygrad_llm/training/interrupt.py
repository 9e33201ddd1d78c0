"""Ctrl-C, or a polite kill, in a run: noted at once, obeyed between two steps."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Interrupt:
    """Whether Ctrl-C was pressed, or SIGTERM came. quiet: nothing is printed then."""

    def __init__(self, quiet: bool = False) -> None:
        self.asked, self.quiet = 0, quiet

    def __call__(self, number: int, frame: Any) -> None:
        if self.asked:  # the second time: at once
            self.leave()
        self.asked = number
        if not self.quiet:
            print("\nstopping after this step; Ctrl-C again stops at once", file=sys.stderr)

    def leave(self) -> None:
        """End as the signal would have."""
        if self.asked == signal.SIGTERM:
            raise SystemExit(128 + signal.SIGTERM)
        raise KeyboardInterrupt


@contextmanager
def on_ctrl_c(quiet: bool = False) -> Iterator[Interrupt]:
    """Within the block the first Ctrl-C or SIGTERM only sets `asked`, and says so unless quiet.

    Nothing changes elsewhere than in the main thread, and for a signal that is ignored or handled
    outside Python.
    """
    interrupt = Interrupt(quiet)
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, interrupt)
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
