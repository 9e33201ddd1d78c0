"""Forms that keep values and gradients within bounds, at the start and at a step: G16.

Letters: c the largest norm, n_in and n_out the inputs and the units of a layer.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from tinygrad_llm.formulas.neuron import Activation
from tinygrad_llm.formulas.numeric import Array, flat, numeric_gradients
from tinygrad_llm.formulas.registry import Outcome, Question, case, formula


@formula("G16", "corrected")
def clip_gradients(gradients: list[Array], c: float) -> list[Array]:
    """G16: g ← g min(1, c / ‖g‖_all), ‖g‖_all = √(Σ over all arrays of Σ g²), c > 0.

    One factor for all arrays, so that the step keeps its direction; the result is the nearest
    point of the ball of radius c. G16's other half: `xavier_variance` and `he_variance`.
    """
    norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
    return [g * (c / max(norm, c)) for g in gradients]


@formula("G16", "mistake")
def clip_each_gradient(gradients: list[Array], c: float) -> list[Array]:
    """G16 mistaken: every array is clipped by its own norm.

    Large arrays shrink beside small ones: the step turns, and all together may exceed c.
    """
    return [clip_gradients([g], c)[0] for g in gradients]


def xavier_variance(n_in: int, n_out: int) -> float:
    """G16: Var w = 2/(n_in + n_out), for layers that are about linear at 0, as with tanh.

    Of x with independent weights of mean 0, z = x W has E z² = n_in Var(w) E x²: 1/n_in would
    preserve it. The same sum, over n_out terms, gives the gradient on its way back: 1/n_out would
    preserve that. 2/(n_in + n_out) stands between them, and is both where n_in = n_out.
    Source: Glorot and Bengio 2010.
    """
    return 2.0 / (n_in + n_out)


def he_variance(n_in: int) -> float:
    """G16: Var w = 2/n_in, for layers with ReLU.

    z is symmetric about 0 and ReLU keeps half of it: E relu(z)² = ½ E z² = ½ n_in Var(w) E x²,
    which is E x² for 2/n_in. Under Xavier's variance every layer as wide as its input halves it.
    Source: He et al. 2015.
    """
    return 2.0 / n_in


def moment_after(activation: Activation, n_in: int, variance: float, moment: float) -> float:
    """E act(z)² by quadrature, z normal with mean 0 and E z² = n_in · variance · moment.

    What becomes, in a wide layer with weights of this variance, of inputs with E x² = moment.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    scale = np.sqrt(n_in * variance * moment)
    return float(weights @ activation(scale * nodes) ** 2 / weights.sum())


def _huber(c: float, *gradients: Array) -> float:
    """½‖g‖² up to ‖g‖ = c, and from there on its tangent: its gradient is g clipped to c."""
    norm = float(np.linalg.norm(flat(*gradients)))
    return 0.5 * norm**2 if norm <= c else c * norm - 0.5 * c**2


def _clip_question(share: float, rng: np.random.Generator) -> Question:
    """Three drawn arrays, to be clipped to this share of their common norm."""
    gradients = [rng.normal(size=shape) for shape in ((3, 2), (4,), ())]
    c = share * float(np.linalg.norm(flat(*gradients)))
    return Question(
        numeric_gradients(partial(_huber, c), *gradients),
        lambda form: flat(*form(gradients, c)),
    )


case("G16", "clipped to a tenth", Outcome.DIFFERS)(partial(_clip_question, 0.1))
case("G16", "within the limit", Outcome.AGREES)(partial(_clip_question, 2.0))
