"""The linear layer: all leading axes as rows of one product, and the bias's gradient as one; and
several layers of one input, joined to one layer where that is worth it."""

from __future__ import annotations

from itertools import accumulate, chain
from typing import Any

import numpy as np

from tinygrad_llm.backend.cpu.sums import in_rows, over_rows
from tinygrad_llm.backend.devices import Array


def forward(x: Array, w: Array, b: Array | None) -> tuple[Array, tuple]:
    """Y = X W + b, one product of all rows: NumPy would take one for each of the leading axes."""
    if not fits(x, w, b):
        return NotImplemented
    y = product(x, w)
    if b is not None:
        y += b
    return y, (x, w)


def fits(x: Array, w: Array, b: Array | None) -> bool:
    """Shapes that can be multiplied; the reference has the words for others."""
    inner = w.ndim == 2 and x.ndim > 0 and x.shape[-1] == w.shape[0]
    return inner and (b is None or b.shape == w.shape[1:])


def backward(g: Array, saved: tuple, needs: tuple[bool, ...]) -> tuple:
    """dX = G Wᵀ,  dW = Xᵀ G,  db = Σ_n G_n."""
    x, w = saved
    dx = product(g, w.T) if needs[0] else None
    g = in_rows(g)
    dw = in_rows(x).T @ g if needs[1] else None
    db = over_rows(g) if needs[2] else None
    return dx, dw, db


def product(x: Array, w: Array) -> Array:
    """X W (..., out) in memory of its own, which a gradient needs to be added to in place."""
    if x.ndim == 2:  # nothing to bring into form, which small layers would feel
        return x @ w
    y = np.empty((*x.shape[:-1], w.shape[1]), np.float32)
    np.matmul(in_rows(x), w, out=in_rows(y))
    return y


def several_forward(x: Array, *parameters: Any) -> Any:
    """Y_i = X W_i + b_i: one product with the weights side by side, whose columns are the Y_i.

    Left to the reference, which takes one product for each: layers of which only some have a bias,
    and no more rows than there are columns in all, for which joining the weights takes too long.
    """
    weights, biases = parameters[::2], parameters[1::2]
    bare = biases[0] is None
    if not all(fits(x, w, b) and (b is None) == bare for w, b in zip(weights, biases)):
        return NotImplemented
    if x.size <= x.shape[-1] * sum(w.shape[1] for w in weights):
        return NotImplemented
    y = product(x, np.concatenate(weights, axis=1))
    if not bare:
        y += np.concatenate(biases)
    return tuple(np.split(y, _ends(weights), axis=-1)), (x, *weights)


def several_backward(g: tuple, saved: tuple, needs: tuple[bool, ...]) -> tuple:
    """dX = G Wᵀ,  dW = Xᵀ G,  db = Σ_n G_n of the joined layer, the latter two in parts."""
    x, *weights = saved
    wanted = (needs[0], True in needs[1::2], True in needs[2::2])
    whole = np.concatenate(g, axis=-1), (x, np.concatenate(weights, axis=1))
    dx, *joined = backward(*whole, wanted)
    none = [None] * len(weights)
    parts = [none if d is None else np.split(d, _ends(weights), axis=-1) for d in joined]
    dparameters = chain.from_iterable(zip(*parts))  # dW_1, db_1, dW_2, …
    return dx, *(d if need else None for d, need in zip(dparameters, needs[1:]))


def _ends(weights: Any) -> list[int]:
    """Where each but the last ends when all stand side by side."""
    return [*accumulate(w.shape[1] for w in weights)][:-1]
