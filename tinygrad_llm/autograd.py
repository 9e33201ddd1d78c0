"""Derivatives of functions: gradients, products with Jacobians, Jacobians, Hessians.

Conventions as in JAX and PyTorch: a vjp is vᵀJ (backward), a jvp is Jv (forward).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_llm import functional as F
from tinygrad_llm import graph
from tinygrad_llm.tensor import Tensor, cotangent, lift

Tensors = Any
"""A Tensor or a sequence of them; results come in the same form."""


def grad(
    outputs: Tensors,
    inputs: Tensors,
    grad_outputs: Any = None,
    retain_graph: bool = False,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> Any:
    """Gradients of `outputs` (summed, weighted by `grad_outputs`) with respect to `inputs`.

    No `.grad` changes.
    inputs: any tensors on the tape, computed ones too; only the nodes in between are computed.
    grad_outputs: one for each output; None for scalars.
    Raises RuntimeError when the outputs do not depend on an input, unless allow_unused gives None.
    """
    outputs = _as_list(outputs) if not isinstance(outputs, Tensor) else outputs
    given = _cotangents(outputs, grad_outputs)
    if len(given) != len(_as_list(outputs)):
        raise ValueError(f"grad: {len(given)} grad_outputs for {len(_as_list(outputs))} outputs")
    edges = [y._require_edge("grad") for y in _as_list(outputs)]
    wanted = [_edge_of_input(i, x) for i, x in enumerate(_as_list(inputs))]
    with graph.mode(grad=create_graph):
        roots = [cotangent(y, g, create_graph) for y, g in zip(_as_list(outputs), given)]
        totals = graph.walk_back(
            list(zip(edges, roots)), wanted, retain_graph or create_graph, lift(create_graph)
        )
        results = [
            _result(i, totals.get(edge), edge, allow_unused) for i, edge in enumerate(wanted)
        ]
    return results[0] if isinstance(inputs, Tensor) else tuple(results)


def _edge_of_input(i: int, x: Tensor) -> graph.Edge:
    if not x.requires_grad:
        raise RuntimeError(f"grad: input {i} requires no gradient: set requires_grad=True first")
    return x._edge


def _result(
    i: int, total: graph.Accumulator | None, edge: graph.Edge, allow_unused: bool
) -> Tensor | None:
    if total is None:
        if allow_unused:
            return None
        raise RuntimeError(
            f"grad: the outputs do not depend on input {i}; allow_unused=True gives None for it"
        )
    if isinstance(total.value, Tensor):
        return total.take(F.copy)
    return Tensor(total.take(lambda g: edge[0].xp.array(g)))


@graph.enable_grad()
def vjp(fn: Callable, inputs: Tensors, v: Any = None) -> tuple[Any, Any]:
    """(fn(*inputs), vᵀJ): the output and the gradients of ⟨v, output⟩ in the inputs.

    v: like the output (a tuple for several); 1 for a scalar when None.
    """
    xs = _leaves_on(inputs)
    y = fn(*xs)
    return _detached(y), _like(inputs, _grad_or_zeros(y, xs, v))


@graph.enable_grad()
def jvp(fn: Callable, inputs: Tensors, v: Tensors) -> tuple[Any, Any]:
    """(fn(*inputs), Jv): the output and its derivative in the direction v of the inputs.

    Jv is the gradient of uᵀJ, which is linear in u: two backward passes give it.
    v: like the inputs. Raises ValueError for a direction of another shape.
    """
    xs, directions = _leaves_on(inputs), _cotangents(inputs, v)
    given, expected = [np.shape(d) for d in directions], [x.shape for x in xs]
    if given != expected:
        raise ValueError(f"jvp: directions of shapes {given} for inputs of shapes {expected}")
    y = fn(*xs)
    us = _leaves_on(tuple(F.zeros_like(each) for each in _as_list(y)))
    pulled = _grad_or_zeros(y, xs, tuple(us), create_graph=True)
    total = sum(F.sum(g * d) for g, d in zip(pulled, directions))
    return _detached(y), _like(y, _grad_or_zeros(total, us, None))


@graph.enable_grad()
def jacobian(fn: Callable, inputs: Tensors, create_graph: bool = False) -> Any:
    """∂output/∂input for each input, of shape output.shape + input.shape; a row is a vjp.

    create_graph: record a tape of the result; then every input must require a gradient.
    """
    xs = _as_list(inputs) if create_graph else _leaves_on(inputs)
    for x in xs:
        x._require_edge("jacobian (input)")
    y = fn(*xs)
    if not isinstance(y, Tensor):
        raise TypeError(f"jacobian: the function must return one Tensor, not {type(y).__name__}")
    rows: list[list[Tensor]] = []
    for i in range(y.size):
        unit = np.zeros(y.size, y.dtype)
        unit[i] = 1
        v = Tensor(unit.reshape(y.shape), device=y.device)
        rows.append(_grad_or_zeros(y, xs, v, retain_graph=True, create_graph=create_graph))
    parts = [_joined([row[k] for row in rows], y, x) for k, x in enumerate(xs)]
    return parts[0] if isinstance(inputs, Tensor) else tuple(parts)


def _joined(rows: list[Tensor], y: Tensor, x: Tensor) -> Tensor:
    shape = (*y.shape, *x.shape)
    return F.reshape(F.stack(rows), shape) if rows else F.zeros(shape, dtype=y.dtype)


@graph.enable_grad()
def hessian(fn: Callable, inputs: Tensors) -> Any:
    """Second derivatives of a scalar function: x.shape + x.shape for one input, and for several a
    tuple of tuples, [i][j] in inputs i and j."""
    single = isinstance(inputs, Tensor)

    def gradient(k: int) -> Callable:
        def first(*xs: Tensor) -> Tensor:
            return _grad_or_zeros(fn(*xs), list(xs), None, create_graph=True)[k]

        return first

    if single:
        return jacobian(gradient(0), inputs)
    return tuple(jacobian(gradient(k), inputs) for k in range(len(inputs)))


def _as_list(tensors: Tensors) -> list:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _cotangents(outputs: Tensors, given: Any) -> list:
    """One for each output; for a single output its array itself will do."""
    if given is None:
        return [None] * len(_as_list(outputs))
    if isinstance(outputs, Tensor):
        listed = isinstance(given, (list, tuple)) and any(isinstance(g, Tensor) for g in given)
        given = given if listed else [given]
    elif isinstance(given, Tensor):
        raise TypeError("grad: grad_outputs for a list of outputs is a list, one for each")
    return list(given)


def _like(inputs: Tensors, results: list[Tensor]) -> Any:
    return results[0] if isinstance(inputs, Tensor) else tuple(results)


def _leaves_on(inputs: Tensors) -> list[Tensor]:
    """Leaves on the same memory: the derivative is taken in the arguments, not in their past."""
    leaves = [x.detach() for x in _as_list(inputs)]
    for x in leaves:
        x.requires_grad = True
    return leaves


def _detached(y: Any) -> Any:
    return y.detach() if isinstance(y, Tensor) else tuple(each.detach() for each in y)


def _grad_or_zeros(y: Tensors, xs: Sequence[Tensor], v: Any, **options: Any) -> list[Tensor]:
    """As grad, with zeros for inputs that no output depends on."""
    pairs = list(zip(_as_list(y), _cotangents(y, v), strict=True))
    taped = [(each, g) for each, g in pairs if each.requires_grad]
    if not taped:
        return [F.zeros_like(x) for x in xs]
    outputs, given = zip(*taped)
    found = grad(outputs, list(xs), given, allow_unused=True, **options)
    return [F.zeros_like(x) if g is None else g for g, x in zip(found, xs)]
