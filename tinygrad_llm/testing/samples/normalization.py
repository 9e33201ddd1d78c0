"""Samples of layer norm and RMS norm, alone and with the residual sum before them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_llm import functional as F
from tinygrad_llm.testing.samples.drawing import Drawer, Shape
from tinygrad_llm.testing.samples.registry import Call, exact, sample

SHAPES: tuple[Shape, ...] = ((3, 3), (2, 3, 4), (4,), (0, 3), (2, 2, 3), (3, 5))
PARAMETERS = ((True, True), (True, False), (False, True), (False, False))
"""Whether there is a weight, and a bias."""

EPSILONS = (0.1, 1e-3, 1e-2)


def _drawn(d: Drawer) -> tuple[Shape, np.ndarray | None, np.ndarray | None, float]:
    """Shape, weight, bias and ε. Numbers are of size 10 at most: with rows of ±1000 beside 0.001
    second derivatives span more decades than a float64 has digits."""
    shape = d.shape(*SHAPES, min_ndim=1, min_side=1)
    has_weight, has_bias = d.choice(*PARAMETERS)
    weight = d.array(shape[-1:], size=10) if has_weight else None
    bias = d.array(shape[-1:], size=10) if has_bias else None
    return shape, weight, bias, d.choice(*EPSILONS)


def _normed(x: np.ndarray, weight: Any, bias: Any, eps: float, centred: bool) -> np.ndarray:
    """Row by row, from the definition."""
    y = np.zeros(x.shape)
    for place in np.ndindex(x.shape[:-1]):
        row = x[place] - (sum(x[place]) / len(x[place]) if centred else 0.0)
        y[place] = row / (sum(row**2) / len(row) + eps) ** 0.5
    return y * (1.0 if weight is None else weight) + (0.0 if bias is None else bias)


@sample("layernorm", draws=12)
def _rows(d: Drawer) -> Call:
    shape, weight, bias, eps = _drawn(d)
    return Call(
        (d.array(shape, size=10), weight, bias),
        lambda x, weight, bias: F.layer_norm(x, weight, bias, eps),
        {"eps": eps},
        lambda x, weight, bias: _normed(x, weight, bias, eps, True),
    )


@sample("rmsnorm", draws=12)
def _rows_as_they_are(d: Drawer) -> Call:
    shape, weight, _, eps = _drawn(d)
    return Call(
        (d.array(shape, size=10), weight),
        lambda x, weight: F.rms_norm(x, weight, eps),
        {"eps": eps},
        lambda x, weight: _normed(x, weight, None, eps, False),
    )


@sample("addlayernorm", draws=12)
def _sums(d: Drawer) -> Call:
    shape, weight, bias, eps = _drawn(d)
    return Call(
        (d.array(shape, size=10), d.array(shape, size=10), weight, bias),
        lambda x, residual, weight, bias: F.add_layer_norm(x, residual, weight, bias, eps),
        {"eps": eps},
        lambda x, residual, weight, bias: _normed(x + residual, weight, bias, eps, True),
    )


@sample("addrmsnorm", draws=12)
def _sums_as_they_are(d: Drawer) -> Call:
    shape, weight, _, eps = _drawn(d)
    return Call(
        (d.array(shape, size=10), d.array(shape, size=10), weight),
        lambda x, residual, weight: F.add_rms_norm(x, residual, weight, eps),
        {"eps": eps},
        lambda x, residual, weight: _normed(x + residual, weight, None, eps, False),
    )


@sample("addlayernorm", draws=1, composite=True)
def _two_blocks(d: Drawer) -> Call:
    """The sum goes on to a second node, as a residual does."""

    def function(x: Any, residual: Any) -> Any:
        y, s = F.add_layer_norm(x, residual, eps=0.5)
        return F.add_layer_norm(F.tanh(y), s, eps=0.5)

    return Call((d.array((2, 3), size=10), d.array((2, 3), size=10)), function)


@sample("addrmsnorm", draws=1, composite=True)
def _of_which_only_one_output_is_used(d: Drawer) -> Call:
    def function(x: Any, residual: Any) -> Any:
        return F.add_rms_norm(x, residual)[0] * F.add_rms_norm(residual, x)[1]

    return Call((d.array((2, 3), size=10), d.array((2, 3), size=10)), function)


@sample("addlayernorm", draws=1, composite=True)
def _of_which_the_sum_is_not_used(d: Drawer) -> Call:
    arrays = d.array((2, 3), size=10), d.array((2, 3), size=10)
    return Call(arrays, lambda x, residual: F.add_layer_norm(x, residual, eps=0.1)[0])


@sample("layernorm", draws=1, composite=True)
def _defaults(d: Drawer) -> Call:
    return Call((d.array((2, 4), size=10),), lambda x: F.layer_norm(x) * F.rms_norm(x))


exact(
    "layernorm",
    "a row of equal numbers is 0, and its gradient g − mean g, over √ε",
    lambda x: F.layer_norm(x, eps=0.25),
    ([[3.0, 3.0], [-7.0, -7.0]],),
    [[5.0, 1.0], [0.0, 8.0]],
    [[4.0, -4.0], [-8.0, 8.0]],
    value=[[0.0, 0.0], [0.0, 0.0]],
)
exact(
    "rmsnorm",
    "a row of zeros is 0, and its gradient g/√ε",
    lambda x: F.rms_norm(x, eps=0.25),
    ([[0.0, 0.0]],),
    [[5.0, 1.0]],
    [[10.0, 2.0]],
    value=[[0.0, 0.0]],
)
exact(
    "layernorm",
    "squares that float16 cannot hold",
    lambda x: F.layer_norm(x.astype("float16")),
    ([[1536.0, 512.0, 1536.0, 512.0]],),
    [[4.0, 0.0, 0.0, 0.0]],
    [[2 / 512, 0.0, -2 / 512, 0.0]],
    value=[[1.0, -1.0, 1.0, -1.0]],
)
exact(
    "rmsnorm",
    "squares that float16 cannot hold",
    lambda x: F.rms_norm(x.astype("float16")),
    ([[512.0, -512.0, 512.0, 512.0]],),
    [[4.0, 0.0, 0.0, 0.0]],
    [[3 / 512, 1 / 512, -1 / 512, -1 / 512]],
    value=[[1.0, -1.0, 1.0, 1.0]],
)
