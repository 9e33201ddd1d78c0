"""Functions that read or write at given places."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_llm.backend.devices import is_array, put
from tinygrad_llm.functional.arguments import (
    axis_of,
    integer,
    operands,
    tensor,
    watched,
    watched_indices,
)
from tinygrad_llm.ops import indexing as ops
from tinygrad_llm.tensor import Tensor, apply


def getitem(x: Any, index: Any) -> Tensor:
    """x[index] by NumPy's rules: slices, integers, None, Ellipsis, integer arrays, masks.

    Places read more than once collect all their gradients.
    Raises IndexError for a place that does not exist.
    """
    x = tensor(x)
    index, repeats = plain_index(x, index)
    return apply(ops.GetItem, x, index=index, repeats=repeats)


def plain_index(x: Tensor, index: Any) -> tuple[Any, bool]:
    """The index with Tensors and lists as raw arrays on x's device, and whether places may repeat.

    An index of integers and slices alone gets an Ellipsis, so that it gives a view and no scalar.
    """
    parts = index if isinstance(index, tuple) else (index,)
    parts = tuple(_plain(x, part) for part in parts)
    arrays = [part for part in parts if is_array(part)]
    if arrays:
        return parts, any(part.dtype.kind != "b" for part in arrays)
    if not any(part is Ellipsis for part in parts):
        parts = (*parts, Ellipsis)
    return parts, False


def _plain(x: Tensor, part: Any) -> Any:
    if isinstance(part, Tensor):
        part = part.data
    if part is None or part is Ellipsis or isinstance(part, (int, np.integer)):
        return part
    if isinstance(part, slice):
        return _plain_slice(part)
    array = part.copy() if is_array(part) else np.array(part)  # see watched
    if array.size == 0 and not is_array(part):
        array = array.astype(int)  # an empty list would be one of floats
    if array.dtype.kind not in "iub":
        raise IndexError(f"getitem: an index is integers or booleans, not {array.dtype}")
    return array if type(array) is not np.ndarray else put(array, x.device)


def _plain_slice(part: slice) -> slice:
    start, stop, step = map(_slice_bound, (part.start, part.stop, part.step))
    if step == 0:
        raise ValueError(f"getitem: {part} has step 0, and never comes to an end")
    return slice(start, stop, step)


def _slice_bound(value: Any) -> int | None:
    """A plain int: a Tensor would be read once more in backward, when it may have changed."""
    return None if value is None else integer("getitem: a bound of a slice", value)


def scatter(x: Any, index: Any, shape: tuple[int, ...]) -> Tensor:
    """Zeros of `shape` with x added at `index`: the transpose of `getitem`."""
    x = tensor(x)
    return apply(ops.Scatter, x, index=plain_index(x, index)[0], shape=shape)


def take_along_axis(x: Any, indices: Any, axis: int) -> Tensor:
    """x at integer `indices` along one axis; `indices` has the shape of x but for `axis`."""
    x, indices = tensor(x), watched(indices)
    axis = axis_of(x.ndim, axis)
    _check_indices("take_along_axis", x, indices, axis)
    return apply(ops.TakeAlongAxis, x, indices, axis=axis)


def scatter_add(x: Any, indices: Any, source: Any, axis: int) -> Tensor:
    """x with `source` added at integer `indices` along one axis, once for each time one repeats.

    indices and source have the same shape, which is x's but for `axis`.
    """
    x, source = operands("scatter_add", tensor(x), tensor(source))
    indices = watched(indices)
    axis = axis_of(x.ndim, axis)
    _check_indices("scatter_add", x, indices, axis)
    if indices.shape != source.shape:
        raise ValueError(f"scatter_add: indices {indices.shape} and source {source.shape} differ")
    return apply(ops.ScatterAdd, x, indices, source, axis=axis)


def embedding(ids: Any, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """weight[ids]: for ids (...) of integers and weight (V, D), rows (..., D)  (G04).

    padding_idx: a row that is read but gets no gradient.
    Raises TypeError for ids that are not integers, IndexError for an id or a padding_idx outside
    0 … V−1.
    """
    ids = watched_indices(ids)
    if ids.dtype.kind not in "iu":
        raise TypeError(f"embedding: ids are {ids.dtype}; token ids are integers")
    if weight.ndim != 2:
        raise ValueError(f"embedding: the weight has shape {weight.shape}, expected (V, D)")
    check_range("embedding: id", ids, len(weight))
    if padding_idx is not None:
        padding_idx = integer("embedding: padding_idx", padding_idx)
        check_range("embedding: padding_idx", tensor(padding_idx), len(weight))
    return apply(ops.Embedding, weight, ids, padding_idx=padding_idx)


def check_range(what: str, ids: Tensor, size: int) -> None:
    """IndexError unless all of `ids` are in 0 … size−1: negative ones would wrap in silence."""
    if ids.size:
        low, high = int(ids.data.min()), int(ids.data.max())
        if low < 0 or high >= size:
            wrong = low if low < 0 else high
            raise IndexError(f"{what} {wrong} is outside 0 … {size - 1}")


def _check_indices(name: str, x: Tensor, indices: Tensor, axis: int) -> None:
    if indices.dtype.kind not in "iu":
        raise TypeError(f"{name}: indices are {indices.dtype}, expected integers")
    same = [n for i, n in enumerate(x.shape) if i != axis]
    if indices.ndim != x.ndim or [n for i, n in enumerate(indices.shape) if i != axis] != same:
        raise ValueError(
            f"{name}: indices {indices.shape} must have the shape {x.shape} but for axis {axis}"
        )
    check_range(f"{name}: index", indices, x.shape[axis])
