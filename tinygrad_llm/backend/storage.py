"""Arrays without storage: a shape and a dtype, enough to count what a model would hold."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any, NoReturn

import numpy as np

from tinygrad_llm.backend.devices import NAMESPACES


class NoStorage:
    """A shape and a dtype in the place of an array; whoever asks for values gets a RuntimeError."""

    __slots__ = ("dtype", "shape")

    def __init__(self, shape: tuple[int, ...], dtype: Any):
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """What an array of this shape would take."""
        return self.size * self.dtype.itemsize

    def view(self) -> NoStorage:
        return NoStorage(self.shape, self.dtype)

    def astype(self, dtype: Any, copy: bool = True) -> NoStorage:
        return NoStorage(self.shape, dtype)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # Python and NumPy ask what there is: to that the answer is no
            raise AttributeError(name)
        refuse()

    def _refused(self, *others: Any, **how: Any) -> NoReturn:
        refuse()

    __array__ = __getitem__ = __setitem__ = __neg__ = __matmul__ = __rmatmul__ = _refused
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _refused
    __truediv__ = __rtruediv__ = __pow__ = __rpow__ = _refused

    def __repr__(self) -> str:
        return f"NoStorage({self.shape}, {self.dtype})"


def refuse() -> NoReturn:
    """RuntimeError for computing with what is not there."""
    raise RuntimeError(
        "a parameter has a shape but no values: its model was made under no_storage(), to be "
        "counted: make it outside of that block to compute with it"
    )


class _Nowhere(ModuleType):
    """The namespace of NoStorage: it has no function."""

    def __getattr__(self, name: str) -> Any:
        refuse()


NAMESPACES[NoStorage] = _Nowhere("nowhere")
