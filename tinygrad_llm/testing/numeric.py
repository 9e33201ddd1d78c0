"""Derivatives by measurement: central differences and the complex step, and how they compare.

All of it works on float64 NumPy arrays and on functions `values(*points)` that answer with one flat
vector. A derivative is taken along a direction: one element at a time for a small array, random
directions for a large one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray
Values = Callable[..., Array]
Slope = Callable[[Values, Sequence[Any], int, Array], Array]

STEP = float(np.finfo(np.float64).eps ** (1 / 5))
"""Where truncation (step⁴) and rounding (eps/step) of the four-point difference balance."""

SMALLEST_SCALE = 1e-2
"""A step is relative to the size of a number, and to this for numbers that are smaller."""

COMPLEX_STEP = 1e-30
"""Nothing is subtracted, so it may be so small that its square vanishes."""

FULL = 64
"""Up to so many elements every element is measured; beyond, `PROJECTIONS` random directions."""

PROJECTIONS = 4


class GradientError(AssertionError):
    """A gradient that is wrong: where, and by how much.

    input: name of the input in which the derivative was taken ("input 0", "cotangent 0").
    order: of the derivative; 0 is the value itself.
    place: index of the worst element, None for a random direction.
    numeric, analytic: the two values there. error: relative, over the whole array.
    """

    def __init__(
        self,
        what: str,
        input: str,
        order: int,
        place: tuple[int, ...] | None = None,
        numeric: float = np.nan,
        analytic: float = np.nan,
        error: float = np.inf,
    ):
        self.input, self.order, self.place = input, order, place
        self.numeric, self.analytic, self.error = numeric, analytic, error
        where = "along a random direction" if place is None else f"at {place}"
        values = f"numeric {numeric!r}, analytic {analytic!r}, relative error {error:.1e}"
        details = "" if np.isnan(numeric) else f" {where}: {values}"
        super().__init__(f"{what}, {input}, order {order}{details}")


class Limits(NamedTuple):
    """What counts as equal."""

    tolerance: float
    """Of the relative error."""
    eps: float
    """Gradients that are smaller are held to an absolute error of tolerance·eps."""


class Subject(NamedTuple):
    """Which derivative of what, for the message of an error."""

    what: str
    input: str
    order: int


class Probe(NamedTuple):
    """How all outputs change along one direction of one input."""

    place: tuple[int, ...] | None
    direction: Array
    length: float
    slope: Array


def central_slope(
    values: Values, points: Sequence[Any], i: int, direction: Array, step: float = STEP
) -> Array:
    """d/dt values(…, points[i] + t·direction, …) at t = 0, by the four-point central difference.

    Error: relative about step⁴ from truncation and eps/step from rounding, both near 1e-12.
    """

    def at(t: float) -> Array:
        return values(*points[:i], points[i] + t * direction, *points[i + 1 :])

    near, far = at(step) - at(-step), at(2 * step) - at(-2 * step)
    return (8.0 * near - far) / (12.0 * step)


def finer_slope(values: Values, points: Sequence[Any], i: int, direction: Array) -> Array:
    """As central_slope, with a step for functions that bend within a hundredth of their argument,
    such as the sine of 100."""
    return central_slope(values, points, i, direction, STEP / 32)


def complex_slope(values: Values, points: Sequence[Any], i: int, direction: Array) -> Array:
    """As central_slope, by Im f(x + ih) / h: exact to rounding, for functions that are analytic
    where they are asked (Squire & Trapp 1998)."""
    moved = [x + 0j if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x for x in points]
    moved[i] = moved[i] + 1j * COMPLEX_STEP * direction
    return values(*moved).imag / COMPLEX_STEP


def probes(
    values: Values,
    points: Sequence[Any],
    i: int,
    slope: Slope,
    rng: np.random.Generator,
    full: int = FULL,
) -> list[Probe]:
    """The derivative of `values` along each element of points[i], or along random directions when
    there are more than `full`."""
    return [
        Probe(place, direction, length, slope(values, points, i, direction))
        for place, direction, length in _directions(np.asarray(points[i]), rng, full)
    ]


def _directions(
    x: Array, rng: np.random.Generator, full: int
) -> Iterator[tuple[tuple[int, ...] | None, Array, float]]:
    scale = np.maximum(np.abs(x), SMALLEST_SCALE)
    if x.size <= full:
        for place in np.ndindex(x.shape):
            direction = np.zeros(x.shape)
            direction[place] = scale[place]
            yield place, direction, float(scale[place])
    else:
        for _ in range(PROJECTIONS):
            direction = scale * rng.choice((-1.0, 1.0), x.shape)
            yield None, direction, float(np.linalg.norm(direction))


def agree(
    measured: list[Probe],
    cotangent: Array,
    analytic: Array,
    limits: Limits,
    subject: Subject,
) -> float:
    """Hold the analytic vᵀJ of one input against what was measured; the relative error.

    It is ‖numeric − analytic‖∞ / max(‖numeric‖∞, ‖analytic‖∞, eps). Raises GradientError when it
    exceeds the tolerance or is no number.
    """
    if not measured:
        return 0.0
    numeric = np.array([cotangent @ p.slope / p.length for p in measured])
    claimed = np.array([np.vdot(p.direction, analytic) / p.length for p in measured])
    difference = np.abs(numeric - claimed)
    error = float(difference.max() / max(np.abs(numeric).max(), np.abs(claimed).max(), limits.eps))
    if error <= limits.tolerance:
        return error
    worst = int(np.argmax(np.where(np.isnan(difference), np.inf, difference)))
    place, values = measured[worst].place, (float(numeric[worst]), float(claimed[worst]))
    what = f"{subject.what}: wrong derivative"
    raise GradientError(what, subject.input, subject.order, place, *values, error)


def flat(arrays: Sequence[Array]) -> Array:
    """All elements of several arrays in one vector."""
    return np.concatenate([np.ravel(x) for x in arrays]) if arrays else np.zeros(0)
