"""Forms about what learns when a model is fine-tuned: F63, G17.

Letters: N rows, D inputs, K outputs, r rank, s scale of LoRA, α the learning rate.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from tinygrad_llm.formulas.neuron import softmax
from tinygrad_llm.formulas.numeric import (
    Array,
    flat,
    numeric_gradient,
    numeric_gradients,
    project,
)
from tinygrad_llm.formulas.registry import Outcome, Question, case, formula


@formula("F63", "corrected", "printed")
def head_step(body: Array, head: Array, slope: Array, alpha: float) -> Array:
    """F63: θ = (θ_f, φ), φ ← φ − α∇_φ L: the head learns, and the body stays as it is.

    Right as described. body θ_f and head φ of any shapes, slope ∇_φ L in the head's
    -> both, flattened one after the other.
    """
    return flat(body, head - alpha * slope)


def lora(X: Array, W: Array, A: Array, B: Array, scale: float) -> Array:
    """Y = XW + s(XA)B. X (N, D), W (D, K), A (D, r), B (r, K) -> (N, K)."""
    return X @ W + scale * (X @ A @ B)


def merged(W: Array, A: Array, B: Array, scale: float) -> Array:
    """W + sAB (D, K): one matrix that gives what the three give."""
    return W + scale * (A @ B)


@formula("G17", "corrected")
def lora_gradients(X: Array, W: Array, A: Array, B: Array, scale: float, G: Array) -> Array:
    """G17: of Y = XW + s(XA)B: dX = GWᵀ + s(GBᵀ)Aᵀ, dA = sXᵀ(GBᵀ), dB = s(XA)ᵀG; W is frozen.

    Where B is 0, as at the start, dA is 0 and dB is not. Shapes as `lora`, G (N, K)
    -> dX, dA and dB, flattened one after another.
    """
    low = scale * (G @ B.T)
    return flat(G @ W.T + low @ A.T, X.T @ low, scale * (X @ A).T @ G)


@formula("G17", "mistake")
def lora_gradients_unscaled(
    X: Array, W: Array, A: Array, B: Array, scale: float, G: Array
) -> Array:
    """G17 mistaken: the same with s = 1, the scale left out of the way back.

    Right where α is r, so that nobody sees it there. Shapes as G17.
    """
    return lora_gradients(X, W, A, B, 1.0, G)


@case("F63", "a classifier on features", Outcome.AGREES)
def _head_question(rng: np.random.Generator) -> Question:
    """The slope by G02, the truth by measuring the loss; the body has a slope too, unused."""
    X, body, head = rng.normal(size=(6, 4)), rng.normal(size=(4, 5)), rng.normal(size=(5, 3))
    labels = np.eye(3)[rng.integers(3, size=6)]
    features = np.tanh(X @ body)
    slope = features.T @ (softmax(features @ head) - labels) / 6

    def loss(head: Array) -> np.floating:
        return -np.mean(np.sum(labels * np.log(softmax(features @ head)), axis=1))

    truth = flat(body, head - 0.5 * numeric_gradient(loss, head))
    return Question(truth, lambda form: form(body, head, slope, 0.5))


def draw_lora(rng: np.random.Generator) -> tuple[Array, Array, Array, Array, Array]:
    """X, W, A, B and a cotangent G: five rows, four inputs, three outputs, rank 2."""
    shapes = (5, 4), (4, 3), (4, 2), (2, 3), (5, 3)
    X, W, A, B, G = (rng.normal(size=shape) for shape in shapes)
    return X, W, A, B, G


def _lora_question(scale: float, rng: np.random.Generator) -> Question:
    X, W, A, B, G = draw_lora(rng)
    truth = numeric_gradients(lambda X, A, B: project(lora(X, W, A, B, scale), G), X, A, B)
    return Question(truth, lambda form: form(X, W, A, B, scale, G))


@case("G17", "merged", Outcome.DIFFERS)
def _merged_question(rng: np.random.Generator) -> Question:
    """By the one matrix that A and B make with W."""
    X, W, A, B, G = draw_lora(rng)
    truth = numeric_gradients(lambda X, A, B: project(X @ merged(W, A, B, 4.0), G), X, A, B)
    return Question(truth, lambda form: form(X, W, A, B, 4.0, G))


@case("G17", "at the start, B = 0", Outcome.DIFFERS)
def _start_question(rng: np.random.Generator) -> Question:
    X, W, A, _, G = draw_lora(rng)
    B = np.zeros((2, 3))
    truth = numeric_gradients(lambda X, A, B: project(lora(X, W, A, B, 4.0), G), X, A, B)
    return Question(truth, lambda form: form(X, W, A, B, 4.0, G))


case("G17", "a scale of 2", Outcome.DIFFERS)(partial(_lora_question, 2.0))
case("G17", "a scale of 1", Outcome.AGREES)(partial(_lora_question, 1.0))
