"""Floor 1: one class an op, forward and backward side by side in array language."""

from tinygrad_llm.ops import (
    attention,
    dropout,
    elementwise,
    indexing,
    linear_losses,
    losses,
    normalization,
    products,
    reductions,
    shapes,
    softmax,
)
from tinygrad_llm.ops.base import OPS, Cached, Op, Piece

__all__ = [
    "OPS",
    "Cached",
    "Op",
    "Piece",
    "attention",
    "dropout",
    "elementwise",
    "indexing",
    "linear_losses",
    "losses",
    "normalization",
    "products",
    "reductions",
    "shapes",
    "softmax",
]
