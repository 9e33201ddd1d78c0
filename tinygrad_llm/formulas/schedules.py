"""Forms about how the learning rate goes up and down in a run: F74, G15.

Letters: η the learning rate that is asked for, t the number of the step, from 0, T the steps of
the run, T_w those of the warm-up.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from tinygrad_llm.formulas.numeric import Array
from tinygrad_llm.formulas.registry import Form, Outcome, Question, case, formula


@formula("G15", "corrected")
def warmup_then_linear(t: Array, rate: float, warmup: int, total: int) -> Array:
    """G15: η t/T_w for t < T_w, from there η max(0, (T − t)/max(1, T − T_w)).

    Up in a straight line, then down to 0 at T; T_w = 0 leaves the first part out. (N,) -> (N,).
    """
    rising = t / max(1, warmup)
    falling = np.maximum(0.0, (total - t) / max(1, total - warmup))
    return rate * np.where(t < warmup, rising, falling)


@formula("G15", "mistake")
def lower_of_two_lines(t: Array, rate: float, warmup: int, total: int) -> Array:
    """G15 mistaken: η min(t/T_w, (T − t)/(T − T_w)), the lower of the two lines.

    The same within a run; a warm-up that outlasts it turns the second line round, and the rate is
    negative: the steps go up the slope. Without a warm-up, 0/0. (N,) -> (N,).
    """
    return rate * np.minimum(t / np.float64(warmup), (total - t) / np.float64(total - warmup))


@formula("F74", "corrected")
def rates_of_run(rate: float, total: int) -> Array:
    """F74: a warm-up of a tenth of the run, and of 500 steps at most, then G15's way down.

    -> the rate of every step, (T,); the largest is η in a run of any length.
    """
    return warmup_then_linear(np.arange(float(total)), rate, min(500, total // 10), total)


@formula("F74", "printed")
def rates_of_run_printed(rate: float, total: int) -> Array:
    """F74 as printed: a warm-up of 500 steps, whatever the length of the run.

    A run of T < 500 steps ends on its way up, and never goes faster than η (T − 1)/500. -> (T,).
    """
    return warmup_then_linear(np.arange(float(total)), rate, 500, total)


def _run_question(shortest: int, longest: int, rng: np.random.Generator) -> Question:
    """The rate that was asked for is the largest that the run comes to."""
    rate, total = rng.uniform(1e-5, 1e-3), int(rng.integers(shortest, longest))
    return Question(np.asarray(rate), lambda form: np.max(form(rate, total)))


def _line_question(warmup: int, total: int, rng: np.random.Generator) -> Question:
    """Against lines between (0, 0), (T_w, η) and (T, 0), as far as the run goes."""
    rate, t = rng.uniform(1e-5, 1e-3), np.arange(float(total))
    corners = sorted({0, warmup, max(total, warmup + 1)})
    heights = [rate * (corner == warmup) for corner in corners]
    return Question(np.interp(t, corners, heights), lambda form: form(t, rate, warmup, total))


@case("G15", "slopes", Outcome.AGREES)
def _slope_question(rng: np.random.Generator) -> Question:
    """One step up is η/T_w, one step down η/(T − T_w)."""
    rate, warmup, total = rng.uniform(1e-5, 1e-3), int(rng.integers(2, 50)), 100

    def claim(form: Form) -> Array:
        return np.diff(form(np.arange(101.0), rate, warmup, total))

    rises, falls = np.full(warmup, rate / warmup), np.full(100 - warmup, -rate / (100 - warmup))
    return Question(np.concatenate([rises, falls]), claim)


case("F74", "runs of up to 400 steps", Outcome.DIFFERS)(partial(_run_question, 1, 400))
case("F74", "runs of more than 500 steps", Outcome.AGREES)(partial(_run_question, 501, 5000))
case("G15", "a warm-up within the run", Outcome.AGREES)(partial(_line_question, 20, 100))
case("G15", "a warm-up that outlasts the run", Outcome.DIFFERS)(partial(_line_question, 500, 100))
case("G15", "no warm-up", Outcome.NOT_FINITE)(partial(_line_question, 0, 100))
