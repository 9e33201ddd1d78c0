"""Central differences and relative errors in float64: what every form is held against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

STEP = float(np.finfo(np.float64).eps ** (1 / 3))
"""Where truncation (step²) and rounding (eps/step) of a central difference balance."""

AGREEMENT = 1e-6
"""The largest relative error at which a gradient counts as right."""

DISAGREEMENT = 1e-2
"""The smallest relative error at which a gradient counts as wrong."""


def _scalar(value: Any) -> float:
    if np.ndim(value) != 0:
        raise ValueError(f"a loss is one number, not an array of shape {np.shape(value)}")
    return float(value)


def numeric_gradient(fn: Callable[[Array], Any], point: Array) -> Array:
    """Gradient of the scalar function `fn` at `point` by central differences, in its shape.

    Raises ValueError when `fn` answers with more than one number.
    """
    gradient = np.empty(point.shape)
    for index in np.ndindex(point.shape):
        step = STEP * max(1.0, abs(point[index]))
        above, below = point.copy(), point.copy()
        above[index] += step
        below[index] -= step
        width = above[index] - below[index]
        gradient[index] = (_scalar(fn(above)) - _scalar(fn(below))) / width
    return gradient


def numeric_gradients(fn: Callable[..., Any], *points: Array) -> Array:
    """Gradients of `fn(*points)` in every one of its arguments, flattened one after the other."""

    def at(position: int) -> Callable[[Array], Any]:
        return lambda moved: fn(*points[:position], moved, *points[position + 1 :])

    return flat(*(numeric_gradient(at(i), point) for i, point in enumerate(points)))


def flat(*arrays: Array) -> Array:
    """All the arrays as one vector, in order."""
    return np.concatenate([np.ravel(array) for array in arrays])


def unflat(vector: Array, *like: Array) -> list[Array]:
    """What `flat` joined, in the shapes of the arrays that are given."""
    ends = np.cumsum([array.size for array in like])
    parts = np.split(vector, ends[:-1])
    return [part.reshape(array.shape) for part, array in zip(parts, like)]


def project(output: Array, cotangent: Array) -> np.floating:
    """The scalar sum(cotangent · output), with which an array-valued form is differentiated.

    A drawn cotangent, never ones: under ones the gradient of a softmax is zero, and a wrong one
    passes. Raises ValueError when the shapes differ, so that broadcasting hides nothing.
    """
    if np.shape(output) != cotangent.shape:
        raise ValueError(f"shape {np.shape(output)} given where {cotangent.shape} is expected")
    return np.sum(cotangent * output)


def relative_error(truth: Array, claim: Array) -> float:
    """‖truth − claim‖∞ / max(‖truth‖∞, ‖claim‖∞, tiny) of two arrays of one shape."""
    size = max(np.max(np.abs(truth)), np.max(np.abs(claim)), np.finfo(np.float64).tiny)
    return float(np.max(np.abs(truth - claim)) / size)
