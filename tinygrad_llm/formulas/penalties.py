"""Forms about penalties on the weights: F19, F20, F64.

Letters: λ the weight of a penalty, α the learning rate. Decay beside the step is F49's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from tinygrad_llm.formulas.numeric import Array, flat, numeric_gradient, numeric_gradients
from tinygrad_llm.formulas.optimizers import draw_sides
from tinygrad_llm.formulas.registry import Form, Outcome, Question, case, formula


@formula("F19", "corrected")
def squared_weights(parameters: list[Array]) -> np.floating:
    """F19: Ω = Σ_l Σ_ij W_l,ij², over the weight matrices of all layers.

    Biases and the gains of a norm, which are vectors, stay out: they do not make a network
    sensitive to its input, and a norm's gain belongs near 1. -> ().
    """
    return np.sum([np.sum(each**2) for each in parameters if each.ndim >= 2])


@formula("F19", "printed")
def squared_weights_printed(parameters: list[Array]) -> np.floating:
    """F19 as printed: Ω = Σ_i Σ_j w_ij², the sum over one matrix. -> ()."""
    return np.sum(parameters[0] ** 2)


@formula("F20", "corrected")
def penalised_loss(loss: Callable[[Array], np.floating], W: Array, decay: float) -> np.floating:
    """F20: L̃(W) = L(W) + λ/2 ‖W‖², whose gradient is ∇L + λW, as F49 has it. W (D, K) -> ()."""
    return loss(W) + 0.5 * decay * np.sum(W**2)


@formula("F20", "printed")
def penalised_loss_printed(
    loss: Callable[[Array], np.floating], W: Array, decay: float
) -> np.floating:
    """F20 as printed: L(y, t) + λΩ with F19's Ω, which has no ½.

    Right by itself, with the gradient 2λW; the λ of F49 then means twice as much. W (D, K) -> ().
    """
    return loss(W) + decay * np.sum(W**2)


@formula("F64", "corrected")
def l1_step(w: Array, g: Array, alpha: float, decay: float) -> Array:
    """F64: λ Σ |w|, by a proximal step: z = w − αg, w ← sign(z) max(0, |z| − αλ).

    A weight that the loss does not hold becomes 0 exactly and stays there: the penalty selects.
    Off 0 its gradient is λ sign(w). (D,) -> (D,).
    """
    z = w - alpha * g
    return np.sign(z) * np.maximum(0.0, np.abs(z) - alpha * decay)


@formula("F64", "mistake")
def l1_subgradient_step(w: Array, g: Array, alpha: float, decay: float) -> Array:
    """F64 mistaken: w ← w − α (g + λ sign(w)), a subgradient, which is 0 at 0.

    A weight is thrown across 0 and back by steps of αλ, and never meets it. (D,) -> (D,).
    """
    return w - alpha * (g + decay * np.sign(w))


@case("F19", "one matrix", Outcome.AGREES)
def _one_matrix_question(rng: np.random.Generator) -> Question:
    W = rng.normal(size=(3, 2))
    return Question(2.0 * W, lambda form: numeric_gradient(lambda W: form([W]), W))


@case("F19", "two layers with biases", Outcome.DIFFERS)
def _two_layers_question(rng: np.random.Generator) -> Question:
    W1, b1, W2, b2 = (rng.normal(size=shape) for shape in ((3, 4), (4,), (4, 2), (2,)))
    return Question(
        flat(2.0 * W1, np.zeros(4), 2.0 * W2, np.zeros(2)),
        lambda form: numeric_gradients(lambda *p: form(list(p)), W1, b1, W2, b2),
    )


def _penalty_question(decay: float, rng: np.random.Generator) -> Question:
    """By F49's gradient, that of the loss plus λW."""
    W, target = draw_sides(rng, 6).reshape(3, 2), rng.normal(size=(3, 2))

    def claim(form: Form) -> Array:
        return numeric_gradient(lambda W: form(lambda W: np.sum(np.cosh(W - target)), W, decay), W)

    return Question(np.sinh(W - target) + decay * W, claim)


@case("F64", "off zero", Outcome.AGREES)
def _off_zero_question(rng: np.random.Generator) -> Question:
    """Weights that keep their signs: descent on the loss and λ Σ |w|, differentiated."""
    w, target = draw_sides(rng, 5), rng.normal(size=5)
    slope = numeric_gradient(lambda w: np.sum(np.cos(w - target)) + 0.3 * np.sum(np.abs(w)), w)
    return Question(-0.1 * slope, lambda form: form(w, -np.sin(w - target), 0.1, 0.3) - w)


@case("F64", "at zero", Outcome.DIFFERS)
def _at_zero_question(rng: np.random.Generator) -> Question:
    """What lies within αλ of zero becomes zero: z less its nearest point of [−αλ, αλ]."""
    w, g = rng.uniform(-0.02, 0.02, size=5), rng.uniform(-0.05, 0.05, size=5)
    z = w - 0.1 * g
    return Question(z - np.clip(z, -0.03, 0.03), lambda form: form(w, g, 0.1, 0.3))


case("F20", "with a penalty", Outcome.DIFFERS)(partial(_penalty_question, 0.5))
case("F20", "without", Outcome.AGREES)(partial(_penalty_question, 0.0))
