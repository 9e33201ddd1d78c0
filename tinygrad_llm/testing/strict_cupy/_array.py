"""ndarray: the device array of the stand-in, with CuPy's methods and operators.

Most methods only pass their arguments on to the function of the same name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_llm.testing.strict_cupy import _indexing
from tinygrad_llm.testing.strict_cupy._memory import Memory, shares, supported
from tinygrad_llm.testing.strict_cupy._operators import FUNCTIONS, Operators, recorded
from tinygrad_llm.testing.strict_cupy._sync import synchronize


def new(host: Any, order: Any = "C") -> ndarray:
    """A device array that owns a memory of its own with these values.

    order: "C" for the row-major layout that CuPy gives to results, "K" to keep the host array's.
    """
    host = np.asarray(host)
    supported(host.dtype)
    laid_out = order == "K" or host.flags.c_contiguous
    if host.base is not None or not laid_out or not host.flags.writeable:
        host = np.array(host, order=order, copy=True)
    return _wrap(host, None)


def view(host: np.ndarray, of: Memory) -> ndarray:
    """A device array over the memory of another one, whose owner becomes its base."""
    return _wrap(host, of if of._base is None else of._base)


def hidden_view(host: np.ndarray) -> ndarray:
    """A new result that CuPy reshapes or transposes at its end: its base is nobody else's."""
    return view(host, new(host, "K"))


def _wrap(host: np.ndarray, base: Memory | None) -> ndarray:
    array = object.__new__(ndarray)
    array._host, array._base = host, base
    return array


class ndarray(Operators):
    """cupy.ndarray: an array that NumPy cannot reach.

    shape: lengths of the axes; dtype: one that CuPy has; order: "C" or "F". The memory is not
    cleared: floats start as NaN, so that a read before the first write shows.
    """

    __slots__ = ()
    __module__ = "cupy"

    def __init__(
        self,
        shape: Any,
        dtype: Any = float,
        memptr: None = None,
        strides: None = None,
        order: Any = "C",
    ):
        if memptr is not None or strides is not None:
            raise TypeError("ndarray: the stand-in allocates its own memory: leave memptr, strides")
        garbage = {"b": True, "f": np.nan, "c": np.nan}.get(supported(dtype).kind, 99)
        self._host = np.full(shape, garbage, dtype, order=order or "C")
        self._base = None

    # To the host

    def get(
        self, stream: Any = None, order: Any = "C", out: Any = None, blocking: bool = True
    ) -> np.ndarray:
        """A NumPy array with the same values; waits for the device."""
        synchronize("get")
        if out is None:
            return np.array(self._host, order=order, copy=True)
        if not isinstance(out, np.ndarray) or out.dtype != self.dtype:
            raise TypeError(f"get: out must be a NumPy array of dtype {self.dtype}")
        if out.shape != self.shape:
            raise ValueError(f"get: out has shape {out.shape}, the array {self.shape}")
        out[...] = self._host
        return out

    def set(self, arr: np.ndarray, stream: Any = None) -> None:
        """Copy a NumPy array of the same shape and dtype into this one."""
        if not isinstance(arr, np.ndarray) or arr.dtype != self.dtype:
            raise TypeError(f"set: a NumPy array of dtype {self.dtype} is needed")
        if arr.shape != self.shape:
            raise ValueError(f"set: the array has shape {arr.shape}, this one {self.shape}")
        if not self.flags.forc:
            raise RuntimeError("set: this array is not contiguous: set a contiguous one and copy")
        self._host[...] = arr

    def item(self) -> Any:
        """The only element as a Python number; waits for the device."""
        if self.size != 1:
            raise ValueError(f"item: an array of shape {self.shape} is not one number")
        synchronize("item")
        return self._host.item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers; waits for the device."""
        synchronize("tolist")
        return self._host.tolist()

    def tobytes(self, order: Any = "C") -> bytes:
        """The elements as bytes; waits for the device."""
        synchronize("tobytes")
        return self._host.tobytes(order)

    def __copy__(self) -> ndarray:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> ndarray:
        return self.copy()

    def __reduce__(self) -> tuple[Any, ...]:
        return FUNCTIONS["array"], (self.get(order="A"),)

    # Elements

    def __getitem__(self, key: Any) -> ndarray:
        host, copied = _indexing.read(self, key)
        return new(host) if copied else view(host, self)

    def __setitem__(self, key: Any, value: Any) -> None:
        _indexing.write(self, key, value)

    def __iter__(self) -> Iterator[ndarray]:
        if not self.shape:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(self.shape[0]))

    def fill(self, value: Any) -> None:
        """Write one number, or a 0-d device array, to every element."""
        value = _indexing.host_value(value, self.dtype, "fill")
        if value.ndim:
            raise ValueError(f"fill: a value of shape {value.shape} is not one number")
        self._host[...] = value

    take = recorded("take")
    nonzero = recorded("nonzero")

    # Shape

    @property
    def T(self) -> ndarray:
        """The axes in reverse; the array itself when it has fewer than two."""
        return self if self.ndim < 2 else self.transpose()

    @property
    def mT(self) -> ndarray:
        """The last two axes swapped."""
        if self.ndim < 2:
            raise ValueError("mT: the array needs two axes or more")
        return self.swapaxes(-1, -2)

    @property
    def real(self) -> ndarray:
        """A view of the real parts; the array itself when it is real."""
        return view(self._host.real, self) if self.dtype.kind == "c" else self

    @real.setter
    def real(self, value: Any) -> None:
        self.real[...] = value

    @property
    def imag(self) -> ndarray:
        """A view of the imaginary parts; new zeros when the array is real."""
        if self.dtype.kind == "c":
            return view(self._host.imag, self)
        return new(np.zeros_like(self._host, order="C"))

    @imag.setter
    def imag(self, value: Any) -> None:
        if self.dtype.kind != "c":
            raise TypeError("imag: a real array has no imaginary part to set")
        self.imag[...] = value

    def reshape(self, *shape: Any, order: Any = "C", copy: bool | None = None) -> ndarray:
        """A view where the layout allows it, else a copy (a view never, if copy is True)."""
        wanted = shape[0] if len(shape) == 1 else shape
        return FUNCTIONS["reshape"](self, wanted, order, copy=copy)

    def transpose(self, *axes: Any) -> ndarray:
        """A view with the axes permuted."""
        order = axes[0] if len(axes) == 1 else axes or None
        return view(self._host.transpose(order), self)

    def swapaxes(self, axis1: int, axis2: int) -> ndarray:
        """A view with two axes swapped."""
        return view(self._host.swapaxes(axis1, axis2), self)

    def squeeze(self, axis: Any = None) -> ndarray:
        """A view without axes of length 1; the array itself when there are none."""
        host = self._host.squeeze(axis)
        return self if host.ndim == self.ndim else view(host, self)

    def ravel(self, order: Any = "C") -> ndarray:
        """One axis: a view where the layout allows it."""
        host = self._host.ravel(order)
        return view(host, self) if shares(host, self._host) else new(host)

    def flatten(self, order: Any = "C") -> ndarray:
        """One axis: always a copy."""
        return new(self._host.flatten(order))

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> ndarray:
        """A view of a diagonal, which may be written to."""
        host = self._host.diagonal(offset, axis1, axis2)
        host.flags.writeable = self._host.flags.writeable
        return view(host, self)

    def view(self, dtype: Any = None, type: None = None) -> ndarray:
        """The same memory, read as another dtype if one is given."""
        host = self._host.view() if dtype is None else self._host.view(supported(dtype))
        return view(host, self)

    def astype(
        self,
        dtype: Any,
        order: Any = "K",
        casting: None = None,
        subok: None = None,
        copy: bool = True,
    ) -> ndarray:
        """A copy as another dtype; with copy=False the array itself if it is that already."""
        if casting is not None or subok is not None:
            raise TypeError("astype: CuPy supports neither casting nor subok")
        with np.errstate(all="ignore"):
            host = self._host.astype(supported(dtype), order=order or "K", copy=copy)
        return self if host is self._host else new(host, "K")

    def copy(self, order: Any = "C") -> ndarray:
        """New memory with the same values."""
        return new(np.array(self._host, order=order, copy=True), "K")

    # Values

    repeat = recorded("repeat")
    argsort = recorded("argsort")
    searchsorted = recorded("searchsorted")
    dot = recorded("dot")
    trace = recorded("trace")
    round = recorded("round")
    all, any = recorded("all"), recorded("any")
    sum, prod = recorded("sum"), recorded("prod")
    mean, std, var = recorded("mean"), recorded("std"), recorded("var")
    max, min, ptp = recorded("max"), recorded("min"), recorded("ptp")
    argmax, argmin = recorded("argmax"), recorded("argmin")
    cumsum, cumprod = recorded("cumsum"), recorded("cumprod")

    def conj(self) -> ndarray:
        """The complex conjugate; a real array itself."""
        return FUNCTIONS["conj"](self) if self.dtype.kind == "c" else self

    conjugate = conj

    def clip(self, min: Any = None, max: Any = None, out: Any = None) -> ndarray:
        """Values held between min and max; None for no limit."""
        return FUNCTIONS["clip"](self, min, max, out)

    def sort(self, axis: int = -1, kind: str | None = None) -> None:
        """Sort in place, stably; NotImplementedError unless the array is C-contiguous."""
        if not self.flags.c_contiguous:
            raise NotImplementedError("sort: CuPy sorts only C-contiguous arrays in place")
        self._host[...] = FUNCTIONS["sort"](self, axis, kind)._host
