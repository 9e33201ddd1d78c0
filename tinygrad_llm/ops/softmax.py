"""Softmax and its logarithm."""

from __future__ import annotations

from tinygrad_llm.ops.base import Op
from tinygrad_llm.ops.precision import narrow, total, wide


class Softmax(Op):
    """yᵢ = e^xᵢ / Σⱼ e^xⱼ, shifted by the maximum;  dx = y·(g − Σ g·y), from J = diag(y) − y yᵀ
    (G02)."""

    @staticmethod
    def forward(xp, x, *, axis):
        e = wide(xp.exp(x - x.max(axis=axis, keepdims=True)))
        y = narrow(e / e.sum(axis=axis, keepdims=True), x)
        return y, (y, axis)

    @staticmethod
    def backward(xp, g, saved, needs):
        y, axis = saved
        dx = y * (g - total(g * y, axis, keepdims=True))
        return dx


class LogSoftmax(Op):
    """yᵢ = xᵢ − ln Σⱼ e^xⱼ;  dx = g − eʸ·Σ g."""

    @staticmethod
    def forward(xp, x, *, axis):
        y = log_softmax(xp, x, axis)
        return y, (y, axis)

    @staticmethod
    def backward(xp, g, saved, needs):
        y, axis = saved
        dx = g - xp.exp(y) * total(g, axis, keepdims=True)
        return dx


def log_softmax(xp, x, axis):
    """ln softmax(x), finite for every finite x."""
    shifted = x - x.max(axis=axis, keepdims=True)
    return shifted - narrow(xp.log(wide(xp.exp(shifted)).sum(axis=axis, keepdims=True)), x)
