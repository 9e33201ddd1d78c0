"""How arguments of functional become what an op takes: Tensors of one dtype, axes as tuples."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_llm.ops.shapes import AsType
from tinygrad_llm.tensor import DEFAULT_DTYPE, Tensor, apply, as_array


def tensor(x: Any) -> Tensor:
    """`x` itself, or a new Tensor of it."""
    return x if isinstance(x, Tensor) else Tensor(x)


def floating(x: Any) -> Tensor:
    """As `tensor`, with integers and booleans made float32."""
    x = tensor(x)
    return x if x.data.dtype.kind == "f" else apply(AsType, x, dtype=DEFAULT_DTYPE)


def pair(name: str, a: Any, b: Any) -> tuple[Any, Any]:
    """Two operands that may meet: equal dtypes, or one of them a Python number.

    Integers take the dtype of the floats that they meet; a NumPy array or list takes that of the
    Tensor. Two Tensors of different floating dtypes raise TypeError: nothing promotes in silence.
    """
    if isinstance(a, Tensor):
        if isinstance(b, Tensor):
            return (a, b) if a.data.dtype == b.data.dtype else _meet(name, a, b)
        return _beside(name, a, b)
    if isinstance(b, Tensor):
        b, a = _beside(name, b, a)
        return a, b
    return pair(name, tensor(a), b)


def _beside(name: str, x: Tensor, value: Any) -> tuple[Tensor, Any]:
    """A Tensor and what is none yet."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (bool, int, float)):
        if isinstance(value, float) and x.data.dtype.kind != "f":
            x = floating(x)
        return x, value
    other = beside(x, value)
    return (x, other) if x.data.dtype == other.data.dtype else _meet(name, x, other)


def beside(x: Tensor, value: Any) -> Tensor:
    """What is no Tensor made one: its floats in x's dtype if that is floating, and what lies on
    the host moved to x's device."""
    floats = x.data.dtype if x.data.dtype.kind == "f" else DEFAULT_DTYPE
    array = as_array(value, floats=floats)
    if array.dtype.kind == "f" == x.data.dtype.kind:
        array = array.astype(floats, copy=False)
    return Tensor(array, device=x.device if type(array) is np.ndarray else None)


def beside_number(x: Tensor, value: Any) -> Tensor:
    """A plain number as a 0-d Tensor of x's dtype, for ops that take no plain numbers."""
    if isinstance(value, Tensor):
        return value
    return Tensor(value, dtype=x.dtype if x.dtype.kind == "f" else None, device=x.device)


def _meet(name: str, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Two Tensors of different dtypes."""
    a_floats, b_floats = a.data.dtype.kind == "f", b.data.dtype.kind == "f"
    if a_floats and b_floats:
        raise TypeError(
            f"{name}: {a.dtype} and {b.dtype} do not mix: convert one of them with .astype"
        )
    if a_floats:
        return a, apply(AsType, b, dtype=a.data.dtype)
    if b_floats:
        return apply(AsType, a, dtype=b.data.dtype), b
    return a, b


def one_dtype(name: str, xs: list[Any]) -> list[Tensor]:
    """Several operands (concatenate, einsum) brought to the dtype of the first floating one."""
    floats = [x for x in xs if isinstance(x, Tensor) and x.data.dtype.kind == "f"]
    if not floats:
        xs = [tensor(x) for x in xs]
        floats = [x for x in xs if x.data.dtype.kind == "f"]
    return [beside_number(floats[0], pair(name, floats[0], x)[1]) for x in xs] if floats else xs


def axes_of(x: Tensor, axis: Any) -> tuple[int, ...]:
    """`axis` (None: all; an int; a sequence) as a tuple of axes from 0, each once."""
    if axis is None:
        return tuple(range(x.ndim))
    given = (axis,) if isinstance(axis, (int, np.integer)) else tuple(axis)
    axes = tuple(axis_of(x.ndim, i) for i in given)
    if len(set(axes)) < len(axes):
        raise ValueError(f"axis {axis} names an axis twice")
    return axes


def axis_of(ndim: int, axis: int) -> int:
    """One axis counted from 0; ValueError when there is none of that number."""
    if not -ndim <= axis < ndim:
        raise ValueError(f"axis {axis} does not exist: the tensor has {ndim} dimensions")
    return int(axis) % ndim
