"""Ops that reduce along axes: sums, moments, extremes, norms; and the cumulative sum.

`axis` is a tuple of non-negative axes (one int for Cumsum); functional normalizes it.
"""

from __future__ import annotations

import math

from tinygrad_llm.ops.base import Op, count_of, kept_shape
from tinygrad_llm.ops.precision import narrow, total, wide


class Sum(Op):
    """y = Σ x over the axes;  dx = g, repeated along them."""

    @staticmethod
    def forward(xp, x, *, axis, keepdims=False):
        return total(x, axis, keepdims), (x.shape, axis)

    @staticmethod
    def backward(xp, g, saved, needs):
        shape, axis = saved
        dx = xp.broadcast_to(g.reshape(kept_shape(shape, axis)), shape)
        return dx


class Mean(Op):
    """y = Σ x / n;  dx = g / n, repeated along the axes."""

    @staticmethod
    def forward(xp, x, *, axis, keepdims=False):
        return x.mean(axis=axis, keepdims=keepdims), (x.shape, axis)

    @staticmethod
    def backward(xp, g, saved, needs):
        shape, axis = saved
        g = g.reshape(kept_shape(shape, axis))
        share = 1.0 / (count_of(shape, axis) or 1)  # a count above 65,504 is ∞ in float16
        dx = xp.broadcast_to(g * share, shape)
        return dx


class Var(Op):
    """y = Σ (x − x̄)² / (n − ddof);  dx = g·2·(x − x̄) / (n − ddof)."""

    @staticmethod
    def forward(xp, x, *, axis, ddof=0, keepdims=False):
        return narrow(_variance(x, axis, ddof, keepdims), x), (x, axis, ddof)

    @staticmethod
    def backward(xp, g, saved, needs):
        x, axis, ddof = saved
        g = g.reshape(kept_shape(x.shape, axis))
        scale = 2.0 / (count_of(x.shape, axis) - ddof)
        dx = g * scale * (x - x.mean(axis=axis, keepdims=True))
        return dx


class Std(Op):
    """y = √(Σ (x − x̄)² / (n − ddof));  dx = g·(x − x̄) / ((n − ddof)·y), and 0 where y = 0."""

    @staticmethod
    def forward(xp, x, *, axis, ddof=0, keepdims=False):
        y = narrow(xp.sqrt(_variance(x, axis, ddof, keepdims)), x)
        return y, (x, y, axis, ddof)

    @staticmethod
    def backward(xp, g, saved, needs):
        x, y, axis, ddof = saved
        kept = kept_shape(x.shape, axis)
        g, y = g.reshape(kept), y.reshape(kept)
        per_y = xp.where(y == 0, 0.0, g / xp.where(y == 0, 1.0, y))
        scale = 1.0 / (count_of(x.shape, axis) - ddof)
        dx = per_y * scale * (x - x.mean(axis=axis, keepdims=True))
        return dx


class Prod(Op):
    """y = Π x over the last axis;  dxᵢ = g·Πⱼ≠ᵢ xⱼ, exact where x has zeros."""

    @staticmethod
    def forward(xp, x):
        return x.prod(axis=-1), (x,)

    @staticmethod
    def backward(xp, g, saved, needs):
        (x,) = saved
        before = _products_before(xp, x)
        after = xp.flip(_products_before(xp, xp.flip(x, -1)), -1)
        dx = g[..., None] * before * after
        return dx


class Max(Op):
    """y = max x;  dx = g at the largest, in equal parts where several tie."""

    @staticmethod
    def forward(xp, x, *, axis, keepdims=False):
        y = x.max(axis=axis, keepdims=keepdims)
        return y, (x, y, axis)

    @staticmethod
    def backward(xp, g, saved, needs):
        x, y, axis = saved
        kept = kept_shape(x.shape, axis)
        ties = x == y.reshape(kept)
        share = narrow(wide(g.reshape(kept)) / ties.sum(axis=axis, keepdims=True), g)
        dx = xp.where(ties, share, 0.0)
        return dx


class Min(Max):
    """y = min x;  dx = g at the smallest, in equal parts where several tie (as Max)."""

    @staticmethod
    def forward(xp, x, *, axis, keepdims=False):
        y = x.min(axis=axis, keepdims=keepdims)
        return y, (x, y, axis)


class LogSumExp(Op):
    """y = ln Σ eˣ, shifted by the maximum;  dx = g·eˣ⁻ʸ (the softmax; 0 for a row of −∞; beside an
    x = ∞, which itself gets NaN, all others get 0)."""

    @staticmethod
    def forward(xp, x, *, axis, keepdims=False):
        top = x.max(axis=axis, keepdims=True)
        shift = xp.where(xp.isfinite(top), top, 0.0)
        s = wide(xp.exp(x - shift)).sum(axis=axis, keepdims=True)
        y = narrow(xp.log(xp.where(s == 0, 1.0, s)) + top, x)  # s is 0 only where top is −∞
        if not keepdims:
            y = y.reshape([n for i, n in enumerate(x.shape) if i not in axis])
        return y, (x, y, axis)

    @staticmethod
    def backward(xp, g, saved, needs):
        x, y, axis = saved
        kept = kept_shape(x.shape, axis)
        y = xp.where(y == -math.inf, 0.0, y).reshape(kept)
        dx = g.reshape(kept) * xp.exp(x - y)
        return dx


class Norm(Op):
    """y = √(Σ x²);  dx = g·x / y, and 0 where y = 0."""

    @staticmethod
    def forward(xp, x, *, axis, keepdims=False):
        w = wide(x)
        y = narrow(xp.sqrt((w * w).sum(axis=axis, keepdims=keepdims)), x)
        return y, (x, y, axis)

    @staticmethod
    def backward(xp, g, saved, needs):
        x, y, axis = saved
        kept = kept_shape(x.shape, axis)
        g, y = g.reshape(kept), y.reshape(kept)
        per_y = xp.where(y == 0, 0.0, g / xp.where(y == 0, 1.0, y))
        dx = per_y * x
        return dx


class Cumsum(Op):
    """yᵢ = Σⱼ≤ᵢ xⱼ;  dxⱼ = Σᵢ≥ⱼ gᵢ: the cumulative sum from the other end."""

    @staticmethod
    def forward(xp, x, *, axis):
        return narrow(wide(x).cumsum(axis=axis), x), (axis,)

    @staticmethod
    def backward(xp, g, saved, needs):
        (axis,) = saved
        dx = narrow(xp.flip(wide(xp.flip(g, axis)).cumsum(axis=axis), axis), g)
        return dx


def _variance(x, axis: tuple[int, ...], ddof: int, keepdims: bool):
    x = wide(x)
    centred = x - x.mean(axis=axis, keepdims=True)
    return (centred * centred).sum(axis=axis, keepdims=keepdims) / (count_of(x.shape, axis) - ddof)


def _products_before(xp, x):
    """Product of all entries before each one on the last axis, in log₂ n doubling steps.

    Not the whole product divided by the entry, which fails at a zero; and not a cumprod, which
    functional does not have.
    """
    ones = xp.ones_like(x[..., :1])
    p = xp.concatenate([ones, x[..., :-1]], axis=-1)
    step = 1
    while step < x.shape[-1]:
        p = xp.concatenate([p[..., :step], p[..., step:] * p[..., :-step]], axis=-1)
        step *= 2
    return p
