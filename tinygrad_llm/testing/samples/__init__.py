"""Samples of every op: how to call it, and in which places a rule decides its gradient."""

from tinygrad_llm.testing.samples import (
    attention,
    elementwise,
    indexing,
    linear_losses,
    losses,
    normalization,
    products,
    reductions,
    shapes,
)
from tinygrad_llm.testing.samples.registry import (
    EXACT,
    SAMPLES,
    Call,
    Exact,
    Sample,
    all_exact,
    all_samples,
)

__all__ = [
    "EXACT",
    "SAMPLES",
    "Call",
    "Exact",
    "Sample",
    "all_exact",
    "all_samples",
    "attention",
    "elementwise",
    "indexing",
    "linear_losses",
    "losses",
    "normalization",
    "products",
    "reductions",
    "shapes",
]
