"""A limit on the time that a block may take, by a signal or, where there is none, by a thread."""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

AGAIN = 0.01
"""Seconds after which an OutOfTime that was lost is raised again."""


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

    def begin(seconds: float) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)

    before = signal.signal(signal.SIGVTALRM, stop)
    try:
        with _again_where_lost(begin):
            begin(seconds)
            yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@contextmanager
def _exception_after(seconds: float) -> Iterator[None]:
    """A second thread asks CPython to raise in this one; it does so between two bytecodes."""
    thread = ctypes.c_ulong(threading.get_ident())
    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
    timers: list[threading.Timer] = []

    def begin(seconds: float) -> None:
        timer = threading.Timer(seconds, raise_in, (thread, ctypes.py_object(OutOfTime)))
        timer.daemon = True
        timers.append(timer)
        timer.start()

    try:
        with _again_where_lost(begin):
            begin(seconds)
            yield
    finally:
        for timer in timers:
            timer.cancel()
            timer.join()
        raise_in(thread, None)  # one that came too late to be raised


@contextmanager
def _again_where_lost(begin: Callable[[float], None]) -> Iterator[None]:
    """Begin a new limit, a short one, where OutOfTime was raised and Python went on all the same:
    in a finalizer, or in a callback of the garbage collector, which Hypothesis has."""
    before = sys.unraisablehook

    def hook(lost: Any) -> None:
        if lost.exc_type is OutOfTime:
            begin(AGAIN)
        else:
            before(lost)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before
