"""ReLU of a linear layer: Y = max(X W + b, 0) where the product lies, and dZ = G where Y > 0."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_llm.backend.cpu import linear
from tinygrad_llm.backend.devices import Array


def forward(x: Array, w: Array, b: Array | None) -> Any:
    """Y = max(Z, 0), Z = X W + b."""
    answer = linear.forward(x, w, b)
    if answer is NotImplemented:
        return NotImplemented
    y, saved = answer
    np.maximum(y, 0.0, out=y)
    return y, (*saved, y)


def backward(g: Array, saved: tuple, needs: tuple[bool, ...]) -> tuple:
    """dZ = G where Y > 0, else 0, and on from there as linear."""
    x, w, y = saved
    mask = (y > 0.0).astype(np.float32)
    dx, dw, db = linear.backward(np.multiply(g, mask, out=mask), (x, w), needs)
    return dx, dw, db
