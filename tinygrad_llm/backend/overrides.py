"""Which ops have a faster form beside their reference, and whether it is used: `use_backend`.

This floor knows no op. A table, that of `backend.cpu`, has an override by the name of its op, which
looks there when it is defined. An override gets raw NumPy arrays of float32 and saves a tuple of
the same form as the reference does, with what is its own inside of Cached. So the reference can
take over whenever it has to: for other dtypes and devices, for calls that the override declines,
and for all second derivatives.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ContextDecorator
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeVar

import numpy as np

BACKENDS = ("fast", "reference")


class Cached:
    """An intermediate that raw backward may read and that is None when a tape is recorded."""

    __slots__ = ("value",)

    def __init__(self, value: Any):
        self.value = value


class Override(NamedTuple):
    """The faster form of one op on NumPy arrays of float32.

    forward(*arrays, **constants): as the op's, without xp; NotImplemented for a call that it leaves
    to the reference. backward(g, saved, needs): of what this forward saved. Neither writes into
    what it is given, for a graph may be retained and arrays belong to others too.
    """

    forward: Callable
    backward: Callable


Function = TypeVar("Function", bound=Callable)

_backend: ContextVar[str] = ContextVar("backend", default="fast")

_FLOAT32 = np.dtype(np.float32)


class use_backend(ContextDecorator):
    """Choose the code of the ops: "fast", the default, or "reference", the code that lessons show.

    A call chooses for all that follows; in a `with`, the choice before comes back after the block,
    and a decorator, `@use_backend("reference")`, chooses for the calls of a function alone.
    As with all modes, other threads keep their own. Results differ by rounding.
    A backward runs on the side that its forward ran on.
    Raises ValueError for another name.
    """

    def __init__(self, name: str):
        if name not in BACKENDS:
            raise ValueError(f"use_backend: {name!r} is none of {', '.join(map(repr, BACKENDS))}")
        self._name = name
        self._before = [_backend.get()]
        self._called = True  # the choice of the call is in force, and no block has taken it over
        _backend.set(name)

    def __call__(self, function: Function) -> Function:
        if self._called:
            self._called = False
            _backend.set(self._before.pop())
        return super().__call__(function)

    def _recreate_cm(self) -> use_backend:
        return use_backend(self._name)  # each call of a decorated function has its own

    def __enter__(self) -> None:
        if not self._called:
            self._before.append(_backend.get())
        self._called = False
        _backend.set(self._name)

    def __exit__(self, *error: Any) -> None:
        _backend.set(self._before.pop())


def takes(arrays: list) -> bool:
    """True for the inputs that overrides are written for: NumPy's arrays, the first of float32, the
    others of it too or no floats, as targets and masks are."""
    if arrays[0].dtype != _FLOAT32:
        return False
    for x in arrays:
        if x is not None and (type(x) is not np.ndarray or not _fits(x.dtype)):
            return False
    return _backend.get() == "fast"


def _fits(dtype: np.dtype) -> bool:
    return dtype == _FLOAT32 or dtype.kind in "biu"
