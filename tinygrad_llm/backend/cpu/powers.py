"""The exponents of a softmax: whether 2^z can be taken as it is, and what to do where it cannot."""

from __future__ import annotations

import numpy as np

from tinygrad_llm.backend.devices import Array

RANGE = 60.0
"""Exponents between −RANGE and RANGE need no maximum taken away: a sum of powers, and one over it,
stay within what float32 holds, with room for gradients."""


def within_range(z: Array) -> bool:
    """True when all are, which takes a third of the time of finding the maximum of each row."""
    return bool(z.min() > -RANGE and z.max() < RANGE)  # False for NaN


def shift(z: Array, seen: Array | None = None) -> None:
    """Take from each row of z its maximum; what is not seen (0) becomes −∞ first.

    A row without a finite maximum stays as it is.
    """
    if seen is not None:
        np.copyto(z, -np.inf, where=seen == 0.0)
    top = z.max(axis=-1, keepdims=True)
    top[~np.isfinite(top)] = 0.0
    z -= top
