"""einsum: NumPy's values in CuPy's layout, which is a view and often not C-contiguous."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_llm.testing.strict_cupy._api import API
from tinygrad_llm.testing.strict_cupy._array import hidden_view, ndarray, view
from tinygrad_llm.testing.strict_cupy._generic import evaluate
from tinygrad_llm.testing.strict_cupy._memory import host_array, shares
from tinygrad_llm.testing.strict_cupy._operators import FUNCTIONS

Labels = list[int]
"""Of each axis: the letter's code, or -n ... -1 for the axes of an ellipsis."""


def einsum(subscripts: Any, *operands: Any, **kwargs: Any) -> ndarray:
    """Sums of products by subscripts, given as a string; keywords `dtype` and `optimize` only.

    The result is a view. CuPy multiplies two operands as matrices, the second one first, and then
    transposes: "ij,jk->ik" gives Fortran order.
    """
    unknown = sorted(set(kwargs) - set(API["keywords"]["einsum"]))
    if unknown:
        raise TypeError(f"cupy.einsum takes no keyword {unknown[0]!r}")
    if not isinstance(subscripts, str):
        raise TypeError("cupy.einsum: the stand-in takes the subscripts as a string")
    hosts = [host_array(operand, "cupy.einsum") for operand in operands]
    result = np.asarray(evaluate(np.einsum, subscripts, *hosts, **kwargs))
    if len(hosts) == 1 and shares(result, hosts[0]):
        return view(result, operands[0])
    order = _memory_order(subscripts, hosts) if len(hosts) == 2 else list(range(result.ndim))
    stored = np.ascontiguousarray(result.transpose(order)) if result.ndim else result.copy()
    return hidden_view(stored.transpose(np.argsort(order)))


def _memory_order(subscripts: str, hosts: list[np.ndarray]) -> list[int]:
    """The axes of the result in the order in which the product of two operands is stored."""
    given, arrow, named = subscripts.replace(" ", "").partition("->")
    sides = [_labels(part, host.ndim) for part, host in zip(given.split(","), hosts)]
    output = _output(sides, named if arrow else None)
    # CuPy drops axes of length 1, and sums over labels that stand in one operand only, beforehand.
    second, first = (
        [x for x in dict.fromkeys(side) if host.shape[side.index(x)] > 1 and x in {*output, *other}]
        for side, host, other in zip(sides[::-1], hosts[::-1], sides)
    )
    stored = [output.index(x) for x in _stored(first, second, output) if x in output]
    return [axis for axis in range(len(output)) if axis not in stored] + stored


def _labels(part: str, ndim: int) -> Labels:
    left, dots, right = part.partition("...")
    middle = range(len(left) + len(right) - ndim, 0) if dots else ()
    return [*map(ord, left), *middle, *map(ord, right)]


def _output(sides: list[Labels], named: str | None) -> Labels:
    """The labels of the result; without "->" those of an ellipsis and those that stand once."""
    everything = [label for side in sides for label in side]
    if named is None:
        return sorted({x for x in everything if x < 0 or everything.count(x) == 1})
    broadcast = len({label for label in everything if label < 0})
    return _labels(named, len(named.replace("...", "")) + broadcast * ("..." in named))


def _stored(first: Labels, second: Labels, output: Labels) -> Labels:
    """Labels as CuPy stores them: those of a batch, then of the second operand, then the first."""
    shared = set(first) & set(second)
    if not first or not second:
        return second + first
    if shared <= set(output):  # nothing to contract: an elementwise product in the asked order
        return [label for label in output if label in {*first, *second}]
    alone = (sorted(set(side) - shared) for side in (second, first))
    return [*sorted(shared & set(output)), *(label for side in alone for label in side)]


FUNCTIONS["einsum"] = einsum
