"""Losses, one value for each row or element; functional takes their sum or mean."""

from __future__ import annotations

from tinygrad_llm.ops.base import Cached, Op
from tinygrad_llm.ops.elementwise import minus_abs, stable_sigmoid
from tinygrad_llm.ops.precision import narrow, total, wide
from tinygrad_llm.ops.softmax import log_softmax


class CrossEntropy(Op):
    """l = −ln p_target with p = softmax(z), for a class index per row;
    dz = g·(p − onehot(target))  (G02, F47).

    The result is the rows l, or scale·Σ l where a `scale` is given: 1/N makes it the mean. Where
    `counted` is False, l and its gradient are 0, even where the logits are NaN. A class that is not
    the target costs nothing, even where its logit is −∞.
    Shapes: z (..., V), target (...) integers in 0 … V−1, counted (...) booleans or None, l (...).
    """

    no_gradient = ("target", "counted")

    @staticmethod
    def forward(xp, z, target, counted, *, scale):
        logp = log_softmax(xp, z, -1)
        rows = logp.reshape(target.size, z.shape[-1])
        l = -rows[xp.arange(target.size), target.reshape(-1)].reshape(target.shape)
        if counted is not None:
            l = xp.where(counted, l, 0.0)
        # Saved too, for backward may run on Tensors, and functional.arange makes CPU tensors only.
        classes = xp.arange(z.shape[-1])
        saved = z, target, counted, Cached(logp), classes, scale
        return (l if scale is None else scaled_sum(l, scale)), saved

    @staticmethod
    def backward(xp, g, saved, needs):
        z, target, counted, logp, classes, scale = saved
        if logp is None:  # NaN must not enter the tape: its derivative would be 0·NaN
            z = z if counted is None else xp.where(counted[..., None], z, 0.0)
            logp = xp.log_softmax(z, -1)
        g = g[..., None] if scale is None else g * scale
        dz = g * (xp.exp(logp) - (target[..., None] == classes))
        if counted is not None:
            dz = xp.where(counted[..., None], dz, 0.0)
        return dz, None, None


def scaled_sum(l, scale: float):
    """scale·Σ l, with a sum that float16 could not hold taken in float32."""
    return narrow(wide(l).sum() * scale, l)


class WeightedCrossEntropy(Op):
    """l = −Σ_c q_c·ln p_c with p = softmax(z), for a class index per row;
    dz = g·(p·Σ_c q_c − q)  (G02, F47).

    q_c = w_c·((1 − ε)·1[c = target] + ε/V), with class weights w and label smoothing ε; q = 0 in a
    row whose target is `ignore_index`. With neither, Σq = 1 and the gradient is p − onehot.
    A class with q = 0 costs nothing, even where its logit is −∞, and a row with Σq = 0 gives loss
    and gradient 0, even where its logits are NaN.
    Shapes: z (..., V), target (...) integers, w (V,), l (...).
    """

    no_gradient = ("target", "weight")

    @staticmethod
    def forward(xp, z, target, weight, *, ignore_index, label_smoothing):
        # Saved too, for backward may run on Tensors, and functional.arange makes CPU tensors only.
        classes = xp.arange(z.shape[-1])
        logp = log_softmax(xp, z, -1)
        q = target_distribution(target, weight, classes, z.dtype, ignore_index, label_smoothing)
        l = -total(q * xp.where(q == 0, 0.0, logp), axis=-1)
        return l, (z, target, weight, Cached(logp), classes, ignore_index, label_smoothing)

    @staticmethod
    def backward(xp, g, saved, needs):
        z, target, weight, logp, classes, ignore_index, label_smoothing = saved
        # Made a second time, for keeping q would hold as much memory as the logits do.
        q = target_distribution(target, weight, classes, z.dtype, ignore_index, label_smoothing)
        weight_sum = total(q, axis=-1, keepdims=True)
        if logp is None:  # NaN must not enter the tape: its derivative would be 0·NaN
            logp = xp.log_softmax(xp.where(weight_sum == 0, 0.0, z), -1)
        dz = g[..., None] * (xp.where(weight_sum == 0, 0.0, xp.exp(logp) * weight_sum) - q)
        return dz, None, None


class SoftCrossEntropy(Op):
    """l = −Σ_c t_c·ln p_c with p = softmax(z), for a target distribution per row;
    dz = g·(p·Σ_c t_c − t),  dt = −g·ln p  (F47).  Σt need not be 1: that is what Σ_c t_c is for
    (F07).  A class with t = 0 costs nothing, even where ln p = −∞."""

    @staticmethod
    def forward(xp, z, t):
        logp = log_softmax(xp, z, -1)
        l = -total(t * xp.where(t == 0, 0.0, logp), axis=-1)
        return l, (z, t, Cached(logp))

    @staticmethod
    def backward(xp, g, saved, needs):
        z, t, logp = saved
        logp = xp.log_softmax(z, -1) if logp is None else logp
        g = g[..., None]
        dz = g * (xp.exp(logp) * total(t, axis=-1, keepdims=True) - t) if needs[0] else None
        dt = -g * logp if needs[1] else None
        return dz, dt


class SquaredError(Op):
    """l = (a − b)²;  da = 2g·(a − b),  db = −da  (F46)."""

    @staticmethod
    def forward(xp, a, b):
        difference = a - b
        return difference * difference, (a, b)

    @staticmethod
    def backward(xp, g, saved, needs):
        a, b = saved
        da = 2.0 * g * (a - b) if needs[0] else None
        db = 2.0 * g * (b - a) if needs[1] else None
        return da, db


class BCEWithLogits(Op):
    """l = softplus(z) − z·t, the binary cross-entropy of σ(z), finite for every z;
    dz = g·(σ(z) − t),  dt = −g·z  (F23, F25)."""

    @staticmethod
    def forward(xp, z, t):
        l = xp.maximum(z, 0) - z * t + xp.log1p(xp.exp(minus_abs(xp, z)))
        return l, (z, t, Cached(stable_sigmoid(xp, z)))

    @staticmethod
    def backward(xp, g, saved, needs):
        z, t, s = saved
        s = xp.sigmoid(z) if s is None else s
        dz = g * (s - t) if needs[0] else None
        dt = -g * z if needs[1] else None
        return dz, dt


class KLDiv(Op):
    """l = t·(ln t − x) for log-probabilities x and probabilities t, 0 where t = 0 (even at x = −∞);
    dx = −g·t,  dt = g·(ln t + 1 − x), and 0 where t = 0."""

    @staticmethod
    def forward(xp, x, t):
        return t * xp.where(t == 0, 0.0, _log_where_positive(xp, t) - x), (x, t)

    @staticmethod
    def backward(xp, g, saved, needs):
        x, t = saved
        dx = -g * t if needs[0] else None
        dt = None
        if needs[1]:
            dt = g * xp.where(t == 0, 0.0, _log_where_positive(xp, t) + 1.0 - x)
        return dx, dt


def target_distribution(target, weight, classes, dtype, ignore_index: int, smoothing: float):
    """q of WeightedCrossEntropy, (..., V): what the loss wants of each class in each row."""
    q = (target[..., None] == classes).astype(dtype)
    if smoothing:
        q = q * (1.0 - smoothing) + smoothing / len(classes)
    if weight is not None:
        q = q * weight
    return q * (target != ignore_index)[..., None]


def _log_where_positive(xp, t):
    return xp.log(xp.where(t == 0, 1.0, t))
