"""Clipping: gradients held within bounds, between backward and the optimizer's step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tinygrad_llm.backend.devices import Array
from tinygrad_llm.optim.flat import TILE
from tinygrad_llm.optim.gradients import numbers, present, writable
from tinygrad_llm.tensor import Tensor


def clip_grad_norm_(
    parameters: Iterable[Tensor] | Tensor, max_norm: float, error_if_nonfinite: bool = False
) -> float:
    """g ← g·min(1, c/‖g‖) with c = max_norm and the norm over all gradients together  (G16).

    One factor for all, so that the step keeps its direction. Works in place on `.grad`; parameters
    without one stay out, and one that is given twice counts once. Returns ‖g‖ as it was before,
    computed so that neither large nor small gradients overflow or vanish in their squares.

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


SAFE = 1e-200
"""A sum of squares above this in float64 has lost nothing to squares that became 0."""


def _norm(arrays: list[Array]) -> float:
    """√(Σ over all arrays of Σ g²): 0.0 for none, inf or NaN if one of the elements is."""
    squares = _sum_of_squares(arrays)
    if SAFE < squares < math.inf:
        return math.sqrt(squares)
    largest = _largest(arrays)
    if not 0.0 < largest < math.inf:
        return largest
    return largest * math.sqrt(_sum_of_squares(arrays, largest))


def _sum_of_squares(arrays: list[Array], unit: float = 1.0) -> float:
    """Of g/unit, in float64: squares of float32 can neither overflow nor vanish there."""

    def squares(xp: Any, tile: Array) -> Any:
        tile = tile.astype(np.float64, copy=False)
        tile = tile if unit == 1.0 else tile / unit
        with np.errstate(over="ignore"):  # `_norm` looks at the result
            return tile.dot(tile)

    return sum(numbers(_tiles(arrays), squares))


def _largest(arrays: list[Array]) -> float:
    found = numbers(_tiles(arrays), lambda xp, tile: xp.abs(tile).max())
    return float(np.max(found, initial=0.0))  # a NaN wins here; among Python's max it may not


def _tiles(arrays: list[Array]) -> Iterator[Array]:
    """Stretches that stay in the cache in float64 too; none of an empty array."""
    for array in arrays:
        line = array.reshape(-1)
        for start in range(0, line.size, TILE):
            yield line[start : start + TILE]


def _multiply(array: Array, factor: float) -> None:
    """In place, in two steps where the factor alone would be rounded, as one below the normal
    numbers of the dtype."""
    if factor >= np.finfo(array.dtype).tiny:
        array *= factor
    else:
        array *= math.sqrt(factor)
        array *= math.sqrt(factor)
