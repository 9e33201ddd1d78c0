"""Forms about gradients in half precision: G23.

Letters: S the scale of the loss, g a gradient, c the largest norm that clipping leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from tinygrad_llm.formulas.initialization import clip_gradients
from tinygrad_llm.formulas.numeric import Array
from tinygrad_llm.formulas.registry import Outcome, Question, case, formula

HalfGradient = Callable[[float], npt.NDArray[np.float16]]
"""S -> the gradient of S · L in float16: what is too small is 0 there, what is too large inf."""


def in_half(g: Array) -> HalfGradient:
    """The gradient of a loss whose true gradient is g, as float16 has it."""

    def of_scaled_loss(scale: float) -> npt.NDArray[np.float16]:
        with np.errstate(over="ignore"):
            return (scale * g).astype(np.float16)

    return of_scaled_loss


@formula("G23", "corrected")
def loss_scaled_step(half: HalfGradient, scale: float, c: float) -> Array:
    """G23: the gradient of S·L in float16, divided by S in float32 or better, then clipped.

    Where an element is infinite or NaN there is no step: it is 0, and the caller lowers S.
    Source: Micikevicius et al. 2018. -> (D,).
    """
    g = half(scale).astype(np.float64) / scale
    return clip_gradients([g], c)[0] if np.all(np.isfinite(g)) else np.zeros_like(g)


@formula("G23", "mistake")
def clipped_before_unscaling(half: HalfGradient, scale: float, c: float) -> Array:
    """G23 mistaken: clipped as it comes, then divided by S, and not looked at for infinities.

    What is left of it is S times too short; one infinite element makes the whole step NaN.
    """
    return clip_gradients([half(scale).astype(np.float64)], c)[0] / scale


def unscaled(half: HalfGradient, scale: float, c: float) -> Array:
    """G23 without a scale: elements below 2⁻²⁵, 3e-8, are lost."""
    return clip_gradients([half(1.0).astype(np.float64)], c)[0]


def draw_exact(rng: np.random.Generator, size: int, exponent: int) -> Array:
    """Values m · 2^exponent, 1024 ≤ |m| < 2048: float16 has each exactly, where it is in range."""
    mantissa = rng.integers(1024, 2048, size=size) * rng.choice([-1.0, 1.0], size)
    return np.ldexp(mantissa, exponent)


def _small_question(share: float, rng: np.random.Generator) -> Question:
    """Gradients about 2e-8, to be clipped to this share of their norm."""
    g = draw_exact(rng, 6, -36)
    norm = sum(each**2 for each in g) ** 0.5
    truth = g * min(1.0, share)
    return Question(truth, lambda form: form(in_half(g), 65536.0, share * norm))


@case("G23", "overflow", Outcome.NOT_FINITE)
def _overflow_question(rng: np.random.Generator) -> Question:
    g = np.append(draw_exact(rng, 5, -20), 1.5)
    return Question(np.zeros(6), lambda form: form(in_half(g), 65536.0, 1.0))


case("G23", "clipped to half", Outcome.DIFFERS)(partial(_small_question, 0.5))
case("G23", "far below the limit", Outcome.AGREES)(partial(_small_question, 1e6))
