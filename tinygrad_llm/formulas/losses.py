"""Forms about losses and their gradients: F22-F25, F27, F46, F47, G02.

Letters: N samples, K classes, D inputs. y and Y are labels, ŷ predictions, z and Z logits.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from tinygrad_llm.formulas.neuron import sigmoid, softmax
from tinygrad_llm.formulas.numeric import Array, numeric_gradient
from tinygrad_llm.formulas.registry import Outcome, Question, case, formula


@formula("F22", "corrected")
def empirical_risk(losses: Array, layers: int) -> np.floating:
    """F22: J(θ) = 1/N Σ_i ℓ(ŷ_i, y_i), N the number of samples. losses (N,) -> ()."""
    return np.sum(losses) / len(losses)


@formula("F22", "printed")
def empirical_risk_printed(losses: Array, layers: int) -> np.floating:
    """F22 as printed: 1/N Σ_i L(y_i, ŷ_i), with the N of the line above it, the layers.

    One letter for two counts: the risk comes out N/layers times too large. losses (N,) -> ().
    """
    return np.sum(losses) / layers


@formula("F23", "corrected")
def logit_loss(z: Array, y: Array) -> Array:
    """F23: −[y log σ(z) + (1 − y) log(1 − σ(z))] = softplus(z) − yz. z, y (N,) -> (N,)."""
    return np.logaddexp(0.0, z) - y * z


@formula("F23", "printed")
def logit_loss_printed(z: Array, y: Array) -> Array:
    """F23 as printed: −[y log ŷ + (1 − y) log(1 − ŷ)], ŷ = σ(z).

    Right for ŷ in (0, 1); infinite once σ(z) is rounded to 0 or 1. z, y (N,) -> (N,).
    """
    prediction = sigmoid(z)
    return -(y * np.log(prediction) + (1.0 - y) * np.log(1.0 - prediction))


@formula("F24", "corrected")
def mean_logit_loss(z: Array, y: Array) -> np.floating:
    """F24: 1/N Σ_i [softplus(z_i) − y_i z_i]. z, y (N,) -> ()."""
    return np.mean(logit_loss(z, y))


@formula("F24", "printed")
def mean_logit_loss_printed(z: Array, y: Array) -> np.floating:
    """F24 as printed: −1/N Σ_i [y_i log M_θ(x_i) + (1 − y_i) log(1 − M_θ(x_i))].

    Right, with F23's overflow. z, y (N,) -> ().
    """
    return np.mean(logit_loss_printed(z, y))


@formula("F25", "corrected")
def logistic_gradient(X: Array, theta: Array, y: Array) -> Array:
    """F25: ∂L/∂θ = 1/N Xᵀ(σ(Xθ) − y), the two factors fused.

    X (N, D), theta (D,), y (N,) -> (D,).
    """
    return X.T @ (sigmoid(X @ theta) - y) / len(y)


def label_factor(y: Array, prediction: Array) -> Array:
    """F25's factor −(y/M − (1 − y)/(1 − M)); infinite where M is rounded to the wrong label."""
    return -(y / prediction - (1.0 - y) / (1.0 - prediction))


@formula("F25", "printed")
def logistic_gradient_printed(X: Array, theta: Array, y: Array) -> Array:
    """F25 as printed: ∂L/∂θ_k = −1/N Σ_i (y_i/M − (1 − y_i)/(1 − M)) ∂M(x_i)/∂θ_k.

    Right; infinity times zero once M is rounded to 0 or 1. Shapes as F25.
    """
    prediction = sigmoid(X @ theta)
    model_slope = (prediction * (1.0 - prediction))[:, None] * X
    return label_factor(y, prediction) @ model_slope / len(y)


@formula("F27", "corrected")
def logistic_loss(theta: Array, X: Array, y: Array) -> np.floating:
    """F27: −1/N Σ_i [y_i log p_i + (1 − y_i) log(1 − p_i)], p_i = p(y = 1 | x_i; θ) = σ(x_i θ).

    X (N, D), theta (D,), y (N,) -> (). To pretrain a language model takes F47 instead.
    """
    return mean_logit_loss(X @ theta, y)


@formula("F27", "printed")
def logistic_loss_printed(theta: Array, X: Array, y: Array) -> np.floating:
    """F27 as printed: y_i log p(y_i | x_i; θ) + (1 − y_i) log(1 − p(y_i | x_i; θ)).

    p(y_i | x_i) is the probability of the true label, so that a sample of class 0 is rewarded
    for class 1. The missing bracket is read kindly, around both terms. Shapes as F27.
    """
    p = sigmoid(X @ theta)
    true = np.where(y == 1.0, p, 1.0 - p)
    return -np.mean(y * np.log(true) + (1.0 - y) * np.log(1.0 - true))


def logistic_loss_unbracketed(theta: Array, X: Array, y: Array) -> np.floating:
    """F27 by its missing bracket alone: −1/N Σ y log p + 1/N Σ (1 − y) log(1 − p), p = p(1 | x).

    The minus covers the first term only, so that here too a sample of class 0 is rewarded for
    class 1. (With both of F27's faults at once the loss has no lower bound.)
    """
    p = sigmoid(X @ theta)
    return -np.mean(y * np.log(p)) + np.mean((1.0 - y) * np.log(1.0 - p))


@formula("F46", "corrected", "printed")
def mean_squared_error(prediction: Array, y: Array) -> np.floating:
    """F46: 1/N Σ_i (ŷ_i − y_i)², gradient 2/N (ŷ − y). Right as printed. (N,), (N,) -> ()."""
    return np.mean((prediction - y) ** 2)


@formula("F47", "corrected")
def cross_entropy(P: Array, Y: Array) -> np.floating:
    """F47: −1/N Σ_i Σ_c Y_ic log P_ic. P, Y (N, K), distributions as rows -> ()."""
    return -np.sum(Y * np.log(P)) / len(Y)


@formula("F47", "printed")
def cross_entropy_printed(P: Array, Y: Array) -> Array | np.floating:
    """F47 as printed: −1/N Σ_i y_i log ŷ_i, y_i and ŷ_i being distributions.

    The sum over classes is left out: a loss for each class remains. With numbers for labels,
    class 0 counts for nothing. P, Y (N, K) -> (K,); (N,) -> ().
    """
    return -np.sum(Y * np.log(P), axis=0) / len(Y)


@formula("G02", "corrected")
def cross_entropy_gradient(Z: Array, Y: Array) -> Array:
    """G02 with F47: ∂/∂Z of the mean cross-entropy is (P − Y)/N, P = softmax(Z).

    It needs rows of Y that sum to 1. Z, Y (N, K) -> (N, K).
    """
    return (softmax(Z) - Y) / len(Y)


@formula("G02", "mistake")
def cross_entropy_gradient_elementwise(Z: Array, Y: Array) -> Array:
    """G02 mistaken: softmax taken for an elementwise function, with the derivative P(1 − P).

    The off-diagonal −P_i P_j of its Jacobian is lost. Z, Y (N, K) -> (N, K).
    """
    P = softmax(Z)
    return -(Y / P) * P * (1.0 - P) / len(Y)


def softmax_gradient(P: Array, cotangent: Array) -> Array:
    """G02: (diag(P) − P Pᵀ) g = P ⊙ (g − Σ g ⊙ P) for each row. P, cotangent (N, K) -> (N, K)."""
    return P * (cotangent - np.sum(cotangent * P, axis=-1, keepdims=True))


def draw_labels(rng: np.random.Generator, samples: int) -> Array:
    """Labels 0.0 and 1.0, each at least once. -> (samples,)."""
    labels = rng.integers(0, 2, size=samples).astype(np.float64)
    labels[:2] = (0.0, 1.0)
    return rng.permutation(labels)


@case("F22", "three layers, more samples", Outcome.DIFFERS)
def _risk_question(rng: np.random.Generator) -> Question:
    prediction, y = rng.normal(size=(2, rng.integers(4, 10)))
    return Question(
        2.0 * (prediction - y) / len(y),
        lambda form: numeric_gradient(lambda p: form((p - y) ** 2, layers=3), prediction),
    )


def _logit_question(mean: bool, rng: np.random.Generator) -> Question:
    z, y = rng.normal(size=6), draw_labels(rng, 6)
    return Question(
        (1.0 / (1.0 + np.exp(-z)) - y) / (len(y) if mean else 1),
        lambda form: numeric_gradient(lambda z: np.sum(form(z, y)), z),
    )


def _saturated_logit_question(mean: bool, rng: np.random.Generator) -> Question:
    z, y = rng.uniform(40.0, 60.0, size=6), np.zeros(6)
    return Question(
        np.ones(6) / (6 if mean else 1),
        lambda form: numeric_gradient(lambda z: np.sum(form(z, y)), z),
    )


def _logistic_question(saturated: bool, rng: np.random.Generator) -> Question:
    """A gradient of F25; if `saturated`, one sample of label 0 has the logit 40."""
    X, y, theta = rng.normal(size=(6, 3)), draw_labels(rng, 6), rng.normal(size=3)
    if saturated:
        X[np.argmin(y)] = 40.0 * theta / (theta @ theta)
    return Question(
        numeric_gradient(lambda theta: mean_logit_loss(X @ theta, y), theta),
        lambda form: form(X, theta, y),
    )


@case("F27", "both classes", Outcome.DIFFERS)
def _logistic_loss_question(rng: np.random.Generator) -> Question:
    X, y, theta = rng.normal(size=(6, 3)), draw_labels(rng, 6), rng.normal(size=3)
    return Question(
        logistic_gradient(X, theta, y),
        lambda form: numeric_gradient(lambda theta: form(theta, X, y), theta),
    )


@case("F46", "drawn sizes", Outcome.AGREES)
def _squared_error_question(rng: np.random.Generator) -> Question:
    prediction, y = rng.normal(size=(2, rng.integers(1, 10)))
    return Question(
        2.0 * (prediction - y) / len(y),
        lambda form: numeric_gradient(lambda p: form(p, y), prediction),
    )


@case("F47", "distributions of three classes", Outcome.SHAPE)
def _cross_entropy_question(rng: np.random.Generator) -> Question:
    Z, Y = rng.normal(size=(5, 3)), rng.dirichlet(np.ones(3), size=5)
    return Question(
        (softmax(Z) - Y) / len(Y),
        lambda form: numeric_gradient(lambda Z: form(softmax(Z), Y), Z),
    )


@case("G02", "one-hot labels", Outcome.DIFFERS)
def _cross_entropy_gradient_question(rng: np.random.Generator) -> Question:
    Z, Y = rng.normal(size=(5, 4)), np.eye(4)[rng.integers(0, 4, size=5)]
    return Question(
        numeric_gradient(lambda Z: cross_entropy(softmax(Z), Y), Z), lambda form: form(Z, Y)
    )


for _id, _mean in (("F23", False), ("F24", True)):
    case(_id, "moderate logits", Outcome.AGREES)(partial(_logit_question, _mean))
    case(_id, "saturated", Outcome.NOT_FINITE)(partial(_saturated_logit_question, _mean))
case("F25", "moderate logits", Outcome.AGREES)(partial(_logistic_question, False))
case("F25", "saturated", Outcome.NOT_FINITE)(partial(_logistic_question, True))
