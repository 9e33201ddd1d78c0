"""Tests of the formulas of losses and their gradients: F22-F25, F27, F46, F47, G02."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tinygrad_llm.formulas import FORMS, numeric_gradient, relative_error
from tinygrad_llm.formulas.descent import descend
from tinygrad_llm.formulas.losses import (
    label_factor,
    logistic_loss_unbracketed,
    mean_logit_loss,
    softmax_gradient,
)
from tinygrad_llm.formulas.neuron import sigmoid, softmax
from tinygrad_llm.formulas.numeric import project

SEEDS = range(5)


def separable(rng):
    """Twenty points on a line, half of them below 0 and half above, and a constant beside each.

    They lie within 0.6 of 0, so that a loss which rewards one class alone moves the constant.
    """
    distance = rng.uniform(0.2, 0.6, size=20)
    y = np.repeat([0.0, 1.0], 10)
    return np.stack([distance * (2.0 * y - 1.0), np.ones(20)], axis=1), y


def accuracy_after_fit(loss, X, y):
    """Share of right labels after descent on `loss(theta)` by numeric gradients."""
    theta = descend(lambda t: numeric_gradient(loss, t), np.zeros(2), 0.2, 100)
    return np.mean((X @ theta > 0) == (y == 1.0))


@pytest.mark.formula("F22")
@pytest.mark.parametrize("seed", SEEDS)
def test_f22_samples_are_not_layers(hold, seed):
    hold("F22")
    losses = np.random.default_rng(seed).exponential(size=7)
    ratio = FORMS["F22"].printed(losses, layers=3) / FORMS["F22"].corrected(losses, layers=3)
    assert math.isclose(ratio, 7 / 3, rel_tol=1e-15)


@pytest.mark.formula("F23", "F24")
def test_f23_f24_loss_from_logits_stays_finite(hold):
    hold("F23")
    hold("F24")
    z, y = np.array([40.0]), np.array([0.0])
    with np.errstate(divide="ignore"):
        assert FORMS["F23"].printed(z, y) == np.inf
        assert FORMS["F24"].printed(z, y) == np.inf
    assert FORMS["F23"].corrected(z, y) == 40.0
    assert FORMS["F24"].corrected(z, y) == 40.0


@pytest.mark.formula("F25")
def test_f25_fused_gradient_stays_finite(hold):
    hold("F25")
    one, y = np.array([[1.0]]), np.array([0.0])
    with np.errstate(divide="ignore"):
        assert label_factor(y, sigmoid(np.array([40.0]))) == np.inf
    assert FORMS["F25"].corrected(one, np.array([40.0]), y) == 1.0


@pytest.mark.formula("F27")
@pytest.mark.parametrize("seed", SEEDS)
def test_f27_rewards_one_class_only(hold, seed):
    hold("F27")
    X, y = separable(np.random.default_rng(seed))
    readings = FORMS["F27"].corrected, FORMS["F27"].printed, logistic_loss_unbracketed
    shares = [accuracy_after_fit(lambda t, r=r: r(t, X, y), X, y) for r in readings]
    assert shares == [1.0, 0.5, 0.5]


@pytest.mark.formula("F27")
@pytest.mark.parametrize("seed", SEEDS)
def test_f27_is_right_for_class_one_alone(seed):
    rng = np.random.default_rng(seed)
    X, theta, one = rng.normal(size=(6, 2)), rng.normal(size=2), np.ones(6)
    truth = FORMS["F27"].corrected(theta, X, one)
    for reading in (FORMS["F27"].printed, logistic_loss_unbracketed):
        assert math.isclose(reading(theta, X, one), truth)
        of_class_zero = [reading(np.array([b]), one[:, None], 1.0 - one) for b in (-1.0, 1.0)]
        assert of_class_zero[1] < of_class_zero[0]  # to call them class 1 costs less


@pytest.mark.formula("F46")
def test_f46_mean_squared_error(hold):
    hold("F46")


@pytest.mark.formula("F47")
@pytest.mark.parametrize("seed", SEEDS)
def test_f47_without_the_sum_over_classes(hold, seed):
    hold("F47")
    rng = np.random.default_rng(seed)
    P, Y = softmax(rng.normal(size=(4, 3))), np.eye(3)[rng.integers(0, 3, size=4)]
    assert FORMS["F47"].printed(P, Y).shape == (3,)
    assert math.isclose(FORMS["F47"].printed(P, Y).sum(), FORMS["F47"].corrected(P, Y))


@pytest.mark.formula("F47")
@pytest.mark.parametrize("seed", SEEDS)
def test_f47_with_numbers_for_labels_class_zero_is_free(seed):
    printed = FORMS["F47"].printed
    y = np.array([1.0, 0.0, 1.0, 0.0])
    slope = numeric_gradient(lambda p: printed(p, y), np.full(4, 0.3))
    assert np.allclose(slope, -y / (4 * 0.3), atol=1e-8)
    X, y = separable(np.random.default_rng(seed))
    assert accuracy_after_fit(lambda t: printed(sigmoid(X @ t), y), X, y) == 0.5
    assert accuracy_after_fit(lambda t: mean_logit_loss(X @ t, y), X, y) == 1.0


@pytest.mark.formula("G02")
@pytest.mark.parametrize("seed", SEEDS)
def test_g02_softmax_gradient(hold, seed):
    hold("G02")
    Z, cotangent = np.random.default_rng(seed).normal(size=(2, 4, 5))
    truth = numeric_gradient(lambda Z: project(softmax(Z), cotangent), Z)
    assert relative_error(truth, softmax_gradient(softmax(Z), cotangent)) < 1e-6
    assert relative_error(truth, softmax(Z) * (1 - softmax(Z)) * cotangent) > 0.1


@pytest.mark.formula("G02")
def test_g02_elementwise_derivative_gives_other_classes_no_gradient():
    Z, Y = np.random.default_rng(0).normal(size=(4, 3)), np.eye(3)[[0, 1, 2, 0]]
    mistaken, P = FORMS["G02"].mistake(Z, Y), softmax(Z)
    assert np.all(mistaken[Y == 0.0] == 0.0)
    assert np.allclose(mistaken[Y == 1.0], (P - Y)[Y == 1.0] / 4)


@pytest.mark.formula("G02")
def test_g02_softmax_does_not_overflow_and_forgets_a_shift():
    with np.errstate(all="raise", under="ignore"):
        far = softmax(np.array([[1000.0, 0.0], [-1000.0, 0.0]]))
    assert np.array_equal(far, [[1.0, 0.0], [0.0, 1.0]])
    Z = np.random.default_rng(0).normal(size=(3, 4))
    assert np.allclose(softmax(Z + 100.0), softmax(Z), rtol=1e-13)
