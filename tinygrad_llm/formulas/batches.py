"""Forms about what a batch of samples says of all: F54-F56, F66, F68, F89.

Letters: N samples, D parameters, B the size of a batch, K batches. slopes are the gradients of
the losses of single samples or batches, one a row.
"""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass
from functools import partial
from itertools import combinations, product

import numpy as np

from tinygrad_llm.formulas.embedding import Ids
from tinygrad_llm.formulas.losses import draw_labels, mean_logit_loss
from tinygrad_llm.formulas.neuron import sigmoid
from tinygrad_llm.formulas.numeric import Array, numeric_gradient
from tinygrad_llm.formulas.registry import Outcome, Question, case, formula


@formula("F54", "corrected", "printed")
def full_gradient(slopes: Array) -> Array:
    """F54: ∇J = 1/N Σ_i ∇ℓ_i, over all the data. Right as described. slopes (N, D) -> (D,).

    One step costs a pass over the data, which is why large models are not trained so.
    """
    return np.sum(slopes, axis=0) / len(slopes)


@formula("F55", "corrected", "printed")
def sample_gradient(slopes: Array, i: int) -> Array:
    """F55: ∇ℓ_i of one sample, i drawn evenly from 1..N; over all i its mean is F54.

    Right as described in words; F13 misprints the step. slopes (N, D) -> (D,).
    """
    return slopes[i]


@formula("F56", "corrected", "printed")
def batch_gradient(slopes: Array, batch: Ids) -> Array:
    """F56: 1/B Σ_{i in batch} ∇ℓ_i. Right as described; over all batches of B its mean is F54.

    Of batches that cut an epoch into parts, one smaller than the others counts by its size, as in
    F66. slopes (N, D), batch (B,) indices -> (D,).
    """
    return np.mean(slopes[batch], axis=0)


@formula("F66", "corrected")
def accumulated_gradient(slopes: Array, counts: Array) -> Array:
    """F66: g = Σ_k n_k g_k / Σ_k n_k, n_k what the mean of micro-batch k was taken over.

    Samples, or the tokens that count where some are masked. With equal n_k it is 1/K Σ g_k.
    slopes (K, D), counts (K,) -> (D,).
    """
    return counts @ slopes / np.sum(counts)


@formula("F66", "mistake")
def summed_gradient(slopes: Array, counts: Array) -> Array:
    """F66 mistaken: Σ_k g_k, K times as long as the gradient of the whole batch. Shapes as F66."""
    return np.sum(slopes, axis=0)


def equally_weighted(slopes: Array, counts: Array) -> Array:
    """F66 by half: 1/K Σ g_k, right only where all counts are equal. Shapes as F66."""
    return np.mean(slopes, axis=0)


@formula("F68", "corrected")
def epoch_loss(losses: Array, sizes: Array, dataset: Sized) -> np.floating:
    """F68: Σ_b n_b ℓ_b / Σ_b n_b: the mean loss of a row. losses, sizes (K,) -> ()."""
    return np.sum(sizes * losses) / np.sum(sizes)


@formula("F68", "printed")
def epoch_loss_printed(losses: Array, sizes: Array, dataset: Sized) -> np.floating:
    """F68 as printed: Σ_b ℓ_b / len(dataset), where dataset is a pair (inputs, labels).

    The length of a pair is 2, however many rows it has. losses, sizes (K,) -> ().
    """
    return np.sum(losses) / len(dataset)


@formula("F89", "corrected")
def batch_variance(slopes: Array, B: int, replacement: bool) -> Array:
    """F89: Var of a batch's gradient = σ²/B, times (N − B)/(N − 1) if no sample comes twice.

    σ² = 1/N Σ_i (∇ℓ_i − ∇J)², for each parameter. Four times the batch, half the noise.
    slopes (N, D) -> (D,).
    """
    N = len(slopes)
    variance = np.var(slopes, axis=0) / B
    return variance if replacement else variance * (N - B) / (N - 1)


@formula("F89", "mistake")
def batch_variance_with_replacement(slopes: Array, B: int, replacement: bool) -> Array:
    """F89 mistaken: σ²/B for every way to draw.

    An epoch without repetitions has less noise; and where B = N there is none. (N, D) -> (D,).
    """
    return np.var(slopes, axis=0) / B


@dataclass(frozen=True)
class Samples:
    """A logistic regression with its data. X (N, D), y (N,), theta (D,)."""

    X: Array
    y: Array
    theta: Array

    def slopes(self) -> Array:
        """∇ℓ_i for every sample, (N, D)."""
        return (sigmoid(self.X @ self.theta) - self.y)[:, None] * self.X

    def numeric_slope(self, rows: Ids | slice = slice(None)) -> Array:
        """The gradient of the mean loss over some rows, by central differences. -> (D,)."""
        X, y = self.X[rows], self.y[rows]
        return numeric_gradient(lambda theta: mean_logit_loss(X @ theta, y), self.theta)


def draw_samples(rng: np.random.Generator, N: int) -> Samples:
    """N samples of three numbers, both labels among them."""
    return Samples(rng.normal(size=(N, 3)), draw_labels(rng, N), rng.normal(size=3))


@case("F54", "all samples", Outcome.AGREES)
def _full_question(rng: np.random.Generator) -> Question:
    samples = draw_samples(rng, int(rng.integers(2, 9)))
    return Question(samples.numeric_slope(), lambda form: form(samples.slopes()))


@case("F55", "one sample", Outcome.AGREES)
def _sample_question(rng: np.random.Generator) -> Question:
    samples = draw_samples(rng, 6)
    i = int(rng.integers(6))
    truth = samples.numeric_slope(np.array([i]))
    return Question(truth, lambda form: form(samples.slopes(), i))


@case("F55", "mean over all samples", Outcome.AGREES)
def _unbiased_question(rng: np.random.Generator) -> Question:
    samples = draw_samples(rng, 6)
    return Question(
        samples.numeric_slope(),
        lambda form: np.mean([form(samples.slopes(), i) for i in range(6)], axis=0),
    )


@case("F56", "one batch", Outcome.AGREES)
def _batch_question(rng: np.random.Generator) -> Question:
    samples, batch = draw_samples(rng, 6), rng.permutation(6)[: rng.integers(1, 7)]
    return Question(samples.numeric_slope(batch), lambda form: form(samples.slopes(), batch))


@case("F56", "mean over all batches of two", Outcome.AGREES)
def _batches_question(rng: np.random.Generator) -> Question:
    samples = draw_samples(rng, 6)
    batches = [np.array(pair) for pair in combinations(range(6), 2)]
    return Question(
        samples.numeric_slope(),
        lambda form: np.mean([form(samples.slopes(), batch) for batch in batches], axis=0),
    )


def _accumulation_question(sizes: tuple[int, ...], rng: np.random.Generator) -> Question:
    samples = draw_samples(rng, sum(sizes))
    parts = np.split(samples.slopes(), np.cumsum(sizes)[:-1])
    slopes = np.array([part.mean(axis=0) for part in parts])
    return Question(
        samples.numeric_slope(), lambda form: form(slopes, np.array(sizes, dtype=np.float64))
    )


@case("F68", "a ragged last batch", Outcome.DIFFERS)
def _epoch_question(rng: np.random.Generator) -> Question:
    rows = rng.exponential(size=int(rng.integers(4, 9)) * 4 + 1)
    batches = [rows[start : start + 4] for start in range(0, len(rows), 4)]
    losses = np.array([np.mean(batch) for batch in batches])
    sizes = np.array([float(len(batch)) for batch in batches])
    dataset = (np.zeros((len(rows), 2)), np.zeros(len(rows)))
    truth = np.asarray(np.sum(rows) / len(rows))
    return Question(truth, lambda form: form(losses, sizes, dataset))


def _variance_question(replacement: bool, B: int, rng: np.random.Generator) -> Question:
    """The variance over every batch there is, each as likely as the others."""
    slopes = draw_samples(rng, 5).slopes()
    every = product(range(5), repeat=B) if replacement else combinations(range(5), B)
    means = np.array([slopes[list(batch)].mean(axis=0) for batch in every])
    truth = np.mean((means - slopes.mean(axis=0)) ** 2, axis=0)
    return Question(truth, lambda form: form(slopes, B, replacement))


case("F66", "three equal micro-batches", Outcome.DIFFERS)(
    partial(_accumulation_question, (2, 2, 2))
)
case("F66", "unequal micro-batches", Outcome.DIFFERS)(partial(_accumulation_question, (4, 2, 1)))
case("F66", "one micro-batch", Outcome.AGREES)(partial(_accumulation_question, (6,)))
case("F89", "with replacement", Outcome.AGREES)(partial(_variance_question, True, 3))
case("F89", "without replacement", Outcome.DIFFERS)(partial(_variance_question, False, 3))
