"""The head of a language model, a linear layer and its cross-entropy, as one node: its logits are
made, used and forgotten chunk by chunk."""

from __future__ import annotations

from typing import Any, NamedTuple

from tinygrad_llm.ops.base import Cached, Op
from tinygrad_llm.ops.losses import scaled_sum
from tinygrad_llm.ops.precision import narrow, wide


class Head(NamedTuple):
    """What is the same for every chunk: arrays, or Tensors under create_graph."""

    w: Any
    b: Any
    classes: Any
    """0 … V−1, saved by forward: functional.arange makes CPU tensors only."""
    smoothing: float
    transposed: bool


class LinearCrossEntropy(Op):
    """l = −Σ_c q_c·ln p_c for each row, p = softmax(z), z = x W + b, and q = (1 − ε)·onehot + ε/V;
    dz = g·(p − q),  dx = dz Wᵀ,  dW = xᵀ dz,  db = Σ dz over all rows  (F43, F47, G02, G03).

    The result is the rows l, or scale·Σ l where a `scale` is given: 1/N makes it the mean. Only
    `chunk` rows have logits at a time, in forward and in backward. Of scale·Σ l the gradients are
    the same for every g but for that factor: those that `ahead` names are computed in forward,
    while a chunk's logits are there, which saves backward from making them again. Of float16 all
    is computed in float32, for the sums are made before they are scaled.
    Shapes: x (N, D), w (D, V), or (V, D) if `transposed`, b (V,) or None, target (N,) integers in
    0 … V−1, l (N,).
    """

    no_gradient = ("target",)

    @staticmethod
    def forward(xp, x, w, b, target, *, scale, label_smoothing, transposed, chunk, ahead):
        classes = xp.arange(w.shape[0 if transposed else 1])
        head = _head(w, b, classes, label_smoothing, transposed)
        ls, sums = [], _NOTHING
        ahead = ahead if scale is not None else (False,) * 3
        for rows in _chunks(len(x), chunk):
            part = wide(x[rows])
            z = _shifted_logits(part, head)
            e = xp.exp(z)
            total = e.sum(axis=1, keepdims=True)
            ls.append(_losses(xp, z, total, target[rows], label_smoothing))
            if True in ahead:
                dz = _dlogits(e, total, target[rows], head)
                sums = _with_chunk(sums, part, dz, head, ahead)
        l = xp.concatenate(ls)
        kept = Cached(sums) if True in ahead else None
        saved = x, w, b, target, classes, kept, scale, label_smoothing, transposed, chunk
        return narrow(l if scale is None else scaled_sum(l, scale), x), saved

    @staticmethod
    def backward(xp, g, saved, needs):
        x, w, b, target, classes, sums, scale, smoothing, transposed, chunk = saved
        g = wide(g)
        if sums is None:
            head, sums = _head(w, b, classes, smoothing, transposed), _NOTHING
            for rows in _chunks(len(x), chunk):
                part = wide(x[rows])
                e = xp.exp(_shifted_logits(part, head))
                dz = _dlogits(e, e.sum(axis=1, keepdims=True), target[rows], head)
                dz = dz * g[rows][:, None] if scale is None else dz
                sums = _with_chunk(sums, part, dz, head, needs)
        g = 1.0 if scale is None else g * scale
        dx = narrow(xp.concatenate(sums[0]) * g, x) if needs[0] else None
        dw = narrow(sums[1] * g, w) if needs[1] else None
        db = narrow(sums[2] * g, b) if needs[2] else None
        return dx, dw, db, None


_NOTHING: tuple = ([], None, None)
"""The sums before the first chunk: dx in parts, dW and db in whole."""


def _head(w, b, classes, smoothing: float, transposed: bool) -> Head:
    return Head(wide(w), None if b is None else wide(b), classes, smoothing, transposed)


def _chunks(rows: int, chunk: int) -> list[slice]:
    """Slices of so many rows; one, which is empty, of no rows."""
    return [slice(start, start + chunk) for start in range(0, max(rows, 1), chunk)]


def _shifted_logits(x, head: Head):
    """z − max z for the rows of a chunk."""
    z = x @ (head.w.T if head.transposed else head.w)
    if head.b is not None:
        z += head.b
    z -= z.max(axis=1, keepdims=True)
    return z


def _losses(xp, z, total, target, smoothing: float):
    """−Σ q·ln p, with ln p = z − ln total."""
    chosen = z[xp.arange(len(target)), target]
    if smoothing:
        chosen = chosen * (1.0 - smoothing) + z.mean(axis=1) * smoothing
    return xp.log(total)[:, 0] - chosen


def _dlogits(e, total, target, head: Head):
    """p − q, in the memory of e."""
    q = target[:, None] == head.classes
    if head.smoothing:
        q = q.astype(e.dtype) * (1.0 - head.smoothing) + head.smoothing / len(head.classes)
    e /= total
    e -= q
    return e


def _with_chunk(sums: tuple, x, dz, head: Head, needs: tuple[bool, ...]) -> tuple:
    """The sums with one chunk's dx, dW and db, as far as they are needed."""
    dxs, dw, db = sums
    if needs[0]:
        dxs = [*dxs, dz @ (head.w if head.transposed else head.w.T)]
    if needs[1]:
        dw = _plus(dw, dz.T @ x if head.transposed else x.T @ dz)
    if needs[2]:
        db = _plus(db, dz.sum(axis=0))
    return dxs, dw, db


def _plus(total, part):
    """total + part; into the memory of `total`, which nobody else holds."""
    if total is None:
        return part
    total += part
    return total
