"""Forms about what stands around attention in a block of a Transformer: F76, G07, G08.

Letters: N rows, D width. γ and β are the weight and the bias of a layer norm.
"""

from __future__ import annotations

import math

import numpy as np

from tinygrad_llm.formulas.numeric import Array, flat, numeric_gradient, numeric_gradients, project
from tinygrad_llm.formulas.registry import Outcome, Question, case, formula

EPSILON = 1e-5


def layer_norm(x: Array, gamma: Array, beta: Array) -> Array:
    """γ·(x − mean)/√(var + ε) + β over the last axis, the variance biased. x (N, D) -> (N, D)."""
    centred = x - x.mean(axis=-1, keepdims=True)
    return gamma * centred / np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + EPSILON) + beta


@formula("G07", "corrected")
def layer_norm_gradients(x: Array, gamma: Array, g: Array) -> Array:
    """G07: dx = [ĝ − mean ĝ − x̂·mean(ĝ·x̂)]/s with ĝ = γ·g; dγ = Σ g·x̂, dβ = Σ g.

    The mean and the deviation s of a row depend on every x of it.
    x (N, D), gamma (D,), cotangent g (N, D) -> dx, dγ and dβ, flattened one after another.
    """
    centred = x - x.mean(axis=-1, keepdims=True)
    s = np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + EPSILON)
    normed, scaled = centred / s, gamma * g
    shift = scaled.mean(axis=-1, keepdims=True)
    stretch = np.mean(scaled * normed, axis=-1, keepdims=True)
    dx = (scaled - shift - normed * stretch) / s
    return flat(dx, np.sum(g * normed, axis=0), np.sum(g, axis=0))


@formula("G07", "mistake")
def layer_norm_gradients_of_constants(x: Array, gamma: Array, g: Array) -> Array:
    """G07 mistaken: dx = ĝ/s, as if the mean and s were constants. Shapes as G07."""
    centred = x - x.mean(axis=-1, keepdims=True)
    s = np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + EPSILON)
    return flat(gamma * g / s, np.sum(g * centred / s, axis=0), np.sum(g, axis=0))


@formula("F76", "corrected", "printed")
def residual_norm(x: Array, W: Array, gamma: Array, beta: Array) -> Array:
    """F76: LN(x + f(x)), the layer norm of G07 after the residual sum; here f(x) = tanh(xW).

    Right as the document describes it. x (N, D), W (D, D), gamma and beta (D,) -> (N, D).
    """
    return layer_norm(x + np.tanh(x @ W), gamma, beta)


def gelu(x: Array) -> Array:
    """G08: x·Φ(x), Φ the normal distribution."""
    return x * normal_distribution(x)


def gelu_by_tanh(x: Array) -> Array:
    """G08 in GPT-2's form: ½x(1 + tanh(√(2/π)·(x + 0.044715x³)))."""
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


def normal_distribution(x: Array) -> Array:
    """Φ(x) = ½·erfc(−x/√2), from the standard library."""
    return np.array([0.5 * math.erfc(-v / math.sqrt(2.0)) for v in x.ravel()]).reshape(x.shape)


@formula("G08", "corrected")
def gelu_slope(x: Array) -> Array:
    """G08: the derivative of x·Φ(x) is Φ(x) + x·φ(x), φ = e^−x²/2/√(2π). x (N,) -> (N,)."""
    return normal_distribution(x) + x * np.exp(-0.5 * x**2) / math.sqrt(2.0 * math.pi)


@formula("G08", "mistake")
def gelu_slope_of_a_constant_gate(x: Array) -> Array:
    """G08 mistaken: Φ(x) alone, as if the gate did not depend on x. x (N,) -> (N,)."""
    return normal_distribution(x)


@case("G07", "three rows of four", Outcome.DIFFERS)
def _norm_question(rng: np.random.Generator) -> Question:
    x, g, (gamma, beta) = *rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 4))
    return Question(
        numeric_gradients(lambda *p: project(layer_norm(*p), g), x, gamma, beta),
        lambda form: form(x, gamma, g),
    )


@case("F76", "three rows of four", Outcome.AGREES)
def _residual_question(rng: np.random.Generator) -> Question:
    """The truth comes by the chain rule: G07 first, then the sum, then tanh."""
    x, g, W = *rng.normal(size=(2, 3, 4)), rng.normal(size=(4, 4))
    gamma, beta = rng.normal(size=(2, 4))
    inner = np.tanh(x @ W)
    found = layer_norm_gradients(x + inner, gamma, g)
    through = found[: x.size].reshape(x.shape)
    dz = through * (1.0 - inner**2)
    return Question(
        flat(through + dz @ W.T, x.T @ dz, found[x.size :]),
        lambda form: numeric_gradients(lambda *p: project(form(*p), g), x, W, gamma, beta),
    )


@case("G08", "twelve numbers", Outcome.DIFFERS)
def _gelu_question(rng: np.random.Generator) -> Question:
    x = 2.0 * rng.normal(size=12)
    return Question(numeric_gradient(lambda x: np.sum(gelu(x)), x), lambda form: form(x))
