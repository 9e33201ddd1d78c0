"""Answers to the exercises of chapter 02; try yourself first."""

import numpy as np

from tinygrad_llm import ones, zeros
from tinygrad_llm.nn import Module, Parameter


def linear_backward(X, W, delta):
    """Each of X, W and b gets delta, carried back along what it was multiplied by.

    The shapes leave no choice: dX must be (N, in), dW (in, out), db (out,).
    """
    return delta @ W.T, X.T @ delta, delta.sum(axis=0)


def network_gradients(X, T, W1, b1, W2, b2):
    """Forward, keeping what backward needs; then the two layers from the last to the first."""
    a = np.tanh(X @ W1 + b1)  # (N, hidden)
    delta2 = (a @ W2 + b2 - T) / len(X)  # ∂L/∂Y (N, out): the mean's 1/N is here, and only here
    da, dW2, db2 = linear_backward(a, W2, delta2)
    delta1 = da * (1.0 - a**2)  # tanh′ = 1 − tanh²
    _, dW1, db1 = linear_backward(X, W1, delta1)
    return dW1, db1, dW2, db2


def cross_entropy_gradient(logits, labels):
    """(softmax − one-hot) / n in the n rows that count, 0 in the others."""
    rows = np.flatnonzero(labels != -100)
    gradient = np.zeros(logits.shape)
    if len(rows):
        counted = logits[rows]
        e = np.exp(counted - counted.max(axis=1, keepdims=True))  # the largest is e⁰ = 1
        p = e / e.sum(axis=1, keepdims=True)
        p[np.arange(len(rows)), labels[rows]] -= 1.0
        gradient[rows] = p / len(rows)
    return gradient


def adam_step(w, g, m, v, t):
    """Both means begin at 0 and are too small at first; dividing by 1 − βᵗ mends that (F14–F18)."""
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * g**2
    m_hat = m / (1.0 - 0.9**t)
    v_hat = v / (1.0 - 0.999**t)
    return w - 0.001 * m_hat / (np.sqrt(v_hat) + 1e-8), m, v


class Scale(Module):
    """y = x·weight + bias, a number for each feature: x (..., features) -> (..., features).

    The rows share weight and bias; the engine sums their gradients over the rows, because it undoes
    broadcasting by itself.
    """

    def __init__(self, features):
        self.weight = Parameter(ones(features))
        self.bias = Parameter(zeros(features))

    def forward(self, x):
        return x * self.weight + self.bias
