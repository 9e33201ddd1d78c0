"""Tests of the Gaussian process: textbook formulas, regression in weight space, and quadrature."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.training.gaussian_process import (
    LENGTHSCALES,
    NOISES,
    GaussianProcess,
    expected_improvement,
    linear,
    rbf,
)


def problem(seed, rows=12, axes=3):
    generator = np.random.default_rng(seed)
    return generator.random((rows, axes)), generator.normal(size=rows), generator.random((7, axes))


def textbook(kernel, x, y, new, lengthscale, noise):
    """Mean, deviation and ln p(y) with an inverse and a determinant."""
    inverse = np.linalg.inv(kernel(x, x, lengthscale) + noise**2 * np.eye(len(x)))
    across = kernel(new, x, lengthscale)
    covariance = kernel(new, new, lengthscale) - across @ inverse @ across.T
    _, size = np.linalg.slogdet(inverse)
    likelihood = -0.5 * y @ inverse @ y + 0.5 * size - 0.5 * len(x) * math.log(2 * math.pi)
    return across @ inverse @ y, np.sqrt(covariance.diagonal()), likelihood


@pytest.mark.parametrize("lengthscale", [0.3, 1.0, [0.2, 0.5, 2.0]])
@pytest.mark.parametrize("noise", [0.1, 0.5])
def test_it_equals_the_formulas_of_the_textbook(lengthscale, noise):
    for seed in range(5):
        x, y, new = problem(seed)
        process = GaussianProcess(rbf, lengthscale, noise).fit(x, y)
        mean, deviation = process.predict(new)
        expected = textbook(rbf, x, y, new, np.asarray(lengthscale), noise)
        assert mean == pytest.approx(expected[0], rel=1e-8, abs=1e-10)
        assert deviation == pytest.approx(expected[1], rel=1e-8)
        assert process.log_marginal_likelihood == pytest.approx(expected[2], rel=1e-8)
        assert process.jitter == 0.0


def test_the_kernel_by_hand():
    a, b = np.array([[0.0, 0.0]]), np.array([[3.0, 4.0], [0.0, 0.0]])
    assert rbf(a, b, 5.0) == pytest.approx(np.array([[math.exp(-0.5), 1.0]]), rel=1e-15)
    expected = math.exp(-0.5 * (9 / 9 + 16 / 4))
    assert rbf(a, b, np.array([3.0, 2.0]))[0, 0] == pytest.approx(expected, rel=1e-15)
    assert linear(b, b, np.array([3.0, 2.0]))[0, 0] == pytest.approx(1 + 4, rel=1e-15)


@pytest.mark.parametrize("noise", [0.1, 1.0])
def test_with_a_linear_kernel_it_is_bayesian_linear_regression(noise):
    """Posterior of w ~ N(0, I): A = XᵀX/σ² + I, w ~ N(A⁻¹Xᵀy/σ², A⁻¹)."""
    for seed in range(5):
        x, y, new = problem(seed)
        mean, deviation = GaussianProcess(linear, 1.0, noise).fit(x, y).predict(new)
        precision = x.T @ x / noise**2 + np.eye(3)
        w = np.linalg.solve(precision, x.T @ y / noise**2)
        spread = np.sqrt(np.einsum("md,dm->m", new, np.linalg.solve(precision, new.T)))
        assert mean == pytest.approx(new @ w, rel=1e-11, abs=1e-12)
        assert deviation == pytest.approx(spread, rel=1e-11)


def test_without_noise_it_goes_through_the_values_and_far_away_it_knows_nothing():
    x = np.array([[0.0], [0.4], [1.0]])
    process = GaussianProcess(lengthscale=0.3, noise=0.0).fit(x, [1.0, -2.0, 0.5])
    mean, deviation = process.predict(x)
    assert mean == pytest.approx([1.0, -2.0, 0.5], abs=1e-9)
    assert deviation == pytest.approx([0.0] * 3, abs=1e-6)
    mean, deviation = process.predict([[50.0]])
    assert (mean[0], deviation[0]) == pytest.approx((0.0, 1.0))


def test_the_chosen_lengthscale_and_noise_are_the_most_likely_of_the_grid():
    x, _, _ = problem(0, rows=30, axes=1)
    y = np.sin(7 * x[:, 0]) + 0.1 * np.random.default_rng(1).normal(size=30)
    process = GaussianProcess().fit(x, y)
    grid = {(l, s): textbook(rbf, x, y, x, np.array(l), s)[2] for l in LENGTHSCALES for s in NOISES}
    best = max(grid, key=grid.get)
    assert (process.lengthscale.item(), process.noise) == best
    assert process.log_marginal_likelihood == pytest.approx(grid[best], rel=1e-8)


def test_an_axis_that_does_nothing_gets_a_long_lengthscale():
    x, _, _ = problem(3, rows=40, axes=2)
    process = GaussianProcess().fit(x, np.sin(9 * x[:, 0]))
    assert process.lengthscale[1] == max(LENGTHSCALES) > 4 * process.lengthscale[0]


def test_jitter_is_added_only_where_it_is_needed():
    x = np.repeat(np.random.default_rng(0).random((4, 2)), 5, axis=0)
    process = GaussianProcess(lengthscale=1.0, noise=0.0).fit(x, np.repeat([1.0, 2, 3, 4], 5))
    assert 0.0 < process.jitter <= 1e-6
    assert process.predict(x)[0] == pytest.approx(np.repeat([1.0, 2, 3, 4], 5), abs=1e-3)


def quadrature(mean, deviation, best):
    """∫ max(best − f, 0) p(f) df over the values below best, by Gauss and Legendre."""
    low = min(mean - 12 * deviation, best)
    nodes, weights = np.polynomial.legendre.leggauss(400)
    f = low + (best - low) * (nodes + 1) / 2
    density = np.exp(-0.5 * ((f - mean) / deviation) ** 2) / (deviation * math.sqrt(2 * math.pi))
    return float(((best - f) * density * weights).sum() * (best - low) / 2)


@given(st.floats(-5, 5), st.floats(0.05, 3), st.floats(-5, 5))
def test_expected_improvement_is_the_integral(mean, deviation, best):
    expected = quadrature(mean, deviation, best)
    assert expected_improvement(mean, deviation, best) == pytest.approx(expected, abs=1e-8)


@given(st.floats(-2, 2), st.floats(0.3, 2), st.floats(-2, 2))
def test_its_gradients_are_those_of_its_docstring(mean, deviation, best):
    h, z = 1e-5, (best - mean) / deviation
    by_mean = expected_improvement([mean + h, mean - h], deviation, best)
    by_deviation = expected_improvement(mean, [deviation + h, deviation - h], best)
    below = 0.5 * math.erfc(-z / math.sqrt(2))
    density = math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    assert (by_mean[0] - by_mean[1]) / (2 * h) == pytest.approx(-below, abs=1e-8)
    assert (by_deviation[0] - by_deviation[1]) / (2 * h) == pytest.approx(density, abs=1e-8)


def test_expected_improvement_at_its_ends():
    assert expected_improvement([1.0, 3.0], 0.0, 2.0).tolist() == [1.0, 0.0]
    found = expected_improvement([1.0, 3.0, 1e3, -1e3], [1e-300, 5e-324, 1.0, 1.0], 2.0)
    assert found == pytest.approx([1.0, 0.0, 0.0, 1002.0])
    with pytest.raises(ValueError, match="a deviation is 0 or more"):
        expected_improvement(0.0, -1.0, 0.0)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([[0.0]], [1.0, 2.0], r"x has shape \(1, 1\) and y \(2,\)"),
        ([0.0], [1.0], r"x has shape \(1,\)"),
        (np.empty((0, 2)), [], r"x has shape \(0, 2\)"),
        ([[0.0], [1.0]], [1.0, math.nan], "must be finite"),
        ([[0.0], [math.inf]], [1.0, 2.0], "must be finite"),
    ],
)
def test_other_values_are_refused(x, y, message):
    with pytest.raises(ValueError, match=message):
        GaussianProcess().fit(x, y)


def test_misuse_is_refused():
    with pytest.raises(RuntimeError, match=r"call fit\(x, y\) first"):
        GaussianProcess().predict([[0.0]])
    with pytest.raises(ValueError, match=r"x has shape \(1, 2\), not \(M, 1\)"):
        GaussianProcess().fit([[0.0]], [1.0]).predict([[0.0, 1.0]])
    with pytest.raises(ValueError, match="lengthscale 0 is not above 0"):
        GaussianProcess(lengthscale=0)
    with pytest.raises(ValueError, match=r"noise -1.0 is not a deviation"):
        GaussianProcess(noise=-1.0)
    with pytest.raises(ValueError, match="no positive definite matrix"):
        GaussianProcess(lambda a, b, l: -np.eye(len(a)), 1.0, 0.0).fit([[0.0]], [1.0])
