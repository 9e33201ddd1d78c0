"""Samples of the ops that work on each element alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_llm import functional as F
from tinygrad_llm.backend.random import Draw, drop_units, keep_mask
from tinygrad_llm.testing.samples.drawing import Drawer
from tinygrad_llm.testing.samples.registry import Call, exact, sample

PAIRS = (((3, 3), (3, 3)), ((2, 3), (3,)), ((2, 1, 3), (4, 1)), ((), (2, 2)), ((1, 0), (3, 1)))


def unary(op: str, function: Callable, smooth: bool = True, **domain: Any):
    """A sample of an op on one array, whose numbers lie in the domain."""

    def draw(d: Drawer) -> Call:
        shape = d.shape((2, 3), (), (1, 2, 2), (0, 2))
        return Call((d.array(shape, **domain),), function)

    draw.__name__ = "elements"
    sample(op, draws=4, smooth=smooth)(draw)


def binary(op: str, function: Callable, a: dict[str, Any], b: dict[str, Any]):
    """Samples of an op on two arrays that broadcast, and on an array beside a Python number."""

    def broadcast(d: Drawer) -> Call:
        shapes = d.broadcastable(*PAIRS)
        return Call((d.array(shapes[0], **a), d.array(shapes[1], **b)), function)

    def number(d: Drawer) -> Call:
        x, left = d.shape((2, 3), ()), d.choice(False, True)
        return Call((1.7, d.array(x, **b)) if left else (d.array(x, **a), 1.7), function)

    sample(op, draws=len(PAIRS))(broadcast)
    sample(op, draws=2)(number)


binary("add", lambda a, b: F.add(a, b), {}, {})
binary("subtract", lambda a, b: F.subtract(a, b), {}, {})
binary("multiply", lambda a, b: F.multiply(a, b), {}, {})
binary("divide", lambda a, b: F.divide(a, b), {}, {})


@sample("add", draws=1, composite=True)
def _the_same_tensor_many_times(d: Drawer) -> Call:
    return Call((d.array(d.shape((2, 3))),), lambda x: F.add(F.add(F.add(x, x), x), 2.0 * x))


@sample("add", draws=1, composite=True)
def _sums_that_meet_again(d: Drawer) -> Call:
    def function(a: Any, b: Any) -> Any:
        c = a + b
        return c * c + F.sin(c) * a + c

    return Call((d.array((2, 3), size=10), d.array((2, 1), size=10)), function)


@sample("multiply", draws=1, composite=True)
def _operators(d: Drawer) -> Call:
    x = d.array(d.shape((2, 3)), size=10, positive=True)
    return Call((x,), lambda x: (2.0 - x) / (3.0 + x) - (2.0 / x) * -(x**2) + 0.5**x)


EXPONENTS = (3, 0.5, -1, 2, -2.5, 1, 0)


@sample("pow", draws=len(EXPONENTS))
def _fixed_exponent(d: Drawer) -> Call:
    p = d.choice(*EXPONENTS)
    x = d.array(d.shape((2, 3), ()), size=100, positive=p != int(p))
    return Call((x,), lambda x: F.power(x, p), {"exponent": p})


exact(
    "pow",
    "x⁰ has gradient 0, at 0 too",
    lambda x: F.power(x, 0),
    ([0.0, 2.0, -3.0],),
    [5.0, 7.0, 11.0],
    [0.0, 0.0, 0.0],
)
exact(
    "pow",
    "x⁰ has gradient 0 where an infinite one arrives",
    lambda x, y: F.power(x, 0) * (y * y),
    ([2.0, 3.0], [np.inf, -np.inf]),
    [5.0, -7.0],
    [0.0, 0.0],
    [np.inf, np.inf],
)
exact(
    "pow",
    "whole powers of negative numbers and of 0",
    lambda x: F.power(x, 3),
    ([-2.0, 0.0],),
    [5.0, 7.0],
    [60.0, 0.0],
)


@sample("power", draws=len(PAIRS))
def _both_arrays(d: Drawer) -> Call:
    a, b = d.broadcastable(*PAIRS)
    base, exponent = d.array(a, size=10, positive=True), d.array(b, size=3)
    return Call((base, exponent), lambda a, b: F.power(a, b))


@sample("power", draws=2)
def _exponent_zero(d: Drawer) -> Call:
    """Nothing is special there unless the base is 0 too."""
    b = d.array((3, 3), size=3).copy()
    b[d.choice(0, 2)] = 0.0
    return Call((d.array((3, 3), size=10, positive=True), b), lambda a, b: F.power(a, b))


@sample("power", draws=1, composite=True)
def _number_as_base(d: Drawer) -> Call:
    return Call((d.array(d.shape((2, 3)), size=3),), lambda b: F.power(1.7, b))


exact(
    "power",
    "0ᵇ: the base's gradient is 0 at b = 0 and for b > 1, the exponent's is 0",
    lambda a, b: F.power(a, b),
    ([0.0, 0.0, 2.0], [0.0, 2.0, 0.0]),
    [5.0, 7.0, 11.0],
    [0.0, 0.0, 0.0],
    [0.0, 0.0, 11.0 * math.log(2.0)],
)
exact(
    "power",
    "0ᵇ for b < 1: the base's gradient is infinite, and for b < 0 the exponent's too",
    lambda a, b: F.power(a, b),
    ([0.0, 0.0, 0.0], [0.5, -1.0, -0.5]),
    [3.0, 5.0, 7.0],
    [np.inf, -np.inf, -np.inf],
    [0.0, -np.inf, -np.inf],
)

unary("negative", lambda x: F.negative(x))
unary("exp", lambda x: F.exp(x), size=10)
unary("log", lambda x: F.log(x), positive=True)
unary("log1p", lambda x: F.log1p(x), positive=True)
unary("expm1", lambda x: F.expm1(x), size=10)
unary("sqrt", lambda x: F.sqrt(x), positive=True)
unary("sin", lambda x: F.sin(x), size=100)
unary("cos", lambda x: F.cos(x), size=100)
unary("tanh", lambda x: F.tanh(x))
unary("sigmoid", lambda x: F.sigmoid(x))
unary("relu", lambda x: F.relu(x))
unary("silu", lambda x: F.silu(x))
unary("softplus", lambda x: F.softplus(x))
unary("erf", lambda x: F.erf(x), size=10)
unary("gelu", lambda x: F.gelu(x), size=100)
unary("gelutanh", lambda x: F.gelu(x, approximate="tanh"), size=100)
unary("abs", lambda x: F.abs(x), smooth=False)
unary("sign", lambda x: F.sign(x), smooth=False)

exact("relu", "0 at 0", lambda x: F.relu(x), ([-1.0, 0.0, 2.0],), [5.0, 7.0, 11.0], [0, 0, 11])
exact("abs", "0 at 0", lambda x: F.abs(x), ([-1.0, 0.0, 2.0],), [5.0, 7.0, 11.0], [-5, 0, 11])
exact("sign", "0 at 0", lambda x: F.sign(x), ([-1.0, 0.0, 2.0],), [5.0, 7.0, 11.0], [0, 0, 0])
exact(
    "sign",
    "0 where an infinite gradient arrives",
    lambda x, y: F.sign(x) * (y * y),
    ([2.0, -3.0], [np.inf, -np.inf]),
    [5.0, 7.0],
    [0.0, 0.0],
    [np.inf, np.inf],
)
exact(
    "sigmoid",
    "finite far out",
    lambda x: F.sigmoid(x),
    ([-1000.0, 0.0, 1000.0],),
    [5.0, 8.0, 11.0],
    [0.0, 2.0, 0.0],
    value=[0.0, 0.5, 1.0],
)
exact(
    "softplus",
    "finite far out",
    lambda x: F.softplus(x),
    ([-1000.0, 1000.0],),
    [5.0, 7.0],
    [0.0, 7.0],
    value=[0.0, 1000.0],
)

BOUNDS = ((-0.7, 0.9), (None, 0.9), (-0.7, None))


@sample("clip", draws=4)
def _bounds(d: Drawer) -> Call:
    low, high = d.choice(*BOUNDS)
    x = d.array(d.shape((2, 3), (3, 3), (4,), ()), kinks=(-0.7, 0.9))
    return Call((x,), lambda x: F.clip(x, low, high), {"low": low, "high": high})


exact(
    "clip",
    "passes at the bounds",
    lambda x: F.clip(x, -1.0, 2.0),
    ([-1.5, -1.0, 0.0, 2.0, 2.5],),
    [3.0, 5.0, 7.0, 11.0, 13.0],
    [0, 5, 7, 11, 0],
)

TRIPLES = (
    ((3, 3), (3, 3), (3, 3)),
    ((2, 3), (3,), (2, 1)),
    ((2, 1), (2, 1, 3), ()),
    ((0, 2), (2,), (1, 2)),
)


@sample("where", draws=len(TRIPLES))
def _condition(d: Drawer) -> Call:
    c, a, b = d.broadcastable(*TRIPLES)
    condition = d.rng.random(c) < 0.5
    return Call((condition, d.array(a), d.array(b)), lambda c, a, b: F.where(c, a, b))


@sample("where", draws=2)
def _beside_a_number(d: Drawer) -> Call:
    x = d.array((2, 3))
    given = (x, 1.7) if d.choice(False, True) else (1.7, x)
    return Call((d.rng.random((2, 3)) < 0.5, *given), lambda c, a, b: F.where(c, a, b))


def extreme(op: str, function: Callable, larger: Callable) -> None:
    """Samples of maximum and minimum, away from ties and at them."""

    def broadcast(d: Drawer) -> Call:
        return Call(tuple(d.distinct(*d.broadcastable(*PAIRS))), function)

    def number(d: Drawer) -> Call:
        x = d.array((3, 3), kinks=(0.4,))
        return Call((0.4, x) if d.choice(False, True) else (x, 0.4), function)

    sample(op, draws=len(PAIRS))(broadcast)
    sample(op, draws=2)(number)
    a, b = np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 1.0])
    first = np.where(a == b, 0.5, larger(a, b))
    g = np.array([3.0, 5.0, 7.0])
    exact(op, "a tie gives half to each", function, (a, b), g, g * first, g * (1 - first))
    beside = np.where(a == 2.0, 0.5, larger(a, 2.0))
    exact(op, "a tie with a number", function, (a, 2.0), g, g * beside, None)


extreme("maximum", lambda a, b: F.maximum(a, b), np.greater)
extreme("minimum", lambda a, b: F.minimum(a, b), np.less)


def _draw_of(key: int) -> Draw:
    return Draw(key, 3)


def _dropped(x: np.ndarray, p: float, draw: Draw) -> np.ndarray:
    """Dropout from its definition: the mask of this draw, the share that is kept."""
    keep = keep_mask(draw, x.shape, p, "cpu")
    return np.where(keep, x / (1.0 - drop_units(p) / 65536), 0.0)


@sample("dropout", draws=4)
def _one_draw(d: Drawer) -> Call:
    p, draw = d.choice(0.3, 0.6, 0.1, 0.8), _draw_of(d.choice(11, 12, 13, 14))
    x = d.array(d.shape((4, 5), (2, 3, 3), (7,), (0, 3)))
    return Call((x,), None, {"p": p, "draw": draw}, lambda x: _dropped(x, p, draw))


@sample("dropout", draws=1, composite=True)
def _streams(d: Drawer) -> Call:
    def function(x: Any) -> Any:
        return F.dropout(F.dropout(x, 0.4) * x, 0.5, training=True) + F.dropout(x, training=False)

    return Call((d.array((3, 4), size=10),), function)


exact("dropout", "p = 1 drops all", lambda x: F.dropout(x, 1.0), ([1.0, 2.0],), [3.0, 5.0], [0, 0])
