"""Memory: what every device array has, a host array in the place of GPU memory, and its owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_llm.testing.strict_cupy._api import DTYPES, missing_attribute
from tinygrad_llm.testing.strict_cupy._cuda import Device, MemoryPointer

PYTHON_SCALARS = (bool, int, float, complex)


@dataclass(frozen=True)
class Flags:
    """The layout of a device array; `flags["C_CONTIGUOUS"]` works as well."""

    c_contiguous: bool
    f_contiguous: bool
    owndata: bool

    @property
    def fnc(self) -> bool:
        """Fortran order and not C order."""
        return self.f_contiguous and not self.c_contiguous

    @property
    def forc(self) -> bool:
        """Fortran order or C order."""
        return self.f_contiguous or self.c_contiguous

    def __getitem__(self, name: str) -> bool:
        if name not in ("C_CONTIGUOUS", "F_CONTIGUOUS", "OWNDATA"):
            raise KeyError(f"{name} is not defined for cupy.ndarray.flags")
        return getattr(self, name.lower())


class Memory:
    """The attributes of a device array. `base` is None for an array that owns its memory."""

    __slots__ = ("__weakref__", "_base", "_host")
    __array_priority__ = 100
    __array_ufunc__ = None  # NumPy's ufuncs refuse, its operators leave the work to ours

    _host: np.ndarray
    _base: Memory | None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        raise TypeError("a device array does not turn into a NumPy array by itself: use .get()")

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        raise TypeError(
            f"np.{function.__name__} got a device array: use the function of its own namespace, xp"
        )

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(missing_attribute(name))

    @property
    def base(self) -> Memory | None:
        """The array that owns the memory; None for the owner itself."""
        return self._base

    @property
    def flags(self) -> Flags:
        """c_contiguous, f_contiguous, owndata."""
        flags = self._host.flags
        return Flags(flags.c_contiguous, flags.f_contiguous, self._base is None)

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes; may be set where no copy is needed."""
        return self._host.shape

    @shape.setter
    def shape(self, shape: Any) -> None:
        host = self._host.reshape(shape)
        if not shares(host, self._host):
            raise AttributeError(f"shape {self.shape} cannot become {shape} in place: use reshape")
        self._host = host

    @property
    def strides(self) -> tuple[int, ...]:
        """Bytes from one element to the next along each axis."""
        return self._host.strides

    @property
    def dtype(self) -> np.dtype:
        """A NumPy dtype."""
        return self._host.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._host.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self._host.size

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self._host.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self._host.nbytes

    @property
    def device(self) -> Device:
        """The device that holds the array: always number 0."""
        return Device(0)

    @property
    def data(self) -> MemoryPointer:
        """Where the first element lies."""
        return MemoryPointer(self._host.ctypes.data, Device(0))

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a 0-d array")
        return self.shape[0]


def shares(view: np.ndarray, host: np.ndarray) -> bool:
    """True when NumPy made `view` of `host` without a copy (an empty one counts as a view)."""
    return view.size == 0 or np.may_share_memory(view, host)


def supported(dtype: Any) -> np.dtype:
    """`dtype` as a NumPy dtype; ValueError for one that CuPy lacks."""
    dtype = np.dtype(dtype)
    if dtype not in DTYPES:
        raise ValueError(f"cupy has no arrays of dtype {dtype}")
    return dtype


def is_scalar(value: object) -> bool:
    """True for a Python number and for a NumPy scalar of a dtype that CuPy has."""
    return type(value) in PYTHON_SCALARS or (
        isinstance(value, np.generic) and value.dtype in DTYPES
    )


def refuse(value: object, where: str) -> TypeError:
    """The error for an operand that is neither a device array nor a number."""
    kind = "NumPy array" if isinstance(value, np.ndarray) else type(value).__name__
    if isinstance(value, (np.ndarray, list, tuple)):
        return TypeError(f"{where}: a {kind} does not mix with device arrays: use cupy.asarray")
    return TypeError(f"{where}: a device array is needed, not {kind}")


def host_array(value: object, where: str) -> np.ndarray:
    """The host array behind a device array; TypeError for anything else."""
    if not isinstance(value, Memory):
        raise refuse(value, where)
    return value._host


def host_operand(value: object, where: str) -> Any:
    """The host array behind a device array, or the number; TypeError for anything else."""
    return value if is_scalar(value) else host_array(value, where)
