"""Tests of the formulas of forward and backward in a two-layer network: F03-F12, F48, G03."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_llm.formulas import FORMS, judge, numeric_gradient, relative_error
from tinygrad_llm.formulas.backprop import draw_net, hidden_error, output_map
from tinygrad_llm.formulas.neuron import softmax

SEEDS = range(20)


def least_error_as_printed(identifier: str, case_name: str) -> float:
    """The smallest relative error of the printed form over the draws of a case."""
    (case,) = [case for case in FORMS[identifier].cases if case.name == case_name]
    questions = (case.draw(np.random.default_rng(seed)) for seed in SEEDS)
    return min(judge(question, FORMS[identifier].printed)[1] for question in questions)


@pytest.mark.formula("F03", "F05")
def test_f03_f05_pre_activations(hold):
    hold("F03")
    hold("F05")


@pytest.mark.formula("F04")
def test_f04_hidden_activation(hold):
    hold("F04")


@pytest.mark.formula("F06")
def test_f06_output_map_follows_the_task(hold):
    hold("F06")
    Z = np.random.default_rng(0).normal(size=(5, 3))
    assert np.allclose(output_map(Z, "classification").sum(axis=1), 1.0)
    assert output_map(Z, "regression").min() < 0.0
    printed = FORMS["F06"].printed
    assert printed(Z, "regression").min() > 0.0
    assert np.max(np.abs(printed(Z, "classification").sum(axis=1) - 1.0)) > 0.1


@pytest.mark.formula("F07")
def test_f07_output_error_holds_the_derivative_once(hold):
    hold("F07")
    assert least_error_as_printed("F07", "sigmoid and squared error") > 0.5
    assert least_error_as_printed("F07", "softmax and cross-entropy") > 0.1


@pytest.mark.formula("F07")
@pytest.mark.parametrize("seed", SEEDS)
def test_f07_shortcut_needs_targets_that_sum_to_one(seed):
    rng = np.random.default_rng(seed)
    z, t = rng.normal(size=4), rng.uniform(0.5, 1.5, size=4)
    y = softmax(z)
    truth = numeric_gradient(lambda z: -np.sum(t * np.log(softmax(z))), z)
    assert relative_error(truth, y * t.sum() - t) < 1e-6
    assert relative_error(truth, y - t) > 0.1


@pytest.mark.formula("F07")
def test_f07_as_printed_multiplies_the_derivative_of_the_loss():
    rng = np.random.default_rng(0)
    z, t, coupling = rng.normal(size=4), rng.normal(size=4), rng.normal(size=(4, 4))
    y, jacobian = coupling @ np.tanh(z), coupling * (1.0 - np.tanh(z) ** 2)
    whole = numeric_gradient(lambda z: 0.5 * np.sum((coupling @ np.tanh(z) - t) ** 2), z)
    assert relative_error(jacobian.T @ whole, FORMS["F07"].printed(y - t, jacobian)) < 1e-6


@pytest.mark.formula("F08")
def test_f08_hidden_error(hold):
    hold("F08")
    assert least_error_as_printed("F08", "square, 3-3-3") > 0.1


@pytest.mark.formula("F08")
@pytest.mark.parametrize("seed", SEEDS)
def test_f08_as_printed_multiplies_the_derivative_of_the_loss(seed):
    net = draw_net(np.random.default_rng(seed), (3, 3, 3), rows=4)
    slope1, (_, delta2) = 1.0 - net.hidden() ** 2, net.errors()
    Z1 = net.X @ net.W1 + net.b1
    whole = numeric_gradient(lambda Z1: net.loss_from_hidden(np.tanh(Z1)), Z1)
    printed = FORMS["F08"].printed(delta2, net.W2, slope1)
    assert relative_error(whole * slope1 @ net.W2.T, printed) < 1e-6


@pytest.mark.formula("F09", "F10")
def test_f09_f10_weight_updates_are_transposed(hold):
    hold("F09")
    hold("F10")
    assert least_error_as_printed("F09", "square, 3-3-3") > 0.1
    assert least_error_as_printed("F10", "square, 3-3-2") > 0.1


@pytest.mark.formula("F09", "F10")
@pytest.mark.parametrize("seed", SEEDS)
def test_f09_f10_hold_as_printed_when_samples_are_rows(seed):
    net = draw_net(np.random.default_rng(seed), (3, 4, 2), rows=5)
    delta1, delta2 = net.errors()
    truth2 = numeric_gradient(lambda W: net.loss(W2=W), net.W2)
    truth1 = numeric_gradient(lambda W: net.loss(W1=W), net.W1)
    assert relative_error(truth2, FORMS["F09"].printed(net.hidden(), delta2)) < 1e-6
    assert relative_error(truth1, FORMS["F10"].printed(net.X, delta1)) < 1e-6


@pytest.mark.formula("F11", "F12")
def test_f11_f12_bias_updates_sum_over_the_batch(hold):
    hold("F11")
    hold("F12")


@pytest.mark.formula("F12")
@pytest.mark.parametrize("seed", SEEDS)
def test_f12_every_update_uses_the_weights_of_the_forward_pass(seed):
    net = draw_net(np.random.default_rng(seed), (3, 4, 2), rows=5)
    hidden, (_, delta2) = net.hidden(), net.errors()
    truth = numeric_gradient(lambda b: net.loss(b1=b), net.b1)
    updated = net.W2 - 2.0 * FORMS["F09"].printed(hidden, delta2)
    early = hidden_error(delta2, net.W2, 1.0 - hidden**2).sum(axis=0)
    late = hidden_error(delta2, updated, 1.0 - hidden**2).sum(axis=0)
    assert relative_error(truth, early) < 1e-6
    assert relative_error(truth, late) > 1e-2


@pytest.mark.formula("F48")
def test_f48_gradients_accumulate(hold):
    hold("F48")
    x = np.array([3.0, -2.0])
    assert np.array_equal(FORMS["F48"].corrected([x, x]), 2 * x)
    assert np.array_equal(FORMS["F48"].mistake([x, x]), x)
    assert np.array_equal(FORMS["F48"].mistake([x, 2 * x, 3 * x]), 3 * x)


@pytest.mark.formula("G03")
def test_g03_linear_layer(hold):
    hold("G03")
