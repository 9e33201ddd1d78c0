"""Tests of the formulas around attention in a block: F76, G07, G08."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_llm import Tensor, grad
from tinygrad_llm import functional as F
from tinygrad_llm.formulas import FORMS, relative_error
from tinygrad_llm.formulas.blocks import gelu, gelu_by_tanh
from tinygrad_llm.formulas.numeric import flat

SEEDS = range(10)


def leaf(array):
    return Tensor(np.array(array), requires_grad=True)


@pytest.mark.formula("G07")
@pytest.mark.parametrize("seed", SEEDS)
def test_g07_the_engine_has_these_gradients(hold, seed):
    hold("G07")
    rng = np.random.default_rng(seed)
    x, g, (gamma, beta) = *rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 4))
    xs = leaf(x), leaf(gamma), leaf(beta)
    found = flat(*(d.numpy() for d in grad(F.layer_norm(*xs), xs, g)))
    assert relative_error(FORMS["G07"].corrected(x, gamma, g), found) < 1e-10
    assert relative_error(FORMS["G07"].mistake(x, gamma, g), found) > 0.05


@pytest.mark.formula("F76")
@pytest.mark.parametrize("seed", SEEDS)
def test_f76_the_residual_sum_and_its_norm_are_one_node(hold, seed):
    hold("F76")
    rng = np.random.default_rng(seed)
    x, W, (gamma, beta) = rng.normal(size=(3, 4)), rng.normal(size=(4, 4)), rng.normal(size=(2, 4))
    y, s = F.add_layer_norm(leaf(x), F.tanh(leaf(x) @ leaf(W)), leaf(gamma), leaf(beta))
    assert y._edge[0] is s._edge[0]
    assert relative_error(FORMS["F76"].corrected(x, W, gamma, beta), y.numpy()) < 1e-12


@pytest.mark.formula("G08")
@pytest.mark.parametrize("seed", SEEDS)
def test_g08_the_engine_has_this_slope(hold, seed):
    hold("G08")
    x, g = 2.0 * np.random.default_rng(seed).normal(size=(2, 30))
    z = leaf(x)
    assert relative_error(gelu(x), F.gelu(z).numpy()) < 1e-14
    found = grad(F.gelu(z), z, g).numpy()
    assert relative_error(g * FORMS["G08"].corrected(x), found) < 1e-13
    assert relative_error(gelu_by_tanh(x), F.gelu(z, approximate="tanh").numpy()) < 1e-14


@pytest.mark.formula("G08")
def test_g08_the_form_by_tanh_is_near_and_not_the_same():
    x = np.linspace(-6.0, 6.0, 4001)
    distance = np.abs(gelu(x) - gelu_by_tanh(x)).max()
    assert 4.6e-4 < distance < 4.8e-4
