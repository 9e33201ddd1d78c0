"""Samples of scaled dot-product attention: masks, positions, grouped heads, dropout, weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_llm import functional as F
from tinygrad_llm.backend.random import Draw, drop_units, keep_mask
from tinygrad_llm.testing.samples.drawing import Drawer, Shape
from tinygrad_llm.testing.samples.registry import Call, exact, sample

SHAPES: tuple[tuple[Shape, Shape, Shape], ...] = (
    ((2, 2, 2), (2, 2, 2), (2, 2, 2)),
    ((1, 4, 2, 2), (1, 2, 2, 2), (1, 2, 2, 2)),
    ((3, 3), (3, 3), (3, 3)),
    ((4, 2, 3), (2, 3, 3), (2, 3, 2)),
    ((2, 1, 3, 2), (2, 1, 4, 2), (2, 1, 4, 3)),
    ((3, 2, 2), (1, 3, 2), (1, 3, 1)),
    ((0, 2, 2, 1), (0, 1, 3, 1), (0, 1, 3, 2)),
)
"""q, k and v; squares first, so that a missing transpose gives a wrong value and no error."""


def _drawn(d: Drawer) -> tuple[np.ndarray, np.ndarray, np.ndarray, Any]:
    """q, k, v, and a mask of booleans or numbers, or none; the mask may hide whole rows."""
    q, k, v = (d.array(shape, size=3) for shape in d.choice(*SHAPES))
    kind = d.choice(None, "boolean", "added", "boolean", None)
    if kind is None:
        return q, k, v, None
    scores = (*q.shape[:-1], k.shape[-2])
    shape = d.choice(scores, scores[-2:], (*(1 for _ in scores[1:]), scores[-1]))
    hidden = d.rng.random(shape) < 0.4
    hidden[..., 0, :] = d.choice(False, True) | hidden[..., 0, :]
    if kind == "boolean":
        return q, k, v, ~hidden
    return q, k, v, np.where(hidden, -np.inf, d.array(shape, size=3))


def _attention(q, k, v, mask, causal, offset, scale, p=0.0, draw=None) -> tuple[Any, Any]:
    """Output and weights from the definition, one query after another."""
    heads = q.shape[-3] // k.shape[-3] if q.ndim > 2 else 1
    k, v = (np.repeat(x, heads, axis=-3) if q.ndim > 2 else x for x in (k, v))
    weights = np.zeros((*q.shape[:-1], k.shape[-2]))
    keep = 1.0 if draw is None else keep_mask(draw, weights.shape, p, "cpu")
    for place in np.ndindex(weights.shape[:-1]):
        scores = k[place[:-1]] @ q[place] * scale
        if mask is not None:
            row = np.broadcast_to(mask, weights.shape)[place]
            scores = np.where(row, scores, -np.inf) if row.dtype == bool else scores + row
        if causal:
            scores[place[-1] + offset + 1 :] = -np.inf
        if np.isfinite(scores).any():
            weights[place] = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
    share = 1.0 - drop_units(p) / 65536
    return (weights * keep / share) @ v, weights


@sample("scaleddotproductattention", draws=15)
def _masks_and_positions(d: Drawer) -> Call:
    q, k, v, mask = _drawn(d)
    causal, offset = d.choice(False, True, True), d.choice(0, 0, 1, 2)
    weights, scale = d.choice(False, True), d.choice(0.5, None, 1.3)
    constants = {
        "causal": causal,
        "offset": offset,
        "scale": 1.0 / math.sqrt(q.shape[-1]) if scale is None else scale,
        "p": 0.0,
        "draw": None,
        "return_weights": weights,
    }

    def function(q: Any, k: Any, v: Any, mask: Any) -> Any:
        given = {"scale": scale, "return_weights": weights, "offset": offset, "is_causal": causal}
        return F.scaled_dot_product_attention(q, k, v, mask, **given)

    def reference(q: Any, k: Any, v: Any, mask: Any) -> Any:
        return _attention(q, k, v, mask, causal, offset, constants["scale"])[0]

    return Call((q, k, v, mask), function, constants, reference)


@sample("scaleddotproductattention", draws=7)
def _dropout(d: Drawer) -> Call:
    q, k, v, mask = _drawn(d)
    p, draw = d.choice(0.3, 0.6), Draw(d.choice(11, 12, 13), 3)
    constants = {
        "causal": False,
        "offset": 0,
        "scale": 0.7,
        "p": p,
        "draw": draw,
        "return_weights": d.choice(True, False),
    }

    def reference(q: Any, k: Any, v: Any, mask: Any) -> Any:
        return _attention(q, k, v, mask, False, 0, 0.7, p, draw)[0]

    return Call((q, k, v, mask), None, constants, reference)


@sample("scaleddotproductattention", draws=1, composite=True)
def _of_one_array_with_itself(d: Drawer) -> Call:
    """Drawn from the stream in training, and not out of it."""

    def function(x: Any) -> Any:
        y = F.scaled_dot_product_attention(x, x, x, dropout_p=0.4)
        return y * F.scaled_dot_product_attention(x, x, x, dropout_p=0.4, training=False)

    return Call((d.array((2, 3, 2), size=3),), function)


exact(
    "scaleddotproductattention",
    "a query that may see nothing gives 0 and has gradient 0; keys that nobody sees too",
    lambda q, k, v, mask: F.scaled_dot_product_attention(q, k, v, mask),
    ([[1.0], [2.0]], [[3.0], [0.5]], [[5.0, 7.0], [2.0, 4.0]], [[False, False], [True, False]]),
    [[11.0, 13.0], [17.0, 19.0]],
    [[0.0], [0.0]],
    [[0.0], [0.0]],
    [[17.0, 19.0], [0.0, 0.0]],
    None,
    value=[[0.0, 0.0], [5.0, 7.0]],
)
exact(
    "scaleddotproductattention",
    "scores beyond what exp can hold, and rows whose added mask is −∞",
    lambda q, k, v, mask: F.scaled_dot_product_attention(q, k, v, mask),
    (
        [[1e3], [2.0]],
        [[1e3], [-1e3]],
        [[5.0], [3.0]],
        [[0.0, 0.0], [-np.inf, -np.inf]],
    ),
    [[11.0], [17.0]],
    [[0.0], [0.0]],
    [[0.0], [0.0]],
    [[11.0], [0.0]],
    None,
    value=[[5.0], [0.0]],
)
exact(
    "scaleddotproductattention",
    "equal scores share alike; a causal query sees none that comes after it",
    lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
    ([[0.0], [0.0]], [[3.0], [5.0]], [[2.0], [6.0]]),
    [[1.0], [8.0]],
    [[0.0], [16.0]],
    [[0.0], [0.0]],
    [[5.0], [4.0]],
    value=[[2.0], [4.0]],
)
