"""Comparisons, logic and tests of numbers: boolean Tensors, which record nothing.

Operands follow the rules of arithmetic: lists and arrays take the dtype of the Tensor, Tensors of
float32 and float64 do not mix.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_llm.backend.devices import Array, is_array, namespace
from tinygrad_llm.functional.arguments import axes_of, operands, tensor
from tinygrad_llm.graph import current_mode
from tinygrad_llm.tensor import Tensor

Operand = Any
"""A Tensor, a Python number, a NumPy array or nested lists of numbers."""


def less(a: Operand, b: Operand) -> Tensor:
    """a < b, broadcast."""
    return _compare("less", a, b)


def less_equal(a: Operand, b: Operand) -> Tensor:
    """a ≤ b, broadcast."""
    return _compare("less_equal", a, b)


def greater(a: Operand, b: Operand) -> Tensor:
    """a > b, broadcast."""
    return _compare("greater", a, b)


def greater_equal(a: Operand, b: Operand) -> Tensor:
    """a ≥ b, broadcast."""
    return _compare("greater_equal", a, b)


def equal(a: Operand, b: Operand) -> Tensor:
    """a = b, broadcast; NaN equals nothing."""
    return _compare("equal", a, b)


def not_equal(a: Operand, b: Operand) -> Tensor:
    """a ≠ b, broadcast."""
    return _compare("not_equal", a, b)


def logical_and(a: Operand, b: Operand) -> Tensor:
    """Where both are true (not 0), broadcast."""
    return _compare("logical_and", a, b)


def logical_or(a: Operand, b: Operand) -> Tensor:
    """Where one or both are true (not 0), broadcast."""
    return _compare("logical_or", a, b)


def logical_not(x: Operand) -> Tensor:
    """Where x is false (0)."""
    data = tensor(x).data
    return Tensor(namespace(data).logical_not(data))


def any(x: Operand, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Whether one element along the axes is true (not 0); False of none."""
    x = tensor(x)
    return Tensor(namespace(x.data).any(x.data, axis=axes_of(x, axis), keepdims=keepdims))


def all(x: Operand, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Whether every element along the axes is true (not 0); True of none."""
    x = tensor(x)
    return Tensor(namespace(x.data).all(x.data, axis=axes_of(x, axis), keepdims=keepdims))


def isfinite(x: Operand) -> Tensor:
    """Where x is neither infinite nor NaN."""
    data = tensor(x).data
    return Tensor(namespace(data).isfinite(data))


def isnan(x: Operand) -> Tensor:
    """Where x is NaN."""
    data = tensor(x).data
    return Tensor(namespace(data).isnan(data))


def _compare(name: str, a: Operand, b: Operand) -> Tensor:
    """NumPy's or CuPy's function of this name on the raw operands.

    Raises TypeError for what holds no numbers, ValueError for shapes that do not broadcast and for
    Tensors on different devices.
    """
    frame = current_mode().frame
    if frame is not None:  # no op runs here that a checkpoint would see
        frame.see([x._version for x in (a, b) if isinstance(x, Tensor)], [])
    a, b = _raw_operands(name, a, b)
    try:
        return Tensor(getattr(namespace(a if is_array(a) else b), name)(a, b))
    except ValueError as error:
        raise ValueError(f"{name}: {np.shape(a)} and {np.shape(b)} do not broadcast") from error


def _raw_operands(name: str, a: Operand, b: Operand) -> tuple[Array, Array]:
    a, b = (x.item() if isinstance(x, np.generic) else x for x in (a, b))
    if isinstance(b, (bool, int, float)):  # NumPy compares a plain number with integers exactly
        return tensor(a).data, b
    if isinstance(a, (bool, int, float)):
        return a, tensor(b).data
    a, b = operands(name, a, b)
    if type(a.data) is not type(b.data):
        devices = f"{a.device} and {b.device}"
        raise ValueError(f"{name}: tensors on {devices}: bring them together with .to(device)")
    return a.data, b.data
