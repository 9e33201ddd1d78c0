"""Functions that move elements, join and cut tensors, and change dtype or device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_llm.functional.arguments import (
    axes_of,
    axis_of,
    integer,
    integers,
    one_dtype,
    tensor,
)
from tinygrad_llm.ops import shapes as ops
from tinygrad_llm.tensor import Tensor, apply


def reshape(x: Any, shape: int | Sequence[int]) -> Tensor:
    """The same elements in another shape; one size may be −1."""
    shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    return apply(ops.Reshape, tensor(x), shape=shape)


def transpose(x: Any, axes: Sequence[int] | None = None) -> Tensor:
    """Axes in the given order, or all in reverse."""
    x = tensor(x)
    order = tuple(reversed(range(x.ndim))) if axes is None else axes_of(x, axes)
    if len(order) != x.ndim:
        raise ValueError(f"transpose: axes {order} for a tensor of {x.ndim} dimensions")
    return apply(ops.Transpose, x, axes=order)


def swapaxes(x: Any, axis1: int, axis2: int) -> Tensor:
    """Two axes exchanged."""
    x = tensor(x)
    order = list(range(x.ndim))
    i, j = axis_of(x.ndim, axis1), axis_of(x.ndim, axis2)
    order[i], order[j] = j, i
    return apply(ops.Transpose, x, axes=tuple(order))


def squeeze(x: Any, axis: Any = None) -> Tensor:
    """Without the given axes of size 1, or without all of them."""
    x = tensor(x)
    axes = axes_of(x, axis)
    wide = [i for i in axes if x.shape[i] != 1]
    if wide and axis is not None:
        raise ValueError(f"squeeze: axis {wide[0]} of shape {x.shape} is not of size 1")
    keep = [n for i, n in enumerate(x.shape) if i not in axes or i in wide]
    return reshape(x, keep)


def expand_dims(x: Any, axis: int | Sequence[int]) -> Tensor:
    """With new axes of size 1 at the given places of the result."""
    x = tensor(x)
    given = tuple(axis) if np.iterable(axis) else (axis,)
    ndim = x.ndim + len(given)
    places = {axis_of(ndim, i) for i in given}
    if len(places) < len(given):
        raise ValueError(f"expand_dims: axis {axis} names a place twice")
    old = iter(x.shape)
    return reshape(x, [1 if i in places else next(old) for i in range(ndim)])


def broadcast_to(x: Any, shape: Sequence[int]) -> Tensor:
    """x repeated along axes of size 1 and new leading axes, without copying."""
    return apply(ops.BroadcastTo, tensor(x), shape=tuple(shape))


def concatenate(xs: Sequence[Any], axis: int = 0) -> Tensor:
    """One after another along an existing axis."""
    xs = _several("concatenate", xs)
    return apply(ops.Concatenate, *xs, axis=axis_of(xs[0].ndim, axis))


def stack(xs: Sequence[Any], axis: int = 0) -> Tensor:
    """Tensors of one shape along a new axis."""
    xs = _several("stack", xs)
    return apply(ops.Stack, *xs, axis=axis_of(xs[0].ndim + 1, axis))


def split(x: Any, indices_or_sections: int | Sequence[int], axis: int = 0) -> tuple[Tensor, ...]:
    """Cut along an axis: into so many equal parts, or before each of the given indices."""
    x = tensor(x)
    axis = axis_of(x.ndim, axis)
    n = x.shape[axis]
    if not np.iterable(indices_or_sections):
        parts = integer("split: sections", indices_or_sections)
        if parts < 1 or n % parts:
            raise ValueError(f"split: axis {axis} of size {n} does not divide into {parts} parts")
        at = tuple(range(n // parts, n, n // parts)) if n else (0,) * (parts - 1)
    else:
        at = tuple(integers("split: indices", indices_or_sections).tolist())
        if list(at) != sorted(at) or any(not 0 <= i <= n for i in at):
            raise ValueError(f"split: indices {at} must ascend within 0 and {n}")
    return apply(ops.Split, x, at=at, axis=axis)


def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: float = 0.0) -> Tensor:
    """`constant_values` around x: pad_width is (before, after) for each axis, or one pair or number
    for all axes."""
    x = tensor(x)
    if mode != "constant":
        raise ValueError(f"pad: mode {mode!r} is not supported, only 'constant'")
    try:
        widths = np.broadcast_to(integers("pad: pad_width", pad_width), (x.ndim, 2))
    except ValueError as error:
        raise ValueError(
            f"pad: pad_width {pad_width} for a tensor of {x.ndim} dimensions: "
            "give one (before, after) for each axis"
        ) from error
    if (widths < 0).any():
        raise ValueError(f"pad: pad_width {pad_width} is negative; cut with x[a:b]")
    return apply(ops.Pad, x, widths=tuple(map(tuple, widths.tolist())), value=constant_values)


def flip(x: Any, axis: Any = None) -> Tensor:
    """Elements in reverse order along the axes, or along all."""
    x = tensor(x)
    return apply(ops.Flip, x, axis=axes_of(x, axis))


def roll(x: Any, shift: int | Sequence[int], axis: Any = None) -> Tensor:
    """Elements shifted cyclically along the axes; the flattened tensor when axis is None."""
    x = tensor(x)
    if axis is None:
        return reshape(roll(reshape(x, -1), shift, 0), x.shape)
    axes = axes_of(x, axis)
    moves = tuple(shift) if np.iterable(shift) else (shift,) * len(axes)
    shifts = tuple(integer("roll: shift", each) for each in moves)
    if len(shifts) != len(axes):
        raise ValueError(f"roll: {len(shifts)} shifts for {len(axes)} axes")
    return apply(ops.Roll, x, shift=shifts, axis=axes)


def tril(x: Any, k: int = 0) -> Tensor:
    """Zero above the k-th diagonal of the last two axes."""
    return apply(ops.Tril, _matrix("tril", x), k=integer("tril: k", k))


def triu(x: Any, k: int = 0) -> Tensor:
    """Zero below the k-th diagonal of the last two axes."""
    return apply(ops.Triu, _matrix("triu", x), k=integer("triu: k", k))


def repeat(x: Any, repeats: int | Sequence[int], axis: int | None = None) -> Tensor:
    """Each element `repeats` times in a row along an axis (its own number each, for a sequence);
    the flattened tensor when axis is None."""
    x = tensor(x)
    if axis is None:
        return repeat(reshape(x, -1), repeats, 0)
    axis = axis_of(x.ndim, axis)
    counts = integers("repeat: repeats", repeats)
    if (counts < 0).any():
        raise ValueError(f"repeat: {repeats} times is negative")
    if counts.ndim:
        if counts.shape != (x.shape[axis],):
            raise ValueError(f"repeat: {counts.size} counts for axis {axis} of {x.shape}")
        places = np.repeat(np.arange(len(counts)), counts)
        return x[(slice(None),) * axis + (places,)]
    return apply(ops.Repeat, x, repeats=int(counts), axis=axis)


def astype(x: Any, dtype: Any) -> Tensor:
    """In another dtype; x itself if it has it. Integers and booleans have no gradient."""
    x = tensor(x)
    dtype = np.dtype(dtype)
    if dtype.kind not in "fiub":
        raise TypeError(f"astype: a tensor holds numbers, not {dtype}")
    return x if x.dtype == dtype else apply(ops.AsType, x, dtype=dtype)


def copy(x: Any) -> Tensor:
    """The same values in memory of their own."""
    x = tensor(x)
    return apply(ops.AsType, x, dtype=x.dtype)


def to(x: Any, device: str) -> Tensor:
    """On another device; x itself if it is there."""
    x = tensor(x)
    return x if x.device in (device, f"{device}:0") else apply(ops.To, x, device=device)


def _several(name: str, xs: Sequence[Any]) -> list[Tensor]:
    if not len(xs):
        raise ValueError(f"{name}: needs at least one tensor")
    return one_dtype(name, list(xs))


def _matrix(name: str, x: Any) -> Tensor:
    x = tensor(x)
    if x.ndim < 2:
        raise ValueError(f"{name}: needs two dimensions, the tensor has shape {x.shape}")
    return x
