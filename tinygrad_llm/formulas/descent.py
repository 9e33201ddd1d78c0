"""Forms about plain gradient descent: F51, F70, F84."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from tinygrad_llm.formulas.numeric import Array, numeric_gradient
from tinygrad_llm.formulas.registry import Outcome, Question, case, formula


@formula("F51", "corrected")
@formula("F70", "corrected", "printed")
@formula("F84", "corrected", "printed")
def descend(gradient: Callable[[Array], Array], theta: Array, rate: float, steps: int) -> Array:
    """F51, F70, F84: θ_{t+1} = θ_t − η ∇L(θ_t), the gradient taken where the step starts.

    Right as F70 prints it; the loss falls at every step only for a small enough rate, below 2/λ
    on a quadratic of curvature λ. That is what F84's η is about: above it the steps diverge, far
    below it they stall; that a rate avoids overfitting is not what it is chosen for.
    theta (D,) -> θ after `steps` (D,).
    """
    for _ in range(steps):
        theta = theta - rate * gradient(theta)
    return theta


@formula("F51", "printed")
def descend_printed(
    gradient: Callable[[Array], Array], theta: Array, rate: float, steps: int
) -> Array:
    """F51 as printed: θ_{t+1} = θ_t − α ∇L(θ), with a θ that is not counted on.

    A gradient frozen at the start walks straight past the minimum. Shapes as F51.
    """
    frozen = gradient(theta)
    for _ in range(steps):
        theta = theta - rate * frozen
    return theta


def _descent_question(rng: np.random.Generator) -> Question:
    """Five steps on a drawn quadratic, against five steps with numeric gradients."""
    factor, theta = rng.normal(size=(3, 3)), rng.normal(size=3)
    curvature = factor @ factor.T + np.eye(3)
    rate = 1.0 / float(np.linalg.eigvalsh(curvature)[-1])
    truth = theta
    for _ in range(5):
        truth = truth - rate * numeric_gradient(lambda t: 0.5 * t @ curvature @ t, truth)
    return Question(truth, lambda form: form(partial(np.matmul, curvature), theta, rate, 5))


case("F51", "five steps", Outcome.DIFFERS)(_descent_question)
case("F70", "five steps", Outcome.AGREES)(_descent_question)
case("F84", "five steps", Outcome.AGREES)(_descent_question)
