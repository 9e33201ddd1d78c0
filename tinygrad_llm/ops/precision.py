"""Where float16 would overflow, or round too much, ops compute in float32: its sums above all."""

from __future__ import annotations

from typing import Any

HALF = "e"
"""NumPy's letter for float16; letters are compared faster than dtypes."""


def wide(x: Any) -> Any:
    """x in float32 if it is float16, else x itself: an array or a Tensor."""
    return x.astype("float32") if x.dtype.char == HALF else x


def narrow(y: Any, like: Any) -> Any:
    """y in the dtype of `like`; y itself if it has it."""
    return y if y.dtype == like.dtype else y.astype(like.dtype)


def total(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Σ x over the axes; that of float16 is rounded once, at its end.

    Added up in float16, ones come no further than 2,048, for 2,048 + 1 is rounded to 2,048.
    """
    if x.dtype.char != HALF:
        return x.sum(axis=axis, keepdims=keepdims)
    return wide(x).sum(axis=axis, keepdims=keepdims).astype(x.dtype)
