"""Functions of each element: arithmetic, exponentials, activations, choices."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_llm.backend import random
from tinygrad_llm.functional.arguments import beside_number, floating, pair, tensor
from tinygrad_llm.ops import dropout as dropout_op
from tinygrad_llm.ops import elementwise as ops
from tinygrad_llm.tensor import Tensor, apply

Operand = Any
"""A Tensor, a Python number, a NumPy array or nested lists of numbers."""


def add(a: Operand, b: Operand) -> Tensor:
    """a + b, broadcast."""
    return apply(ops.Add, *pair("add", a, b))


def subtract(a: Operand, b: Operand) -> Tensor:
    """a − b, broadcast."""
    return apply(ops.Subtract, *pair("subtract", a, b))


def multiply(a: Operand, b: Operand) -> Tensor:
    """a·b, broadcast."""
    return apply(ops.Multiply, *pair("multiply", a, b))


def divide(a: Operand, b: Operand) -> Tensor:
    """a / b, broadcast; integers are divided as float32."""
    a, b = pair("divide", a, b)
    if not any(isinstance(x, Tensor) and x.dtype.kind == "f" for x in (a, b)):
        a, b = pair("divide", floating(a), b)
    return apply(ops.Divide, a, b)


def power(a: Operand, b: Operand) -> Tensor:
    """aᵇ, broadcast; a plain number b is a constant."""
    a, b = pair("power", a, b)
    if isinstance(b, Tensor):
        return apply(ops.Power, beside_number(b, a), b)
    return apply(ops.Pow, a, exponent=b)


def negative(x: Operand) -> Tensor:
    """−x."""
    return apply(ops.Negative, tensor(x))


def exp(x: Operand) -> Tensor:
    """eˣ."""
    return apply(ops.Exp, floating(x))


def log(x: Operand) -> Tensor:
    """Natural logarithm: −∞ at 0, NaN below."""
    return apply(ops.Log, floating(x))


def log1p(x: Operand) -> Tensor:
    """ln(1 + x), exact for small x."""
    return apply(ops.Log1p, floating(x))


def expm1(x: Operand) -> Tensor:
    """eˣ − 1, exact for small x."""
    return apply(ops.Expm1, floating(x))


def sqrt(x: Operand) -> Tensor:
    """√x; its gradient at 0 is infinite."""
    return apply(ops.Sqrt, floating(x))


def sin(x: Operand) -> Tensor:
    """sin x, x in radians."""
    return apply(ops.Sin, floating(x))


def cos(x: Operand) -> Tensor:
    """cos x, x in radians."""
    return apply(ops.Cos, floating(x))


def tanh(x: Operand) -> Tensor:
    """Hyperbolic tangent (F62, G01)."""
    return apply(ops.Tanh, floating(x))


def sigmoid(x: Operand) -> Tensor:
    """σ(x) = 1 / (1 + e⁻ˣ), finite everywhere (F62, G01)."""
    return apply(ops.Sigmoid, floating(x))


def relu(x: Operand) -> Tensor:
    """max(x, 0); gradient 0 at 0 (F44, F62, G01)."""
    return apply(ops.ReLU, tensor(x))


def silu(x: Operand) -> Tensor:
    """x·σ(x), also called swish (Elfwing et al. 2017)."""
    return apply(ops.SiLU, floating(x))


def softplus(x: Operand) -> Tensor:
    """ln(1 + eˣ), finite everywhere."""
    return apply(ops.Softplus, floating(x))


def erf(x: Operand) -> Tensor:
    """The error function, to 1e-15 in float64 (Cody 1969)."""
    return apply(ops.Erf, floating(x))


def gelu(x: Operand, approximate: str = "none") -> Tensor:
    """x·Φ(x), exact ("none") or by GPT-2's tanh ("tanh") (G08; Hendrycks & Gimpel 2016)."""
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh', not {approximate!r}")
    return apply(ops.GELU if approximate == "none" else ops.GELUTanh, floating(x))


def abs(x: Operand) -> Tensor:
    """|x|; gradient 0 at 0."""
    return apply(ops.Abs, tensor(x))


def sign(x: Operand) -> Tensor:
    """−1, 0 or 1; gradient 0."""
    return apply(ops.Sign, tensor(x))


def clip(x: Operand, low: float | None = None, high: float | None = None) -> Tensor:
    """x held between the numbers `low` and `high`; the gradient passes inside, bounds included."""
    if low is None and high is None:
        raise ValueError("clip: give low, high or both")
    x = tensor(x)
    if any(isinstance(bound, (float, np.floating)) for bound in (low, high)):
        x = floating(x)
    if x.dtype.kind == "f":  # plain numbers, for NumPy's own would promote
        low, high = (None if bound is None else float(bound) for bound in (low, high))
    return apply(ops.Clip, x, low=low, high=high)


def where(condition: Operand, a: Operand, b: Operand) -> Tensor:
    """a where `condition` is true, else b; all three broadcast."""
    condition = tensor(condition)
    if condition.dtype.kind != "b":
        raise TypeError(f"where: the condition is {condition.dtype}; compare first, as in x > 0")
    return apply(ops.Where, condition, *pair("where", a, b))


def maximum(a: Operand, b: Operand) -> Tensor:
    """The larger of each pair; a tie shares the gradient."""
    return apply(ops.Maximum, *pair("maximum", a, b))


def minimum(a: Operand, b: Operand) -> Tensor:
    """The smaller of each pair; a tie shares the gradient."""
    return apply(ops.Minimum, *pair("minimum", a, b))


def isfinite(x: Operand) -> Tensor:
    """Where x is neither infinite nor NaN; a boolean Tensor."""
    x = tensor(x)
    return abs(x.detach()) < float("inf")


def dropout(x: Operand, p: float = 0.5, training: bool = True, stream: str = "dropout") -> Tensor:
    """Each element 0 with probability p, else x / (1 − p); the identity out of training (F50).

    The mask comes from the named random stream and is drawn again, not stored, in backward.
    Raises ValueError for p outside [0, 1].
    """
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout: p is a probability, not {p}")
    x = floating(x)
    if not training or p == 0.0:
        return x
    return apply(dropout_op.Dropout, x, p=p, draw=random.stream(stream).next())
