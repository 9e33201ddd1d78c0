"""Functions that are NumPy's once the arguments are checked: parameters from CuPy's record.

Each is built by `build`, with the parameters that CuPy has and no others.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_llm.testing.strict_cupy._api import API, signature
from tinygrad_llm.testing.strict_cupy._array import hidden_view, ndarray, new, view
from tinygrad_llm.testing.strict_cupy._memory import (
    Memory,
    host_array,
    host_operand,
    refuse,
    shares,
    supported,
)
from tinygrad_llm.testing.strict_cupy._operators import FUNCTIONS

TABLE = {
    # Results in new memory, in C order.
    "new": """
        all any argmax argmin count_nonzero ptp std var trace average nanargmax nanargmin nanmax
        nanmin nanmean nanprod nanstd nansum nanvar dot vdot inner outer tensordot searchsorted
        digitize diff tril triu diag around round angle concatenate concat stack hstack vstack
        dstack column_stack isclose allclose array_equal array_equiv eye identity tri linspace
    """,
    # Reductions for which CuPy uses CUB, whose result follows the layout of the argument.
    "reduced": "sum prod mean max min amax amin",
    # Results in new memory, in the layout that NumPy gives them.
    "kept": "pad zeros ones full zeros_like ones_like full_like",
    # Results that are new, but views of an array that nobody else holds.
    "hidden": "repeat tile",
    # Results that share memory with the first argument where the layout allows it.
    "view": """
        reshape transpose permute_dims matrix_transpose swapaxes moveaxis rollaxis expand_dims
        squeeze broadcast_to flip fliplr flipud rot90 split array_split hsplit vsplit dsplit
    """,
    # Answers from the host, without a look into the memory.
    "host": "shape ndim size iscomplexobj isrealobj",
}
"""The functions by what becomes of NumPy's result."""

ARRAYS = {"a", "a1", "a2", "A", "array", "ary", "b", "bins", "m", "prototype"}
ARRAYS |= {"sorter", "v", "val", "weights", "x", "z"}
"""Names of parameters that are device arrays."""

NUMBERS_TOO = frozenset(
    [("isclose", "b"), ("allclose", "b"), ("searchsorted", "v"), ("full", "fill_value")]
    + [("full_like", "fill_value"), ("diff", "prepend"), ("diff", "append")]
)
"""Parameters that are a device array or a number."""

NUMPY_NAMES = {"amax": "max", "amin": "min"}


def build(name: str, kind: str) -> Callable[..., Any]:
    """The function of the `cupy` namespace with this name, of this kind of the table."""
    parameters = signature(API["functions"][name])
    compute = getattr(np, NUMPY_NAMES.get(name, name))
    finish = FINISH[kind]
    required = [p.name for p in parameters.parameters.values() if p.default is p.empty]

    def function(*args: Any, **kwargs: Any) -> Any:
        arguments = bind(name, parameters, args, kwargs)
        out = arguments.pop("out", None)
        hosts = {key: _host(name, key, value) for key, value in arguments.items()}
        positional = [hosts.pop(key) for key in required if key in hosts]
        result = evaluate(compute, *positional, **hosts)
        if out is not None:
            return store(name, result, out)
        return finish(name, arguments, result)

    function.__name__ = name
    function.__signature__ = parameters  # type: ignore[attr-defined]
    return function


def bind(name: str, parameters: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    """The arguments by parameter; TypeError, with the function's name, for one it lacks."""
    try:
        bound = parameters.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"cupy.{name}: {error}; it takes {parameters}") from None
    arguments = dict(bound.arguments)
    arguments.update(arguments.pop("kwargs", {}))
    if arguments.pop("subok", None) is not None:
        raise TypeError(f"cupy.{name}: CuPy does not support subok")
    optional = {p.name for p in parameters.parameters.values() if p.default is None} - {"axis"}
    return {key: v for key, v in arguments.items() if v is not None or key not in optional}


def evaluate(compute: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """NumPy's result without NumPy's warnings: a GPU gives none."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return compute(*args, **kwargs)


def store(name: str, result: Any, out: Any) -> ndarray:
    """Write a result into `out` and return that."""
    host, result = host_array(out, f"cupy.{name}: out"), np.asarray(result)
    if host.shape != result.shape:
        raise ValueError(f"cupy.{name}: out has shape {host.shape}, the result {result.shape}")
    if not np.can_cast(result.dtype, host.dtype, "same_kind"):
        raise TypeError(f"cupy.{name}: {result.dtype} does not cast to an out of {host.dtype}")
    with np.errstate(all="ignore"):
        host[...] = result
    return out


def _host(name: str, key: str, value: Any) -> Any:
    """One argument as NumPy gets it."""
    where = f"cupy.{name}: {key}"
    if (name, key) in NUMBERS_TOO:
        return host_operand(value, where)
    if key == "tup":
        return sequence(value, where)
    if key in ARRAYS:
        return host_array(value, where)
    if key == "dtype":
        return supported(value)
    return plain(value, where)


def sequence(values: Any, where: str) -> list[np.ndarray]:
    """The host arrays of a list or tuple of device arrays."""
    if isinstance(values, (list, tuple)):
        return [host_array(value, where) for value in values]
    raise refuse(values, f"{where}, a list or tuple of device arrays")


def plain(value: Any, where: str) -> Any:
    """An argument such as an axis or a shape: no array, neither on the device nor on the host."""
    if isinstance(value, (Memory, np.ndarray)):
        raise TypeError(f"{where}: Python numbers are needed here, not an array")
    if isinstance(value, (list, tuple)):
        for item in value:
            plain(item, where)
    return value


def _new(name: str, arguments: dict[str, Any], result: Any) -> Any:
    return tuple(new(part) for part in result) if isinstance(result, tuple) else new(result)


def _reduced(name: str, arguments: dict[str, Any], result: Any) -> ndarray:
    """A view when CUB reduced everything and kept the axes, Fortran order after leading axes."""
    a, axis, host = arguments["a"], arguments.get("axis"), np.asarray(result)
    axes = range(a.ndim) if axis is None else np.atleast_1d(axis) % max(a.ndim, 1)
    if arguments.get("keepdims") and len(axes) == a.ndim and a.flags.forc:
        return hidden_view(host)
    leading = a.flags.fnc and sorted(axes) == list(range(len(axes)))
    return new(np.asfortranarray(host) if leading and host.ndim else host, "K" if leading else "C")


def _viewed(name: str, arguments: dict[str, Any], result: Any) -> Any:
    """Views of the argument; where CuPy gives back the argument itself, so does this."""
    array = next(iter(arguments.values()))
    if isinstance(result, list):
        return [array] if len(result) == 1 else [view(part, array) for part in result]
    if _identity(name, arguments, result):
        return array
    return view(result, array) if shares(result, array._host) else new(result, "K")


def _identity(name: str, arguments: dict[str, Any], result: np.ndarray) -> bool:
    """True where CuPy has nothing to do and gives the array itself, not a view of it."""
    array = next(iter(arguments.values()))
    if name == "squeeze":
        return result.ndim == array.ndim
    if name == "moveaxis":
        ends = arguments["source"], arguments["destination"]
        return all(isinstance(end, int) for end in ends) and _same_axis(*ends, array.ndim)
    if name == "rollaxis":
        order = np.rollaxis(
            np.empty(range(array.ndim)), arguments["axis"], arguments.get("start", 0)
        )
        return order.shape == tuple(range(array.ndim))
    return False


def _same_axis(a: int, b: int, ndim: int) -> bool:
    return a % ndim == b % ndim


FINISH: dict[str, Callable[[str, dict[str, Any], Any], Any]] = {
    "new": _new,
    "reduced": _reduced,
    "kept": lambda name, arguments, result: new(result, "K"),
    "hidden": lambda name, arguments, result: hidden_view(result),
    "view": _viewed,
    "host": lambda name, arguments, result: result,
}
FUNCTIONS.update(
    {name: build(name, kind) for kind, names in TABLE.items() for name in names.split()}
)
