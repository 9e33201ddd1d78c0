"""Numbers as charts take them: lists, arrays of NumPy or CuPy and Tensors become NumPy arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_llm.backend import to_host
from tinygrad_llm.tensor import Tensor

Numbers = Any
"""A number, nested sequences of numbers, a NumPy or CuPy array, or a Tensor; lists of them too."""


def by_name(what: str, values: Any) -> dict[str, Any]:
    """A dict whose keys are texts; TypeError, which says `what` it is, for what is no dict."""
    if not isinstance(values, Mapping):
        raise TypeError(f"{what}: give a dict, name -> value, not a {type(values).__name__}")
    return {str(name): value for name, value in values.items()}


def host(values: Numbers, name: str) -> np.ndarray:
    """`values` as a NumPy array. Raises TypeError where they are no real numbers, ValueError for
    nested lists of unequal lengths."""
    if isinstance(values, (list, tuple)) and not all(isinstance(v, (int, float)) for v in values):
        values = [host(each, name) for each in values]
    try:
        array = values.numpy() if isinstance(values, Tensor) else to_host(values)
    except ValueError as error:
        raise ValueError(f"{name}: the lists are not of equal lengths") from error
    if array.dtype.kind in "cOSUMm":
        raise TypeError(f"{name}: real numbers are needed, not {array.dtype}")
    return array


def floats(values: Numbers, name: str) -> np.ndarray:
    """`values` as float64 of any shape; raises as `host` does."""
    return host(values, name).astype(np.float64)


def series(values: Numbers, name: str) -> np.ndarray:
    """One number a step as float64 of shape (steps,); numbers may come as arrays of one element.

    Raises ValueError for another shape and for no numbers at all.
    """
    array = floats(values, name)
    if array.ndim == 0 or array.size != len(array) or array.size == 0:
        raise ValueError(f"{name}: a sequence of numbers is needed, not the shape {array.shape}")
    return array.reshape(-1)
