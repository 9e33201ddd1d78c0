"""Masks that ops and their faster forms share: the causal one, and dropout's."""

from __future__ import annotations

from typing import Any

from tinygrad_llm.backend.devices import Array, device_of
from tinygrad_llm.backend.random import Draw, drop_units, keep_mask


def causal_mask(xp: Any, queries: int, keys: int, offset: int) -> Array | None:
    """(T, S) booleans: key j is not beyond query i, which stands at offset + i; None where every
    query may see every key."""
    if offset >= keys - 1:
        return None
    return xp.arange(keys) <= xp.arange(queries)[:, None] + offset


def scaled_mask(draw: Draw, shape: tuple[int, ...], p: float, like: Any) -> Array:
    """0 with probability p, else 1 / (1 − p), p as the mask has it, so that the mean is exact.

    like: an array or Tensor, whose dtype and device the mask gets.
    """
    keep = keep_mask(draw, shape, p, device_of(like))
    kept_share = 1.0 - drop_units(p) / 65536
    return keep.astype(like.dtype) * (1.0 / kept_share if kept_share else 0.0)
