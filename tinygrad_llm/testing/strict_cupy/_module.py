"""The module objects `cupy`, `cupy.cuda` and `cupy.cuda.runtime` of the stand-in."""

from __future__ import annotations

from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np

from tinygrad_llm.testing.strict_cupy import _creation, _einsum, _functions, _generic
from tinygrad_llm.testing.strict_cupy._api import API, missing_name
from tinygrad_llm.testing.strict_cupy._array import ndarray
from tinygrad_llm.testing.strict_cupy._cuda import CUDA, Runtime, is_available
from tinygrad_llm.testing.strict_cupy._operators import FUNCTIONS
from tinygrad_llm.testing.strict_cupy._ufuncs import Ufunc

REGISTERED = (_creation, _einsum, _functions, _generic)
"""The modules whose functions stand in FUNCTIONS once they are imported."""


class Namespace(ModuleType):
    """A module that says, for a name it lacks, whether CuPy has it."""

    def __init__(self, name: str, members: dict[str, Any]):
        super().__init__(name, "A stand-in for the module of CuPy with this name.")
        self.__spec__ = ModuleSpec(name, None, is_package=True)
        self.__path__: list[str] = []
        self.__dict__.update(members)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(missing_name(self.__name__, name))


def get_array_module(*args: Any) -> ModuleType:
    """The namespace of the arrays: the stand-in if one of them is on the device, else NumPy."""
    return module if any(isinstance(a, ndarray) for a in args) else np


runtime = Namespace(
    "cupy.cuda.runtime",
    {name: getattr(Runtime, name) for name in vars(Runtime) if not name.startswith("_")},
)
cuda = Namespace("cupy.cuda", {"runtime": runtime, **{part.__name__: part for part in CUDA}})
module = Namespace(
    "cupy",
    {
        **{name: getattr(np, name) for name in API["numpy_objects"]},
        **FUNCTIONS,
        "__version__": API["cupy_version"],
        "cuda": cuda,
        "get_array_module": get_array_module,
        "is_available": is_available,
        "ndarray": ndarray,
        "ufunc": Ufunc,
    },
)
"""The stand-in for `cupy`."""
