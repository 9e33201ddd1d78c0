"""Tests of the formulas of regularization: F50, F61."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tinygrad_llm import Tensor, grad, manual_seed
from tinygrad_llm import functional as F
from tinygrad_llm.backend import random
from tinygrad_llm.backend.random import Draw, drop_units, keep_mask
from tinygrad_llm.formulas import FORMS, numeric_gradient, relative_error
from tinygrad_llm.formulas.numeric import project
from tinygrad_llm.formulas.regularization import draw_kept, inverted_dropout

SEEDS = range(10)


@pytest.fixture
def next_draw(monkeypatch):
    """`next_draw(seed)`: the draw that dropout makes next, from streams that are the test's own."""
    monkeypatch.setattr(random, "_streams", {})
    monkeypatch.setattr(random, "_seed", 0)

    def peek(seed):
        manual_seed(seed)
        stream = random.stream("dropout")
        return Draw(stream.key, stream.position)

    return peek


def mean_and_variance(form, p, n=200_000, seed=0):
    """Of what a form makes of n ones in training, by a mask from NumPy's own generator."""
    kept = (np.random.default_rng(seed).random(n) >= p).astype(np.float64)
    y = form(np.ones(n), kept, p, True)
    return y.mean(), y.var()


@pytest.mark.formula("F50")
def test_f50_a_factor_loses_no_unit(hold):
    hold("F50")
    mean, variance = mean_and_variance(FORMS["F50"].printed, 0.4)
    assert math.isclose(mean, 1.0 / 0.6) and variance < 1e-20
    mean, variance = mean_and_variance(FORMS["F50"].corrected, 0.4)
    assert math.isclose(mean, 1.0, abs_tol=0.01)
    assert math.isclose(variance, 0.4 / 0.6, abs_tol=0.01)


@pytest.mark.formula("F61")
def test_f61_a_mask_alone_shrinks_the_mean(hold):
    hold("F61")
    mean, variance = mean_and_variance(FORMS["F61"].printed, 0.4)
    assert math.isclose(mean, 0.6, abs_tol=0.01)
    assert math.isclose(variance, 0.4 * 0.6, abs_tol=0.01)


@pytest.mark.formula("F50", "F61")
def test_f50_f61_each_document_has_half_of_dropout():
    rng = np.random.default_rng(0)
    x, kept = rng.normal(size=9), draw_kept(rng, 9)
    both = FORMS["F50"].printed(FORMS["F61"].printed(x, kept, 0.4, True), kept, 0.4, True)
    assert np.array_equal(both, FORMS["F50"].corrected(x, kept, 0.4, True))
    assert FORMS["F61"].corrected is FORMS["F50"].corrected


@pytest.mark.formula("F50")
@pytest.mark.parametrize("seed", SEEDS)
def test_f50_backward_has_the_mask_of_its_forward(seed):
    rng = np.random.default_rng(seed)
    (x, cotangent), kept, p = rng.normal(size=(2, 6)), draw_kept(rng, 6), rng.uniform(0.1, 0.9)
    truth = numeric_gradient(lambda x: project(inverted_dropout(x, kept, p, True), cotangent), x)
    assert relative_error(truth, inverted_dropout(cotangent, kept, p, True)) < 1e-9
    assert relative_error(truth, inverted_dropout(cotangent, 1.0 - kept, p, True)) > 0.1


@pytest.mark.formula("F50", "F61")
@pytest.mark.parametrize("seed", SEEDS)
def test_f50_f61_the_library_has_the_corrected_form(next_draw, seed):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 8, size=3))
    (x, cotangent), p = rng.normal(size=(2, *shape)), drop_units(rng.uniform(0.1, 0.9)) / 65536
    kept = keep_mask(next_draw(seed), shape, p, "cpu")
    at = Tensor(x, requires_grad=True)
    y = F.dropout(at, p)
    assert relative_error(inverted_dropout(x, kept, p, True), y.numpy()) < 1e-15
    expected = inverted_dropout(cotangent, kept, p, True)
    assert relative_error(expected, grad(y, at, Tensor(cotangent)).numpy()) < 1e-15
    assert np.array_equal(F.dropout(at, p, training=False).numpy(), x)


@pytest.mark.formula("F50")
@pytest.mark.parametrize("p", [0.1, 0.5])
def test_f50_mean_and_variance_over_a_million_units(next_draw, p):
    n, ones = 1_000_000, np.ones(1_000_000)
    y = inverted_dropout(ones, keep_mask(next_draw(0), (n,), p, "cpu"), p, True)
    assert abs(y.mean() - 1.0) < 0.01
    squares = (y - 1.0) ** 2  # about the mean that is claimed; at p = .5 each of them is 1
    deviation = math.sqrt(p * (1.0 - p)) * abs(1.0 - 2.0 * p) / (1.0 - p) ** 2  # of one square
    assert abs(squares.mean() - p / (1.0 - p)) <= 3.0 * deviation / math.sqrt(n)
    assert relative_error(y, F.dropout(ones, p).numpy()) < 1e-4  # p in steps of 1/65,536
