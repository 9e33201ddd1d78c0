"""Samples of the ops that reduce along axes, cumulative sums and softmax included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_llm import functional as F
from tinygrad_llm.testing.samples.drawing import Drawer
from tinygrad_llm.testing.samples.registry import Call, exact, sample

SHAPES = ((3, 3), (2, 3, 4), (2, 3, 4), (2, 3, 4), (3, 3, 3), (4,), (), (1, 3))
"""A square first, so that confused axes give a wrong value and no error."""


def from_zero(axis: Any, ndim: int) -> tuple[int, ...]:
    """The axes as an op takes them."""
    if axis is None:
        return tuple(range(ndim))
    return tuple(i % ndim for i in (axis if isinstance(axis, tuple) else (axis,)))


def reduction(op: str, function: Callable, **domain: Any):
    """A sample of an op with `axis` and `keepdims`."""

    def axes_and_keepdims(d: Drawer) -> Call:
        x = d.array(d.shape(*SHAPES, min_side=1), **domain)
        axis, keepdims = d.axes(x.ndim), d.choice(False, True)
        constants = {"axis": from_zero(axis, x.ndim), "keepdims": keepdims}
        return Call((x,), lambda x: function(x, axis, keepdims=keepdims), constants)

    sample(op, draws=len(SHAPES))(axes_and_keepdims)


reduction("sum", lambda x, axis, keepdims: F.sum(x, axis, keepdims))
reduction("mean", lambda x, axis, keepdims: F.mean(x, axis, keepdims))
reduction("logsumexp", lambda x, axis, keepdims: F.logsumexp(x, axis, keepdims))
reduction("norm", lambda x, axis, keepdims: F.norm(x, axis, keepdims))


@sample("sum", draws=2)
def _empty(d: Drawer) -> Call:
    axis = d.choice(0, 1)
    return Call((d.array((0, 3)),), lambda x: F.sum(x, axis), {"axis": (axis,)})


def spread(op: str, function: Callable) -> None:
    """A sample of var or std; an axis of size 1 leaves no freedom for ddof = 1."""

    def ddof(d: Drawer) -> Call:
        examples = ((3, 3), (2, 3, 4), (2, 3, 4), (3,), (2, 2, 2))
        x = d.distinct(d.shape(*examples, min_ndim=1, min_side=2))
        axis, ddof, keepdims = d.axes(x.ndim), d.choice(0, 1), d.choice(False, True, True)
        axis = 0 if axis == () else axis
        constants = {"axis": from_zero(axis, x.ndim), "ddof": ddof, "keepdims": keepdims}
        return Call((x,), lambda x: function(x, axis, ddof, keepdims), constants)

    sample(op, draws=6)(ddof)


spread("var", lambda x, axis, ddof, keepdims: F.var(x, axis, ddof, keepdims))
spread("std", lambda x, axis, ddof, keepdims: F.std(x, axis, ddof, keepdims))


def extreme(op: str, function: Callable) -> None:
    """A sample of max or min; no two elements tie."""

    def axes_and_keepdims(d: Drawer) -> Call:
        x = d.distinct(d.shape(*SHAPES, min_side=1))
        axis, keepdims = d.axes(x.ndim), d.choice(False, True)
        constants = {"axis": from_zero(axis, x.ndim), "keepdims": keepdims}
        return Call((x,), lambda x: function(x, axis, keepdims), constants)

    sample(op, draws=len(SHAPES))(axes_and_keepdims)
    sign = 1.0 if op == "max" else -1.0
    rows = sign * np.array([[3.0, 1.0, 3.0], [2.0, 5.0, 4.0]])
    exact(
        op,
        "ties share in equal parts",
        lambda x: function(x, 1, False),
        (rows,),
        [6.0, 7.0],
        [[3.0, 0.0, 3.0], [0.0, 7.0, 0.0]],
    )
    exact(
        op,
        "ties over two axes",
        lambda x: function(x, (0, 1), True),
        (sign * np.array([[5.0, 1.0], [5.0, 5.0]]),),
        [[6.0]],
        [[2.0, 0.0], [2.0, 2.0]],
    )


extreme("max", lambda x, axis, keepdims: F.max(x, axis, keepdims))
extreme("min", lambda x, axis, keepdims: F.min(x, axis, keepdims))

exact(
    "norm",
    "0 at 0, and only there",
    lambda x: F.norm(x, -1),
    ([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]],),
    [5.0, 10.0, 7.0],
    [[0, 0], [6, 8], [0, 7]],
)
exact(
    "norm",
    "all 0",
    lambda x: F.norm(x, -1),
    ([[0.0, 0.0]],),
    [5.0],
    [[0, 0]],
    constant=True,
)
exact(
    "std",
    "0 where all are equal, and only there",
    lambda x: F.std(x, -1),
    ([[2.0, 2.0], [1.0, 3.0]],),
    [5.0, 8.0],
    [[0, 0], [-4, 4]],
)
exact(
    "std",
    "all equal",
    lambda x: F.std(x, -1),
    ([[2.0, 2.0]],),
    [5.0],
    [[0, 0]],
    constant=True,
)
exact(
    "logsumexp",
    "a row of −∞ gives −∞ and gradient 0",
    lambda x: F.logsumexp(x, 1),
    ([[-np.inf, -np.inf], [0.0, -np.inf]],),
    [5.0, 7.0],
    [[0, 0], [7, 0]],
    value=[-np.inf, 0.0],
)


@sample("prod", draws=4)
def _last_axis(d: Drawer) -> Call:
    x = d.array(d.shape((3, 3), (2, 5), (4,), (2, 3, 1), min_ndim=1), size=10)
    return Call((x,), lambda x: F.prod(x, -1))


@sample("prod", draws=3)
def _with_zeros(d: Drawer) -> Call:
    x = d.array((3, 4), size=10).copy()
    zeros = d.choice(((0, 1),), ((0, 1), (0, 3), (1, 2)), ((0, 0), (0, 1), (0, 2), (1, 3)))
    x[tuple(np.transpose(zeros))] = 0.0
    return Call((x,), lambda x: F.prod(x, -1))


@sample("prod", draws=5, composite=True)
def _several_axes(d: Drawer) -> Call:
    x = d.array(d.shape((3, 3), (2, 3, 2), (2, 2, 2), max_ndim=3), size=3)
    axis, keepdims = d.axes(x.ndim), d.choice(False, True)
    return Call((x,), lambda x: F.prod(x, axis, keepdims))


@sample("cumsum", draws=5)
def _one_axis(d: Drawer) -> Call:
    x = d.array(d.shape((3, 3), (2, 3, 4), (4,), (0, 2), (3, 3, 3), min_ndim=1))
    axis = d.axis(x.ndim)
    return Call((x,), lambda x: F.cumsum(x, axis), {"axis": axis % x.ndim})


def normalized(op: str, function: Callable) -> None:
    """Samples of softmax or its logarithm along one axis."""

    def one_axis(d: Drawer) -> Call:
        x = d.array(d.shape((3, 3), (2, 3, 4), (4,), (3, 3, 3), (3, 1), min_ndim=1, min_side=1))
        axis = d.axis(x.ndim)
        return Call((x,), lambda x: function(x, axis), {"axis": axis % x.ndim})

    sample(op, draws=5)(one_axis)


normalized("softmax", lambda x, axis: F.softmax(x, axis))
normalized("logsoftmax", lambda x, axis: F.log_softmax(x, axis))

exact(
    "softmax",
    "−∞ has probability 0 and gradient 0",
    lambda x: F.softmax(x),
    ([[0.0, -np.inf, 0.0]],),
    [[4.0, 100.0, 8.0]],
    [[-1.0, 0.0, 1.0]],
    value=[[0.5, 0.0, 0.5]],
)
exact(
    "softmax",
    "float16, of which the sum is taken in float32",
    lambda x: F.softmax(x.astype("float16")),
    ([[3.0, 3.0]],),
    [[4.0, 0.0]],
    [[1.0, -1.0]],
    value=[[0.5, 0.5]],
)
