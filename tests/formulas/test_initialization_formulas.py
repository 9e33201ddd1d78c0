"""Tests of the formulas of gradient clipping and initialization: G16."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tinygrad_llm import Tensor, grad, nn, optim
from tinygrad_llm import functional as F
from tinygrad_llm.backend import random
from tinygrad_llm.formulas import FORMS
from tinygrad_llm.formulas.initialization import he_variance, moment_after, xavier_variance
from tinygrad_llm.formulas.neuron import relu
from tinygrad_llm.formulas.numeric import flat

SEEDS = range(5)


def identity(z):
    return z


@pytest.mark.formula("G16")
def test_g16_clipping_keeps_the_direction(hold):
    hold("G16")
    gradients = [np.array([3.0, 0.0]), np.array([[0.0], [4.0]])]
    clipped = flat(*FORMS["G16"].corrected(gradients, 1.0))
    assert np.allclose(clipped, [0.6, 0.0, 0.0, 0.8], rtol=1e-15)
    turned = flat(*FORMS["G16"].mistake(gradients, 1.0))
    assert np.allclose(turned, [1.0, 0.0, 0.0, 1.0], rtol=1e-15)
    assert np.linalg.norm(turned) > 1.0


@pytest.mark.formula("G16")
def test_g16_clipping_at_the_limit_and_of_nothing():
    with np.errstate(all="raise"):
        at_limit, nothing = FORMS["G16"].corrected([np.array([3.0, 4.0]), np.zeros(2)], 5.0)
        assert np.array_equal(at_limit, [3.0, 4.0]) and np.array_equal(nothing, [0.0, 0.0])
        assert np.array_equal(FORMS["G16"].corrected([np.zeros(2)], 5.0), [[0.0, 0.0]])


@pytest.mark.formula("G16")
@pytest.mark.parametrize("n_in", [1, 3, 200])
@pytest.mark.parametrize("moment", [1e-3, 1.0, 50.0])
def test_g16_he_preserves_the_second_moment_through_relu(n_in, moment):
    assert math.isclose(moment_after(relu, n_in, he_variance(n_in), moment), moment)
    halved = moment_after(relu, n_in, xavier_variance(n_in, n_in), moment)
    assert math.isclose(halved, moment / 2)


@pytest.mark.formula("G16")
@pytest.mark.parametrize(("n_in", "n_out"), [(64, 64), (3, 200), (200, 3), (1, 1)])
def test_g16_xavier_lies_between_what_values_and_gradients_need(n_in, n_out):
    variance = xavier_variance(n_in, n_out)
    values = moment_after(identity, n_in, variance, 1.0)
    gradients = moment_after(identity, n_out, variance, 1.0)
    assert math.isclose((values + gradients) / 2, 1.0)
    if n_in == n_out:
        assert math.isclose(values, 1.0) and math.isclose(gradients, 1.0)
    assert min(1 / n_in, 1 / n_out) <= variance <= max(1 / n_in, 1 / n_out)


def second_moments(rng, variance, width=256, layers=20):
    """Mean squares of the output of ReLU layers, and of the gradient at their input."""
    x = Tensor(rng.normal(size=(64, width)), requires_grad=True)
    output = x
    for _ in range(layers):
        output = F.relu(output @ Tensor(math.sqrt(variance) * rng.normal(size=(width, width))))
    slope = grad(output, x, Tensor(rng.normal(size=output.shape)))
    return np.mean(output.numpy() ** 2), np.mean(slope.numpy() ** 2)


@pytest.mark.formula("G16")
@pytest.mark.parametrize("seed", SEEDS)
def test_g16_twenty_relu_layers(seed):
    he = second_moments(np.random.default_rng(seed), he_variance(256))
    xavier = second_moments(np.random.default_rng(seed), xavier_variance(256, 256))
    assert all(0.1 < moment < 10.0 for moment in he)
    assert all(1e-7 < moment < 1e-5 for moment in xavier)
    assert np.allclose(np.divide(he, xavier), 2.0**20)


@pytest.mark.formula("G16")
def test_g16_drawn_weights_have_the_second_moment_of_the_quadrature():
    """Outputs of one wide layer, over many weights: what `moment_after` is derived for."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1.0, 1.0, size=100)
    for activation in (relu, np.tanh, identity):
        z = x @ (math.sqrt(xavier_variance(100, 50)) * rng.normal(size=(100, 100_000)))
        expected = moment_after(activation, 100, xavier_variance(100, 50), np.mean(x**2))
        assert math.isclose(np.mean(activation(z) ** 2), expected, rel_tol=0.03)


@pytest.mark.formula("G16")
@pytest.mark.parametrize(
    ("name", "variance"),
    [
        ("kaiming_normal_", he_variance(400)),
        ("kaiming_uniform_", he_variance(400)),
        ("xavier_normal_", xavier_variance(400, 200)),
        ("xavier_uniform_", xavier_variance(400, 200)),
    ],
)
@pytest.mark.parametrize("seed", SEEDS)
def test_g16_the_library_begins_with_these_variances(name, variance, seed):
    with random.replay(random.State(seed, {})):
        weight = getattr(nn.init, name)(Tensor(np.zeros((400, 200)))).numpy()
    assert abs(weight.mean()) < 5.0 * math.sqrt(variance / weight.size)
    # A normal's sample variance has a standard error of √(2/n) of itself, a uniform's less.
    assert math.isclose(weight.var(), variance, rel_tol=5.0 * math.sqrt(2.0 / weight.size))


@pytest.mark.formula("G16")
@pytest.mark.parametrize("share", [0.1, 1.0, 2.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_g16_the_library_clips_all_gradients_by_one_factor(share, seed):
    rng = np.random.default_rng(seed)
    gradients = [rng.normal(size=shape) for shape in ((3, 2), (4,), ())]
    norm = float(np.linalg.norm(flat(*gradients)))
    parameters = [nn.Parameter(np.zeros_like(g)) for g in gradients]
    for parameter, g in zip(parameters, gradients):
        parameter.grad = Tensor(np.array(g))
    before = optim.clip_grad_norm_(parameters, share * norm)
    assert math.isclose(before, norm, rel_tol=1e-12)
    expected = FORMS["G16"].corrected(gradients, share * norm)
    for parameter, form in zip(parameters, expected):
        assert np.allclose(parameter.grad.numpy(), form, rtol=1e-12, atol=0.0)
