"""Layer norm and RMS norm over the last axis, alone and with the residual sum before them."""

from __future__ import annotations

import math

from tinygrad_llm.ops.base import Cached, Op
from tinygrad_llm.ops.precision import narrow, wide


class LayerNorm(Op):
    """y = γ·x̂ + β with x̂ = (x − mean x)/s, s = √(mean (x − mean x)² + ε) over the last axis;
    dx = (ĝ − mean ĝ − x̂·mean(ĝ·x̂))/s with ĝ = γ·g,  dγ = Σ g·x̂,  dβ = Σ g over all rows
    (G07, F76; Ba et al. 2016).

    The mean and s depend on x too: that is where the two means in dx come from. The variance is the
    biased one. Without γ or β (None) it is 1 or 0. Of float16 all is computed in float32: 1/s of a
    constant row is 10⁶ where ε = 10⁻¹².
    Shapes: x (..., D), γ (D,), β (D,).
    """

    @staticmethod
    def forward(xp, x, weight, bias, *, eps):
        rows = wide(x)
        mean, inverse = _moments(xp, rows, eps)
        y = rows - mean
        y *= inverse
        if weight is not None:
            y *= weight
        if bias is not None:
            y += bias
        return narrow(y, x), (x, weight, Cached(mean), Cached(inverse), eps)

    @staticmethod
    def backward(xp, g, saved, needs):
        x, weight, mean, inverse, eps = saved
        rows = wide(x)
        g = wide(g)
        if mean is None:
            mean, inverse = _moments(xp, rows, eps)
        dx = dweight = dbias = None
        if needs[0] or needs[1]:
            normed = (rows - mean) * inverse
        if needs[0]:
            h = _scaled(g, weight)
            shift = h.mean(axis=-1, keepdims=True)
            stretch = (h * normed).mean(axis=-1, keepdims=True)
            dx = narrow((h - shift - normed * stretch) * inverse, x)
        if needs[1]:
            dweight = narrow(_row_sum(g * normed), x)
        if needs[2]:
            dbias = narrow(_row_sum(g), x)
        return dx, dweight, dbias


class RMSNorm(Op):
    """y = γ·x̂ with x̂ = x/s, s = √(mean x² + ε) over the last axis;
    dx = (ĝ − x̂·mean(ĝ·x̂))/s with ĝ = γ·g,  dγ = Σ g·x̂ over all rows  (Zhang & Sennrich 2019).

    Layer norm without its mean: one of the two means in dx is gone too. Without γ (None) it is 1.
    Shapes: x (..., D), γ (D,).
    """

    @staticmethod
    def forward(xp, x, weight, *, eps):
        rows = wide(x)
        inverse = _inverse_root(xp, rows, eps)
        y = rows * inverse
        if weight is not None:
            y *= weight
        return narrow(y, x), (x, weight, Cached(inverse), eps)

    @staticmethod
    def backward(xp, g, saved, needs):
        x, weight, inverse, eps = saved
        rows = wide(x)
        g = wide(g)
        if inverse is None:
            inverse = _inverse_root(xp, rows, eps)
        normed = rows * inverse
        dx = dweight = None
        if needs[0]:
            h = _scaled(g, weight)
            dx = (h - normed * (h * normed).mean(axis=-1, keepdims=True)) * inverse
            dx = narrow(dx, x)
        if needs[1]:
            dweight = narrow(_row_sum(g * normed), x)
        return dx, dweight


class AddLayerNorm(Op):
    """(y, s) = (LayerNorm(s), s) with s = x + r, the residual sum;
    dx = dr = what LayerNorm gives for the gradient of y, + the gradient of s  (G07, F76).

    One node for what every block of a Transformer does between two of its parts; s is the residual
    that goes on to the next one.
    """

    spares_zeros = (1,)

    @staticmethod
    def forward(xp, x, residual, weight, bias, *, eps):
        s = x + residual
        y, (_, *kept) = LayerNorm.forward(xp, s, weight, bias, eps=eps)
        return (y, s), (s, *kept)

    @staticmethod
    def backward(xp, g, saved, needs):
        gy, gs = g
        into_sum = needs[0] or needs[1]
        ds, dweight, dbias = LayerNorm.backward(xp, gy, saved, (into_sum, *needs[2:]))
        ds = ds if gs is None or not into_sum else ds + gs
        dx = ds if needs[0] else None
        dresidual = ds if needs[1] else None
        return dx, dresidual, dweight, dbias


class AddRMSNorm(Op):
    """(y, s) = (RMSNorm(s), s) with s = x + r, the residual sum;
    dx = dr = what RMSNorm gives for the gradient of y, + the gradient of s."""

    spares_zeros = (1,)

    @staticmethod
    def forward(xp, x, residual, weight, *, eps):
        s = x + residual
        y, (_, *kept) = RMSNorm.forward(xp, s, weight, eps=eps)
        return (y, s), (s, *kept)

    @staticmethod
    def backward(xp, g, saved, needs):
        gy, gs = g
        into_sum = needs[0] or needs[1]
        ds, dweight = RMSNorm.backward(xp, gy, saved, (into_sum, needs[2]))
        ds = ds if gs is None or not into_sum else ds + gs
        dx = ds if needs[0] else None
        dresidual = ds if needs[1] else None
        return dx, dresidual, dweight


def _moments(xp, x, eps: float):
    """(mean, 1/s) of LayerNorm."""
    mean = x.mean(axis=-1, keepdims=True)
    centred = x - mean
    return mean, 1.0 / xp.sqrt((centred * centred).mean(axis=-1, keepdims=True) + eps)


def _inverse_root(xp, x, eps: float):
    """1/s of RMSNorm."""
    return 1.0 / xp.sqrt((x * x).mean(axis=-1, keepdims=True) + eps)


def _scaled(x, weight):
    return x if weight is None else x * wide(weight)


def _row_sum(x):
    """The sum over all axes but the last."""
    # computed, because reshape(-1) is ambiguous when the width is 0
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1]).sum(axis=0)
