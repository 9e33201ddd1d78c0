"""Functions in which CuPy differs from NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_llm.testing.strict_cupy import _indexing
from tinygrad_llm.testing.strict_cupy._api import API
from tinygrad_llm.testing.strict_cupy._array import hidden_view, ndarray, new, view
from tinygrad_llm.testing.strict_cupy._generic import evaluate, plain, store
from tinygrad_llm.testing.strict_cupy._memory import Memory, host_array, supported
from tinygrad_llm.testing.strict_cupy._operators import FUNCTIONS
from tinygrad_llm.testing.strict_cupy._sync import synchronize
from tinygrad_llm.testing.strict_cupy._ufuncs import choose, limit


def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    """x where the condition (a device array) holds, y elsewhere; without both, its indices."""
    host_array(condition, "cupy.where: condition")
    if (x is None) != (y is None):
        raise ValueError("cupy.where: give both x and y, or neither")
    if x is None:
        return nonzero(condition)
    return choose(condition.astype(bool, copy=False), x, y)


def clip(a: Any, a_min: Any, a_max: Any, out: Any = None) -> ndarray:
    """Values held between a_min and a_max; None for no limit. No complex numbers."""
    kind = host_array(a, "cupy.clip").dtype.kind
    if kind in "iuf":
        limits = np.iinfo(a.dtype) if kind in "iu" else None
        low, high = (limits.min, limits.max) if limits else (-np.inf, np.inf)
        a_min = a.dtype.type(low) if a_min is None else a_min
        a_max = a.dtype.type(high) if a_max is None else a_max
    return limit(a, a_min, a_max, out=out)


def matmul(x1: Any, x2: Any, /, out: Any = None) -> ndarray:
    """The matrix product of two device arrays; CuPy's further keywords are left to the device."""
    hosts = host_array(x1, "cupy.matmul"), host_array(x2, "cupy.matmul")
    result = evaluate(np.matmul, *hosts)
    return new(result) if out is None else store("matmul", result, out)


def take(a: Any, indices: Any, axis: int | None = None, out: Any = None) -> ndarray:
    """Elements at integer indices (a device array or an int), which wrap around."""
    host_array(a, "cupy.take")
    result = _indexing.take(a, indices, axis)
    return new(result) if out is None else store("take", result, out)


def take_along_axis(a: Any, indices: Any, axis: int | None) -> ndarray:
    """np.take_along_axis with indices that wrap around."""
    host_array(a, "cupy.take_along_axis")
    return new(_indexing.take_along_axis(a, indices, axis))


def roll(a: Any, shift: Any, axis: Any = None) -> ndarray:
    """Elements moved round along an axis, by numbers of the host."""
    host = host_array(a, "cupy.roll")
    result = np.roll(host, plain(shift, "cupy.roll: shift"), axis)
    return hidden_view(np.ascontiguousarray(result)) if axis is None else new(result, "K")


def argsort(a: Any, axis: int | None = -1, kind: str | None = None) -> ndarray:
    """The indices that sort stably; along another axis than the last a transposed view."""
    host = np.atleast_1d(host_array(a, "cupy.argsort"))
    _check_kind(kind)
    result = np.argsort(host, axis, kind="stable")
    return new(result) if axis is None else _batched(result, axis)


def sort(a: Any, axis: int | None = -1, kind: str | None = None) -> ndarray:
    """A sorted copy; the sort is stable."""
    _check_kind(kind)
    return new(np.sort(host_array(a, "cupy.sort"), axis, kind="stable"))


def _check_kind(kind: Any) -> None:
    if kind not in API["sort_kinds"]:
        raise ValueError(f"sort: CuPy knows kind=None and kind='stable', not {kind!r}")


def _batched(host: np.ndarray, axis: int) -> ndarray:
    """Results that CuPy computes along a last axis and then moves back: a view of new memory."""
    if axis % host.ndim == host.ndim - 1:
        return new(host)
    last = np.ascontiguousarray(np.moveaxis(host, axis, -1))
    return hidden_view(np.moveaxis(last, -1, axis))


def cumsum(a: Any, axis: int | None = None, dtype: Any = None, out: Any = None) -> ndarray:
    """Running sums along an axis; of all elements when it is None."""
    return _scan("cumsum", a, axis, dtype, out)


def cumprod(a: Any, axis: int | None = None, dtype: Any = None, out: Any = None) -> ndarray:
    """Running products along an axis; of all elements when it is None."""
    return _scan("cumprod", a, axis, dtype, out)


def _scan(name: str, a: Any, axis: int | None, dtype: Any, out: Any) -> ndarray:
    host = host_array(a, f"cupy.{name}")
    result = evaluate(getattr(np, name), host, axis, None if dtype is None else supported(dtype))
    if out is not None:
        return store(name, result, out)
    return new(result) if axis is None or not result.size else _moved_back(result, axis)


def _moved_back(result: np.ndarray, axis: int) -> ndarray:
    made = _batched(result, axis)
    return made if made.base is not None else view(made._host, made)


def nonzero(a: Any) -> tuple[ndarray, ...]:
    """The indices of the elements that are not 0, by axis; waits for the device."""
    if not host_array(a, "cupy.nonzero").ndim:
        raise ValueError("cupy.nonzero: a 0-d array has no indices")
    found = argwhere(a)
    return tuple(found[:, i] for i in range(a.ndim))


def flatnonzero(a: Any) -> ndarray:
    """The places, in the flattened array, that are not 0; waits for the device."""
    host_array(a, "cupy.flatnonzero")
    return nonzero(a.ravel())[0]


def argwhere(a: Any) -> ndarray:
    """The indices of the elements that are not 0, one row each; waits for the device."""
    host = host_array(a, "cupy.argwhere")
    synchronize("nonzero")
    return new(np.argwhere(host))


def bincount(x: Any, weights: Any = None, minlength: int | None = None) -> ndarray:
    """How often each integer occurs; waits for the device."""
    host = host_array(x, "cupy.bincount")
    weights = None if weights is None else host_array(weights, "cupy.bincount: weights")
    synchronize("bincount")
    return new(np.bincount(host, weights, minlength or 0))


def unique(
    ar: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    *,
    equal_nan: bool = True,
) -> Any:
    """The sorted distinct elements, and where they are; waits for the device."""
    synchronize("unique")
    asked: Any = {"return_index": return_index, "return_inverse": return_inverse}
    asked |= {"return_counts": return_counts, "axis": axis, "equal_nan": equal_nan}
    result = np.unique(host_array(ar, "cupy.unique"), **asked)
    return tuple(new(part) for part in result) if isinstance(result, tuple) else new(result)


def ravel(a: Any, order: Any = "C") -> ndarray:
    """One axis: a view where the layout allows it."""
    host_array(a, "cupy.ravel")
    return a.ravel(order)


def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> ndarray:
    """A view of a diagonal."""
    host_array(a, "cupy.diagonal")
    return a.diagonal(offset, axis1, axis2)


def real(val: Any) -> ndarray:
    """A view of the real parts; a real array itself."""
    host_array(val, "cupy.real")
    return val.real


def imag(val: Any) -> ndarray:
    """A view of the imaginary parts; zeros for a real array."""
    host_array(val, "cupy.imag")
    return val.imag


def atleast_1d(*arys: Any) -> Any:
    """Arrays with one axis or more: those that have them stay themselves."""
    return _atleast(np.atleast_1d, arys)


def atleast_2d(*arys: Any) -> Any:
    """Arrays with two axes or more: those that have them stay themselves."""
    return _atleast(np.atleast_2d, arys)


def _atleast(compute: Any, arys: tuple[Any, ...]) -> Any:
    hosts = [host_array(ary, f"cupy.{compute.__name__}") for ary in arys]
    shaped = [compute(host) for host in hosts]
    made = [a if s.ndim == a.ndim else view(s, a) for a, s in zip(arys, shaped, strict=True)]
    return made[0] if len(made) == 1 else made


def broadcast_arrays(*args: Any) -> tuple[ndarray, ...]:
    """Views of one common shape; an array that has it already stays itself."""
    shape = np.broadcast_shapes(*(host_array(a, "cupy.broadcast_arrays").shape for a in args))
    return tuple(a if a.shape == shape else FUNCTIONS["broadcast_to"](a, shape) for a in args)


def result_type(*arrays_and_dtypes: Any) -> np.dtype:
    """The dtype that a calculation gives; Python numbers are weak."""
    given = [a.dtype if isinstance(a, Memory) else a for a in arrays_and_dtypes]
    return np.result_type(*(plain(a, "cupy.result_type") for a in given))


def can_cast(from_: Any, to: Any, casting: Any = "safe") -> bool:
    """True if a dtype, or that of an array, casts to another."""
    from_ = from_.dtype if isinstance(from_, Memory) else plain(from_, "cupy.can_cast")
    return np.can_cast(from_, to, casting)


def may_share_memory(a: Any, b: Any, max_work: None = None) -> bool:
    """True if the bounds of two device arrays in memory overlap."""
    where = "cupy.may_share_memory"
    return np.may_share_memory(host_array(a, where), host_array(b, where))


VALUES = (where, clip, matmul, take, take_along_axis, argsort, sort, cumsum, cumprod)
WAITING = (nonzero, flatnonzero, argwhere, bincount, unique)
SHAPES = (roll, ravel, diagonal, real, imag, atleast_1d, atleast_2d, broadcast_arrays)
QUESTIONS = (result_type, can_cast, may_share_memory)
FUNCTIONS.update(
    {function.__name__: function for function in (*VALUES, *WAITING, *SHAPES, *QUESTIONS)}
)
