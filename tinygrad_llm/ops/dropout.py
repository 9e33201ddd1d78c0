"""Dropout: it keeps the (key, offset) of its draw, not the mask."""

from __future__ import annotations

from tinygrad_llm.backend.devices import device_of
from tinygrad_llm.backend.random import Draw, drop_units, keep_mask
from tinygrad_llm.ops.base import Op


class Dropout(Op):
    """y = m·x / (1 − p) with m = 0 with probability p, else 1;  dx = m·g / (1 − p)  (F50;
    Srivastava et al. 2014, scaled in training so that evaluation is the identity).

    The same `draw` gives the same m again: backward, recomputation and a GPU need not keep it.
    """

    @staticmethod
    def forward(xp, x, *, p, draw):
        return x * scaled_mask(x, p, draw), (p, draw)

    @staticmethod
    def backward(xp, g, saved, needs):
        p, draw = saved
        dx = g * scaled_mask(g, p, draw)
        return dx


def scaled_mask(like, p: float, draw: Draw):
    """m / (1 − p), for an array or Tensor; p as the mask has it, so that the mean is exact."""
    keep = keep_mask(draw, like.shape, p, device_of(like))
    kept_share = 1.0 - drop_units(p) / 65536
    return keep.astype(like.dtype) * (1.0 / kept_share if kept_share else 0.0)
