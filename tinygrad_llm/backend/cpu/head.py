"""Cross-entropy of a linear layer: one array for the logits of all chunks, which become powers,
probabilities and their own gradients in it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from tinygrad_llm.backend.cpu import powers
from tinygrad_llm.backend.cpu.sums import of_rows, over_rows
from tinygrad_llm.backend.devices import Array
from tinygrad_llm.backend.overrides import Cached

LN_2 = math.log(2.0)

RANGE = 60.0
"""Exponents between −RANGE and RANGE need no maximum taken away: powers are divided by their sum
before they meet anything else, and both are within what float32 holds."""


class Head(NamedTuple):
    """Of the layer what all chunks need: w as (V, D) or (D, V), and b."""

    w: Array
    b: Array | None
    smoothing: float
    transposed: bool

    @property
    def classes(self) -> int:
        return self.w.shape[0 if self.transposed else 1]


class Sums(NamedTuple):
    """The gradients, to which each chunk adds its own; None where none is needed."""

    dx: Array | None
    dw: Array | None
    db: Array | None
    part: Array | None
    """Room for one chunk's share of dw."""


def forward(*arrays: Array, **constants: Any) -> Any:
    """l = −Σ_c q_c·ln p_c of each row, or scale·Σ l; gradients of that together with it. Left to
    the reference: logits so large that log₂e times as much, or x on the way to it, is ∞."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            return _forward(*arrays, **constants)
    except FloatingPointError:
        return NotImplemented


def _forward(
    x: Array,
    w: Array,
    b: Array | None,
    target: Array,
    *,
    scale: float | None,
    label_smoothing: float,
    transposed: bool,
    chunk: int,
    ahead: tuple[bool, ...],
) -> Any:
    head = Head(w, b, label_smoothing, transposed)
    if not len(x) or not head.classes:
        return NotImplemented
    sums = None if scale is None or True not in ahead else _nothing_yet(x, head, ahead)
    losses, room = np.empty(len(x), np.float32), _room(x, head, chunk)
    for start in range(0, len(x), chunk):
        rows = slice(start, start + chunk)
        z = _shifted(x[rows], head, room)
        at = np.arange(len(z)), target[rows]
        chosen = _chosen(z, at, label_smoothing)
        np.exp2(z, out=z)
        total = of_rows(z)
        losses[rows] = np.log(total[:, 0]) - chosen
        if sums is not None:
            _into_dlogits(z, total, at, head)
            _add_chunk(sums, rows, x[rows], z, head)
    kept = None if sums is None else Cached(sums[:3])
    saved = x, w, b, target, np.arange(head.classes), kept
    result = losses if scale is None else losses.sum() * np.float32(scale)
    return result, (*saved, scale, label_smoothing, transposed, chunk)


def backward(g: Array, saved: tuple, needs: tuple[bool, ...]) -> tuple:
    """dz = g·(p − q),  dx = dz Wᵀ,  dW = xᵀ dz,  db = Σ dz, if forward has not got them."""
    x, w, b, target, _, sums, scale, smoothing, transposed, chunk = saved
    if sums is None:
        each = np.broadcast_to(g if scale is None else g * np.float32(scale), len(x))
        sums = _gradients(x, Head(w, b, smoothing, transposed), target, each, chunk, needs)
        return *sums[:3], None
    g = g * np.float32(scale)
    dx, dw, db = (total * g if need else None for total, need in zip(sums, needs))
    return dx, dw, db, None


def _gradients(
    x: Array, head: Head, target: Array, g: Array, chunk: int, needs: tuple[bool, ...]
) -> Sums:
    """With a factor g for each row."""
    sums, room = _nothing_yet(x, head, needs), _room(x, head, chunk)
    for start in range(0, len(x), chunk):
        rows = slice(start, start + chunk)
        dz = _shifted(x[rows], head, room)
        np.exp2(dz, out=dz)
        _into_dlogits(dz, of_rows(dz), (np.arange(len(dz)), target[rows]), head)
        dz *= g[rows, None]
        _add_chunk(sums, rows, x[rows], dz, head)
    return sums


def _room(x: Array, head: Head, chunk: int) -> Array:
    """For the logits of one chunk after the other."""
    return np.empty((min(chunk, len(x)), head.classes), np.float32)


def _nothing_yet(x: Array, head: Head, needs: tuple[bool, ...]) -> Sums:
    dx = np.empty(x.shape, np.float32) if needs[0] else None
    dw, part = (np.empty(head.w.shape, np.float32) if needs[1] else None for _ in range(2))
    db = np.zeros(head.classes, np.float32) if needs[2] else None
    return Sums(dx, dw, db, part)


def _shifted(x: Array, head: Head, room: Array) -> Array:
    """log₂e·z for the rows of a chunk, minus the maximum of each row if they are out of range.

    Raises FloatingPointError where there is no finite maximum.
    """
    z = room[: len(x)]
    np.matmul(x * (1.0 / LN_2), head.w.T if head.transposed else head.w, out=z)
    if head.b is not None:
        z += head.b * (1.0 / LN_2)
    if not powers.within_range(z, RANGE) and not powers.shift(z):
        raise FloatingPointError
    return z


def _chosen(z: Array, at: tuple, smoothing: float) -> Array:
    """Σ_c q_c·z_c of each row, with z as it was before log₂e. Raises FloatingPointError for ∞."""
    chosen = z[at]
    if smoothing:
        chosen = chosen * (1.0 - smoothing) + z.mean(axis=1) * smoothing
    if not np.isfinite(chosen).all():
        raise FloatingPointError
    return chosen * LN_2


def _into_dlogits(powers: Array, total: Array, at: tuple, head: Head) -> None:
    """powers become p − q."""
    powers *= np.reciprocal(total)
    if head.smoothing:
        powers -= head.smoothing / head.classes
    powers[at] -= 1.0 - head.smoothing


def _add_chunk(sums: Sums, rows: slice, x: Array, dz: Array, head: Head) -> None:
    if sums.dx is not None:
        np.matmul(dz, head.w if head.transposed else head.w.T, out=sums.dx[rows])
    if sums.dw is not None:
        part: Any = sums.part if rows.start else sums.dw
        left, right = (dz, x) if head.transposed else (x, dz)
        np.matmul(left.T, right, out=part)
        if rows.start:
            np.add(sums.dw, part, out=sums.dw)
    if sums.db is not None:
        np.add(sums.db, over_rows(dz), out=sums.db)
