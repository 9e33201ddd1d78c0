"""Tests of the formulas of learning rates: F74, F84, G15; the library has them."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

from tinygrad_llm import Tensor, nn, optim
from tinygrad_llm.formulas import FORMS
from tinygrad_llm.formulas.schedules import warmup_then_linear


def optimizer(lr):
    return optim.SGD([nn.Parameter(np.ones(1))], lr=lr)


def rates(make, steps, lr=5e-5):
    """The learning rate of every step of a run."""
    moving = optimizer(lr)
    schedule, found = make(moving), []
    for _ in range(steps):
        found += schedule.get_last_lr()
        schedule.step()
    return np.array(found)


@pytest.mark.formula("F74")
@pytest.mark.parametrize(("steps", "share"), [(3, 0.004), (150, 0.298)])
def test_f74_a_warm_up_that_outlasts_the_run(hold, steps, share):
    """One training row and 800 rows in batches of 16, three epochs each."""
    hold("F74")
    reached = np.max(FORMS["F74"].printed(5e-5, steps)) / 5e-5
    assert math.isclose(reached, share, rel_tol=1e-12)
    assert np.max(FORMS["F74"].corrected(5e-5, steps)) == 5e-5


@pytest.mark.formula("F74")
@pytest.mark.parametrize(("steps", "share"), [(3, "0.4 %"), (150, "29.8 %")])
def test_f74_the_library_warns_with_the_share_that_the_form_has(steps, share):
    with pytest.warns(UserWarning, match=f"no higher than {share} of it"):
        found = rates(lambda o: optim.linear(o, steps, warmup_steps=500), steps)
    assert np.allclose(found, FORMS["F74"].printed(5e-5, steps), rtol=1e-12)


@pytest.mark.formula("F74")
@pytest.mark.parametrize("steps", [1, 3, 150, 5000])
def test_f74_a_share_of_the_run_reaches_the_rate_in_the_library(steps):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = rates(lambda o: optim.linear(o, steps, warmup_steps=min(500, steps // 10)), steps)
    assert np.allclose(found, FORMS["F74"].corrected(5e-5, steps), rtol=1e-12)
    assert found.max() == 5e-5


@pytest.mark.formula("F84")
@pytest.mark.parametrize("curvature", [0.01, 1.0, 300.0])
def test_f84_too_large_diverges_and_too_small_stalls(hold, curvature):
    hold("F84")
    start, ends = np.ones(1), {}
    for rate in (2.1, 1.9, 1.0, 1e-4):
        ends[rate] = FORMS["F84"].corrected(lambda w: curvature * w, start, rate / curvature, 100)
    assert math.isclose(abs(ends[2.1].item()), 1.4e4, rel_tol=0.02)
    assert math.isclose(abs(ends[1.9].item()), 2.7e-5, rel_tol=0.02)
    assert abs(ends[1.0].item()) < 1e-12
    assert ends[1e-4].item() > 0.99


@pytest.mark.formula("F84")
@pytest.mark.parametrize("curvature", [0.01, 1.0, 300.0])
def test_s11_descent_of_the_library_on_a_quadratic(curvature):
    """Below 2/λ it converges, above it diverges, as the form says."""
    for share in (1.9, 2.1):
        w = nn.Parameter(np.ones(1))
        moving = optim.SGD([w], lr=share / curvature)
        for _ in range(100):
            moving.zero_grad()
            (0.5 * curvature * w * w).sum().backward()
            moving.step()
        expected = FORMS["F84"].corrected(
            lambda x: curvature * x, np.ones(1), share / curvature, 100
        )
        assert np.allclose(w.numpy(), expected, rtol=1e-9)
        assert (abs(w.item()) < 1e-4) if share < 2.0 else (abs(w.item()) > 1e4)


@pytest.mark.formula("G15")
def test_g15_up_and_down(hold):
    hold("G15")
    found = FORMS["G15"].corrected(np.array([0.0, 5.0, 10.0, 55.0, 100.0, 120.0]), 1.0, 10, 100)
    assert np.allclose(found, [0.0, 0.5, 1.0, 0.5, 0.0, 0.0], rtol=1e-15)


@pytest.mark.formula("G15")
def test_g15_the_lower_of_two_lines_turns_negative():
    t = np.arange(150.0)
    assert FORMS["G15"].mistake(t, 5e-5, 500, 150).max() < 0.0
    rising = FORMS["G15"].corrected(t, 5e-5, 500, 150)
    assert np.all(np.diff(rising) > 0.0) and rising[0] == 0.0


@pytest.mark.formula("G15")
@pytest.mark.parametrize(
    ("warmup", "steps"), [(0, 1), (0, 20), (1, 20), (7, 20), (19, 20), (20, 20), (50, 20)]
)
def test_g15_the_library_has_the_corrected_schedule(warmup, steps):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # F74's, where the warm-up outlasts the run
        found = rates(lambda o: optim.linear(o, steps, warmup_steps=warmup), steps + 5)
    expected = warmup_then_linear(np.arange(steps + 5.0), 5e-5, warmup, steps)
    assert np.allclose(found, expected, rtol=1e-12, atol=0.0)


@pytest.mark.formula("G15")
def test_g15_each_group_keeps_its_own_rate():
    moving = optim.SGD([{"params": nn.Parameter(np.ones(1)), "lr": lr} for lr in (0.1, 0.5)])
    schedule = optim.linear(moving, 10, warmup_steps=4)
    for t in range(12):
        expected = [warmup_then_linear(np.array([t]), lr, 4, 10).item() for lr in (0.1, 0.5)]
        assert np.allclose(schedule.get_last_lr(), expected, rtol=1e-12)
        for group in moving.param_groups:
            group["params"][0].grad = Tensor(np.ones(1))
        moving.step()
        schedule.step()
