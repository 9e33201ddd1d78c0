"""Dropout: it keeps the (key, offset) of its draw, not the mask."""

from __future__ import annotations

from tinygrad_llm.backend.masks import scaled_mask
from tinygrad_llm.ops.base import Op


class Dropout(Op):
    """y = m·x / (1 − p) with m = 0 with probability p, else 1;  dx = m·g / (1 − p)  (F50;
    Srivastava et al. 2014, scaled in training so that evaluation is the identity).

    The same `draw` gives the same m again: backward, recomputation and a GPU need not keep it.
    """

    @staticmethod
    def forward(xp, x, *, p, draw):
        return x * scaled_mask(draw, x.shape, p, x), (p, draw)

    @staticmethod
    def backward(xp, g, saved, needs):
        p, draw = saved
        dx = g * scaled_mask(draw, g.shape, p, g)
        return dx
