"""An op on raw NumPy arrays, without a tape: forward, backward, and the complex step through both.

The arrays may be complex: that is how a derivative comes out exact to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_llm import graph
from tinygrad_llm.ops import OPS, Cached, Op, Piece
from tinygrad_llm.testing import numeric
from tinygrad_llm.testing.numeric import Array


def forward(
    op: type[Op], arrays: Sequence[Any], constants: dict[str, Any]
) -> tuple[tuple[Array, ...], tuple]:
    """Outputs and what is saved, NumPy's scalars as 0-d arrays, as the engine has them."""
    y, saved = op.forward(np, *arrays, **constants)
    if type(y) is tuple:
        return y, saved
    array = np.asarray(y)
    return (array,), tuple([array if value is y else value for value in saved])


def backward(op: type[Op], cotangents: Sequence[Any], saved: tuple, needs: Sequence[bool]) -> tuple:
    """What the op's backward answers, as a tuple: arrays, Pieces, None."""
    values = tuple([s.value if type(s) is Cached else s for s in saved])
    g = cotangents[0] if len(cotangents) == 1 else tuple(cotangents)
    grads = op.backward(np, g, values, tuple(needs))
    return grads if type(grads) is tuple else (grads,)


def undo_piece(gradient: Any, shape: tuple[int, ...]) -> Array:
    """A Piece put into zeros of its input's shape; an array as it is."""
    if type(gradient) is not Piece:
        return gradient
    buffer = np.zeros(shape, gradient.g.dtype)
    gradient.add_to(np, buffer)
    return buffer


def dense(op: type[Op], gradient: Any, shape: tuple[int, ...]) -> Array:
    """A gradient in the shape of its input: a Piece put into zeros, broadcasting undone."""
    gradient = undo_piece(gradient, shape)
    return graph.unbroadcast(gradient, shape) if op.broadcasts else gradient


def gradients(
    op: type[Op],
    arrays: Sequence[Any],
    constants: dict[str, Any],
    cotangents: Sequence[Any],
    wrt: Sequence[int],
) -> list[Array]:
    """Dense gradients of the inputs `wrt`; None among cotangents for outputs of integers."""
    _, saved = forward(op, arrays, constants)
    needs = [i in wrt for i in range(len(arrays))]
    grads = backward(op, cotangents, saved, needs)
    return [dense(op, grads[i], arrays[i].shape) for i in wrt]


def complex_step(
    op: str | type[Op], arrays: Sequence[Any], constants: dict[str, Any], wrt: int
) -> Array:
    """The Jacobian of an op's outputs, flattened one after another, in arrays[wrt].

    Shape (number of outputs, *arrays[wrt].shape), exact to about 1e-15. The op's forward must be
    analytic at this point: |x| is not, and max(x, 0) is where x is not 0.
    """
    kind = OPS[op] if isinstance(op, str) else op

    def values(*points: Any) -> Array:
        return numeric.flat(
            [y for y in forward(kind, points, constants)[0] if y.dtype.kind in "fc"]
        )

    x = arrays[wrt]
    columns = []
    for place in np.ndindex(x.shape):
        unit = np.zeros(x.shape)
        unit[place] = 1.0
        columns.append(numeric.complex_slope(values, arrays, wrt, unit))
    rows = values(*arrays).size
    return np.stack(columns, -1).reshape(rows, *x.shape) if columns else np.zeros((rows, *x.shape))
