"""Scaled dot-product attention, a few texts and queries at a time, without a pass for the maxima.

Three things make it faster than the reference. e^s is 2^(s·log₂e), and the factor goes into q
together with the scale: exp2 takes less time than exp. When all scores lie in a range that
float32 can hold without it, no row maximum is taken away. And rows are not divided by their sums:
the output (T, E) is, and in backward its gradient, which are smaller than (T, S).
A tile's scores stay in the cache from the first product to the last; keys that no query of a tile
may see are left out of its products. Whether maxima are taken away is decided for a whole tile: the
rounding of an output may depend on texts beside its own, and on keys that its query does not see.

Letters as in the reference: H heads, T queries, S keys, K and E widths; B texts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tinygrad_llm.backend.cpu import powers
from tinygrad_llm.backend.cpu.sums import in_rows, of_rows
from tinygrad_llm.backend.devices import Array
from tinygrad_llm.backend.masks import causal_mask, scaled_mask
from tinygrad_llm.backend.overrides import Cached
from tinygrad_llm.backend.random import Draw

TILE = 1 << 18
"""Scores of a tile at most, 1 MB, where there are that many of one text."""

QUERIES = 64
"""Queries of a tile at most, when the mask is causal: so few that keys are worth leaving out."""


RANGE = 40.0
"""Exponents between −RANGE and RANGE need no maximum taken away. Their powers, from 1e−12 to 1e12,
meet values and gradients before they are divided by their sum: those may be as large as 1e20."""


class Tile(NamedTuple):
    """Some texts, some of their queries, and the keys, 0 … stop − 1, that these may see.

    first: of its texts' tiles the first, which sees the most keys.
    """

    texts: slice
    queries: slice
    keys: slice
    first: bool

    @property
    def asking(self) -> tuple:
        """Where the tile's part of q and of the output lies."""
        return self.texts, slice(None), self.queries

    @property
    def asked(self) -> tuple:
        """Where its part of k and v lies."""
        return self.texts, slice(None), self.keys

    @property
    def scores(self) -> tuple:
        """Where its part of the weights lies."""
        return self.texts, slice(None), self.queries, self.keys


class Kept(NamedTuple):
    """What forward keeps for backward: of each tile 2^s (B, H, T, S), and 1 / Σ 2^s of its rows."""

    tiles: list[Tile]
    powers: list[Array]
    inverses: list[Array]


def forward(
    q: Array,
    k: Array,
    v: Array,
    mask: Array | None,
    *,
    causal: bool,
    offset: int,
    scale: float,
    p: float,
    draw: Draw | None,
    return_weights: bool,
) -> Any:
    """O = A V. Left to the reference: weights to return, heads that share keys, added masks."""
    if return_weights or not _has_form(q, k, mask):
        return NotImplemented
    past = causal_mask(np, q.shape[-2], k.shape[-2], offset) if causal else None
    given, (q, k, v) = (q, k, v), map(_four_axes, (q, k, v))
    seen, dropped = _seen(mask, past, q, k), _dropout(q, k, p, draw)
    scaled, y = q * (scale / math.log(2.0)), _empty(q.shape, v.shape[3])
    kept = Kept(list(_tiles(q, k, past is not None, offset)), [], [])
    for tile in kept.tiles:
        power = scaled[tile.asking] @ k[tile.asked].swapaxes(2, 3)
        _exp2(power, None if seen is None else seen[tile.scores])
        inverse = _inverse(power)
        kept.powers.append(power)
        kept.inverses.append(inverse)
        power = power if dropped is None else power * dropped[tile.scores]
        out = y[tile.asking]
        np.matmul(power, v[tile.asked], out=out)
        out *= inverse
    y = y.reshape(*given[0].shape[:-1], v.shape[3])
    return y, (*given, mask, Cached(kept), past, scale, p, draw)


def backward(g: Array, saved: tuple, needs: tuple[bool, ...]) -> tuple:
    """With U = 2^s and r = 1/ΣU, rows of A = r·U: dV = Uᵀ(rG),  P = (rG)Vᵀ,  dS = U·(P − r·Σ U·P),
    dQ = dS K·scale,  dK = dSᵀ Q·scale. Dropout multiplies U in dV, and P."""
    *given, _, kept, _, scale, p, draw = saved
    q, k, v = map(_four_axes, given)
    g = _four_axes(g)
    dropped = _dropout(q, k, p, draw)
    dq = _empty(q.shape, q.shape[3]) if needs[0] else None
    dk, dv = (_empty(x.shape, x.shape[3]) if need else None for x, need in zip((k, v), needs[1:]))
    for tile, power, inverse in zip(*kept):
        drop = None if dropped is None else dropped[tile.scores]
        rg = g[tile.asking] * inverse
        if dv is not None:
            _add_product(dv, tile, power if drop is None else power * drop, rg)
        if dq is not None or dk is not None:
            ds = rg @ v[tile.asked].swapaxes(2, 3)
            ds = ds if drop is None else ds * drop
            ds -= np.vecdot(power, ds)[..., None] * inverse
            ds *= power
        if dq is not None:
            np.matmul(ds, k[tile.asked] * scale, out=dq[tile.asking])
        if dk is not None:
            _add_product(dk, tile, ds, q[tile.asking] * scale)
    grads = zip((dq, dk, dv), given)
    return (*(None if dx is None else dx.reshape(x.shape) for dx, x in grads), None)


def _has_form(q: Array, k: Array, mask: Array | None) -> bool:
    """As many heads of keys, something to do, and a mask of booleans or none."""
    alike = q.ndim <= 4 and q.shape[:-2] == k.shape[:-2] and q.size > 0 and k.size > 0
    return alike and (mask is None or mask.dtype.kind == "b")


def _four_axes(x: Array) -> Array:
    """x as (B, H, T, n); the axes of texts and of heads may be missing."""
    return x.reshape((1,) * (4 - x.ndim) + x.shape)


def _seen(mask: Array | None, past: Array | None, q: Array, k: Array) -> Array | None:
    """1 where a query may see a key, else 0, (B, H, T, S) by repetition; None if all see all."""
    if mask is None and past is None:
        return None
    seen: Any = past if mask is None else mask if past is None else mask & past
    return np.broadcast_to(seen.astype(np.float32), (*q.shape[:3], k.shape[2]))


def _dropout(q: Array, k: Array, p: float, draw: Draw | None) -> Array | None:
    """The reference's mask (B, H, T, S)."""
    return None if draw is None else scaled_mask(draw, (*q.shape[:3], k.shape[2]), p, q)


def _tiles(q: Array, k: Array, causal: bool, offset: int) -> Iterator[Tile]:
    texts, heads, queries, _ = q.shape
    keys = k.shape[2]
    rows = min(queries, QUERIES) if causal else queries
    step = max(1, TILE // (heads * rows * keys))
    for text in range(0, texts, step):
        for stop in range(queries, 0, -rows):
            seen = min(keys, max(1, offset + stop)) if causal else keys
            some = slice(text, text + step), slice(max(0, stop - rows), stop), slice(seen)
            yield Tile(*some, first=stop == queries)


def _exp2(power: Array, seen: Array | None) -> None:
    """2^s in the place of s, 0 where a key is not seen; of rows out of range 2^(s − their max)."""
    if not powers.within_range(power, RANGE):
        powers.shift(power, seen)
    np.exp2(power, out=power)
    if seen is not None:  # after exp2, which is slow for −∞
        power *= seen


def _inverse(power: Array) -> Array:
    """1 / Σ 2^s of each row (B, H, T, 1), and 1 where no key is seen."""
    total = of_rows(in_rows(power)).reshape(*power.shape[:3], 1)
    total[total == 0.0] = 1.0
    return np.reciprocal(total, out=total)


def _add_product(total: Array, tile: Tile, of_keys: Array, rows: Array) -> None:
    """Add what a tile's queries send to its keys, (B, H, S, T) times (B, H, T, n)."""
    part = total[tile.asked]
    if tile.first:
        np.matmul(of_keys.swapaxes(2, 3), rows, out=part)
        total[tile.texts, :, tile.keys.stop :] = 0.0  # keys that nobody sees
    else:
        part += of_keys.swapaxes(2, 3) @ rows


def _empty(shape: tuple[int, ...], width: int) -> Array:
    """(B, H, T, width) with heads side by side in memory: when the axis of heads goes back behind
    that of tokens, nothing has to be copied."""
    texts, heads, tokens, _ = shape
    return np.empty((texts, tokens, heads, width), np.float32).swapaxes(1, 2)
