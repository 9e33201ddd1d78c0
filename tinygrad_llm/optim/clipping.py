"""Clipping: gradients held within bounds, between backward and the optimizer's step."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np

from tinygrad_llm.backend.devices import Array
from tinygrad_llm.optim.gradients import numbers, present, writable
from tinygrad_llm.tensor import Tensor


def clip_grad_norm_(
    parameters: Iterable[Tensor] | Tensor, max_norm: float, error_if_nonfinite: bool = False
) -> float:
    """g ← g·min(1, c/‖g‖) with c = max_norm and the norm over all gradients together  (G16).

    One factor for all, so that the step keeps its direction. Works in place on `.grad`; parameters
    without one stay out, and one that is given twice counts once. Returns ‖g‖ as it was before,
    computed so that neither large nor small gradients overflow or vanish in their squares, with
    a relative error of about 1e-6 at most in float32.

    A norm that is inf or NaN changes nothing: c/inf = 0 would wipe out all other gradients, and
    NaN would reach every parameter (in PyTorch it does); so the bad values stay where they are,
    to be found, and the caller sees by the returned norm that this step is to be left out.
    Raises ValueError for max_norm <= 0 or NaN and for no parameters at all, TypeError for what is
    no Tensor; with error_if_nonfinite, RuntimeError for a norm that is not finite.
    """
    if not max_norm > 0.0:
        raise ValueError(f"clip_grad_norm_: max_norm must be above 0, not {max_norm}")
    clipped = _with_gradient("clip_grad_norm_", parameters)
    norm = _norm([grad.data for _, grad in clipped])
    if not math.isfinite(norm):
        if error_if_nonfinite:
            raise RuntimeError(
                f"clip_grad_norm_: the norm of the gradients is {norm}: leave this step out, or "
                "find the cause with detect_anomaly()"
            )
    elif norm > max_norm:
        for parameter, grad in clipped:
            _multiply(writable(parameter, grad), float(max_norm) / norm)
    return norm


def clip_grad_value_(parameters: Iterable[Tensor] | Tensor, clip_value: float) -> None:
    """Each element of each gradient held within ±clip_value, in place on `.grad`.

    Unlike `clip_grad_norm_` this turns the step: large elements shrink beside small ones. ±inf
    become ±clip_value, NaN stays NaN. Parameters without a gradient stay out.
    Raises ValueError for a clip_value that is not finite and above 0 and for no parameters at all,
    TypeError for what is no Tensor.
    """
    if not 0.0 < clip_value < math.inf:
        raise ValueError(
            f"clip_grad_value_: clip_value must be finite and above 0, not {clip_value}"
        )
    for parameter, grad in _with_gradient("clip_grad_value_", parameters):
        gradient = writable(parameter, grad)
        bound = min(float(clip_value), float(np.finfo(gradient.dtype).max))
        gradient.clip(-bound, bound, out=gradient)


def _with_gradient(name: str, parameters: Any) -> list[tuple[Tensor, Tensor]]:
    """`present`, of what a user gives."""
    if hasattr(parameters, "parameters"):
        kind = type(parameters).__name__
        raise TypeError(f"{name}: give parameters, such as model.parameters(), not a {kind}")
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    if not given:
        raise ValueError(f"{name}: no parameters; a generator can be used only once")
    for parameter in given:
        if not isinstance(parameter, Tensor):
            raise TypeError(f"{name}: a parameter is a Tensor, not {parameter!r:.60}")
    return present(given)


ROW = 1024
"""Squares that the CPU adds up in the gradient's own dtype; the sums of rows are added in float64.
Longer rows lose digits, and beyond 10,000 BLAS splits them by threads, which changes the bits."""

LEAST = float(np.finfo(np.float32).tiny / np.finfo(np.float32).eps)
"""A mean of squares above this has lost no more than rounding to squares that became 0."""


def _norm(arrays: list[Array]) -> float:
    """√(Σ over all arrays of Σ g²): 0.0 for none, inf or NaN if one of the elements is."""
    lines = [array.reshape(-1) for array in arrays if array.size]
    squares = sum(numbers(lines, _sum_of_squares))
    if LEAST * sum(line.size for line in lines) < squares < math.inf:
        return math.sqrt(squares)
    # max(), as the Python function, might pass over a NaN
    largest = float(np.max(numbers(lines, _largest), initial=0.0))
    if not 0.0 < largest < math.inf:
        return largest
    return largest * math.sqrt(sum(numbers(lines, partial(_sum_of_shares, largest))))


def _sum_of_squares(xp: Any, line: Array) -> Any:
    """Of a line without temporaries as large; it may be inf, or too small, in float32."""
    line = line.astype(np.float32) if line.dtype.itemsize < 4 else line
    with np.errstate(over="ignore"):
        if xp is not np:  # a launch for each row would take longer than the sum
            return line.dot(line)
        whole = line.size // ROW * ROW
        rows, rest = line[:whole].reshape(-1, ROW), line[whole:]
        return np.vecdot(rows, rows).sum(dtype=np.float64) + rest.dot(rest)


def _largest(xp: Any, line: Array) -> Any:
    """max |g|, NaN if there is one."""
    return xp.maximum(line.max(), -line.min())


def _sum_of_shares(largest: float, xp: Any, line: Array) -> Any:
    """Σ (g/largest)², in float64, where nothing overflows and what vanishes does not count."""
    share = line.astype(np.float64)
    share /= largest
    return share.dot(share)


def _multiply(array: Array, factor: float) -> None:
    """In place, in two steps where the factor alone would be rounded, as one below the normal
    numbers of the dtype."""
    if factor >= np.finfo(array.dtype).tiny:
        array *= factor
    else:
        array *= math.sqrt(factor)
        array *= math.sqrt(factor)
