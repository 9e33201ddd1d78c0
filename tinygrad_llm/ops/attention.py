"""Scaled dot-product attention as one node: scores, masks, softmax, dropout and the sum of values.

Letters: H heads of queries, G heads of keys and values (G divides H), T queries, S keys, K width of
queries and keys, E width of values.
"""

from __future__ import annotations

import math

from tinygrad_llm.backend.masks import causal_mask, scaled_mask
from tinygrad_llm.ops.base import Cached, Op
from tinygrad_llm.ops.precision import narrow, total, wide


class ScaledDotProductAttention(Op):
    """O = A V with A = softmax(S) row by row, S = Q Kᵀ·scale, −∞ where a query may not see a key;
    dV = Aᵀ G,  dA = G Vᵀ,  dS = A·(dA − Σ dA·A),  dQ = dS K·scale,  dK = dSᵀ Q·scale
    (F28, F29, F45, G05, G06; Vaswani et al. 2017).

    A query that may see no key gets output 0 and gradient 0, never NaN. `mask` is boolean (True:
    may be seen) or added to S. With `causal`, query i stands at position offset + i and sees no key
    beyond. Heads h·H/G … (h + 1)·H/G − 1 read keys and values of head h. With a `draw`, A is
    multiplied by dropout's mask before it meets V. With `return_weights` A, before dropout, is a
    second output.
    Shapes: q (..., H, T, K), k (..., G, S, K), v (..., G, S, E), mask that broadcasts to A, A
    (..., H, T, S), O (..., H, T, E); for one head the axis of heads may be missing.
    """

    no_gradient = ("mask",)
    spares_zeros = (1,)

    @staticmethod
    def forward(xp, q, k, v, mask, *, causal, offset, scale, p, draw, return_weights):
        # Saved too, for backward may run on Tensors, and functional.arange makes CPU tensors only.
        past = causal_mask(xp, q.shape[-2], k.shape[-2], offset) if causal else None
        weights = _weights(xp, q, k, mask, past, scale)
        kept = weights if draw is None else weights * scaled_mask(draw, weights.shape, p, weights)
        y = _like(_grouped(kept, v) @ v, q)
        if return_weights:
            return (y, weights), (q, k, v, mask, weights, past, scale, p, draw)
        return y, (q, k, v, mask, Cached(weights), past, scale, p, draw)

    @staticmethod
    def backward(xp, g, saved, needs):
        q, k, v, mask, a, past, scale, p, draw = saved
        if a is None:
            a = _weights(xp, q, k, mask, past, scale)
        g, da = g if type(g) is tuple else (g, None)
        dropped = None if draw is None else scaled_mask(draw, a.shape, p, a)
        dq = dk = dv = None
        if needs[2]:
            kept = a if dropped is None else a * dropped
            dv = _grouped(kept, v).swapaxes(-1, -2) @ _grouped(g, v)
        if needs[0] or needs[1]:
            through = _like(_grouped(g, v) @ v.swapaxes(-1, -2), q)
            through = through if dropped is None else through * dropped
            da = through if da is None else through + da
            ds = _grouped(a * (da - total(da * a, axis=-1, keepdims=True)), k)
            dq = _like(ds @ (k * scale), q) if needs[0] else None
            dk = ds.swapaxes(-1, -2) @ _grouped(q * scale, k) if needs[1] else None
        return dq, dk, dv, None


def _weights(xp, q, k, mask, past, scale):
    """A (..., H, T, S), a row of zeros for a query that may see no key."""
    s = _like(_grouped(q * scale, k) @ k.swapaxes(-1, -2), q)
    if mask is not None:
        s = xp.where(mask, s, -math.inf) if mask.dtype.kind == "b" else s + mask
    if past is not None:
        s = xp.where(past, s, -math.inf)
    top = s.max(axis=-1, keepdims=True)
    s -= xp.where(xp.isfinite(top), top, 0.0)
    e = wide(xp.exp(s))
    sums = e.sum(axis=-1, keepdims=True)
    e /= xp.where(sums == 0, 1.0, sums)
    return narrow(e, q)


def _grouped(x, k):
    """(..., H, T, n) -> (..., G, H/G·T, n): heads that share keys become rows of one matrix, so
    that the product for the keys' gradient sums over them."""
    shared = 1 if x.ndim == 2 else x.shape[-3] // k.shape[-3]
    return x.reshape(*k.shape[:-2], shared * x.shape[-2], x.shape[-1])


def _like(x, q):
    """(..., G, H/G·T, n) -> (..., H, T, n), the heads of q."""
    return x.reshape(*q.shape[:-1], x.shape[-1])
