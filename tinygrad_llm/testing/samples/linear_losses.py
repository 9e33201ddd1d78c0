"""Samples of the cross-entropy of a linear layer: chunks, reductions, tied weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_llm import functional as F
from tinygrad_llm.testing.samples.drawing import Drawer
from tinygrad_llm.testing.samples.registry import Call, exact, sample


def _rows_of_loss(x, w, b, target, smoothing, transposed) -> np.ndarray:
    """Row by row, from the definition."""
    losses = np.zeros(len(x))
    for n, row in enumerate(x):
        z = row @ (w.T if transposed else w) + (0.0 if b is None else b)
        logp = z - z.max() - np.log(np.exp(z - z.max()).sum())
        losses[n] = -(1.0 - smoothing) * logp[target[n]] - smoothing * logp.mean()
    return losses


@sample("linearcrossentropy", draws=12)
def _chunks(d: Drawer) -> Call:
    """A chunk of all rows, of some, of one; squares first, for a missing transpose."""
    rows, width, classes = d.choice((3, 3, 3), (4, 2, 3), (0, 2, 2), (3, 3, 3), (5, 2, 4))
    scale, smoothing = d.choice(0.25, None, 1.0, None), d.choice(0.0, 0.2, 0.0)
    transposed, chunk = d.choice(False, True), d.choice(2, 1, 8)
    bias = d.array((classes,), size=3) if d.choice(True, True, False) else None
    weight = d.array((classes, width) if transposed else (width, classes), size=3)
    arrays = (d.array((rows, width), size=3), weight, bias, d.integers((rows,), classes))
    constants = {
        "scale": scale,
        "label_smoothing": smoothing,
        "transposed": transposed,
        "chunk": chunk,
        "ahead": d.choice((True, True, True), (True, True, True), (False, False, False)),
    }

    def reference(x: Any, w: Any, b: Any, target: Any) -> Any:
        rows = _rows_of_loss(x, w, b, target, smoothing, transposed)
        return rows if scale is None else scale * rows.sum()

    return Call(arrays, None, constants, reference)


@sample("linearcrossentropy", draws=6, composite=True)
def _reduced(d: Drawer) -> Call:
    """As users call it: of rows in any shape, of which some may not count."""
    reduction, transposed = d.choice("mean", "sum", "none"), d.choice(False, True)
    target = d.integers((2, 2), 3)
    target[1, 0] = d.choice(-100, 1, 0, -100)
    smoothing = d.choice(0.0, 0.1)
    weight = d.array((3, 2) if transposed else (2, 3), size=3)

    def function(x: Any, w: Any, b: Any) -> Any:
        given = {"reduction": reduction, "label_smoothing": smoothing, "transposed": transposed}
        return F.linear_cross_entropy(x, w, target, b, **given)

    return Call((d.array((2, 2, 2), size=3), weight, d.array((3,), size=3)), function)


@sample("linearcrossentropy", draws=1, composite=True)
def _with_the_embedding_that_it_is_tied_to(d: Drawer) -> Call:
    """The weight gets a gradient as a table and one as a head."""

    def function(table: Any, ids: Any) -> Any:
        x = F.embedding(ids, table)
        return F.linear_cross_entropy(x[:, :-1], table, ids[:, 1:], chunk=3, transposed=True)

    return Call((d.array((3, 2), size=3), np.array([[2, 0, 2], [1, 2, 0]])), function)


exact(
    "linearcrossentropy",
    "an ignored row of NaN leaves no trace, and a class of logit −∞ costs nothing",
    lambda x, w, b, target: F.linear_cross_entropy(x, w, target, b),
    ([[2.0], [np.nan]], [[0.0, 0.0, 3.0]], [0.0, 0.0, -np.inf], [0, -100]),
    4.0,
    [[0.0], [0.0]],
    [[-4.0, 4.0, 0.0]],
    [-2.0, 2.0, 0.0],
    None,
    value=np.log(2.0),
)
exact(
    "linearcrossentropy",
    "the mean over no row is 0",
    lambda x, w, target: F.linear_cross_entropy(x, w, target),
    ([[2.0]], [[1.0, 5.0]], [-100]),
    4.0,
    [[0.0]],
    [[0.0, 0.0]],
    None,
    value=0.0,
)
exact(
    "linearcrossentropy",
    "a sum that float16 cannot hold, of which the mean is asked",
    lambda x, w: F.linear_cross_entropy(
        x.astype("float16"), w.astype("float16"), np.zeros(4096, np.int64), chunk=2500
    ),
    (np.full((4096, 1), 64.0), np.zeros((1, 2))),
    1.0,
    np.zeros((4096, 1)),
    [[-32.0, 32.0]],
)
