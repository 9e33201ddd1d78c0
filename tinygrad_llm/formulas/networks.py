"""Forms about whole fully connected networks: F02, F21, F26.

Letters: N rows, D inputs, K outputs. Layer l has weights (in, out) and a bias (out,).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import numpy as np

from tinygrad_llm.formulas.neuron import Activation, neuron, sigmoid
from tinygrad_llm.formulas.numeric import Array, flat, numeric_gradients, project
from tinygrad_llm.formulas.registry import Form, Outcome, Question, case, formula


def _identity(z: Array) -> Array:
    return z


@formula("F02", "corrected")
def network(
    X: Array,
    weights: Sequence[Array],
    biases: Sequence[Array],
    activations: Sequence[Activation],
) -> Array:
    """F02: A_0 = X, A_l = act_l(A_{l−1} W_l + b_l).

    X (N, D), W_l (in, out), b_l (out,) -> (N, K).
    """
    output = X
    for W, b, activation in zip(weights, biases, activations):
        output = activation(output @ W + b)
    return output


@formula("F02", "printed")
def network_printed(
    X: Array,
    weights: Sequence[Array],
    biases: Sequence[Array],
    activations: Sequence[Activation],
) -> Array:
    """F02 as printed: out = act(Σ_i w_i x_i + b), for a whole network.

    No index of layer or unit: it is one unit of the first layer, for one sample. -> ().
    """
    return neuron(X[0], weights[0][:, 0], biases[0][0], activations[0])


@formula("F21", "corrected")
def fully_connected(x: Array, weights: list[Array], biases: list[Array]) -> Array:
    """F21: a_0 = x, a_l = σ(W_lᵀ a_{l−1} + b_l) below the output, y = W_Lᵀ a_{L−1} + b_L.

    Rows in and out, so W_lᵀ a is written a W_l. x (N, D), W_l (in, out), b_l (out,) -> (N, K).
    A map g for the task, F06's, may follow.
    """
    return network(x, weights, biases, [sigmoid] * (len(weights) - 1) + [_identity])


@formula("F21", "printed")
def fully_connected_printed(x: Array, weights: list[Array], biases: list[Array]) -> Array:
    """F21 as printed: y = W_Lᵀ σ(W_{L−1}ᵀ σ(… σ(W_1ᵀ x + b_1) + b_2) + … + b_L).

    b_L stands inside the last σ, where b_{L−1} belongs, and the output has no bias.
    Shapes as F21, but it fits only where the last two layers are equally wide.
    """
    inside = biases[:-2] + biases[-1:]
    return network(x, weights[:-1], inside, [sigmoid] * len(inside)) @ weights[-1]


@formula("F26", "corrected", "printed")
def binary_model(X: Array, W1: Array, b1: Array, w2: Array, b2: Array) -> Array:
    """F26: ŷ = M_θ(x) in (0, 1), here σ(tanh(X W1 + b1) w2 + b2).

    Right as printed; that descent to convergence finds the best θ is not: it finds a point with
    gradient 0. X (N, D), W1 (D, H), b1 (H,), w2 (H,), b2 () -> (N,).
    """
    return sigmoid(np.tanh(X @ W1 + b1) @ w2 + b2)


def draw_layers(
    rng: np.random.Generator, widths: tuple[int, ...]
) -> tuple[list[Array], list[Array]]:
    """Drawn weights (in, out) and biases (out,) of a network of the given widths."""
    pairs = list(pairwise(widths))
    return [rng.normal(size=pair) for pair in pairs], [rng.normal(size=out) for _, out in pairs]


def _reverse(
    X: Array, weights: list[Array], biases: list[Array], cotangent: Array, linear_output: bool
) -> Array:
    """Gradients of Σ cotangent·Y in all weights, then all biases, of a sigmoid network."""
    outputs = [X]
    for W, b in zip(weights, biases):
        outputs.append(1.0 / (1.0 + np.exp(-(outputs[-1] @ W + b))))
    delta = cotangent if linear_output else cotangent * outputs[-1] * (1.0 - outputs[-1])
    deltas = [delta]
    for W, output in zip(weights[:0:-1], outputs[-2:0:-1]):
        deltas.insert(0, deltas[0] @ W.T * output * (1.0 - output))
    weight_slopes = [output.T @ delta for output, delta in zip(outputs, deltas)]
    return flat(*weight_slopes, *(delta.sum(axis=0) for delta in deltas))


@case("F02", "widths 3-5-2", Outcome.SHAPE)
def _network_question(rng: np.random.Generator) -> Question:
    X, cotangent = rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
    weights, biases = draw_layers(rng, (3, 5, 2))

    def claim(form: Form) -> Array:
        return numeric_gradients(
            lambda *p: project(form(X, p[:2], p[2:], [sigmoid] * 2), cotangent),
            *weights,
            *biases,
        )

    return Question(_reverse(X, weights, biases, cotangent, linear_output=False), claim)


def _fully_connected_question(widths: tuple[int, ...], rng: np.random.Generator) -> Question:
    X, cotangent = rng.normal(size=(4, widths[0])), rng.normal(size=(4, widths[-1]))
    weights, biases = draw_layers(rng, widths)
    layers = len(weights)

    def claim(form: Form) -> Array:
        return numeric_gradients(
            lambda *p: project(form(X, list(p[:layers]), list(p[layers:])), cotangent),
            *weights,
            *biases,
        )

    return Question(_reverse(X, weights, biases, cotangent, linear_output=True), claim)


case("F21", "widths 3-5-4-2", Outcome.SHAPE)(partial(_fully_connected_question, (3, 5, 4, 2)))
case("F21", "equal widths", Outcome.DIFFERS)(partial(_fully_connected_question, (3, 3, 3, 3)))


@case("F26", "2-2-1", Outcome.AGREES)
def _binary_model_question(rng: np.random.Generator) -> Question:
    X, cotangent = rng.normal(size=(5, 2)), rng.normal(size=5)
    W1, (b1, w2), b2 = rng.normal(size=(2, 2)), rng.normal(size=(2, 2)), rng.normal(size=())
    hidden = np.tanh(X @ W1 + b1)
    delta2 = cotangent / (4.0 * np.cosh((hidden @ w2 + b2) / 2.0) ** 2)
    delta1 = np.outer(delta2, w2) * (1.0 - hidden**2)
    return Question(
        flat(X.T @ delta1, delta1.sum(axis=0), hidden.T @ delta2, delta2.sum()),
        lambda form: numeric_gradients(
            lambda *theta: project(form(X, *theta), cotangent), W1, b1, w2, b2
        ),
    )
