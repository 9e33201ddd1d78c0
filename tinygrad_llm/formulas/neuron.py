"""Forms about one neuron and its activation: F01, F44, F62, G01.

Letters: N rows, D inputs, K units. An activation maps an array to an array of its shape.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from tinygrad_llm.formulas.numeric import Array, flat, numeric_gradient, numeric_gradients, project
from tinygrad_llm.formulas.registry import Outcome, Question, case, formula

Activation = Callable[[Array], Array]


def sigmoid(z: Array) -> Array:
    """σ(z) = 1 / (1 + exp(−z)), from exp(−|z|) so that nothing overflows."""
    shrunk = np.exp(-np.abs(z))
    return np.where(z >= 0, 1.0, shrunk) / (1.0 + shrunk)


def relu(z: Array) -> Array:
    """max(0, z)."""
    return np.maximum(z, 0.0)


def softmax(z: Array) -> Array:
    """exp(z − max z) / Σ exp(z − max z) along the last axis, (..., K) -> (..., K)."""
    grown = np.exp(z - z.max(axis=-1, keepdims=True))
    return grown / grown.sum(axis=-1, keepdims=True)


_ACTIVATIONS: dict[str, Activation] = {
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "relu": relu,
    "softmax": softmax,
}


@formula("F62", "corrected")
def activate(name: str, z: Array) -> Array:
    """F62, G01, G02: σ(z), tanh z, max(0, z), softmax(z) over the last axis.

    The documents name them and print no formula. z (N, K) -> (N, K).
    Raises KeyError for another name.
    """
    return _ACTIVATIONS[name](z)


@formula("G01", "corrected")
def activation_slope(name: str, z: Array) -> Array:
    """G01: σ' = σ(1 − σ), tanh' = 1 − tanh², ReLU' = 1[z > 0], elementwise.

    z (N, K) -> (N, K). Raises KeyError for another name.
    """
    slopes: dict[str, Activation] = {
        "sigmoid": lambda z: sigmoid(z) * (1.0 - sigmoid(z)),
        "tanh": lambda z: 1.0 - np.tanh(z) ** 2,
        "relu": lambda z: np.where(z > 0, 1.0, 0.0),
    }
    return slopes[name](z)


@formula("G01", "mistake")
def activation_slope_of_input(name: str, z: Array) -> Array:
    """G01 mistaken: z(1 − z), 1 − z², which hold for the activation's output, not its input."""
    slopes: dict[str, Activation] = {
        "sigmoid": lambda z: z * (1.0 - z),
        "tanh": lambda z: 1.0 - z**2,
    }
    return slopes[name](z)


@formula("F01", "corrected", "printed")
def neuron(x: Array, w: Array, b: Array, activation: Activation) -> Array:
    """F01: out = act(Σ_i w_i x_i + b).

    Right as printed. x (D,), w (D,), b () -> ().
    """
    return activation(np.asarray(np.sum(w * x) + b))


@formula("F44", "corrected")
def perceptron(x: Array, w: Array, b: Array) -> Array:
    """F44: the output unit of a regression is linear, f(x) = Σ_j w_j x_j + b.

    x (N, D), w (D,), b () -> (N,); the hidden layers before it are F02's.
    """
    return x @ w + b


@formula("F44", "printed")
def perceptron_printed(x: Array, w: Array, b: Array) -> Array:
    """F44 as printed: f(x) = ReLU(Σ_j w_j x_j + b), called a multilayer perceptron.

    It is one neuron, its n counts inputs, and it cannot say a negative number.
    x (N, D), w (D,), b () -> (N,).
    """
    return relu(perceptron(x, w, b))


def off_kink(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Drawn values that keep at least 0.1 away from the kink of ReLU at 0."""
    return rng.choice([-1.0, 1.0], shape) * (0.1 + np.abs(rng.normal(size=shape)))


@case("F01", "one neuron", Outcome.AGREES)
def _neuron_question(rng: np.random.Generator) -> Question:
    x, w = rng.uniform(-1.0, 1.0, size=(2, rng.integers(1, 9)))
    b = rng.normal(size=())
    slope = 1.0 / np.cosh(np.sum(w * x) + b) ** 2
    return Question(
        flat(slope * x, slope * w, slope),
        lambda form: numeric_gradients(lambda w, x, b: form(x, w, b, np.tanh), w, x, b),
    )


@case("F44", "outputs of both signs", Outcome.DIFFERS)
def _perceptron_question(rng: np.random.Generator) -> Question:
    x, w, cotangent = rng.normal(size=(6, 3)), rng.normal(size=3), rng.normal(size=6)
    b = np.asarray(-np.median(x @ w))  # three outputs below zero, three above
    return Question(
        flat(x.T @ cotangent, cotangent.sum()),
        lambda form: numeric_gradients(lambda w, b: project(form(x, w, b), cotangent), w, b),
    )


def _independent_slope(name: str, z: Array, cotangent: Array) -> Array:
    """Derivative times cotangent by rules that share no line with the forms."""
    if name == "sigmoid":
        return cotangent / (4.0 * np.cosh(z / 2.0) ** 2)
    if name == "tanh":
        return cotangent / np.cosh(z) ** 2
    if name == "relu":
        return cotangent * (np.sign(z) + 1.0) / 2.0
    grown = np.exp(z)
    total = grown.sum(axis=-1, keepdims=True)
    jacobian = -grown[..., :, None] * grown[..., None, :] / total[..., None] ** 2
    jacobian += np.eye(z.shape[-1]) * (grown / total)[..., None, :]
    return np.einsum("nk,nkj->nj", cotangent, jacobian)


def _activation_question(name: str, rng: np.random.Generator) -> Question:
    z, cotangent = off_kink(rng, (3, 4)), rng.normal(size=(3, 4))
    return Question(
        _independent_slope(name, z, cotangent),
        lambda form: numeric_gradient(lambda z: project(form(name, z), cotangent), z),
    )


def _slope_question(name: str, rng: np.random.Generator) -> Question:
    z, cotangent = off_kink(rng, (3, 4)), rng.normal(size=(3, 4))
    return Question(
        numeric_gradient(lambda z: project(activate(name, z), cotangent), z),
        lambda form: cotangent * form(name, z),
    )


for _name in _ACTIVATIONS:
    case("F62", _name, None)(partial(_activation_question, _name))
case("G01", "sigmoid", Outcome.DIFFERS)(partial(_slope_question, "sigmoid"))
case("G01", "tanh", Outcome.DIFFERS)(partial(_slope_question, "tanh"))
case("G01", "ReLU", None)(partial(_slope_question, "relu"))
