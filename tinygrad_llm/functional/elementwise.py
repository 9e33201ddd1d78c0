"""Functions of each element: arithmetic, exponentials, activations, choices."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_llm.backend.devices import is_array
from tinygrad_llm.functional.arguments import floating, operands, scalar_like, tensor
from tinygrad_llm.ops import elementwise as ops
from tinygrad_llm.tensor import Tensor, apply

Operand = Any
"""A Tensor, a Python number, a NumPy array or nested lists of numbers."""


def add(a: Operand, b: Operand) -> Tensor:
    """a + b, broadcast."""
    return apply(ops.Add, *operands("add", a, b))


def subtract(a: Operand, b: Operand) -> Tensor:
    """a − b, broadcast."""
    return apply(ops.Subtract, *operands("subtract", a, b))


def multiply(a: Operand, b: Operand) -> Tensor:
    """a·b, broadcast."""
    return apply(ops.Multiply, *operands("multiply", a, b))


def divide(a: Operand, b: Operand) -> Tensor:
    """a / b, broadcast; integers are divided as float32."""
    a, b = operands("divide", a, b)
    if not any(isinstance(x, Tensor) and x.dtype.kind == "f" for x in (a, b)):
        a, b = operands("divide", floating(a), b)
    return apply(ops.Divide, a, b)


def power(a: Operand, b: Operand) -> Tensor:
    """aᵇ, broadcast; a plain number b is a constant."""
    a, b = operands("power", a, b)
    if isinstance(b, Tensor):
        return apply(ops.Power, scalar_like(b, a), b)
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


def clip(x: Operand, low: Any = None, high: Any = None) -> Tensor:
    """x held between the numbers `low` and `high`; the gradient passes inside, bounds included.

    A bound is None, a number, or a 0-d Tensor or array without a gradient.
    Raises ValueError without any bound, TypeError for a bound that is not one number.
    """
    if low is None and high is None:
        raise ValueError("clip: give low, high or both")
    low, high = _bound("low", low), _bound("high", high)
    x = tensor(x)
    if isinstance(low, float) or isinstance(high, float):
        x = floating(x)
    return apply(ops.Clip, x, low=low, high=high)


def _bound(name: str, value: Any) -> float | None:
    """A plain number, for a NumPy scalar would promote x."""
    scalar = is_array(value) or isinstance(value, (np.generic, Tensor))
    if scalar and value.ndim == 0 and not getattr(value, "requires_grad", False):
        value = value.item()
    if value is None or isinstance(value, (int, float)):
        return value
    raise TypeError(
        f"clip: {name} must be one number without a gradient, not {type(value).__name__}; "
        "maximum() and minimum() take tensors"
    )


def where(condition: Operand, a: Operand, b: Operand) -> Tensor:
    """a where `condition` is true, else b; all three broadcast."""
    condition = tensor(condition)
    if condition.dtype.kind != "b":
        raise TypeError(f"where: the condition is {condition.dtype}; compare first, as in x > 0")
    return apply(ops.Where, condition, *operands("where", a, b))


def maximum(a: Operand, b: Operand) -> Tensor:
    """The larger of each pair; a tie shares the gradient."""
    return apply(ops.Maximum, *operands("maximum", a, b))


def minimum(a: Operand, b: Operand) -> Tensor:
    """The smaller of each pair; a tie shares the gradient."""
    return apply(ops.Minimum, *operands("minimum", a, b))
