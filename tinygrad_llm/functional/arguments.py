"""How arguments of functional become what an op takes: Tensors of one dtype, axes, numbers."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from tinygrad_llm.backend.devices import Array, is_array, put
from tinygrad_llm.ops.shapes import AsType
from tinygrad_llm.tensor import DEFAULT_DTYPE, Tensor, apply, as_array


def tensor(x: Any) -> Tensor:
    """`x` itself, or a new Tensor of it."""
    return x if isinstance(x, Tensor) else Tensor(x)


def watched(x: Any, like: Tensor | None = None) -> Tensor:
    """`x` itself if it is a Tensor, else a Tensor of a copy of it: for what the tape keeps.

    The version counter of a Tensor tells of later changes; an array has none, and its owner may
    write the next batch into it before backward.
    like: convert as `tensor_like` does.
    """
    if isinstance(x, Tensor):
        return x
    array = as_array(x) if like is None else array_like(like, x)
    return Tensor(array.copy())


def watched_indices(x: Any, like: Tensor | None = None) -> Tensor:
    """As `watched`, for ids and classes: an empty list is one of integers."""
    indices = watched(x, like)
    of_a_list = not isinstance(x, Tensor) and not is_array(x)
    return apply(AsType, indices, dtype=np.int64) if of_a_list and not indices.size else indices


def floating(x: Any) -> Tensor:
    """As `tensor`, with integers and booleans made float32."""
    x = tensor(x)
    return x if x.data.dtype.kind == "f" else apply(AsType, x, dtype=DEFAULT_DTYPE)


def operands(name: str, a: Any, b: Any) -> tuple[Any, Any]:
    """Two operands as an op takes them: Tensors of one dtype, or one of them a Python number.

    Integers take the dtype of the floats beside them; a NumPy array or list takes that of the
    Tensor. Two Tensors of different floating dtypes raise TypeError: nothing promotes in silence.
    """
    if isinstance(a, Tensor):
        if isinstance(b, Tensor):
            return (a, b) if a.data.dtype == b.data.dtype else _common_dtype(name, a, b)
        return _with_tensor(name, a, b)
    if isinstance(b, Tensor):
        b, a = _with_tensor(name, b, a)
        return a, b
    return operands(name, tensor(a), b)


def _with_tensor(name: str, x: Tensor, value: Any) -> tuple[Tensor, Any]:
    """One Tensor and one operand that is not a Tensor yet."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (bool, int, float)):
        if isinstance(value, float) and x.data.dtype.kind != "f":
            x = floating(x)
        return x, value
    other = tensor_like(x, value)
    return (x, other) if x.data.dtype == other.data.dtype else _common_dtype(name, x, other)


def tensor_like(x: Tensor, value: Any) -> Tensor:
    """Convert an operand that is not a Tensor: its floats get the dtype of x if that is floating,
    and what is on the host goes to the device of x."""
    return Tensor(array_like(x, value))


def array_like(x: Tensor, value: Any) -> Array:
    """As `tensor_like`, for the raw array."""
    floats = x.data.dtype if x.data.dtype.kind == "f" else DEFAULT_DTYPE
    array = as_array(value, floats=floats)
    if array.dtype.kind == "f" == x.data.dtype.kind:
        array = array.astype(floats, copy=False)
    moves = type(array) is np.ndarray and type(x.data) is not np.ndarray
    return put(array, x.device) if moves else array


def scalar_like(x: Tensor, value: Any) -> Tensor:
    """Convert a plain number to a 0-d Tensor of the dtype of x, for ops that take no numbers."""
    if isinstance(value, Tensor):
        return value
    return Tensor(value, dtype=x.dtype if x.dtype.kind == "f" else None, device=x.device)


def _common_dtype(name: str, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Two Tensors of different dtypes in the dtype of the one that is floating.

    Raises TypeError when both are.
    """
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
    return [scalar_like(floats[0], operands(name, floats[0], x)[1]) for x in xs] if floats else xs


def axes_of(x: Tensor, axis: Any) -> tuple[int, ...]:
    """`axis` (None: all; an int; a sequence) as a tuple of axes from 0, each once."""
    if axis is None:
        return tuple(range(x.ndim))
    given = tuple(axis) if np.iterable(axis) else (axis,)
    axes = tuple(axis_of(x.ndim, i) for i in given)
    if len(set(axes)) < len(axes):
        raise ValueError(f"axis {axis} names an axis twice")
    return axes


def axis_of(ndim: int, axis: Any) -> int:
    """One axis counted from 0; ValueError when there is none of that number, TypeError for anything
    but one integer."""
    if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)):
        raise TypeError(f"axis must be one integer, not {axis!r}")
    if not -ndim <= axis < ndim:
        raise ValueError(f"axis {axis} does not exist: the tensor has {ndim} dimensions")
    return int(axis) % ndim


def integer(what: str, value: Any) -> int:
    """`value` as a plain int; TypeError, which says `what` it is, for a float or anything else."""
    try:
        return operator.index(value)
    except TypeError as error:
        raise TypeError(f"{what} must be an integer, not {value!r}") from error


def number(what: str, value: Any) -> float:
    """`value` as a plain float; TypeError, which says `what` it is, for a text or anything else."""
    try:
        if not isinstance(value, (str, bytes)):  # of which float would read some
            return float(value)
    except (TypeError, ValueError):
        pass
    raise TypeError(f"{what} must be a number, not {value!r}")


def probability(what: str, value: Any) -> float:
    """The probability as a plain float; ValueError, which says `what` it is, outside [0, 1], and
    TypeError for what is no number."""
    share = number(what, value)
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"{what} is a probability, not {value}")
    return share


def integers(what: str, values: Any) -> np.ndarray:
    """One integer or nested sequences of them as an array; TypeError for anything else."""
    array = np.array(values)
    if array.size == 0:
        array = array.astype(int)  # NumPy takes an empty list for floats
    if array.dtype.kind not in "iu":
        raise TypeError(f"{what} must be integers, not {values!r}")
    return array
