"""Tests of the formulas of penalties on the weights: F19, F20, F64; the library has them."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_llm import Tensor, models, nn, optim
from tinygrad_llm.formulas import FORMS, numeric_gradient, relative_error
from tinygrad_llm.formulas.penalties import l1_step, l1_subgradient_step, squared_weights

SEEDS = range(5)


@pytest.mark.formula("F19")
def test_f19_every_matrix_and_no_bias(hold):
    hold("F19")
    parameters = [np.full((2, 2), 2.0), np.ones(2), np.full((2, 1), 3.0), np.ones(1)]
    assert FORMS["F19"].corrected(parameters) == 4 * 4.0 + 2 * 9.0
    assert FORMS["F19"].printed(parameters) == 4 * 4.0


@pytest.mark.formula("F20")
@pytest.mark.parametrize("seed", SEEDS)
def test_f20_without_the_half_lambda_means_twice_as_much(hold, seed):
    hold("F20")
    W = np.random.default_rng(seed).normal(size=(3, 2))
    term_of_f49 = FORMS["F49"].printed(W, np.zeros((3, 2)), lambda g: -g, 1.0, 0.1) - W

    def slope(form):
        return numeric_gradient(lambda W: form(lambda W: 0.0, W, 0.1), W)

    printed, corrected = slope(FORMS["F20"].printed), slope(FORMS["F20"].corrected)
    assert np.allclose(printed / term_of_f49, 2.0, rtol=1e-6)
    assert relative_error(term_of_f49, corrected) < 1e-9


@pytest.mark.formula("F64")
def test_f64_only_the_proximal_step_selects(hold):
    """1,000 weights drawn to values t: those with |t| ≤ λ belong at 0, the others at t ∓ λ."""
    hold("F64")
    target = np.random.default_rng(0).normal(size=1000)
    proximal = subgradient = np.ones(1000)
    for _ in range(300):
        proximal = FORMS["F64"].corrected(proximal, proximal - target, 0.1, 0.45)
        subgradient = FORMS["F64"].mistake(subgradient, subgradient - target, 0.1, 0.45)
    assert np.count_nonzero(subgradient == 0.0) == 0
    assert np.array_equal(proximal == 0.0, np.abs(target) <= 0.45)
    assert 300 < np.count_nonzero(proximal == 0.0) < 400
    least = np.where(np.abs(target) <= 0.45, 0.0, target - 0.45 * np.sign(target))
    assert np.allclose(proximal, least, atol=1e-12)


@pytest.mark.formula("F64")
@pytest.mark.parametrize("seed", SEEDS)
def test_f64_gradient_of_the_penalty_off_zero_and_at_zero(seed):
    rng = np.random.default_rng(seed)
    w = rng.choice([-1.0, 1.0], 5) * rng.uniform(0.5, 1.5, size=5)
    truth = numeric_gradient(lambda w: 0.3 * np.sum(np.abs(w)), w)
    for form in (l1_step, l1_subgradient_step):
        assert relative_error(truth, w - form(w, np.zeros(5), 1.0, 0.3)) < 1e-8
        assert np.array_equal(form(np.zeros(2), np.zeros(2), 1.0, 0.3), np.zeros(2))


@pytest.mark.formula("F64")
def test_f64_a_subgradient_goes_to_and_fro():
    w, seen = np.array([0.02]), []
    for _ in range(6):
        w = l1_subgradient_step(w, np.zeros(1), 0.1, 0.5)
        seen.append(w.item())
    assert np.allclose(seen, [-0.03, 0.02] * 3)
    assert l1_step(np.array([0.02]), np.zeros(1), 0.1, 0.5).item() == 0.0


@pytest.mark.formula("F19")
def test_f19_the_library_decays_what_the_penalty_counts():
    net = models.MLP([3, 5, 2], "tanh").astype("float64")
    decaying, rest = optim.decay_groups(net, 0.1)
    everything = [parameter.numpy() for parameter in net.parameters()]
    counted = sum(np.sum(parameter.numpy() ** 2) for parameter in decaying["params"])
    assert np.isclose(counted, squared_weights(everything), rtol=1e-12)
    assert (decaying["weight_decay"], rest["weight_decay"]) == (0.1, 0.0)
    assert {parameter.ndim for parameter in rest["params"]} == {1}


@pytest.mark.formula("F20")
@pytest.mark.parametrize(
    ("kind", "settings"),
    [(optim.SGD, {}), (optim.Adam, {"eps": 1.0}), (optim.RMSprop, {"eps": 1.0})],
)
@pytest.mark.parametrize("seed", SEEDS)
def test_f20_the_librarys_l2_is_the_gradient_of_the_halved_square(kind, settings, seed):
    """A step with weight_decay is the step without, along the gradient of the penalised loss."""
    start, target = np.random.default_rng(seed).normal(size=(2, 6))
    penalised = FORMS["F20"].corrected
    slope = numeric_gradient(
        lambda w: penalised(lambda w: np.sum(np.cosh(w - target)), w, 0.4), start
    )
    ends = []
    for gradient, decay in ((np.sinh(start - target), 0.4), (slope, 0.0)):
        parameter = nn.Parameter(start.copy())
        parameter.grad = Tensor(gradient)
        kind([parameter], lr=0.1, weight_decay=decay, **settings).step()
        ends.append(parameter.numpy())
    assert kind.decay == "l2"
    assert np.allclose(*ends, rtol=1e-8, atol=1e-10)


@pytest.mark.formula("F64")
@pytest.mark.parametrize("seed", SEEDS)
def test_f64_the_library_has_the_proximal_step(seed):
    start, target = np.random.default_rng(seed).normal(size=(2, 50))
    parameter, expected = nn.Parameter(start.copy()), start
    optimizer = optim.SGD([parameter], lr=0.1, l1=0.6)
    for _ in range(40):
        parameter.grad = Tensor(parameter.numpy() - target)
        optimizer.step()
        expected = l1_step(expected, expected - target, 0.1, 0.6)
        assert np.allclose(parameter.numpy(), expected, rtol=1e-12, atol=1e-15)
        assert np.array_equal(parameter.numpy() == 0.0, expected == 0.0)
    assert 5 < np.count_nonzero(expected == 0.0) < 45
