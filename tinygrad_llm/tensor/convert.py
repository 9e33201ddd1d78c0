"""What a user gives, as a raw array."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_llm.backend.devices import Array, is_array

DEFAULT_DTYPE = np.dtype(np.float32)


_USUAL = {np.dtype(kind) for kind in ("float32", "float64", "int64", "int32", "bool")}
"""dtypes of arrays that are taken as they are, without more questions."""


def as_array(data: Any, dtype: Any = None, floats: np.dtype = DEFAULT_DTYPE) -> Array:
    """`data` as a raw array: Python floats as `floats`, arrays with the dtype that they have.

    Raises TypeError for what holds no numbers and for lists of tensors, ValueError for lists of
    unequal lengths.
    """
    if type(data) is np.ndarray and dtype is None and data.dtype in _USUAL:
        return data
    if _has_tensor(data):
        raise TypeError("a list of tensors would lose their tapes: use stack() or concatenate()")
    known = is_array(data) or isinstance(data, (np.ndarray, np.generic))
    try:
        array = data if is_array(data) else np.asarray(data)
    except ValueError as error:
        raise ValueError(f"a tensor needs nested lists of equal lengths: {error}") from error
    if dtype is None and not known and array.dtype.kind == "f":
        dtype = floats
    dtype = array.dtype.newbyteorder("=") if dtype is None else np.dtype(dtype)
    for kind in (array.dtype, dtype):
        if kind.kind not in "fiub":
            raise TypeError(f"a tensor holds numbers; {type(data).__name__} gives dtype {kind}")
    return array.astype(dtype, copy=False)


def _has_tensor(data: Any) -> bool:
    """True for a Tensor inside of nested lists (it is known by its method `backward`)."""
    if isinstance(data, (list, tuple)):
        return any(hasattr(each, "backward") or _has_tensor(each) for each in data)
    return False
