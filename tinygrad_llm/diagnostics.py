"""Floor 7: what to look at when training goes wrong: activations and gradients by layer, dead
units, and whether a model can learn one batch by heart.

`chapters/failures.md` says which to call when.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from tinygrad_llm import graph
from tinygrad_llm.nn import Module
from tinygrad_llm.optim import Adam
from tinygrad_llm.tensor import Tensor

MOST = 10_000
"""Values that `watch` keeps of one array."""


class Watch:
    """What the layers of a model put out, and which gradients came back, in each forward pass.

    activations, gradients: layer → a list with one array for each call; up to 10,000 values, evenly
    taken. The gradient of a call that no backward followed is None. Under `checkpoint` the second
    forward pass of a layer is a call too.
    """

    def __init__(self) -> None:
        self.activations: dict[str, list[np.ndarray]] = {}
        self.gradients: dict[str, list[np.ndarray | None]] = {}

    def see(self, layer: str, output: Tensor) -> None:
        """Keep one output, and its gradient when that comes."""
        calls = self.gradients.setdefault(layer, [])
        place = len(calls)
        calls.append(None)
        self.activations.setdefault(layer, []).append(_thinned(output))

        def arrived(g: Tensor) -> None:
            if calls[place] is None:  # the first: an output that is an input too may get others
                calls[place] = _thinned(g)

        if output.requires_grad:
            output.register_hook(arrived)


def _thinned(x: Tensor) -> np.ndarray:
    values = x.numpy().reshape(-1)
    return values[:: -(-values.size // MOST) or 1].copy()


@contextmanager
def watch(model: Module) -> Iterator[Watch]:
    """Within the block every forward pass is seen, layer by layer: modules that have none inside.

    with watch(model) as seen:
        F.cross_entropy(model(x), y).backward()
    plot.histograms(seen.gradients, "Gradients by layer")
    """
    seen = Watch()
    with _on_each_layer(model, seen.see):
        yield seen


@contextmanager
def _on_each_layer(model: Module, see: Callable[[str, Tensor], None]) -> Iterator[None]:
    """Call `see(layer, output)` whenever a layer has made a Tensor of floating point numbers."""

    def hook_of(name: str) -> Callable[[Module, tuple, Any], None]:
        def hook(module: Module, inputs: tuple, output: Any) -> None:
            if isinstance(output, Tensor) and output.dtype.kind == "f":
                see(name, output)

        return hook

    hooks = [
        module.register_forward_hook(hook_of(name))
        for name, module in model.named_modules()
        if next(module.children(), None) is None
    ]
    try:
        yield
    finally:
        for remove in hooks:
            remove()


def gradient_norms(model: Module) -> dict[str, float]:
    """Parameter → the Euclidean norm of its gradient; NaN for one that has none.

    Raises RuntimeError when no parameter has a gradient.
    """
    grads = {name: p.grad for name, p in model.named_parameters()}
    if all(g is None for g in grads.values()):
        raise RuntimeError("gradient_norms: there are no gradients: run backward first")
    return {name: math.nan if g is None else _norm(g) for name, g in grads.items()}


def _norm(g: Tensor) -> float:
    return float(np.linalg.norm(g.numpy().astype(np.float64).reshape(-1)))


class Dead(NamedTuple):
    """Of one layer: how many of its units are dead."""

    dead: int
    units: int


def dead_units(model: Module, x: Any, tolerance: float = 1e-6) -> dict[str, Dead]:
    """Layer → units (along the last axis) that give the same output for every row of x.

    A ReLU that is 0 everywhere is dead, a tanh that is 1 everywhere too: nothing that comes in
    changes it, and no gradient passes. The model runs as after `eval()`, without a tape. A layer
    that is called again is there again, as "name #2".
    Raises ValueError for fewer than two rows.
    """
    found: dict[str, Dead] = {}

    def see(layer: str, output: Tensor) -> None:
        calls = 1 + sum(name.partition(" #")[0] == layer for name in found)
        found[layer if calls == 1 else f"{layer} #{calls}"] = _dead(output.numpy(), tolerance)

    modes = [(module, module.training) for module in model.modules()]
    try:
        with graph.no_grad(), _on_each_layer(model, see):
            model.eval()(x)
    finally:
        for module, training in modes:
            module.training = training
    return found


def _dead(y: np.ndarray, tolerance: float) -> Dead:
    if not y.ndim or not y.shape[-1]:
        return Dead(0, 0)
    rows = y.reshape(-1, y.shape[-1])
    if len(rows) < 2:
        raise ValueError("dead_units: give at least two rows, to see what changes between them")
    still = ~(np.ptp(rows, axis=0) > tolerance)  # NaN everywhere is dead too
    return Dead(int(still.sum()), len(still))


def overfit_one_batch(
    model: Module, loss: Callable[[Module], Tensor], steps: int = 300, lr: float = 1e-2
) -> list[float]:
    """The loss in each of `steps` steps of Adam on one batch, by a copy of the model.

        losses = overfit_one_batch(model, lambda m: F.cross_entropy(m(x), y))

    A model, a loss and labels that fit together reach nearly 0 on a batch of a few rows. If this
    does not, look for a bug; no amount of data will help. The model itself stays as it is.
    Stops early at a loss that is not finite. Raises RuntimeError for a loss that does not use the
    copy it is given.
    """
    learner = copy.deepcopy(model)
    optimizer = Adam(learner.parameters(), lr=lr)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        value = loss(learner)
        losses.append(float(value))
        if not math.isfinite(losses[-1]):
            break
        value.backward()
        if all(parameter.grad is None for parameter in learner.parameters()):
            raise RuntimeError(
                "overfit_one_batch: no gradient arrives: the loss must use the model that it is "
                "given, as in lambda m: F.cross_entropy(m(x), y)"
            )
        optimizer.step()
    return losses
