"""Functions that reduce or order along axes; `axis` and `keepdims` as in NumPy."""

from __future__ import annotations

from math import prod as product
from typing import Any

from tinygrad_llm.functional.arguments import axes_of, axis_of, floating, integer, tensor
from tinygrad_llm.functional.shapes import reshape, transpose
from tinygrad_llm.ops import indexing
from tinygrad_llm.ops import reductions as ops
from tinygrad_llm.ops.base import kept_shape
from tinygrad_llm.tensor import Tensor, apply

Axis = Any
"""None (all axes), an int, or a tuple of ints; negative ones count from the end."""


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Σ x over the axes."""
    x = tensor(x)
    return apply(ops.Sum, x, axis=axes_of(x, axis), keepdims=keepdims)


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Σ x / n over the axes; integers are averaged as float32."""
    x = floating(x)
    return apply(ops.Mean, x, axis=axes_of(x, axis), keepdims=keepdims)


def var(x: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Tensor:
    """Σ (x − x̄)² / (n − ddof); ddof = 1 is the unbiased estimate.

    Raises ValueError when n − ddof is not positive.
    """
    x = floating(x)
    axes = _with_freedom("var", x, axis, ddof)
    return apply(ops.Var, x, axis=axes, ddof=ddof, keepdims=keepdims)


def std(x: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Tensor:
    """√var; its gradient is 0 where all elements are equal."""
    x = floating(x)
    axes = _with_freedom("std", x, axis, ddof)
    return apply(ops.Std, x, axis=axes, ddof=ddof, keepdims=keepdims)


def prod(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Π x over the axes, with the right gradient where x has zeros."""
    x = tensor(x)
    axes = axes_of(x, axis)
    rest = [i for i in range(x.ndim) if i not in axes]
    rows = transpose(x, (*rest, *axes))
    rows = reshape(rows, (*(x.shape[i] for i in rest), product(x.shape[i] for i in axes)))
    y = apply(ops.Prod, rows)
    return reshape(y, kept_shape(x.shape, axes)) if keepdims else y


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest element; several equal ones share the gradient."""
    x = tensor(x)
    return apply(ops.Max, x, axis=_not_empty("max", x, axis), keepdims=keepdims)


def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest element; several equal ones share the gradient."""
    x = tensor(x)
    return apply(ops.Min, x, axis=_not_empty("min", x, axis), keepdims=keepdims)


def logsumexp(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """ln Σ eˣ, finite for every finite x."""
    x = floating(x)
    return apply(ops.LogSumExp, x, axis=_not_empty("logsumexp", x, axis), keepdims=keepdims)


def norm(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """√(Σ x²), the Euclidean (for a matrix: Frobenius) norm; gradient 0 at 0."""
    x = floating(x)
    return apply(ops.Norm, x, axis=axes_of(x, axis), keepdims=keepdims)


def cumsum(x: Any, axis: int | None = None) -> Tensor:
    """Running sums along one axis; of the flattened tensor when axis is None."""
    x = tensor(x)
    if axis is None:
        x, axis = reshape(x, -1), 0
    return apply(ops.Cumsum, x, axis=axis_of(x.ndim, axis))


def sort(x: Any, axis: int = -1) -> Tensor:
    """Ascending along one axis; equal values keep their order."""
    x = tensor(x)
    return apply(indexing.Sort, x, axis=axis_of(x.ndim, axis))


def topk(x: Any, k: int, axis: int = -1) -> tuple[Tensor, Tensor]:
    """The k largest along one axis in descending order, and their indices (int64)."""
    x = tensor(x)
    axis, k = axis_of(x.ndim, axis), integer("topk: k", k)
    if not 0 <= k <= x.shape[axis]:
        raise ValueError(f"topk: k = {k}, but axis {axis} has {x.shape[axis]} elements")
    return apply(indexing.TopK, x, k=k, axis=axis)


def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Index of the first largest element (int64); of the flattened tensor when axis is None."""
    return _place("argmax", x, axis, keepdims)


def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Index of the first smallest element (int64); of the flattened tensor when axis is None."""
    return _place("argmin", x, axis, keepdims)


def argsort(x: Any, axis: int = -1) -> Tensor:
    """Indices that sort ascending along one axis (int64); equal values keep their order."""
    return Tensor(tensor(x).data.argsort(axis=axis, kind="stable"))


def _place(name: str, x: Any, axis: int | None, keepdims: bool) -> Tensor:
    x = tensor(x)
    if axis is not None:
        axis = axis_of(x.ndim, axis)
    _not_empty(name, x, axis)
    return Tensor(getattr(x.data, name)(axis=axis, keepdims=keepdims))


def _with_freedom(name: str, x: Tensor, axis: Axis, ddof: int) -> tuple[int, ...]:
    axes = axes_of(x, axis)
    n = product(x.shape[i] for i in axes)
    if n <= ddof:
        raise ValueError(f"{name}: {n} elements leave no degree of freedom with ddof = {ddof}")
    return axes


def _not_empty(name: str, x: Tensor, axis: Axis) -> tuple[int, ...]:
    axes = axes_of(x, axis)
    if product(x.shape[i] for i in axes) == 0:
        raise ValueError(f"{name}: no elements along axis {axis} of shape {x.shape}")
    return axes
