"""Tests of the formulas of whole networks: F02, F21, F26."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_llm.formulas import FORMS, numeric_gradient
from tinygrad_llm.formulas.losses import mean_logit_loss
from tinygrad_llm.formulas.networks import draw_layers
from tinygrad_llm.formulas.neuron import sigmoid

SEEDS = range(10)


@pytest.mark.formula("F02")
def test_f02_network_has_layers_and_units(hold):
    hold("F02")
    rng = np.random.default_rng(0)
    arguments = rng.normal(size=(7, 3)), *draw_layers(rng, (3, 5, 2)), [np.tanh, np.tanh]
    assert np.shape(FORMS["F02"].corrected(*arguments)) == (7, 2)
    assert np.shape(FORMS["F02"].printed(*arguments)) == ()


@pytest.mark.formula("F21")
@pytest.mark.parametrize("seed", SEEDS)
def test_f21_every_layer_has_its_own_bias(hold, seed):
    hold("F21")
    rng = np.random.default_rng(seed)
    x, (weights, biases) = rng.normal(size=(1, 3)), draw_layers(rng, (3, 3, 3, 3))

    def total(form):
        return lambda last: np.sum(form(x, weights, [*biases[:-1], last]))

    right = numeric_gradient(total(FORMS["F21"].corrected), biases[-1])
    printed = numeric_gradient(total(FORMS["F21"].printed), biases[-1])
    assert np.allclose(right, 1.0, atol=1e-8)
    assert np.max(np.abs(printed - 1.0)) > 0.1
    outputs = (form(x, weights, biases) for form in (FORMS["F21"].corrected, FORMS["F21"].printed))
    assert np.max(np.abs(np.subtract(*outputs))) > 0.1


@pytest.mark.formula("F21")
def test_f21_as_printed_has_the_output_bias_in_the_last_hidden_layer():
    rng = np.random.default_rng(0)
    x, (weights, (first, hidden, last)) = rng.normal(size=(1, 3)), draw_layers(rng, (3, 3, 3, 3))
    printed, corrected = (
        numeric_gradient(lambda b, form=form: np.sum(form(x, weights, [first, b, last])), hidden)
        for form in (FORMS["F21"].printed, FORMS["F21"].corrected)
    )
    assert np.all(printed == 0.0)
    assert np.all(corrected != 0.0)
    inner = sigmoid(sigmoid(x @ weights[0] + first) @ weights[1] + last)
    assert np.allclose(FORMS["F21"].printed(x, weights, [first, hidden, last]), inner @ weights[2])


@pytest.mark.formula("F21")
def test_f21_printed_network_does_not_fit_unequal_widths():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="broadcast"):
        FORMS["F21"].printed(rng.normal(size=(1, 3)), *draw_layers(rng, (3, 5, 4, 2)))


XOR = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([0.0, 1.0, 1.0, 0.0])


def fit_xor(seeds, steps, rate):
    """Full-batch descent of F26's model on XOR, all starts at once: parameters and gradients."""
    (X, y), starts = XOR, [np.random.default_rng(seed).normal(size=9) for seed in seeds]
    theta = np.array(starts)
    for _ in range(steps):
        W1, b1 = theta[:, :4].reshape(-1, 2, 2), theta[:, None, 4:6]
        w2, b2 = theta[:, 6:8, None], theta[:, 8:]
        hidden = np.tanh(X @ W1 + b1)
        delta2 = (sigmoid((hidden @ w2)[..., 0] + b2) - y)[..., None] / len(y)
        delta1 = delta2 * w2.transpose(0, 2, 1) * (1.0 - hidden**2)
        parts = (X.T @ delta1, delta1.sum(axis=1), hidden.transpose(0, 2, 1) @ delta2)
        slope = np.concatenate([p.reshape(len(theta), -1) for p in (*parts, delta2.sum(axis=1))], 1)
        theta = theta - rate * slope
    return theta


@pytest.mark.formula("F26")
def test_f26_descent_to_convergence_need_not_find_the_optimum(hold):
    hold("F26")
    X, y = XOR

    def loss(t):
        odds = FORMS["F26"].corrected(X, t[:4].reshape(2, 2), t[4:6], t[6:8], t[8])
        return mean_logit_loss(np.log(odds / (1.0 - odds)), y)

    ends = fit_xor(SEEDS, steps=5000, rate=0.5)
    losses = [loss(theta) for theta in ends]
    assert min(losses) < 0.01
    assert max(losses) > 0.3
    assert all(np.max(np.abs(numeric_gradient(loss, theta))) < 0.01 for theta in ends)
