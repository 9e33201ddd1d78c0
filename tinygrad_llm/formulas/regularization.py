"""Forms about what keeps a network from learning its samples by heart: dropout, F50 and F61.

A form takes x (N,), the kept units (N,) as ones and zeros, the probability p of losing a unit,
and whether it is in training.
"""

from __future__ import annotations

from functools import partial
from itertools import product

import numpy as np

from tinygrad_llm.formulas.numeric import Array, flat, numeric_gradient, project
from tinygrad_llm.formulas.registry import Form, Outcome, Question, case, formula


@formula("F50", "corrected")
@formula("F61", "corrected")
def inverted_dropout(x: Array, kept: Array, p: float, training: bool) -> Array:
    """F50, F61: y = m ⊙ x / (1 − p), m ~ Bernoulli(1 − p), in training; y = x in evaluation.

    000's words give the mask, 004's line the factor: each has half. Together they leave the mean
    of every unit as it is, so that evaluation needs no factor; the variance is x² p/(1 − p).
    It is linear in x: the gradient is the same function, with the same m, of the cotangent.
    """
    return kept * x / (1.0 - p) if training else x


@formula("F50", "printed")
def dropout_factor(x: Array, kept: Array, p: float, training: bool) -> Array:
    """F50 as printed: dropout = 1/(1 − p), a factor.

    No unit is lost and nothing is left to chance: every value grows, and in evaluation too.
    """
    return x / (1.0 - p)


@formula("F61", "printed")
def dropout_mask(x: Array, kept: Array, p: float, training: bool) -> Array:
    """F61 as printed, in words: units are set to zero at random.

    Without the factor the mean shrinks to (1 − p) x, so that evaluation sees values larger than
    any layer behind it has learned from; and no word says that evaluation keeps every unit.
    """
    return kept * x


def draw_kept(rng: np.random.Generator, units: int) -> Array:
    """Ones and zeros, each at least once. -> (units,)."""
    kept = rng.integers(0, 2, size=units).astype(np.float64)
    kept[:2] = (0.0, 1.0)
    return rng.permutation(kept)


def _gradient_question(training: bool, rng: np.random.Generator) -> Question:
    x, cotangent, kept = *rng.normal(size=(2, 6)), draw_kept(rng, 6)
    p = rng.uniform(0.1, 0.9)
    lost = np.flatnonzero(kept == 0.0)
    truth = cotangent.copy()
    if training:
        truth /= 1.0 - p
        truth[lost] = 0.0
    return Question(
        truth,
        lambda form: numeric_gradient(lambda x: project(form(x, kept, p, training), cotangent), x),
    )


def _moments(form: Form, x: Array, p: float) -> Array:
    """Mean and variance of what comes of every unit, over all masks, each by its probability."""
    masks = np.array(list(product((0.0, 1.0), repeat=len(x))))
    chances = np.prod(np.where(masks == 1.0, 1.0 - p, p), axis=1)
    outputs = np.array([form(x, kept, p, True) for kept in masks])
    mean = chances @ outputs
    return flat(mean, chances @ (outputs - mean) ** 2)


def _moments_question(rng: np.random.Generator) -> Question:
    x, p = rng.normal(size=4), rng.uniform(0.1, 0.9)
    return Question(flat(x, x**2 * p / (1.0 - p)), lambda form: _moments(form, x, p))


for _id in ("F50", "F61"):
    case(_id, "gradient in training", Outcome.DIFFERS)(partial(_gradient_question, True))
    case(_id, "gradient in evaluation", Outcome.DIFFERS)(partial(_gradient_question, False))
    case(_id, "mean and variance over all masks", Outcome.DIFFERS)(_moments_question)
