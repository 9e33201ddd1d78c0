"""Indexing as CuPy does it: indices wrap around, masks synchronize, host arrays are refused."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_llm.testing.strict_cupy._memory import Memory, is_scalar, refuse
from tinygrad_llm.testing.strict_cupy._sync import synchronize


def host_key(array: Memory, key: Any) -> tuple[tuple[Any, ...], bool]:
    """The key for the host array, and whether it picks elements (which copies) or only views.

    Integer arrays are wrapped modulo the length of their axis, as the device does without a word.
    Raises IndexError for a wrong key, TypeError for one that holds arrays or lists of the host.
    """
    items = key if isinstance(key, tuple) else (key,)
    used = sum(_axes(item) for item in items)
    if used > array.ndim:
        raise IndexError(f"{used} indices for an array with {array.ndim} axes")
    axis, hosts = 0, []
    for item in items:
        hosts.append(_host_item(item, array.shape, axis))
        axis += array.ndim - used if item is Ellipsis else _axes(item)
    return tuple(hosts), any(isinstance(item, Memory) for item in items)


def _axes(item: Any) -> int:
    """How many axes of the array one item of the key takes up."""
    if item is None or item is Ellipsis:
        return 0
    return item.ndim if isinstance(item, Memory) and item.dtype.kind == "b" else 1


def _host_item(item: Any, shape: tuple[int, ...], axis: int) -> Any:
    if isinstance(item, Memory):
        return _host_index(item, shape[axis : axis + 1])
    if isinstance(item, (np.ndarray, list, tuple)):
        raise refuse(item, "index")
    basic = isinstance(item, (slice, int, np.integer)) and not isinstance(item, bool)
    if basic or item is None or item is Ellipsis:
        return item
    raise IndexError(f"an index of type {type(item).__name__}: use integers, slices and arrays")


def _host_index(item: Memory, length: tuple[int, ...]) -> np.ndarray:
    if item.dtype.kind == "b":
        synchronize("boolean mask")
        return item._host
    if item.dtype.kind not in "iu":
        raise IndexError(f"an index array of dtype {item.dtype}: use integers or booleans")
    return wrap(item._host, *length)


def wrap(indices: np.ndarray, length: int) -> np.ndarray:
    """Indices modulo `length`, where the device would read; IndexError when nothing is there."""
    if length == 0 and indices.size:
        raise IndexError("an index into an axis of length 0")
    return np.asarray(np.remainder(indices, max(length, 1)))


def read(array: Memory, key: Any) -> tuple[np.ndarray, bool]:
    """What array[key] holds on the host, and True when that is a copy of elements."""
    hosts, copies = host_key(array, key)
    if not copies and not any(item is Ellipsis for item in hosts):
        hosts = (*hosts, Ellipsis)  # keeps NumPy from making a scalar of a 0-d view
    return np.asarray(array._host[hosts]), copies


def write(array: Memory, key: Any, value: Any) -> None:
    """array[key] = value. RuntimeError when different values go to one and the same element."""
    hosts, picks = host_key(array, key)
    value = host_value(value, array.dtype, "assignment")
    if picks and value.size > 1 and _duplicates(array, hosts):
        raise RuntimeError(
            "assignment: an element is named twice in the index, so the device stores any one of "
            "the values: use cupy.add.at to add them up, or an index without duplicates"
        )
    with np.errstate(all="ignore"):
        array._host[hosts] = value


def host_value(value: Any, dtype: np.dtype, where: str) -> np.ndarray:
    """A value to store, on the host: of a device array, or of a number that `dtype` can hold."""
    if isinstance(value, Memory):
        return value._host
    if not is_scalar(value):
        raise refuse(value, where)
    return np.asarray(value, dtype)


def _duplicates(array: Memory, hosts: tuple[Any, ...]) -> bool:
    """True when the key names an element more than once."""
    places = np.arange(array.size).reshape(array.shape)[hosts]
    return np.unique(places).size < places.size


def take(array: Memory, indices: Any, axis: int | None) -> np.ndarray:
    """The elements at `indices` (device array or integer, wrapped) along `axis`, on the host."""
    host = array._host.reshape(-1) if axis is None or not array.ndim else array._host
    axis = 0 if axis is None else axis
    if isinstance(indices, Memory):
        if indices.dtype.kind not in "iu":
            raise TypeError(f"take: indices of dtype {indices.dtype}: use integers")
        places = indices._host
    elif isinstance(indices, (int, np.integer)) and not isinstance(indices, bool):
        places = np.asarray(indices)
    else:
        raise refuse(indices, "take: indices")
    return np.take(host, wrap(places, host.shape[axis]), axis)


def take_along_axis(array: Memory, indices: Any, axis: int | None) -> np.ndarray:
    """np.take_along_axis with indices that wrap around, on the host."""
    if not isinstance(indices, Memory):
        raise refuse(indices, "take_along_axis: indices")
    if indices.dtype.kind not in "iu":
        raise IndexError("take_along_axis: indices must be an integer array")
    host = array._host.reshape(-1) if axis is None else array._host
    axis = 0 if axis is None else axis
    length = host.shape[np.arange(host.ndim)[axis]] if host.ndim else 0
    return np.take_along_axis(host, wrap(indices._host, length), axis)
