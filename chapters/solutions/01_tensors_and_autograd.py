"""Answers to the exercises of chapter 01; try yourself first."""

import numpy as np

from tinygrad_llm.ops import Op


def softplus_gradient(x):
    """d/dx ln(1 + eˣ) = σ(x). Of e^x and e^−x the small one is used, so nothing overflows."""
    e = np.exp(-np.abs(x))
    return np.where(x > 0, 1.0, e) / (1.0 + e)


def central_difference(f, x, h):
    """(f(x + h) − f(x − h)) / 2h in each element of x, on copies of x."""
    gradient = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        above, below = x.copy(), x.copy()
        above[index] += h
        below[index] -= h
        gradient[index] = (f(above) - f(below)) / (2 * h)
    return gradient


def backward(tape):
    """From the last node to the first: when a node's turn comes, all that used it have been there.

    Each use adds (F48).
    """
    gradients = [0.0] * len(tape)
    gradients[-1] = 1.0
    for node in reversed(range(len(tape))):
        for used, slope in tape[node]:
            gradients[used] += gradients[node] * slope
    return gradients


def unbroadcast(g, shape):
    """Copying forwards is summing backwards: over the new axes, and over those that were 1."""
    new = g.ndim - len(shape)
    g = g.sum(axis=tuple(range(new)))
    repeated = tuple(i for i, n in enumerate(shape) if n == 1)
    return g.sum(axis=repeated, keepdims=True)


class Swish(Op):
    """y = x·σ(x);  dx = g·s·(1 + x·(1 − s)) with s = σ(x).

    Only x is saved. The intermediate s is computed again: saved, it would be cut off from the tape
    of the second derivative.
    """

    @staticmethod
    def forward(xp, x):
        return x / (1.0 + xp.exp(-x)), (x,)

    @staticmethod
    def backward(xp, g, saved, needs):
        (x,) = saved
        s = 1.0 / (1.0 + xp.exp(-x))
        dx = g * s * (1.0 + x * (1.0 - s))
        return dx
