"""A limit on the time that a block may take, by a signal or, where there is none, by a thread."""

from __future__ import annotations

import ctypes
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class OutOfTime(BaseException):
    """A block took longer than it may; an `except Exception` inside it does not catch this."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise OutOfTime in the block once it has used so many seconds.

    On POSIX, in the main thread, these are seconds of computing, so that a busy machine changes
    nothing; elsewhere they are seconds on the clock.
    """
    by_signal = hasattr(signal, "setitimer")
    if by_signal and threading.current_thread() is threading.main_thread():
        with _signal_after(seconds):
            yield
    else:
        with _exception_after(seconds):
            yield


@contextmanager
def _signal_after(seconds: float) -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGVTALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@contextmanager
def _exception_after(seconds: float) -> Iterator[None]:
    """A second thread asks CPython to raise in this one; it does so between two bytecodes."""
    thread = ctypes.c_ulong(threading.get_ident())
    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
    timer = threading.Timer(seconds, raise_in, (thread, ctypes.py_object(OutOfTime)))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        raise_in(thread, None)  # one that came too late to be raised
