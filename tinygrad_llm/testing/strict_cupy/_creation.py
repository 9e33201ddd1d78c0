"""Functions that make device arrays of what is on the host or already on the device."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_llm.testing.strict_cupy._array import ndarray, new
from tinygrad_llm.testing.strict_cupy._generic import plain
from tinygrad_llm.testing.strict_cupy._memory import (
    Memory,
    host_array,
    is_scalar,
    refuse,
    supported,
)
from tinygrad_llm.testing.strict_cupy._operators import FUNCTIONS


def array(
    obj: Any,
    dtype: Any = None,
    copy: bool | None = True,
    order: Any = "K",
    subok: bool = False,
    ndmin: int = 0,
    *,
    blocking: bool = False,
) -> ndarray:
    """A device array with the values of a device array, a NumPy array, a number or nested lists.

    copy: None takes a device array as it is where dtype and order allow; False raises where not.
    """
    if subok:
        raise NotImplementedError("cupy.array: CuPy does not support subok")
    made = _converted(obj, dtype, copy, order or "K")
    missing = ndmin - made.ndim
    return made.reshape((1,) * missing + made.shape) if missing > 0 else made


def _converted(obj: Any, dtype: Any, copy: bool | None, order: Any) -> ndarray:
    dtype = None if dtype is None else supported(dtype)
    if isinstance(obj, ndarray):
        host = np.array(obj._host, dtype=dtype, copy=copy, order=order)
        return obj if host is obj._host else new(host, "K")
    host = np.array(_nested(obj), dtype=dtype, order=order)
    if host.dtype.kind == "O":
        raise ValueError("cupy.array: an object is neither a number nor an array of numbers")
    return new(host, "K")


def _nested(obj: Any) -> Any:
    """Lists of device arrays as lists of host arrays (CuPy concatenates them on the device)."""
    if isinstance(obj, (list, tuple)):
        return [_nested(item) for item in obj]
    return obj._host if isinstance(obj, Memory) else obj


def asarray(
    a: Any,
    dtype: Any = None,
    order: Any = None,
    *,
    copy: bool | None = None,
    blocking: bool = False,
) -> ndarray:
    """A device array with the values of `a`: `a` itself when it is one already."""
    return array(a, dtype, copy, order)


def ascontiguousarray(a: Any, dtype: Any = None) -> ndarray:
    """`a` in C order: itself if it is so already; a 0-d array becomes one of shape (1,)."""
    return _laid_out(a, dtype, "C")


def asfortranarray(a: Any, dtype: Any = None) -> ndarray:
    """`a` in Fortran order: itself if it is so already; a 0-d array becomes one of shape (1,)."""
    return _laid_out(a, dtype, "F")


def _laid_out(a: Any, dtype: Any, order: Any) -> ndarray:
    host = np.array(host_array(a, "cupy.ascontiguousarray"), dtype=dtype, order=order, copy=None)
    made = a if host is a._host else new(host, "K")
    return made if made.ndim else made.ravel()


def asnumpy(
    a: Any, stream: Any = None, order: Any = "C", out: Any = None, *, blocking: bool = True
) -> np.ndarray:
    """The values on the host; waits for the device. What is on the host already stays there."""
    if isinstance(a, ndarray):
        return a.get(stream, order, out)
    return np.asarray(a, order=order)


def copy(a: Any, order: Any = "K") -> ndarray:
    """New memory with the same values."""
    host_array(a, "cupy.copy")
    return a.copy(order)


def astype(x: Any, dtype: Any, /, *, copy: bool = True) -> ndarray:
    """x as another dtype."""
    host_array(x, "cupy.astype")
    return x.astype(dtype, copy=copy)


def copyto(dst: Any, src: Any, casting: Any = "same_kind", where: Any = None) -> None:
    """Write src over dst, where the mask is true if there is one."""
    target = host_array(dst, "cupy.copyto: dst")
    value = src if is_scalar(src) else host_array(src, "cupy.copyto: src")
    mask = True if where is None else host_array(where, "cupy.copyto: where")
    np.copyto(target, value, casting=casting, where=mask)


def empty(shape: Any, dtype: Any = float, order: Any = "C") -> ndarray:
    """Memory that holds anything: NaN, here."""
    return ndarray(plain(shape, "cupy.empty: shape"), dtype, order=order)


def empty_like(
    prototype: Any, dtype: Any = None, order: Any = "K", subok: None = None, shape: Any = None
) -> ndarray:
    """Memory that holds anything, with the shape, dtype and layout of another array."""
    made = FUNCTIONS["zeros_like"](prototype, dtype, order, subok, shape)
    made._host[...] = ndarray((), made.dtype)._host
    return made


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> ndarray:
    """Evenly spaced numbers; float64 if one of the three is a float, else int64."""
    bounds = (0, start, step) if stop is None else (start, stop, step)
    for bound in bounds:
        if not is_scalar(bound):
            raise refuse(bound, "cupy.arange: numbers only")
    if dtype is None:
        dtype = float if any(np.dtype(type(b)).kind == "f" for b in bounds) else int
    return new(np.arange(*bounds, dtype=supported(dtype)))


MADE = (array, asarray, ascontiguousarray, asfortranarray, asnumpy, copy, astype, copyto)
FUNCTIONS.update({function.__name__: function for function in (*MADE, empty, empty_like, arange)})
FUNCTIONS["asanyarray"] = asarray
