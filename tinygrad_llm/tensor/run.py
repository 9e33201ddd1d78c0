"""apply: run an op on Tensors, and put it on the tape."""

from __future__ import annotations

from typing import Any

from tinygrad_llm import graph
from tinygrad_llm.backend.devices import NAMESPACES, Array, is_array
from tinygrad_llm.backend.overrides import takes
from tinygrad_llm.ops.base import Op
from tinygrad_llm.tensor.core import Tensor, devices_differ, wrap


def apply(op: type[Op], *inputs: Any, **constants: Any) -> Any:
    """Run an op on Tensors (and Python numbers); record it if one requires a gradient.

    Returns a Tensor, or a tuple of them for an op with several outputs.
    Raises ValueError for shapes that do not fit, IndexError for places that do not exist.
    """
    arrays: list = []
    edges: list = []
    counters: list = []
    xp: Any = None
    taped = False
    for x in inputs:
        if isinstance(x, Tensor):
            module = NAMESPACES[type(x._data)]
            arrays.append(x._data)
            edges.append(x._edge)
            counters.append(x._version)
            taped = taped or x._edge is not None
            if xp is not None and xp is not module:
                raise ValueError(devices_differ(op.name, inputs))
            xp = module
        else:
            arrays.append(x)
            edges.append(None)
            counters.append(None)
    mode, override = graph.current_mode(), op.override
    watch = mode.profile
    begun = None if watch is None else watch.begin()
    try:
        if override is None:
            y, saved = op.forward(xp, *arrays, **constants)
        else:
            override, (y, saved) = _by_either(op, xp, arrays, constants)
    except (ValueError, IndexError) as error:
        raise _explained(op, error, arrays, constants) from error
    several = type(y) is tuple
    ys = y if several else (y,)
    if not several and not is_array(y):  # NumPy reduces to scalars, not to 0-d arrays
        ys = (xp.asarray(y),)
        saved = tuple([ys[0] if value is y else value for value in saved])
    if watch is not None:
        watch.end(begun, op.name, "forward", (*arrays, *ys))
    versions = [_version_of(v, arrays[0], counters[0]) if op.views else [0] for v in ys]
    node = None
    if mode.frame is not None:
        mode.frame.see(counters, versions)
    if taped and mode.grad:
        node = graph.record(op, edges, arrays, counters, ys, versions, saved)
        if override is not None:
            node.override = override
    if several:
        return tuple([wrap(v, _edge_to(node, i, v), versions[i]) for i, v in enumerate(ys)])
    return wrap(ys[0], _edge_to(node, 0, ys[0]), versions[0])


def _by_either(op: type[Op], xp: Any, arrays: list, constants: dict) -> tuple[Any, tuple]:
    """(override, what its forward gives), or (None, what the reference gives)."""
    override: Any = op.override
    if takes(arrays):
        answer = override.forward(*arrays, **constants)
        if answer is not NotImplemented:
            return override, answer
    return None, op.forward(xp, *arrays, **constants)


def _edge_to(node: graph.Node | None, i: int, y: Array) -> graph.Edge | None:
    """Where the gradient of an output goes; integers and booleans have none."""
    return None if node is None or y.dtype.kind != "f" else (node, i)


def _version_of(y: Array, x: Array, counter: list[int]) -> list[int]:
    """A view shares the version counter of the memory that it looks at."""
    return counter if y.base is not None and (y.base is x or y.base is x.base) else [0]


def _explained(op: type[Op], error: Exception, arrays: list, constants: dict) -> Exception:
    shapes = [x.shape for x in arrays if is_array(x)]
    kind = IndexError if isinstance(error, IndexError) else ValueError
    return kind(op.explain(error, shapes, constants))
