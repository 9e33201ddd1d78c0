"""Forms about what is made of data before a network sees it: F53, F82.

Letters: N rows, D features, K classes.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from tinygrad_llm.formulas.embedding import Ids
from tinygrad_llm.formulas.losses import cross_entropy, cross_entropy_gradient
from tinygrad_llm.formulas.neuron import softmax
from tinygrad_llm.formulas.numeric import Array, numeric_gradient
from tinygrad_llm.formulas.registry import Outcome, Question, case, formula


@formula("F53", "corrected")
def min_max(train: Array, x: Array) -> Array:
    """F53: x' = (x − min)/(max − min), min and max of the training rows; 0 where they are equal.

    So that new rows are measured by the same rule, and may fall outside of [0, 1]; and so that no
    test row is looked at in training. Text is not scaled. train (M, D), x (N, D) -> (N, D).
    """
    low, spread = train.min(axis=0), np.ptp(train, axis=0)
    return np.where(spread > 0.0, (x - low) / np.where(spread > 0.0, spread, 1.0), 0.0)


@formula("F53", "printed")
def min_max_printed(train: Array, x: Array) -> Array:
    """F53 as described: values are mapped to a range such as [0, 1], from what is at hand.

    Whose smallest and largest is not said: with those of x itself, equal values of two sets come
    out different. A constant feature is 0/0. train (M, D), x (N, D) -> (N, D).
    """
    return (x - x.min(axis=0)) / (x.max(axis=0) - x.min(axis=0))


@formula("F82", "corrected")
def one_hot_loss(Z: Array, classes: Ids) -> np.floating:
    """F82: labels one-hot, Y_ic = 1[c = class i], in F47's −1/N Σ_i Σ_c Y_ic log P_ic.

    Z (N, K), classes (N,) -> ().
    """
    return cross_entropy(softmax(Z), np.eye(Z.shape[1])[classes])


@formula("F82", "printed")
def one_hot_in_sparse_loss(Z: Array, classes: Ids) -> np.floating:
    """F82 as printed: one-hot labels, given to a loss that takes class numbers.

    TensorFlow refuses the shape. Where it is read on, each 0 and 1 is a class of its own: a row
    pays for class 0 K − 1 times and for class 1 once, whatever its label. Z (N, K) -> ().
    """
    numbers = np.eye(Z.shape[1], dtype=np.int64)[classes]
    return -np.mean(np.take_along_axis(np.log(softmax(Z)), numbers, axis=1))


def _line_through_range(train: Array, x: Array) -> Array:
    """The straight line through (min, 0) and (max, 1) of each training feature, at x."""
    columns = []
    for feature, values in zip(train.T, x.T):
        low, *_, high = sorted(feature)
        share = np.linalg.solve([[low, 1.0], [high, 1.0]], [0.0, 1.0])
        columns.append(np.polyval(share, values))
    return np.stack(columns, axis=1)


def _scaling_question(same: bool, rng: np.random.Generator) -> Question:
    train = rng.normal(size=(8, 3)) * rng.uniform(0.1, 10.0, size=3)
    x = train if same else 3.0 * rng.normal(size=(5, 3))
    return Question(_line_through_range(train, x), lambda form: form(train, x))


@case("F53", "a constant feature", Outcome.NOT_FINITE)
def _constant_question(rng: np.random.Generator) -> Question:
    constant = np.full((5, 1), rng.normal())
    return Question(np.zeros((5, 1)), lambda form: form(constant, constant))


def _label_question(K: int, rng: np.random.Generator) -> Question:
    Z, classes = rng.normal(size=(5, K)), rng.integers(0, K, size=5)
    return Question(
        cross_entropy_gradient(Z, np.eye(K)[classes]),
        lambda form: numeric_gradient(lambda Z: form(Z, classes), Z),
    )


case("F53", "new rows", Outcome.DIFFERS)(partial(_scaling_question, False))
case("F53", "the training rows", Outcome.AGREES)(partial(_scaling_question, True))
case("F82", "two classes", Outcome.DIFFERS)(partial(_label_question, 2))
case("F82", "four classes", Outcome.DIFFERS)(partial(_label_question, 4))
