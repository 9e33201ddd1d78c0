"""A background thread that makes batches ahead of the one who takes them."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from threading import Semaphore, Thread
from typing import Any

_GLANCE = 0.1
"""Seconds between two looks at whether the thread lives. In between Ctrl-C is seen as well, which
on Windows does not end a wait without a limit."""

_GOODBYE = 1.0
"""Seconds that the interpreter's exit waits for a batch that is being made."""


def made_ahead(make: Callable[[int], Any], numbers: range, ahead: int) -> Iterator[Any]:
    """`make(number)` for each number in order, at most `ahead` of them made and not taken yet.

    One thread makes them. What it raises is raised here in the place of its batch, with its
    traceback. The thread is told to stop when this generator ends: at its end, at an error, when
    closed or no longer held, at Ctrl-C and at the interpreter's exit; nothing waits for it but the
    exit, a moment. It runs no code but `make`. Raises RuntimeError where the thread is gone, as it
    is in a forked process.
    """
    worker = _Worker(make, numbers, ahead)
    try:
        worker.start()
        for _ in numbers:
            yield worker.take()
    finally:
        worker.stop()


class _Worker:
    """The thread, what it has made, and how many places are free for more."""

    def __init__(self, make: Callable[[int], Any], numbers: range, ahead: int):
        self._make = make
        self._numbers = numbers
        self._places = Semaphore(ahead)
        self._made: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self._stopped = False
        # A daemon: at exit the interpreter would wait without end for a thread of another kind,
        # before anybody could tell it to stop.
        self._thread = Thread(target=self._work, name="batches ahead", daemon=True)

    def start(self) -> None:
        """Begin; the interpreter's exit ends it."""
        atexit.register(self._leave)
        self._thread.start()

    def take(self) -> Any:
        """The next batch, as soon as it is made; or its error."""
        while True:
            try:
                batch, error = self._made.get(timeout=_GLANCE)
            except Empty:
                self._check_alive()
                continue
            if error is not None:
                raise error
            self._places.release()
            return batch

    def stop(self) -> None:
        """Make no further batch; wakes the thread where it waits for a place."""
        self._stopped = True
        self._places.release()
        atexit.unregister(self._leave)

    def _work(self) -> None:
        """What the thread does."""
        for number in self._numbers:
            self._places.acquire()
            if self._stopped:
                return
            try:
                self._made.put((self._make(number), None))
            except BaseException as error:
                self._made.put((None, error))
                return

    def _check_alive(self) -> None:
        """Refuse to wait for a thread that has ended and left nothing."""
        if not self._thread.is_alive() and self._made.empty():
            raise RuntimeError(
                "DataLoader: the thread that makes batches is gone, as after a fork; begin a new "
                "iteration in this process"
            )

    def _leave(self) -> None:
        """Stop, and give a batch that is being made the time to end before the interpreter does."""
        self.stop()
        self._thread.join(_GOODBYE)
