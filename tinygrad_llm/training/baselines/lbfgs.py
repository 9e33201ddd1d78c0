"""L-BFGS: the least of a smooth function of many numbers, in few steps and without a rate."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

MEMORY = 10
"""Steps that are remembered."""

TOLERANCE = 1e-5
"""Where no entry of the slope is larger, the function is flat."""

_HALVINGS = 30

_Steps = deque[tuple[np.ndarray, np.ndarray]]


def least(
    function: Callable[[np.ndarray], tuple[float, np.ndarray]], start: np.ndarray, steps: int
) -> np.ndarray:
    """Where a convex function is least, from `start` on, an array float64 of any shape.

    function: answers its value and its slope, in the shape of `start`. It is asked until no entry
    of the slope is above TOLERANCE, at most for so many steps, and no further where rounding hides
    what is lower. Each step goes against the slope times an estimate of the inverse Hessian, made
    of the last MEMORY steps, and is halved until the function falls by 1e-4 of what the slope
    promises. Sources: Liu & Nocedal 1989, "On the Limited Memory BFGS Method for Large Scale
    Optimization"; Armijo 1966, "Minimization of Functions Having Lipschitz Continuous First Partial
    Derivatives", for the halving. Raises ValueError where the function is not finite at the start.
    """
    place, (value, slope) = start, function(start)
    if not np.isfinite(value):
        raise ValueError(f"least: the function is {value} at the start; look for NaN in its data")
    past: _Steps = deque(maxlen=MEMORY)
    for _ in range(steps):
        if np.abs(slope).max(initial=0.0) <= TOLERANCE:
            break
        direction = -_times_inverse_hessian(slope, past)
        promised = 1e-4 * float(np.vdot(slope, direction))
        for rate in 0.5 ** np.arange(_HALVINGS):
            new = place + rate * direction
            new_value, new_slope = function(new)
            if new_value <= value + rate * promised:
                break
        else:
            break
        if np.vdot(new - place, new_slope - slope) > 0.0:
            past.append((new - place, new_slope - slope))
        place, value, slope = new, new_value, new_slope
    return place


def _times_inverse_hessian(slope: np.ndarray, past: _Steps) -> np.ndarray:
    """The estimate of the inverse Hessian times the slope, by the recursion in two loops.

    past: steps s and how the slope changed in them, y; the estimate takes each y to its s, the last
    one exactly.
    """
    result, shares = slope.copy(), list[float]()
    for s, y in reversed(past):
        shares.append(float(np.vdot(s, result) / np.vdot(s, y)))
        result -= shares[-1] * y
    if past:
        s, y = past[-1]
        result *= np.vdot(s, y) / np.vdot(y, y)
    for (s, y), share in zip(past, reversed(shares)):
        result += (share - float(np.vdot(y, result) / np.vdot(s, y))) * s
    return result
