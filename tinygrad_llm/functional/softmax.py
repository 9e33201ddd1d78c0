"""Softmax and its logarithm, along one axis."""

from __future__ import annotations

from typing import Any

from tinygrad_llm.functional.arguments import axis_of, floating
from tinygrad_llm.ops import softmax as ops
from tinygrad_llm.tensor import Tensor, apply


def softmax(x: Any, axis: int = -1) -> Tensor:
    """e^x / Σ e^x along one axis, finite for every finite x (G02).

    Raises TypeError for anything but one integer axis, ValueError for an axis without elements.
    """
    x = floating(x)
    return apply(ops.Softmax, x, axis=_filled_axis("softmax", x, axis))


def log_softmax(x: Any, axis: int = -1) -> Tensor:
    """x − ln Σ e^x along one axis; errors as in `softmax`."""
    x = floating(x)
    return apply(ops.LogSoftmax, x, axis=_filled_axis("log_softmax", x, axis))


def _filled_axis(name: str, x: Tensor, axis: int) -> int:
    counted = axis_of(x.ndim, axis)
    if not x.shape[counted]:
        raise ValueError(f"{name}: no elements along axis {axis} of shape {x.shape}")
    return counted
