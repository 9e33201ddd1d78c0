"""Tests of the formulas of one neuron: F01, F44, F62, G01."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_llm.formulas import FORMS, numeric_gradients
from tinygrad_llm.formulas.descent import descend
from tinygrad_llm.formulas.neuron import activate, off_kink


@pytest.mark.formula("F01")
def test_f01_neuron(hold):
    hold("F01")


@pytest.mark.formula("F62")
@pytest.mark.parametrize("name", ["sigmoid", "tanh", "relu", "softmax"])
def test_f62_activations_are_finite_far_out(hold, name):
    hold("F62")
    with np.errstate(all="raise", under="ignore"):
        assert np.all(np.isfinite(activate(name, np.array([[-1000.0, 0.0, 1000.0]]))))


@pytest.mark.formula("G01")
@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_g01_activation_slopes(hold, name):
    hold("G01")
    z = np.random.default_rng(0).normal(size=(3, 4))
    of_output = FORMS["G01"].mistake(name, activate(name, z))
    assert np.allclose(of_output, FORMS["G01"].corrected(name, z))


def test_drawn_values_keep_away_from_the_kink():
    drawn = off_kink(np.random.default_rng(0), (100,))
    assert np.abs(drawn).min() > 0.1
    assert 20 < np.sum(drawn > 0) < 80


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.formula("F44")
def test_f44_relu_output_cannot_reach_a_negative_target(hold, seed):
    hold("F44")
    rng = np.random.default_rng(seed)
    x, start = rng.normal(size=(8, 2)), rng.normal(size=3)
    errors, slopes = {}, {}
    for name in ("printed", "corrected"):
        form = getattr(FORMS["F44"], name)

        def loss(theta, form=form):
            return np.mean((form(x, theta[:2], theta[2]) + 1.0) ** 2)

        theta = descend(lambda t, loss=loss: numeric_gradients(loss, t), start, 0.1, 500)
        errors[name], slopes[name] = loss(theta), numeric_gradients(loss, theta)
    assert errors["printed"] == 1.0
    assert np.all(slopes["printed"] == 0.0)
    assert errors["corrected"] < 1e-12
