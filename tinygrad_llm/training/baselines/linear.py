"""Linear models on given rows: logistic regression for classes, ridge regression for numbers.

The rows are dense or sparse. Both models have the least mean loss of the scores xW + b, plus
½λ‖W‖²; b has no penalty. λ is chosen on rows held out of those that are learnt from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

import numpy as np

from tinygrad_llm.data import one_hot
from tinygrad_llm.training.baselines.lbfgs import least
from tinygrad_llm.training.baselines.sparse import SparseRows

PENALTIES = 10.0 ** np.arange(-3.0, 1.0)
"""Of features with mean 0 and deviation 1; rows that are shorter need smaller ones."""

STEPS = 200
"""At most, of L-BFGS."""

FOLDS, FEW = 5, 200
"""A fifth of the rows chooses λ; of up to FEW rows every fifth does, in turn."""

Rows: TypeAlias = np.ndarray | SparseRows

Loss: TypeAlias = Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]]
"""Of scores and targets (N, C): the mean over the rows, and its gradient in the scores (N, C)."""


class Linear(NamedTuple):
    """weight (D, C) and bias (C,), and the λ that was chosen."""

    weight: np.ndarray
    bias: np.ndarray
    penalty: float

    def scores(self, x: Rows) -> np.ndarray:
        """Rows (N, D) -> xW + b, (N, C) float64."""
        return x @ self.weight.astype(x.dtype) + self.bias

    def predict(self, x: Rows) -> np.ndarray:
        """The classes (N,) with the largest scores."""
        return self.scores(x).argmax(axis=1)


def fit_classes(
    x: Rows, classes: np.ndarray, count: int, penalties: np.ndarray = PENALTIES, seed: int = 0
) -> Linear:
    """Logistic regression: learns classes (N,) from 0 to count − 1 from rows (N, D), N >= 1.

    penalties: the λ to choose from, ascending. The rows held out are drawn by the seed; the λ with
    the most right answers there is taken, of several the largest, and all rows are learnt with it.
    Raises ValueError or TypeError for what are no such classes.
    """
    return _fit(x, one_hot(classes, count), _CLASSES, penalties, seed)


def fit_numbers(
    x: Rows, numbers: np.ndarray, penalties: np.ndarray = PENALTIES, seed: int = 0
) -> Linear:
    """Ridge regression: learns numbers (N,) from rows (N, D), as `fit_classes` learns classes; the
    λ with the least squared error is taken. Hoerl & Kennard 1970, "Ridge Regression"."""
    middle, spread = numbers.mean(), numbers.std() or 1.0
    target = ((numbers - middle) / spread)[:, None]
    found = _fit(x, target, _NUMBERS, penalties, seed)
    return Linear(found.weight * spread, found.bias * spread + middle, found.penalty)


def minimize(
    x: Rows,
    target: np.ndarray,
    loss: Loss,
    penalty: float,
    start: tuple[np.ndarray, np.ndarray] | None = None,
    steps: int = STEPS,
) -> tuple[np.ndarray, np.ndarray]:
    """W (D, C) and b (C,) with the least mean loss of xW + b beside targets (N, C), + ½λ‖W‖².

    start: W and b to begin with, such as those of another λ; zeros without.
    """
    if start is None:
        start = np.zeros((x.shape[1], target.shape[1])), np.zeros(target.shape[1])

    def objective(both: np.ndarray) -> tuple[float, np.ndarray]:
        weight, bias = both[:-1], both[-1]
        value, slope = loss(Linear(weight, bias, penalty).scores(x), target)
        value += 0.5 * penalty * float(np.vdot(weight, weight))
        # d(xW + b): xᵀg in W, and the sum of g over the rows in b
        by_weight = x.T @ slope.astype(x.dtype) + penalty * weight
        return value, np.concatenate([by_weight, slope.sum(axis=0, keepdims=True)])

    both = least(objective, np.concatenate([start[0], start[1][None]]), steps)
    return both[:-1], both[-1]


def cross_entropy(scores: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    """−Σ_c t_c log p_c, p = softmax(scores), t of sum 1; the gradient of the mean is (p − t)/N
    (F82, G02)."""
    logs = log_softmax(scores)
    return -float(np.vdot(target, logs)) / len(scores), (np.exp(logs) - target) / len(scores)


def half_squares(scores: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    """½(s − t)²; the gradient of the mean is (s − t)/N."""
    off = scores - target
    return 0.5 * float(np.vdot(off, off)) / len(scores), off / len(scores)


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """log p of each class, (N, C)."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _right(scores: np.ndarray, target: np.ndarray) -> float:
    return float((scores.argmax(axis=1) == target.argmax(axis=1)).sum())


def _nearness(scores: np.ndarray, target: np.ndarray) -> float:
    return -float(((scores - target) ** 2).sum())


class _Task(NamedTuple):
    """What is made least, and the quality by which λ is chosen, summed over rows."""

    loss: Loss
    quality: Callable[[np.ndarray, np.ndarray], float]


_CLASSES, _NUMBERS = _Task(cross_entropy, _right), _Task(half_squares, _nearness)


def _fit(x: Rows, target: np.ndarray, task: _Task, penalties: np.ndarray, seed: int) -> Linear:
    """The model of the λ with the best quality on rows held out; of several the largest."""
    total = np.zeros(len(penalties))
    for learned, held in _folds(len(target), seed):
        total += _qualities(x, target, task, penalties, learned, held)
    best = float(penalties[len(total) - 1 - total[::-1].argmax()])
    return Linear(*minimize(x, target, task.loss, best), best)


def _folds(rows: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Places of rows to learn from and of rows held out, neither of which are none."""
    order = np.random.default_rng(seed).permutation(rows)
    for fold in range(FOLDS if rows <= FEW else 1):
        held = np.sort(order[fold::FOLDS])
        if 0 < len(held) < rows:
            yield np.setdiff1d(order, held), held


def _qualities(
    x: Rows,
    target: np.ndarray,
    task: _Task,
    penalties: np.ndarray,
    learned: np.ndarray,
    held: np.ndarray,
) -> np.ndarray:
    """Of each λ the quality on the rows held out. The larger λ is, the sooner its model is found;
    the next search begins there."""
    mine, others, answers = x[learned], x[held], target[learned]
    found, here = list[float](), None
    for penalty in penalties[::-1]:
        here = minimize(mine, answers, task.loss, penalty, here)
        found.append(task.quality(Linear(*here, penalty).scores(others), target[held]))
    return np.array(found[::-1])
