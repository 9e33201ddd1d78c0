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
    g, ours, total.owned = total.value, total.owned, False  # an input named twice gets two arrays
    if isinstance(g, Tensor):
        return g if ours else F.copy(g)
    return Tensor(g if ours else edge[0].xp.array(g))


@graph.enable_grad()
def vjp(fn: Callable, inputs: Tensors, v: Any = None) -> tuple[Any, Any]:
    """(fn(*inputs), vᵀJ): the output and the gradients of ⟨v, output⟩ in the inputs.

    v: like the output (a tuple for several); 1 for a scalar when None.
    """
    xs = _fresh(inputs)
    y = fn(*xs)
    return _detached(y), _like(inputs, _grad_or_zeros(y, xs, v))


@graph.enable_grad()
def jvp(fn: Callable, inputs: Tensors, v: Tensors) -> tuple[Any, Any]:
    """(fn(*inputs), Jv): the output and its derivative in the direction v of the inputs.

    Jv is the gradient of uᵀJ, which is linear in u: two backward passes give it.
    v: like the inputs. Raises ValueError for a direction of another shape.
    """
    xs, directions = _fresh(inputs), _cotangents(inputs, v)
    given, expected = [np.shape(d) for d in directions], [x.shape for x in xs]
    if given != expected:
        raise ValueError(f"jvp: directions of shapes {given} for inputs of shapes {expected}")
    y = fn(*xs)
    us = _fresh(tuple(F.zeros_like(each) for each in _as_list(y)))
    pulled = _grad_or_zeros(y, xs, tuple(us), create_graph=True)
    total = sum(F.sum(g * d) for g, d in zip(pulled, directions))
    return _detached(y), _like(y, _grad_or_zeros(total, us, None))


@graph.enable_grad()
def jacobian(fn: Callable, inputs: Tensors, create_graph: bool = False) -> Any:
    """∂output/∂input for each input, of shape output.shape + input.shape; a row is a vjp.

    create_graph: record a tape of the result; then every input must require a gradient.
    """
    xs = _as_list(inputs) if create_graph else _fresh(inputs)
    for x in xs:
        x._require_edge("jacobian (input)")
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
        outputs = fn(*inputs)
    frame.close()
    return outputs


class _Frame:
    """One checkpointed call: how to make it again, and what its ops saved when it was."""

    def __init__(self, fn: Callable, inputs: tuple):
        self.fn, self.inputs = fn, inputs
        self.read = {id(c): c for c in [x._version for x in inputs if isinstance(x, Tensor)]}
        self.made: set[int] = set()
        self.versions: list[tuple[list[int], int]] = []
        self.context = copy_context()
        self.moment = random.moment()
        self.ops: list[Any] = []
        self.saved: dict[int, tuple] = {}

    def keep(self, node: graph.Node, read: list, made: list) -> _Handle:
        """Note the op and the version counters of what came from outside, captured or given."""
        self.read |= {id(c): c for c in read if c is not None and id(c) not in self.made}
        self.made |= {id(c) for c in made if id(c) not in self.read}
        self.ops.append((node.op, node.outputs))
        return _Handle(self, len(self.ops) - 1)

    def close(self) -> None:
        """What was read must stay as it is now, or the second time would compute something else."""
        self.versions = [(counter, counter[0]) for counter in self.read.values()]

    def fetch(self, index: int) -> tuple:
        if index not in self.saved:
            self.saved = self.context.copy().run(self._again)
        return self.saved.pop(index)

    def _again(self) -> dict[int, tuple]:
        """Run fn once more under the modes and random numbers of the first time."""
        if any(counter[0] != version for counter, version in self.versions):
            raise RuntimeError(
                "checkpoint: a tensor that the function reads was changed in place since: "
                "change a copy, or run backward first"
            )
        ops: list[Any] = []
        saved: list[Any] = []  # by itself, for a backward inside of fn empties its nodes

        def note(node: graph.Node, *counters: list) -> Any:
            ops.append((node.op, node.outputs))
            saved.append(node.saved)
            return node.saved

        with random.replay(self.moment), graph.mode(keep=note):
            self.fn(*self.inputs)
        # A backward inside of fn comes here before all of the ops have run.
        if ops[: len(self.ops)] != self.ops:
            raise RuntimeError(
                "checkpoint: the function ran other ops, or other shapes, the second time: "
                "it must compute the same from the same inputs"
            )
        return dict(enumerate(saved))


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


def _grad_or_zeros(y: Tensors, xs: Sequence[Tensor], v: Any, **options: Any) -> list[Tensor]:
    """As grad, with zeros for inputs that no output depends on."""
    pairs = list(zip(_as_list(y), _cotangents(y, v), strict=True))
    taped = [(each, g) for each, g in pairs if each.requires_grad]
    if not taped:
        return [F.zeros_like(x) for x in xs]
    outputs, given = zip(*taped)
    found = grad(outputs, list(xs), given, allow_unused=True, **options)
    return [F.zeros_like(x) if g is None else g for g, x in zip(found, xs)]
