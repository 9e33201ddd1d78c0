"""Answers to the exercises of chapter 03a; try yourself first."""

import numpy as np


def momentum_step(w, g, v, lr, mu, nesterov):
    """v is the sum of all gradients so far, each by μ to the power of its age."""
    v = mu * v + g
    step = g + mu * v if nesterov else v
    return w - lr * step, v


def epoch_gradient(gradients, sizes):
    """A mean times the size of its batch is the sum over its samples; add them, divide by all."""
    return sizes @ gradients / sizes.sum()


def adamw_step(w, g, m, v, t, lr, decay):
    """Adam's step, and beside it the decay, which no moment sees and nothing divides."""
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * g**2
    m_hat = m / (1.0 - 0.9**t)
    v_hat = v / (1.0 - 0.999**t)
    return w - lr * m_hat / (np.sqrt(v_hat) + 1e-8) - lr * decay * w, m, v


def warmup_linear(step, total, warmup):
    """The first line where step < warmup, which with warmup = 0 is nowhere; else the second."""
    if step < warmup:
        return step / warmup
    return max(0.0, (total - step) / max(1, total - warmup))


def clip_by_norm(dW, db, c):
    """One factor for both arrays; c over the larger of ‖g‖ and c is 1 for a small g, also for 0."""
    norm = np.sqrt((dW**2).sum() + (db**2).sum())
    factor = c / max(norm, c)
    return dW * factor, db * factor, norm
