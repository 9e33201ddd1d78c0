"""Forms about forward and backward through a two-layer network: F03-F12, F48, G03.

Letters: N rows, D inputs, H hidden units, K outputs. Weights are stored (in, out) and samples
are rows, Z = XW + b. The documents' own W (out, in) with columns, z = Wx + b, is its transpose.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from tinygrad_llm.formulas.neuron import Activation, sigmoid, softmax
from tinygrad_llm.formulas.numeric import Array, flat, numeric_gradient, numeric_gradients, project
from tinygrad_llm.formulas.registry import Outcome, Question, case, formula


@formula("F03", "corrected")
@formula("F05", "corrected")
def pre_activation(X: Array, W: Array, b: Array) -> Array:
    """F03, F05: Z = XW + b, samples as rows. X (N, D), W (D, K), b (K,) -> (N, K)."""
    return X @ W + b


@formula("F03", "printed")
@formula("F05", "printed")
def pre_activation_printed(X: Array, W: Array, b: Array) -> Array:
    """F03, F05 as printed: z = Wx + b.

    Right for columns and weights (out, in), a layout that F09 and F10 then leave.
    X (N, D), W (D, K), b (K,), read as columns and transposed -> (N, K).
    """
    return (W.T @ X.T + b[:, None]).T


@formula("F04", "corrected", "printed")
def hidden_activation(Z: Array, activation: Activation) -> Array:
    """F04: H = act(Z), elementwise. Right as printed. Z (N, H) -> (N, H)."""
    return activation(Z)


_OUTPUT_MAPS: dict[str, Activation] = {
    "classification": softmax,
    "binary": sigmoid,
    "regression": lambda Z: Z,
}


@formula("F06", "corrected")
def output_map(Z: Array, task: str) -> Array:
    """F06: Y = g(Z), where the task chooses g: softmax, sigmoid or the identity.

    Z (N, K) -> (N, K). Raises KeyError for another task.
    """
    return _OUTPUT_MAPS[task](Z)


@formula("F06", "printed")
def output_map_printed(Z: Array, task: str) -> Array:
    """F06 as printed: y = act(z), an elementwise sigmoid whatever the task.

    Its rows do not sum to 1, and no output is below 0. Z (N, K) -> (N, K).
    """
    return sigmoid(Z)


@formula("F07", "corrected")
def output_error(y_slope: Array, jacobian: Array) -> Array:
    """F07: δ2 = ∂L/∂z2 = Jᵀ ∂L/∂y with J = ∂y/∂z2, diag(act'(z2)) if elementwise.

    y_slope = ∂L/∂y (K,), jacobian (K, K) -> (K,).
    """
    return jacobian.T @ y_slope


@formula("F07", "printed")
def output_error_printed(y_slope: Array, jacobian: Array) -> Array:
    """F07 as printed: δ2 = ∂L/∂z2 · ∂act(z2)/∂z2.

    ∂L/∂z2 holds the activation's derivative already, so it enters twice. Shapes as F07.
    """
    return jacobian.T @ output_error(y_slope, jacobian)


@formula("F08", "corrected")
def hidden_error(delta2: Array, W2: Array, slope1: Array) -> Array:
    """F08: Δ1 = (Δ2 W2ᵀ) ⊙ act'(Z1).

    delta2 (N, K), W2 (H, K), slope1 = act'(Z1) (N, H) -> (N, H).
    """
    return (delta2 @ W2.T) * slope1


@formula("F08", "printed")
def hidden_error_printed(delta2: Array, W2: Array, slope1: Array) -> Array:
    """F08 as printed: δ1 = ∂L/∂z1 · ∂act(z1)/∂z1 · W2.

    ∂L/∂z1 is δ1 already; the derivative and the (out, in) weights come in once more.
    Shapes as F08, but it fits only where H = K.
    """
    return (hidden_error(delta2, W2, slope1) * slope1) @ W2.T


@formula("F09", "corrected")
@formula("F10", "corrected")
def weight_gradient(inputs: Array, delta: Array) -> Array:
    """F09, F10: the gradient of W in z = Wx + b is δxᵀ, summed over the samples.

    inputs (N, in), delta (N, out), samples as rows -> (out, in). A loss that is a mean has its
    1/N inside delta.
    """
    return delta.T @ inputs


@formula("F09", "printed")
@formula("F10", "printed")
def weight_gradient_printed(inputs: Array, delta: Array) -> Array:
    """F09, F10 as printed: hᵀδ and xᵀδ.

    Transposed beside z = Wx + b; right beside Z = XW + b, where it is G03's dW.
    inputs (N, in), delta (N, out) -> (in, out).
    """
    return inputs.T @ delta


@formula("F11", "corrected")
@formula("F12", "corrected")
def bias_gradient(delta: Array) -> Array:
    """F11, F12: db = Σ_n Δ_n. delta (N, K) or, for one sample, (K,) -> (K,)."""
    return np.atleast_2d(delta).sum(axis=0)


@formula("F11", "printed")
@formula("F12", "printed")
def bias_gradient_printed(delta: Array) -> Array:
    """F11, F12 as printed: db = δ.

    Right for one sample; a batch has one error per row and one bias for all. (N, K) -> (N, K).
    """
    return delta


@formula("G03", "corrected")
def linear_gradients(X: Array, W: Array, delta: Array) -> tuple[Array, Array, Array]:
    """G03: dX = ΔWᵀ, dW = XᵀΔ, db = Σ_n Δ_n of Z = XW + b.

    X (N, D), W (D, K), delta (N, K) -> (N, D), (D, K), (K,).
    """
    return delta @ W.T, X.T @ delta, delta.sum(axis=0)


@formula("F48", "corrected")
def accumulated(contributions: list[Array]) -> Array:
    """F48: x̄ = Σ over the uses of x of J_useᵀ ȳ_use, each use adding to what is there.

    The document states only that the gradient is the derivative. Every array (...,) -> (...,).
    """
    return np.sum(contributions, axis=0)


@formula("F48", "mistake")
def overwritten(contributions: list[Array]) -> Array:
    """F48 mistaken: each use of x overwrites what the one before it had left. (...,) -> (...,)."""
    return contributions[-1]


@dataclass(frozen=True)
class TwoLayerNet:
    """sigmoid(tanh(X W1 + b1) W2 + b2) under half the squared distance to T, summed.

    X (N, D), W1 (D, H), b1 (H,), W2 (H, K), b2 (K,), T (N, K).
    """

    X: Array
    W1: Array
    b1: Array
    W2: Array
    b2: Array
    T: Array

    def hidden(self) -> Array:
        """tanh(X W1 + b1), (N, H)."""
        return np.tanh(self.X @ self.W1 + self.b1)

    def loss_from_hidden(self, hidden: Array) -> Any:
        """½ Σ (Y − T)² for a given hidden layer (N, H)."""
        return 0.5 * np.sum((sigmoid(hidden @ self.W2 + self.b2) - self.T) ** 2)

    def loss(self, **changed: Array) -> Any:
        """½ Σ (Y − T)² with some of the arrays exchanged for others."""
        net = replace(self, **changed)
        return net.loss_from_hidden(net.hidden())

    def errors(self) -> tuple[Array, Array]:
        """Δ1 (N, H) and Δ2 (N, K) by the rules that F07 and F08 test on their own."""
        hidden = self.hidden()
        Y = sigmoid(hidden @ self.W2 + self.b2)
        delta2 = (Y - self.T) * Y * (1.0 - Y)
        return hidden_error(delta2, self.W2, 1.0 - hidden**2), delta2


def draw_net(rng: np.random.Generator, widths: tuple[int, int, int], rows: int) -> TwoLayerNet:
    """A network of the given widths (D, H, K) with everything drawn."""
    inputs, hidden, outputs = widths
    return TwoLayerNet(
        rng.normal(size=(rows, inputs)),
        rng.normal(size=(inputs, hidden)),
        rng.normal(size=hidden),
        rng.normal(size=(hidden, outputs)),
        rng.normal(size=outputs),
        rng.uniform(size=(rows, outputs)),
    )


def _pre_activation_question(rng: np.random.Generator) -> Question:
    rows, inputs, outputs = rng.integers(1, 6, size=3)
    X, W = rng.normal(size=(rows, inputs)), rng.normal(size=(inputs, outputs))
    b, cotangent = rng.normal(size=outputs), rng.normal(size=(rows, outputs))
    return Question(
        flat(
            np.einsum("nk,dk->nd", cotangent, W),
            np.einsum("nd,nk->dk", X, cotangent),
            np.einsum("nk->k", cotangent),
        ),
        lambda form: numeric_gradients(lambda X, W, b: project(form(X, W, b), cotangent), X, W, b),
    )


@case("F04", "tanh", Outcome.AGREES)
def _hidden_activation_question(rng: np.random.Generator) -> Question:
    Z, cotangent = rng.normal(size=(2, 4, 3))
    return Question(
        cotangent / np.cosh(Z) ** 2,
        lambda form: numeric_gradient(lambda Z: project(form(Z, np.tanh), cotangent), Z),
    )


def _output_map_question(task: str, rng: np.random.Generator) -> Question:
    Z, cotangent = rng.normal(size=(2, 4, 3))
    Y = output_map(Z, task)
    truths = {
        "classification": Y * (cotangent - np.sum(cotangent * Y, axis=1, keepdims=True)),
        "binary": cotangent / (4.0 * np.cosh(Z / 2.0) ** 2),
        "regression": cotangent,
    }
    return Question(
        truths[task],
        lambda form: numeric_gradient(lambda Z: project(form(Z, task), cotangent), Z),
    )


@case("F07", "sigmoid and squared error", Outcome.DIFFERS)
def _sigmoid_error_question(rng: np.random.Generator) -> Question:
    z, t = rng.normal(size=4), rng.uniform(size=4)
    y = sigmoid(z)
    return Question(
        numeric_gradient(lambda z: 0.5 * np.sum((sigmoid(z) - t) ** 2), z),
        lambda form: form(y - t, np.diag(y * (1.0 - y))),
    )


@case("F07", "softmax and cross-entropy", Outcome.DIFFERS)
def _softmax_error_question(rng: np.random.Generator) -> Question:
    z, t = rng.normal(size=4), rng.dirichlet(np.ones(4))
    y = softmax(z)
    return Question(
        numeric_gradient(lambda z: -np.sum(t * np.log(softmax(z))), z),
        lambda form: form(-t / y, np.diag(y) - np.outer(y, y)),
    )


@case("F07", "coupled outputs and squared error", Outcome.DIFFERS)
def _coupled_error_question(rng: np.random.Generator) -> Question:
    """y = M tanh(z): the one case whose Jacobian is not symmetric."""
    z, t, coupling = rng.normal(size=4), rng.normal(size=4), rng.normal(size=(4, 4))
    return Question(
        numeric_gradient(lambda z: 0.5 * np.sum((coupling @ np.tanh(z) - t) ** 2), z),
        lambda form: form(coupling @ np.tanh(z) - t, coupling * (1.0 - np.tanh(z) ** 2)),
    )


def _hidden_error_question(widths: tuple[int, int, int], rng: np.random.Generator) -> Question:
    net = draw_net(rng, widths, rows=4)
    hidden, (_, delta2) = net.hidden(), net.errors()
    return Question(
        numeric_gradient(lambda Z1: net.loss_from_hidden(np.tanh(Z1)), net.X @ net.W1 + net.b1),
        lambda form: form(delta2, net.W2, 1.0 - hidden**2),
    )


def _weight_question(name: str, widths: tuple[int, int, int], rng: np.random.Generator) -> Question:
    """The gradient of one weight matrix, in the layout (out, in) that F03 and F05 give it."""
    net = draw_net(rng, widths, rows=int(rng.integers(1, 6)))
    delta1, delta2 = net.errors()
    inputs, delta = (net.X, delta1) if name == "W1" else (net.hidden(), delta2)
    return Question(
        numeric_gradient(lambda W: net.loss(**{name: W.T}), getattr(net, name).T.copy()),
        lambda form: form(inputs, delta),
    )


def _bias_question(name: str, rows: int, rng: np.random.Generator) -> Question:
    net = draw_net(rng, (3, 4, 2), rows)
    delta = net.errors()[("b1", "b2").index(name)]
    delta = delta[0] if rows == 1 else delta
    return Question(
        numeric_gradient(lambda b: net.loss(**{name: b}), getattr(net, name)),
        lambda form: form(delta),
    )


@case("G03", "linear layer", None)
def _linear_question(rng: np.random.Generator) -> Question:
    rows, inputs, outputs = rng.integers(1, 6, size=3)
    X, W = rng.normal(size=(rows, inputs)), rng.normal(size=(inputs, outputs))
    b, cotangent = rng.normal(size=outputs), rng.normal(size=(rows, outputs))
    return Question(
        numeric_gradients(lambda X, W, b: project(X @ W + b, cotangent), X, W, b),
        lambda form: flat(*form(X, W, cotangent)),
    )


def _reuse_question(
    fn: Callable[[Array], Array],
    uses: Callable[[Array], list[Array]],
    rng: np.random.Generator,
) -> Question:
    x, cotangent = rng.uniform(0.5, 1.5, size=(2, 5))
    return Question(
        numeric_gradient(lambda x: project(fn(x), cotangent), x),
        lambda form: form([cotangent * use for use in uses(x)]),
    )


def _uses_of_product(x: Array) -> list[Array]:
    return [x, x]


def _uses_of_sum(x: Array) -> list[Array]:
    return [np.sin(x), x * np.cos(x), np.ones_like(x)]


for _id in ("F03", "F05"):
    case(_id, "drawn sizes", Outcome.AGREES)(_pre_activation_question)
case("F06", "classification", Outcome.DIFFERS)(partial(_output_map_question, "classification"))
case("F06", "regression", Outcome.DIFFERS)(partial(_output_map_question, "regression"))
case("F06", "binary", Outcome.AGREES)(partial(_output_map_question, "binary"))
case("F08", "widths 3-3-2", Outcome.SHAPE)(partial(_hidden_error_question, (3, 3, 2)))
case("F08", "square, 3-3-3", Outcome.DIFFERS)(partial(_hidden_error_question, (3, 3, 3)))
case("F09", "widths 3-3-2", Outcome.SHAPE)(partial(_weight_question, "W2", (3, 3, 2)))
case("F09", "square, 3-3-3", Outcome.DIFFERS)(partial(_weight_question, "W2", (3, 3, 3)))
case("F10", "widths 2-3-2", Outcome.SHAPE)(partial(_weight_question, "W1", (2, 3, 2)))
case("F10", "square, 3-3-2", Outcome.DIFFERS)(partial(_weight_question, "W1", (3, 3, 2)))
for _id, _name in (("F11", "b2"), ("F12", "b1")):
    case(_id, "one sample", Outcome.AGREES)(partial(_bias_question, _name, 1))
    case(_id, "batch of five", Outcome.SHAPE)(partial(_bias_question, _name, 5))
case("F48", "x·x", Outcome.DIFFERS)(partial(_reuse_question, lambda x: x * x, _uses_of_product))
case("F48", "x·sin x + x", Outcome.DIFFERS)(
    partial(_reuse_question, lambda x: x * np.sin(x) + x, _uses_of_sum)
)
