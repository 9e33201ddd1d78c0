"""Derivatives of functions: gradients, products with Jacobians, Jacobians, Hessians, checkpoints.

Conventions as in JAX and PyTorch: a vjp is vᵀJ (backward), a jvp is Jv (forward).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Any

import numpy as np

from tinygrad_llm import functional as F
from tinygrad_llm import graph
from tinygrad_llm.backend import random
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
    """Gradients of `outputs` (summed, weighted by `grad_outputs`) in `inputs`; no `.grad` changes.

    inputs: any tensors on the tape, computed ones too; only what lies on the way is worked out.
    grad_outputs: one for each output; None for scalars.
    Raises RuntimeError when an input has no part in the outputs, unless allow_unused gives None.
    """
    given = _cotangents(outputs, grad_outputs)
    outputs = _as_list(outputs)
    if len(given) != len(outputs):
        raise ValueError(f"grad: {len(given)} grad_outputs for {len(outputs)} outputs")
    roots = [
        (y._require_edge("grad"), cotangent(y, g, create_graph)) for y, g in zip(outputs, given)
    ]
    wanted = [x._require_edge("grad (input)") for x in _as_list(inputs)]
    sums = graph.walk_back(roots, wanted, retain_graph or create_graph, lift(create_graph))
    results = [_result(i, sums.get(edge), edge, allow_unused) for i, edge in enumerate(wanted)]
    return results[0] if isinstance(inputs, Tensor) else tuple(results)


def _result(i: int, total: graph.Sum | None, edge: graph.Edge, allow_unused: bool) -> Any:
    if total is None or total.value is None:
        if allow_unused:
            return None
        raise RuntimeError(
            f"grad: input {i} has no part in the outputs; allow_unused=True gives None for it"
        )
    g = total.value
    return g if isinstance(g, Tensor) else Tensor(g if total.owned else edge[0].xp.array(g))


def vjp(fn: Callable, inputs: Tensors, v: Any = None) -> tuple[Any, Any]:
    """(fn(*inputs), vᵀJ): the output and the gradients of ⟨v, output⟩ in the inputs.

    v: like the output; 1 for a scalar when None.
    """
    xs = _fresh(inputs)
    y = fn(*xs)
    return _detached(y), _like(inputs, _grad_or_zeros(y, xs, v))


def jvp(fn: Callable, inputs: Tensors, v: Tensors) -> tuple[Any, Any]:
    """(fn(*inputs), Jv): the output and its derivative in the direction v of the inputs.

    Jv is the gradient of uᵀJ, which is linear in u: two backward passes give it.
    """
    xs = _fresh(inputs)
    y = fn(*xs)
    u = F.zeros_like(y)
    u.requires_grad = True
    pulled = _grad_or_zeros(y, xs, u, create_graph=True)
    inner = [F.sum(g * d) for g, d in zip(pulled, _as_list(v))]
    total = inner[0]
    for each in inner[1:]:
        total = total + each
    if not total.requires_grad:
        return _detached(y), F.zeros_like(y)
    pushed = grad(total, u, allow_unused=True)
    return _detached(y), F.zeros_like(y) if pushed is None else pushed


def jacobian(fn: Callable, inputs: Tensors, create_graph: bool = False) -> Any:
    """∂output/∂input for each input, of shape output.shape + input.shape; a row is a vjp."""
    xs = _as_list(inputs) if create_graph else _fresh(inputs)
    y = fn(*xs)
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
    return F.reshape(F.stack(rows), shape) if rows else F.zeros(shape, y.dtype)


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


def checkpoint(fn: Callable, *inputs: Any) -> Any:
    """fn(*inputs), keeping nothing of its inside: backward computes it once more on the way.

    The ops stay on the tape; only what they saved is dropped, and made again, with the same random
    numbers, when the first of them is asked. So gradients of captured parameters, `grad` and second
    derivatives work as without it (Chen et al. 2016; non-reentrant).
    fn must compute the same each time that it is called.
    """
    if graph.current_mode().keep is not None or not graph.current_mode().grad:
        return fn(*inputs)
    frame = _Frame(fn, inputs)
    with graph.mode(keep=frame.keep):
        return fn(*inputs)


class _Frame:
    """One checkpointed call: how to make it again, and what its ops saved when it was."""

    def __init__(self, fn: Callable, inputs: tuple):
        self.fn, self.inputs = fn, inputs
        self.versions = [x._version[0] for x in inputs if isinstance(x, Tensor)]
        self.context = copy_context()
        self.draws = random.positions()
        self.ops: list[Any] = []
        self.saved: dict[int, tuple] = {}

    def keep(self, node: graph.Node) -> _Handle:
        self.ops.append(node.op)
        return _Handle(self, len(self.ops) - 1)

    def fetch(self, index: int) -> tuple:
        if index not in self.saved:
            self.saved = self.context.copy().run(self._again)
        return self.saved.pop(index)

    def _again(self) -> dict[int, tuple]:
        """Run fn once more under the modes and random numbers of the first time."""
        if self.versions != [x._version[0] for x in self.inputs if isinstance(x, Tensor)]:
            raise RuntimeError("checkpoint: an input was changed in place before backward")
        made: list[graph.Node] = []

        def note(node: graph.Node) -> Any:
            made.append(node)
            return node.saved

        now = random.positions()
        random.rewind(self.draws)
        try:
            with graph.mode(keep=note):
                self.fn(*self.inputs)
        finally:
            random.rewind(now)
        if [node.op for node in made] != self.ops:
            raise RuntimeError("checkpoint: the function ran other ops the second time")
        return {i: node.saved for i, node in enumerate(made)}


class _Handle:
    """Stands on a node in the place of what its op saved."""

    def __init__(self, frame: _Frame, index: int):
        self.frame, self.index = frame, index

    def fetch(self) -> tuple:
        return self.frame.fetch(self.index)


def _as_list(tensors: Tensors) -> list:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _cotangents(outputs: Tensors, given: Any) -> list:
    """One for each output; for a single output its array itself will do."""
    if given is None:
        return [None] * len(_as_list(outputs))
    listed = isinstance(given, (list, tuple)) and all(isinstance(g, Tensor) for g in given)
    return list(given) if listed or not isinstance(outputs, Tensor) else [given]


def _like(inputs: Tensors, results: list[Tensor]) -> Any:
    return results[0] if isinstance(inputs, Tensor) else tuple(results)


def _fresh(inputs: Tensors) -> list[Tensor]:
    """Leaves on the same memory: the derivative is taken in the arguments, not in their past."""
    leaves = [x.detach() for x in _as_list(inputs)]
    for x in leaves:
        x.requires_grad = True
    return leaves


def _detached(y: Any) -> Any:
    return y.detach() if isinstance(y, Tensor) else tuple(each.detach() for each in y)


def _grad_or_zeros(y: Tensor, xs: Sequence[Tensor], v: Any, **options: Any) -> list[Tensor]:
    """As grad, with zeros for inputs that the output does not depend on."""
    if not y.requires_grad:
        return [F.zeros_like(x) for x in xs]
    found = grad(y, list(xs), v, allow_unused=True, **options)
    return [F.zeros_like(x) if g is None else g for g, x in zip(found, xs)]
