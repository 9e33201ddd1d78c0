"""Logistic regression on given features by this library, and how sure a measured mean is."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tinygrad_llm import Tensor, optim
from tinygrad_llm import functional as F

PENALTIES = 10.0 ** np.arange(-3.0, 1.0)
"""Of ½λ‖W‖², tried on rows that are not learnt from."""

STEPS, RATE = 150, 0.1

FOLDS, FEW = 5, 200
"""A fifth of the rows chooses λ; of up to FEW rows every fifth does, in turn."""

_T_975 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)
"""The 97.5 % points of Student's t with 1 … 10 degrees of freedom."""


class Linear(NamedTuple):
    """weight (D, C), bias (C,), and the λ that was chosen."""

    weight: np.ndarray
    bias: np.ndarray
    penalty: float

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Classes (N,) of rows (N, D)."""
        return (x @ self.weight + self.bias).argmax(axis=1)


class Mean(NamedTuple):
    """A mean, and half the width of its 95 % interval."""

    mean: float
    half: float


def standardized(*parts: np.ndarray) -> list[np.ndarray]:
    """Each feature of all parts with mean 0 and deviation 1 in the first of them."""
    mean, deviation = parts[0].mean(axis=0), parts[0].std(axis=0)
    deviation[deviation == 0.0] = 1.0
    return [((part - mean) / deviation).astype(np.float32) for part in parts]


def fit(x: np.ndarray, y: np.ndarray, classes: int, seed: int) -> Linear:
    """Learns classes (N,) from rows (N, D), with the λ that is best on rows held out of them.

    The rows held out are drawn by the seed; then all are learnt with that λ. Of penalties that are
    equally good the largest is taken.
    """
    order = np.random.default_rng(seed).permutation(len(x))
    right = np.zeros(len(PENALTIES))
    for fold in range(FOLDS if len(x) <= FEW else 1):
        held = order[fold::FOLDS]
        learned = np.setdiff1d(order, held)
        weight, bias = minimize(x[learned], y[learned], classes, PENALTIES)
        said = [(x[held] @ w + b).argmax(axis=1) for w, b in zip(weight, bias)]
        right += (np.array(said) == y[held]).sum(axis=1)
    best = float(PENALTIES[len(right) - 1 - right[::-1].argmax()])
    weight, bias = minimize(x, y, classes, np.array([best]))
    return Linear(weight[0], bias[0], best)


def minimize(
    x: np.ndarray, y: np.ndarray, classes: int, penalties: np.ndarray, steps: int = STEPS
) -> tuple[np.ndarray, np.ndarray]:
    """The least mean cross-entropy + ½λ‖W‖² for each of G penalties λ at once, by Adam on all rows:
    weights (G, D, C) and biases (G, C), which have no penalty."""
    groups = len(penalties)
    rows, labels = Tensor(x), np.repeat(y[:, None], groups, axis=1)
    # The penalties side by side make one product with the rows: (N, D) @ (D, G·C).
    weight = Tensor(np.zeros((x.shape[1], groups * classes), x.dtype), requires_grad=True)
    bias = Tensor(np.zeros(groups * classes, x.dtype), requires_grad=True)
    half = Tensor(np.repeat(0.5 * penalties, classes).astype(x.dtype))
    optimizer = optim.Adam([weight, bias], lr=RATE)
    schedule = optim.Schedule(optimizer, lambda step: optim.linear_factor(step, steps))
    for _ in range(steps):
        optimizer.zero_grad()
        scores = (rows @ weight + bias).reshape(len(x), groups, classes)
        # Each penalty has weights of its own, so the sum of the losses is least where each is.
        loss = groups * F.cross_entropy(scores, labels) + (half * weight * weight).sum()
        loss.backward()
        optimizer.step()
        schedule.step()
    by_group = weight.numpy().reshape(-1, groups, classes).swapaxes(0, 1)
    return by_group, bias.numpy().reshape(groups, classes)


def interval(scores: np.ndarray) -> Mean:
    """The mean of scores (S, N) of S seeds on the same N test rows, such as 1 where right, or the
    difference of two methods; its interval covers other seeds and other test rows."""
    seeds, rows = scores.shape
    by_row = scores.mean(axis=0).std(ddof=1) / math.sqrt(rows)
    by_seed = 0.0
    if seeds > 1:
        by_seed = scores.mean(axis=1).std(ddof=1) / math.sqrt(seeds) * _t(seeds - 1)
    return Mean(float(scores.mean()), math.hypot(1.96 * by_row, by_seed))


def mean_of_seeds(values: np.ndarray) -> Mean:
    """The mean of one number a seed (S,), S ≥ 2, and its interval by Student's t."""
    half = _t(len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return Mean(float(values.mean()), float(half))


def _t(freedom: int) -> float:
    return _T_975[freedom - 1] if freedom <= len(_T_975) else 1.96 + 2.4 / freedom
