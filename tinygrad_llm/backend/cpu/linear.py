"""The linear layer: all leading axes as rows of one product, and the bias's gradient as one."""

from __future__ import annotations

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
