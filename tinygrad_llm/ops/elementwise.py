"""Ops that work on each element alone: arithmetic, functions of one number, choices."""

from __future__ import annotations

import math

from tinygrad_llm.ops.base import Cached, Op
from tinygrad_llm.ops.erf import erf

SQRT_HALF = math.sqrt(0.5)
SQRT_2_OVER_PI = math.sqrt(2.0 / math.pi)
GELU_CUBIC = 0.044715


class Add(Op):
    """y = a + b;  da = g,  db = g."""

    broadcasts = True

    @staticmethod
    def forward(xp, a, b):
        return a + b, ()

    @staticmethod
    def backward(xp, g, saved, needs):
        da = g if needs[0] else None
        db = g if needs[1] else None
        return da, db


class Subtract(Op):
    """y = a − b;  da = g,  db = −g."""

    broadcasts = True

    @staticmethod
    def forward(xp, a, b):
        return a - b, ()

    @staticmethod
    def backward(xp, g, saved, needs):
        da = g if needs[0] else None
        db = -g if needs[1] else None
        return da, db


class Multiply(Op):
    """y = a·b;  da = g·b,  db = g·a."""

    broadcasts = True

    @staticmethod
    def forward(xp, a, b):
        return a * b, (a, b)

    @staticmethod
    def backward(xp, g, saved, needs):
        a, b = saved
        da = g * b if needs[0] else None
        db = g * a if needs[1] else None
        return da, db


class Divide(Op):
    """y = a / b;  da = g / b,  db = −g·y / b."""

    broadcasts = True

    @staticmethod
    def forward(xp, a, b):
        y = a / b
        return y, (b, y)

    @staticmethod
    def backward(xp, g, saved, needs):
        b, y = saved
        da = g / b if needs[0] else None
        db = -g * y / b if needs[1] else None
        return da, db


class Pow(Op):
    """y = xᵖ with a fixed number p;  dx = g·p·xᵖ⁻¹ (0 everywhere for p = 0)."""

    @staticmethod
    def forward(xp, x, *, exponent):
        return x**exponent, (x, exponent)

    @staticmethod
    def backward(xp, g, saved, needs):
        x, p = saved
        if p == 0:
            return xp.where(xp.isfinite(g), g, 0.0) * 0.0  # as in Sign
        dx = g * (p * x ** (p - 1))
        return dx


class Power(Op):
    """y = aᵇ, both arrays;  da = g·b·aᵇ⁻¹ (0 where a = b = 0),  db = g·y·ln a (0 where
    a = 0 ≤ b)."""

    broadcasts = True

    @staticmethod
    def forward(xp, a, b):
        y = a**b
        return y, (a, b, y)

    @staticmethod
    def backward(xp, g, saved, needs):
        a, b, y = saved
        da = db = None
        if needs[0]:
            exponent = b - 1.0 + ((a == 0) & (b == 0))  # 0·0⁰ is 0, 0·0⁻¹ is NaN
            da = g * b * a**exponent
        if needs[1]:
            base = a + ((a == 0) & (b >= 0))  # y·ln 1 is 0, y·ln 0 is NaN or −∞
            db = g * y * xp.log(base)
        return da, db


class Negative(Op):
    """y = −x;  dx = −g."""

    @staticmethod
    def forward(xp, x):
        return -x, ()

    @staticmethod
    def backward(xp, g, saved, needs):
        dx = -g
        return dx


class Exp(Op):
    """y = eˣ;  dx = g·y."""

    @staticmethod
    def forward(xp, x):
        y = xp.exp(x)
        return y, (y,)

    @staticmethod
    def backward(xp, g, saved, needs):
        (y,) = saved
        dx = g * y
        return dx


class Log(Op):
    """y = ln x;  dx = g / x."""

    @staticmethod
    def forward(xp, x):
        return xp.log(x), (x,)

    @staticmethod
    def backward(xp, g, saved, needs):
        (x,) = saved
        dx = g / x
        return dx


class Log1p(Op):
    """y = ln(1 + x), exact for small x;  dx = g / (1 + x)."""

    @staticmethod
    def forward(xp, x):
        return xp.log1p(x), (x,)

    @staticmethod
    def backward(xp, g, saved, needs):
        (x,) = saved
        dx = g / (1.0 + x)
        return dx


class Expm1(Op):
    """y = eˣ − 1, exact for small x;  dx = g·(y + 1)."""

    @staticmethod
    def forward(xp, x):
        y = xp.expm1(x)
        return y, (y,)

    @staticmethod
    def backward(xp, g, saved, needs):
        (y,) = saved
        dx = g * (y + 1.0)
        return dx


class Sqrt(Op):
    """y = √x;  dx = g / (2y)."""

    @staticmethod
    def forward(xp, x):
        y = xp.sqrt(x)
        return y, (y,)

    @staticmethod
    def backward(xp, g, saved, needs):
        (y,) = saved
        dx = g / (2.0 * y)
        return dx


class Sin(Op):
    """y = sin x;  dx = g·cos x."""

    @staticmethod
    def forward(xp, x):
        return xp.sin(x), (x,)

    @staticmethod
    def backward(xp, g, saved, needs):
        (x,) = saved
        dx = g * xp.cos(x)
        return dx


class Cos(Op):
    """y = cos x;  dx = −g·sin x."""

    @staticmethod
    def forward(xp, x):
        return xp.cos(x), (x,)

    @staticmethod
    def backward(xp, g, saved, needs):
        (x,) = saved
        dx = -g * xp.sin(x)
        return dx


class Tanh(Op):
    """y = tanh x;  dx = g·(1 − y²)  (G01)."""

    @staticmethod
    def forward(xp, x):
        y = xp.tanh(x)
        return y, (y,)

    @staticmethod
    def backward(xp, g, saved, needs):
        (y,) = saved
        dx = g * (1.0 - y * y)
        return dx


class Sigmoid(Op):
    """y = σ(x) = 1 / (1 + e⁻ˣ);  dx = g·y·(1 − y)  (G01)."""

    @staticmethod
    def forward(xp, x):
        y = stable_sigmoid(xp, x)
        return y, (y,)

    @staticmethod
    def backward(xp, g, saved, needs):
        (y,) = saved
        dx = g * y * (1.0 - y)
        return dx


class ReLU(Op):
    """y = max(x, 0);  dx = g where x > 0, else 0 (0 at the kink)  (G01)."""

    @staticmethod
    def forward(xp, x):
        y = xp.maximum(x, 0)
        return y, (y,)

    @staticmethod
    def backward(xp, g, saved, needs):
        (y,) = saved
        dx = g * (y > 0)
        return dx


class SiLU(Op):
    """y = x·σ(x);  dx = g·s·(1 + x·(1 − s)) with s = σ(x)  (Elfwing et al. 2017)."""

    @staticmethod
    def forward(xp, x):
        s = stable_sigmoid(xp, x)
        return x * s, (x, Cached(s))

    @staticmethod
    def backward(xp, g, saved, needs):
        x, s = saved
        s = xp.sigmoid(x) if s is None else s
        dx = g * s * (1.0 + x * (1.0 - s))
        return dx


class Softplus(Op):
    """y = ln(1 + eˣ) = max(x, 0) + ln(1 + e^−|x|);  dx = g·eˣ⁻ʸ, which is g·σ(x)."""

    @staticmethod
    def forward(xp, x):
        y = xp.maximum(x, 0) + xp.log1p(xp.exp(minus_abs(xp, x)))
        return y, (x, y)

    @staticmethod
    def backward(xp, g, saved, needs):
        x, y = saved
        dx = g * xp.exp(x - y)
        return dx


class Erf(Op):
    """y = erf x = 2/√π·∫₀ˣ e^−t² dt;  dx = g·2/√π·e^−x²."""

    @staticmethod
    def forward(xp, x):
        return erf(xp, x), (x,)

    @staticmethod
    def backward(xp, g, saved, needs):
        (x,) = saved
        dx = g * (2.0 / math.sqrt(math.pi) * xp.exp(-x * x))
        return dx


class GELU(Op):
    """y = x·Φ(x) with the normal distribution Φ(x) = ½(1 + erf(x/√2));  dx = g·(Φ + x·φ),
    φ = e^−x²/2 / √(2π)  (G08; Hendrycks & Gimpel 2016)."""

    @staticmethod
    def forward(xp, x):
        cdf = 0.5 * (1.0 + erf(xp, x * SQRT_HALF))
        return x * cdf, (x, Cached(cdf))

    @staticmethod
    def backward(xp, g, saved, needs):
        x, cdf = saved
        cdf = 0.5 * (1.0 + xp.erf(x * SQRT_HALF)) if cdf is None else cdf
        pdf = xp.exp(-0.5 * x * x) * (0.5 * SQRT_2_OVER_PI)
        dx = g * (cdf + x * pdf)
        return dx


class GELUTanh(Op):
    """y = ½x(1 + t), t = tanh(√(2/π)·(x + 0.044715x³));
    dx = g·½·(1 + t + √(2/π)·s·(1 + 3·0.044715x²)), s = x·(1 − t²)  (G08, GPT-2's form)."""

    @staticmethod
    def forward(xp, x):
        t = xp.tanh(SQRT_2_OVER_PI * (x + GELU_CUBIC * x * x * x))
        return 0.5 * x * (1.0 + t), (x, Cached(t))

    @staticmethod
    def backward(xp, g, saved, needs):
        x, t = saved
        t = xp.tanh(SQRT_2_OVER_PI * (x + GELU_CUBIC * x * x * x)) if t is None else t
        s = x * (1.0 - t * t)  # far out it is 0, and stays so: x² may be ∞ there
        dx = g * 0.5 * (1.0 + t + SQRT_2_OVER_PI * (s + 3.0 * GELU_CUBIC * s * x * x))
        return dx


class Abs(Op):
    """y = |x|;  dx = g·sign x (0 at the kink)."""

    @staticmethod
    def forward(xp, x):
        return xp.abs(x), (x,)

    @staticmethod
    def backward(xp, g, saved, needs):
        (x,) = saved
        dx = g * xp.sign(x)
        return dx


class Sign(Op):
    """y = −1, 0 or 1;  dx = 0."""

    @staticmethod
    def forward(xp, x):
        return xp.sign(x), ()

    @staticmethod
    def backward(xp, g, saved, needs):
        # Not g * 0.0, which is NaN for an infinite g; not zeros_like(g), which is not on the tape.
        dx = xp.where(xp.isfinite(g), g, 0.0) * 0.0
        return dx


class Clip(Op):
    """y = min(max(x, low), high);  dx = g where low ≤ x ≤ high, else 0."""

    @staticmethod
    def forward(xp, x, *, low, high):
        return xp.clip(x, low, high), (x, low, high)

    @staticmethod
    def backward(xp, g, saved, needs):
        x, low, high = saved
        dx = g if low is None else xp.where(x >= low, g, 0.0)
        dx = dx if high is None else xp.where(x <= high, dx, 0.0)
        return dx


class Where(Op):
    """y = a where the condition holds, else b;  da = g there, 0 elsewhere;  db the reverse."""

    broadcasts = True
    no_gradient = ("condition",)

    @staticmethod
    def forward(xp, condition, a, b):
        return xp.where(condition, a, b), (condition,)

    @staticmethod
    def backward(xp, g, saved, needs):
        (condition,) = saved
        da = xp.where(condition, g, 0.0) if needs[1] else None
        db = xp.where(condition, 0.0, g) if needs[2] else None
        return None, da, db


class Maximum(Op):
    """y = max(a, b);  the larger one gets g, a tie gives half to each."""

    broadcasts = True

    @staticmethod
    def forward(xp, a, b):
        return xp.maximum(a, b), (a, b)

    @staticmethod
    def backward(xp, g, saved, needs):
        a, b = saved
        da = xp.where(a > b, g, xp.where(a == b, 0.5 * g, 0.0)) if needs[0] else None
        db = xp.where(b > a, g, xp.where(a == b, 0.5 * g, 0.0)) if needs[1] else None
        return da, db


class Minimum(Op):
    """y = min(a, b);  the smaller one gets g, a tie gives half to each."""

    broadcasts = True

    @staticmethod
    def forward(xp, a, b):
        return xp.minimum(a, b), (a, b)

    @staticmethod
    def backward(xp, g, saved, needs):
        a, b = saved
        da = xp.where(a < b, g, xp.where(a == b, 0.5 * g, 0.0)) if needs[0] else None
        db = xp.where(b < a, g, xp.where(a == b, 0.5 * g, 0.0)) if needs[1] else None
        return da, db


def stable_sigmoid(xp, x):
    """σ(x) without overflow: e^−|x| never exceeds 1, and small values keep their digits."""
    e = xp.exp(minus_abs(xp, x))
    return xp.where(x > 0, 1.0, e) / (1.0 + e)


def minus_abs(xp, x):
    """−|x| without `abs`, which has no complex derivative: the complex step must pass through."""
    return xp.where(x > 0, -x, x)
