"""The exponents of a softmax: whether 2^z can be taken as it is, and what to do where it cannot."""

from __future__ import annotations

import numpy as np

from tinygrad_llm.backend.devices import Array


def within_range(z: Array, most: float) -> bool:
    """True when all are between −most and most, which is found faster than the maximum of each
    row."""
    return bool(z.min() > -most and z.max() < most)  # False for NaN


def shift(z: Array, seen: Array | None = None) -> bool:
    """Take from each row of z its maximum; what is not seen (0) becomes −∞ first.

    A row without a finite maximum stays as it is; the answer is whether there is none such.
    """
    if seen is not None:
        np.copyto(z, -np.inf, where=seen == 0.0)
    top = z.max(axis=-1, keepdims=True)
    finite = np.isfinite(top)
    top[~finite] = 0.0
    z -= top
    return bool(finite.all())
