"""Forms about one step of an optimizer: F13-F18, F49, G13, G14.

Letters: W and θ parameters, g a gradient, m and v running means of g and g², t the number of the
step, counted from 1, α the learning rate, λ the weight decay. A model is met with one sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np

from tinygrad_llm.formulas.losses import logit_loss
from tinygrad_llm.formulas.neuron import sigmoid
from tinygrad_llm.formulas.numeric import Array, numeric_gradient
from tinygrad_llm.formulas.registry import Outcome, Question, case, formula

Slope = Callable[[Array, Array, Array], Array]
Direction = Callable[[Array], Array]
"""What an optimizer makes of a gradient before the learning rate: itself, or m̂/(√v̂ + ε)."""


@dataclass(frozen=True)
class Model:
    """A loss of weights W, an input x and a label y, and its gradients ∇_W and ∇_x."""

    loss: Callable[[Array, Array, Array], np.floating]
    in_weights: Slope
    in_input: Slope

    def numeric_slope(self, W: Array, x: Array, y: Array) -> Array:
        """∇_W by central differences, in the shape of W."""
        return numeric_gradient(lambda W: self.loss(W, x, y), W)


LOGISTIC = Model(
    loss=lambda W, x, y: np.sum(logit_loss(x @ W, y)),
    in_weights=lambda W, x, y: np.outer(x, sigmoid(x @ W) - y),
    in_input=lambda W, x, y: W @ (sigmoid(x @ W) - y),
)
"""K logistic regressions. W (D, K), x (D,), y (K,): ∇_W (D, K), ∇_x (D,)."""


@formula("F13", "corrected")
def sgd_step(model: Model, W: Array, x: Array, y: Array, alpha: float) -> Array:
    """F13: W ← W − α ∇_W L(W; x_i, y_i), i drawn at random.

    W (D, K), x (D,), y (K,) -> (D, K).
    """
    return W - alpha * model.in_weights(W, x, y)


@formula("F13", "printed")
def sgd_step_printed(model: Model, W: Array, x: Array, y: Array, alpha: float) -> Array:
    """F13 as printed: W ← W − α ∇_x L(x, y), the gradient in the input.

    It has the input's shape. Where that fits, as with one weight, the logistic loss multiplies the
    weight by 1 − α(σ − y): it shrinks to 0 where label 0 is the commoner one and grows, on the
    side where it began, where label 1 is, whatever the inputs say. Shapes as F13.
    """
    return W - alpha * model.in_input(W, x, y)


@formula("F14", "corrected")
def first_moment(m: Array, model: Model, W: Array, x: Array, y: Array, beta1: float) -> Array:
    """F14: m_t = β₁ m_{t−1} + (1 − β₁) g_t, g_t = ∇_W L, m_0 = 0, t from 1; usual β₁ = 0.9.

    m, W (D, K), x (D,), y (K,) -> (D, K).
    """
    return beta1 * m + (1.0 - beta1) * model.in_weights(W, x, y)


@formula("F14", "printed")
def first_moment_printed(
    m: Array, model: Model, W: Array, x: Array, y: Array, beta1: float
) -> Array:
    """F14 as printed: m_t = β₁ m_{t−1} + (1 − β₁) ∇_x L, F13's wrong variable. Shapes as F14."""
    return beta1 * m + (1.0 - beta1) * model.in_input(W, x, y)


@formula("F15", "corrected")
def second_moment(v: Array, model: Model, W: Array, x: Array, y: Array, beta2: float) -> Array:
    """F15: v_t = β₂ v_{t−1} + (1 − β₂) g_t ⊙ g_t, g_t = ∇_W L, v_0 = 0; usual β₂ = 0.999.

    v, W (D, K), x (D,), y (K,) -> (D, K).
    """
    return beta2 * v + (1.0 - beta2) * model.in_weights(W, x, y) ** 2


@formula("F15", "printed")
def second_moment_printed(
    v: Array, model: Model, W: Array, x: Array, y: Array, beta2: float
) -> Array:
    """F15 as printed: v_t = β₂ v_{t−1} + (1 − β₂)(∇_x L)².

    The wrong variable of F13, and no word that the square is taken of each element. Shapes as F15.
    """
    return beta2 * v + (1.0 - beta2) * model.in_input(W, x, y) ** 2


@formula("F16", "corrected", "printed")
@formula("F17", "corrected", "printed")
def unbias(moment: Array, beta: float, t: int) -> Array:
    """F16, F17: m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ), right as printed for t ≥ 1.

    The weights (1 − β) β^(t−k) of the gradients so far sum to 1 − βᵗ; divided by it they are those
    of a mean. At t = 0 it is 0/0. (D, K) -> (D, K).
    """
    return moment / (1.0 - beta**t)


@formula("F18", "corrected", "printed")
def adam_step(W: Array, m_hat: Array, v_hat: Array, alpha: float, eps: float) -> Array:
    """F18: W ← W − α m̂/(√v̂ + ε), ε outside the root. Right as printed. (D, K) -> (D, K)."""
    return W - alpha * m_hat / (np.sqrt(v_hat) + eps)


def adam(
    model: Model,
    W: Array,
    samples: Iterable[tuple[Array, Array]],
    alpha: float,
    moments: tuple[Callable[..., Array], Callable[..., Array]] = (first_moment, second_moment),
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> Array:
    """F14 to F18 one after the other, a step for every sample (x, y). W (D, K) -> (D, K)."""
    m = v = np.zeros_like(W)
    for t, (x, y) in enumerate(samples, 1):
        m, v = moments[0](m, model, W, x, y, betas[0]), moments[1](v, model, W, x, y, betas[1])
        W = adam_step(W, unbias(m, betas[0], t), unbias(v, betas[1], t), alpha, eps)
    return W


class AdamDirection:
    """g -> m̂/(√v̂ + ε), with a memory of the gradients that it was called with."""

    def __init__(self, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8):
        self.betas, self.eps, self.t = betas, eps, 0
        self.m: Array | float = 0.0
        self.v: Array | float = 0.0

    def __call__(self, g: Array) -> Array:
        (beta1, beta2), self.t = self.betas, self.t + 1
        self.m = beta1 * self.m + (1.0 - beta1) * g
        self.v = beta2 * self.v + (1.0 - beta2) * g**2
        m_hat, v_hat = unbias(self.m, beta1, self.t), unbias(self.v, beta2, self.t)
        return -adam_step(np.zeros_like(g), m_hat, v_hat, 1.0, self.eps)


@formula("F49", "corrected")
def decayed_step(theta: Array, g: Array, direction: Direction, alpha: float, decay: float) -> Array:
    """F49: θ ← θ − α direction(g) − α λ θ, g = ∂L/∂θ: the decay stands beside the step.

    With direction(g) = g it is descent on L + λ/2 ‖θ‖², which F49 as printed describes; with
    Adam's it is AdamW (Loshchilov and Hutter 2019). (D,) -> (D,).
    """
    return theta - alpha * direction(g) - alpha * decay * theta


@formula("F49", "printed")
def decayed_step_printed(
    theta: Array, g: Array, direction: Direction, alpha: float, decay: float
) -> Array:
    """F49 as printed: ∇L = ∂L/∂θ + λθ, and the step goes along it.

    That is the gradient of L + λ/2 ‖θ‖², not of L, of which F48 says ∇L = ∂L/∂θ. A decay it is
    for plain descent only: Adam divides λθ by its size together with the rest. (D,) -> (D,).
    """
    return theta - alpha * direction(g + decay * theta)


@formula("G13", "corrected")
def rmsprop_step(
    w: Array, v: Array, g: Array, rho: float, alpha: float, eps: float
) -> tuple[Array, Array]:
    """G13: v ← ρ v + (1 − ρ) g², w ← w − α g/(√v + ε), v_0 = 0.

    Steps have the size of α whatever the size of g, the first that of α/√(1 − ρ), for nothing
    takes the zero of v_0 out again. Source: Tieleman and Hinton 2012. (D,) -> w and v (D,).
    """
    v = rho * v + (1.0 - rho) * g**2
    return w - alpha * g / (np.sqrt(v) + eps), v


@formula("G13", "mistake")
def rmsprop_step_without_root(
    w: Array, v: Array, g: Array, rho: float, alpha: float, eps: float
) -> tuple[Array, Array]:
    """G13 mistaken: the root is forgotten, and a gradient ten times as large moves w a tenth."""
    v = rho * v + (1.0 - rho) * g**2
    return w - alpha * g / (v + eps), v


@formula("G14", "corrected")
def lamb_step(w: Array, direction: Array, alpha: float, decay: float) -> Array:
    """G14: r = m̂/(√v̂ + ε) + λw, w ← w − α φ r with φ = ‖w‖/‖r‖, 1 where a norm is 0.

    For the array of each layer by itself: every layer goes the same share α of its length.
    direction = m̂/(√v̂ + ε). Source: You et al. 2020. (D,), (D,) -> (D,).
    """
    r = direction + decay * w
    size, length = np.linalg.norm(w), np.linalg.norm(r)
    trust = size / length if size > 0.0 and length > 0.0 else 1.0
    return w - alpha * trust * r


@formula("G14", "mistake")
def lamb_step_unguarded(w: Array, direction: Array, alpha: float, decay: float) -> Array:
    """G14 mistaken: φ = ‖w‖/‖r‖ always.

    A layer that starts at zero stays there for ever, and becomes NaN where its gradient is zero.
    """
    r = direction + decay * w
    return w - alpha * np.linalg.norm(w) / np.linalg.norm(r) * r


def mean_by_age(gradients: Array, beta: float) -> Array:
    """The mean of gradients (T, ...), one from k steps ago with a weight of βᵏ. -> (...,)."""
    ages = np.arange(len(gradients))[::-1]
    return np.average(gradients, axis=0, weights=beta**ages)


def draw_sides(rng: np.random.Generator, size: int) -> Array:
    """Values of both signs whose size is between ½ and 1½. -> (size,)."""
    return rng.choice([-1.0, 1.0], size) * rng.uniform(0.5, 1.5, size=size)


def draw_sample(rng: np.random.Generator, D: int, K: int) -> tuple[Array, Array, Array]:
    """Weights (D, K), an input (D,) and labels (K,) of the logistic model."""
    y = rng.integers(0, 2, size=K).astype(np.float64)
    return rng.normal(size=(D, K)), rng.normal(size=D), y


def _sgd_question(D: int, K: int, rng: np.random.Generator) -> Question:
    W, x, y = draw_sample(rng, D, K)
    return Question(
        -0.1 * LOGISTIC.numeric_slope(W, x, y),
        lambda form: form(LOGISTIC, W, x, y, 0.1) - W,
    )


def _moment_question(power: int, D: int, K: int, rng: np.random.Generator) -> Question:
    """The mean of three steps, written out as a sum over them; power 2: that of the squares."""
    W, beta = 4.0 * draw_sides(rng, 3 * D * K).reshape(3, D, K), rng.uniform(0.5, 0.99)
    samples = [(draw_sides(rng, D), rng.integers(0, 2, size=K).astype(np.float64)) for _ in W]
    slopes = [LOGISTIC.numeric_slope(weights, *sample) for weights, sample in zip(W, samples)]

    def claim(form: Callable[..., Array]) -> Array:
        moment = np.zeros((D, K))
        for weights, sample in zip(W, samples):
            moment = form(moment, LOGISTIC, weights, *sample, beta)
        return moment

    weights = (1.0 - beta) * beta ** np.arange(3.0)[::-1]
    return Question(np.einsum("t,tij->ij", weights, np.array(slopes) ** power), claim)


def _unbias_question(power: int, t: int, rng: np.random.Generator) -> Question:
    gradients, beta = rng.normal(size=(t, 4)) ** power, rng.uniform(0.5, 0.999)
    moment = (1.0 - beta) * sum(beta**age * g for age, g in enumerate(gradients[::-1]))
    return Question(mean_by_age(gradients, beta), lambda form: form(moment, beta, t))


@case("F18", "gradients of all sizes", Outcome.AGREES)
def _adam_question(rng: np.random.Generator) -> Question:
    gradients = rng.normal(size=(6, 4)) * 10.0 ** rng.uniform(-6.0, 3.0, size=4)
    m_hat, v_hat = mean_by_age(gradients, 0.9), mean_by_age(gradients**2, 0.999)
    size = np.linalg.norm(gradients * 0.999 ** (np.arange(6.0)[::-1, None] / 2), axis=0)
    size /= np.sqrt(np.sum(0.999 ** np.arange(6.0)))
    truth = -0.01 * m_hat / (size + 1e-3)
    return Question(truth, lambda form: form(np.zeros(4), m_hat, v_hat, 0.01, 1e-3))


@case("F49", "plain descent", Outcome.AGREES)
def _plain_decay_question(rng: np.random.Generator) -> Question:
    theta, target = draw_sides(rng, 4), rng.normal(size=4)
    slope = numeric_gradient(lambda t: np.sum(np.cosh(t - target)) + 0.15 * np.sum(t**2), theta)
    return Question(
        -0.1 * slope,
        lambda form: form(theta, np.sinh(theta - target), lambda g: g, 0.1, 0.3) - theta,
    )


@case("F49", "first step of Adam", Outcome.DIFFERS)
def _adam_decay_question(rng: np.random.Generator) -> Question:
    """Adam goes α in the gradient's direction, and beside it every weight shrinks by αλ of it."""
    theta, target = draw_sides(rng, 4), rng.normal(size=4)
    slope = numeric_gradient(lambda t: np.sum(np.cosh(t - target)), theta)
    return Question(
        -0.1 * np.sign(slope) - 0.1 * 0.3 * theta,
        lambda form: form(theta, np.sinh(theta - target), AdamDirection(eps=0.0), 0.1, 0.3) - theta,
    )


def _rmsprop_question(size: float, rng: np.random.Generator) -> Question:
    """Four steps, each v_t written out as a sum over the gradients so far."""
    gradients, rho = size * rng.normal(size=(4, 3)), rng.uniform(0.5, 0.99)
    w, truth = rng.normal(size=3), np.zeros(3)
    for t in range(1, 5):
        weights = (1.0 - rho) * rho ** np.arange(float(t))[::-1]
        v = np.einsum("t,td->d", weights, gradients[:t] ** 2)
        truth -= 0.01 * gradients[t - 1] / (v**0.5 + 1e-8)

    def claim(form: Callable[..., tuple[Array, Array]]) -> Array:
        at, memory = w, np.zeros_like(w)
        for g in gradients:
            at, memory = form(at, memory, g, rho, 0.01, 1e-8)
        return at - w

    return Question(truth, claim)


def _lamb_question(rng: np.random.Generator, w: Array, direction: Array) -> Question:
    """A step of length α‖w‖ in the direction of r, or of α‖r‖ where w is zero."""
    r = [d + 0.1 * each for d, each in zip(direction, w)]
    length = sum(each**2 for each in r) ** 0.5 or 1.0
    size = sum(each**2 for each in w) ** 0.5 or length
    truth = np.array([-0.01 * size * each / length for each in r])
    return Question(truth, lambda form: form(w, direction, 0.01, 0.1) - w)


case("F13", "one weight", Outcome.DIFFERS)(partial(_sgd_question, 1, 1))
case("F13", "three inputs, two units", Outcome.SHAPE)(partial(_sgd_question, 3, 2))
case("F13", "square", Outcome.DIFFERS)(partial(_sgd_question, 3, 3))
for _id, _power in (("F14", 1), ("F15", 2)):
    case(_id, "one weight", Outcome.DIFFERS)(partial(_moment_question, _power, 1, 1))
    case(_id, "three inputs, two units", Outcome.SHAPE)(partial(_moment_question, _power, 3, 2))
for _id, _power in (("F16", 1), ("F17", 2)):
    case(_id, "first step", Outcome.AGREES)(partial(_unbias_question, _power, 1))
    case(_id, "twentieth step", Outcome.AGREES)(partial(_unbias_question, _power, 20))
case("G13", "small gradients", Outcome.DIFFERS)(partial(_rmsprop_question, 1e-2))
case("G13", "large gradients", Outcome.DIFFERS)(partial(_rmsprop_question, 1e2))
case("G14", "drawn", Outcome.AGREES)(lambda rng: _lamb_question(rng, *rng.normal(size=(2, 5))))
case("G14", "begun at zero", Outcome.DIFFERS)(
    lambda rng: _lamb_question(rng, np.zeros(5), rng.normal(size=5))
)
case("G14", "zero, without a gradient", Outcome.NOT_FINITE)(
    lambda rng: _lamb_question(rng, np.zeros(5), np.zeros(5))
)
