"""Devices: which library an array belongs to, and how arrays move between host and GPU.

CuPy is optional: it is imported the first time that somebody asks for a `cuda` device.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np

Array = Any
"""A raw array: `numpy.ndarray`, or `cupy.ndarray` once CuPy has been asked for."""

NAMESPACES: dict[type, ModuleType] = {np.ndarray: np}
"""Array type -> the module whose functions take it; CuPy arrays do not tell when asked."""


def is_array(value: object) -> bool:
    """True for a raw array of a known library (a Tensor or a Python number is none)."""
    return type(value) in NAMESPACES


def namespace(array: Array) -> ModuleType:
    """The module (`numpy` or `cupy`) that the raw `array` belongs to."""
    return NAMESPACES[type(array)]


def device_of(array: Array) -> str:
    """`"cpu"` or `"cuda:<n>"` for a raw array, or for anything whose `.device` is such a name."""
    device = array.device
    return device if isinstance(device, str) else f"cuda:{device.id}"


def put(array: Array, device: str) -> Array:
    """`array` on `device` (`"cpu"`, `"cuda"` or `"cuda:<n>"`); the same object if it is there.

    Raises ValueError for an unknown device name, RuntimeError when CuPy or a GPU is missing.
    """
    kind, _, number = device.partition(":")
    if kind == "cpu" and not number:
        return to_host(array)
    if kind != "cuda" or not (number.isdecimal() or not number):
        raise ValueError(f"unknown device {device!r}: use 'cpu', 'cuda' or 'cuda:<number>'")
    cupy = _cupy(int(number or 0))
    with cupy.cuda.Device(int(number or 0)):
        return cupy.asarray(array)


def to_host(array: Array) -> np.ndarray:
    """`array` as a NumPy array; no copy when it is one already."""
    return array.get() if hasattr(array, "get") else np.asarray(array)


def _cupy(number: int) -> ModuleType:
    """CuPy, imported and registered, once a GPU with this number is known to exist."""
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        raise RuntimeError(
            "device 'cuda' needs CuPy: in the clone, pip install -e '.[cuda13]' (or '.[cuda12]'), "
            "or use device 'cpu'"
        ) from error
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # CuPy raises its own type, which exists only where CuPy does
        raise RuntimeError(f"CuPy finds no usable GPU ({error}); use device 'cpu'") from error
    if number >= count:
        raise RuntimeError(f"there is no device 'cuda:{number}': this machine has {count} GPU(s)")
    NAMESPACES[cupy.ndarray] = cupy
    return cupy
