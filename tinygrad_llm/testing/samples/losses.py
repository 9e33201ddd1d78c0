"""Samples of the losses, with all their reductions and targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_llm import functional as F
from tinygrad_llm.ops import OPS
from tinygrad_llm.tensor import apply
from tinygrad_llm.testing.samples.drawing import Drawer
from tinygrad_llm.testing.samples.registry import Call, exact, sample

WEIGHTS = np.array([0.5, 2.0, 1.25, 0.75])


def _log_softmax(z: np.ndarray) -> np.ndarray:
    z = z - z.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def _rows_of_loss(z, target, weight, ignored, smoothing):
    """Cross-entropy row by row, from its definition."""
    classes, losses = z.shape[-1], np.zeros(target.shape)
    weight = np.ones(classes) if weight is None else weight
    for place in np.ndindex(target.shape):
        if target[place] != ignored:
            logp = _log_softmax(z[place])
            wanted = np.full(classes, smoothing / classes)
            wanted[target[place]] += 1.0 - smoothing
            losses[place] = -np.sum(weight * wanted * logp)
    return losses


@sample("crossentropy", draws=6)
def _plain_rows(d: Drawer) -> Call:
    """Rows, their sum and their mean; with a row that is not counted and without."""
    shape, scale = d.choice((4,), (2, 3), (3,), ()), d.choice(None, 1.0, 0.25)
    target, counted = d.integers(shape, 4), None
    if d.choice(True, False):
        counted = np.ones(shape, bool)
        counted.flat[0] = False
    z = d.array((*shape, 4))

    def function(z: Any, target: Any, counted: Any) -> Any:
        return apply(OPS["crossentropy"], z, target, counted, scale=scale)

    def reference(z: Any, target: Any, counted: Any) -> Any:
        ignored = -100
        target = target if counted is None else np.where(counted, target, ignored)
        rows = _rows_of_loss(z, target, None, ignored, 0.0)
        return rows if scale is None else scale * rows.sum()

    return Call((z, target, counted), function, {"scale": scale}, reference)


@sample("weightedcrossentropy", draws=4)
def _rows(d: Drawer) -> Call:
    """Every target, weights or none, smoothing or none, an ignored row."""
    shape = d.choice((4,), (2, 3), (5,), (3,))
    ignored, smoothing = d.choice(-100, 2, -100, -1), d.choice(0.0, 0.1, 0.3)
    weight = d.choice(None, WEIGHTS)
    target = d.integers(shape, 4)
    target.flat[0] = ignored
    z = d.array((*shape, 4))
    constants = {"ignore_index": ignored, "label_smoothing": smoothing}

    def function(z: Any, target: Any, weight: Any) -> Any:
        return apply(OPS["weightedcrossentropy"], z, target, weight, **constants)

    def reference(z: Any, target: Any, weight: Any) -> Any:
        return _rows_of_loss(z, target, weight, ignored, smoothing)

    return Call((z, target, weight), function, constants, reference)


@sample("weightedcrossentropy", draws=6, composite=True)
def _reduced(d: Drawer) -> Call:
    reduction, weight = d.choice("mean", "sum", "none"), d.choice(WEIGHTS, None, WEIGHTS)
    smoothing = d.choice(0.1, 0.1, 0.0)
    target = d.integers((3,), 4)
    target[1] = -100

    def function(z: Any, target: Any) -> Any:
        return F.cross_entropy(z, target, weight, reduction=reduction, label_smoothing=smoothing)

    return Call((d.array((3, 4), size=10), target), function)


@sample("crossentropy", draws=3, composite=True)
def _plain_reduced(d: Drawer) -> Call:
    reduction = d.choice("mean", "sum", "none")
    target = d.integers((3,), 4)
    target[1] = d.choice(-100, 2, -100)

    def function(z: Any, target: Any) -> Any:
        return F.cross_entropy(z, target, reduction=reduction)

    return Call((d.array((3, 4), size=10), target), function)


exact(
    "crossentropy",
    "an ignored row counts neither in the gradient nor in the mean",
    lambda z, target: F.cross_entropy(z, target),
    ([[0.0, 0.0], [3.0, 7.0]], [1, -100]),
    4.0,
    [[2.0, -2.0], [0.0, 0.0]],
    None,
    value=np.log(2.0),
)
exact(
    "crossentropy",
    "a class with logit −∞ has probability 0, and costs nothing unless it is the target",
    lambda z, target: F.cross_entropy(z, target, reduction="none"),
    ([[0.0, 0.0, -np.inf], [-np.inf, 5.0, -np.inf]], [0, 1]),
    [4.0, 6.0],
    [[-2.0, 2.0, 0.0], [0.0, 0.0, 0.0]],
    None,
    value=[np.log(2.0), 0.0],
)
exact(
    "crossentropy",
    "an ignored row of NaN leaves no trace",
    lambda z, target: F.cross_entropy(z, target),
    ([[0.0, 0.0], [np.nan, np.nan]], [1, -100]),
    4.0,
    [[2.0, -2.0], [0.0, 0.0]],
    None,
    value=np.log(2.0),
)
exact(
    "crossentropy",
    "the mean over no row is 0",
    lambda z, target: F.cross_entropy(z, target),
    ([[1.0, 2.0]], [-100]),
    4.0,
    [[0.0, 0.0]],
    None,
    value=0.0,
)


exact(
    "weightedcrossentropy",
    "a class with logit −∞ and no part in the target costs nothing",
    lambda z, target: F.cross_entropy(z, target, [1.0, 2.0, 3.0], reduction="none"),
    ([[0.0, 0.0, -np.inf], [-np.inf, 5.0, -np.inf]], [0, 1]),
    [4.0, 6.0],
    [[-2.0, 2.0, 0.0], [0.0, 0.0, 0.0]],
    None,
    value=[np.log(2.0), 0.0],
)
exact(
    "weightedcrossentropy",
    "an ignored row of NaN leaves no trace",
    lambda z, target: F.cross_entropy(z, target, [1.0, 1.0]),
    ([[0.0, 0.0], [np.nan, np.nan]], [1, -100]),
    4.0,
    [[2.0, -2.0], [0.0, 0.0]],
    None,
    value=np.log(2.0),
)
exact(
    "weightedcrossentropy",
    "the mean over no row is 0",
    lambda z, target: F.cross_entropy(z, target, label_smoothing=0.1),
    ([[1.0, 2.0]], [-100]),
    4.0,
    [[0.0, 0.0]],
    None,
    value=0.0,
)


@sample("softcrossentropy", draws=4)
def _distributions(d: Drawer) -> Call:
    """The target requires a gradient too, and its rows need not sum to 1."""
    shape = d.choice((3, 3), (2, 3), (2, 2, 3), (4,))
    z, t = d.array(shape), d.array(shape, size=1, positive=True)
    return Call(
        (z, t),
        lambda z, t: F.cross_entropy(z, t, reduction="none"),
        reference=lambda z, t: -(t * _log_softmax(z)).sum(-1),
    )


@sample("softcrossentropy", draws=2, composite=True)
def _smoothed_and_weighted(d: Drawer) -> Call:
    reduction, smoothing = d.choice("mean", "sum"), d.choice(0.0, 0.2)

    def function(z: Any, t: Any) -> Any:
        return F.cross_entropy(z, t, WEIGHTS, reduction=reduction, label_smoothing=smoothing)

    return Call((d.array((2, 4), size=10), d.array((2, 4), size=1, positive=True)), function)


exact(
    "softcrossentropy",
    "a class with logit −∞ costs nothing where t = 0",
    lambda z, t: F.cross_entropy(z, t, reduction="none"),
    ([[0.0, 0.0, -np.inf]], [[0.25, 0.75, 0.0]]),
    [4.0],
    [[1.0, -1.0, 0.0]],
    None,
    value=[np.log(2.0)],
)
exact(
    "softcrossentropy",
    "the target's gradient is −ln p, infinite where p = 0",
    lambda z, t: F.cross_entropy(z, t, reduction="none"),
    ([[0.0, 0.0, -np.inf]], [[0.25, 0.75, 0.0]]),
    [4.0],
    None,
    [[4.0 * np.log(2.0), 4.0 * np.log(2.0), np.inf]],
)


def elementwise(op: str, function: Callable, target: dict[str, Any], formula: Callable) -> None:
    """Samples of a loss of equal shapes, per element and reduced."""

    def each(d: Drawer) -> Call:
        shape = d.shape((2, 3), (), (0, 3), (2, 2, 2))
        arrays = (d.array(shape), d.array(shape, **target))
        return Call(arrays, lambda x, t: function(x, t, reduction="none"), reference=formula)

    def reduced(d: Drawer) -> Call:
        how = d.choice("mean", "sum")
        arrays = (d.array((2, 3), size=10), d.array((2, 3), **{"size": 10, **target}))
        return Call(arrays, lambda x, t: function(x, t, reduction=how))

    sample(op, draws=4)(each)
    sample(op, draws=2, composite=True)(reduced)


def _bce(z: np.ndarray, t: np.ndarray) -> np.ndarray:
    return np.logaddexp(0.0, z) - z * t


elementwise("squarederror", lambda x, t, **k: F.mse_loss(x, t, **k), {}, lambda x, t: (x - t) ** 2)
elementwise(
    "bcewithlogits",
    lambda x, t, **k: F.binary_cross_entropy_with_logits(x, t, **k),
    {"size": 1, "positive": True},
    _bce,
)
elementwise(
    "kldiv",
    lambda x, t, **k: F.kl_div(x, t, **k),
    {"size": 1, "positive": True},
    lambda x, t: t * (np.log(t) - x),
)


@sample("kldiv", draws=1, composite=True)
def _batchmean(d: Drawer) -> Call:
    arrays = (d.array((2, 3), size=10), d.array((2, 3), size=1, positive=True))
    return Call(arrays, lambda x, t: F.kl_div(x, t, reduction="batchmean"))


exact(
    "kldiv",
    "where t = 0: value 0, both gradients 0",
    lambda x, t: F.kl_div(x, t, reduction="none"),
    ([-1.0, -2.0], [0.0, 1.0]),
    [5.0, 7.0],
    [0.0, -7.0],
    [0.0, 21.0],
    value=[0.0, 2.0],
)
exact(
    "kldiv",
    "where t = 0, all is 0 at x = −∞ too",
    lambda x, t: F.kl_div(x, t, reduction="none"),
    ([-np.inf, -2.0], [0.0, 1.0]),
    [5.0, 7.0],
    [0.0, -7.0],
    [0.0, 21.0],
    value=[0.0, 2.0],
)
exact(
    "bcewithlogits",
    "finite far out",
    lambda z, t: F.binary_cross_entropy_with_logits(z, t, reduction="none"),
    ([-1000.0, 1000.0], [1.0, 0.5]),
    [5.0, 8.0],
    [-5.0, 4.0],
    [5000.0, -8000.0],
    value=[1000.0, 500.0],
)
