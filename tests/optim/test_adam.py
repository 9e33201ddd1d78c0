"""Tests of Adam: against PyTorch, by the formulas, and the settings that it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.engine.common import drawn
from tests.fixtures.make_torch_training import CASES
from tests.optim.common import check_network, check_walk, give, parameter
from tinygrad_llm import Tensor, optim
from tinygrad_llm.optim import Adam


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c["optimizer"] == "Adam"])
def test_a_hundred_steps_are_pytorchs(name):
    check_walk(name)


def test_a_network_learns_as_in_pytorch():
    check_network("adam network")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_first_step_is_lr_times_the_sign(dtype):
    g = np.array([1e-3, -5.0, 300.0, -1e-3, 1e8])
    p = parameter(np.zeros(5), dtype)
    give(p, g)
    Adam([p], lr=0.5).step()
    assert p.dtype == dtype
    np.testing.assert_allclose(p.data, -0.5 * np.sign(g), rtol=2e-5)


@pytest.mark.parametrize("eps", [0.0, 1e-8, 0.1])
def test_steps_are_those_of_the_formulas(eps):
    lr, beta1, beta2 = 0.1, 0.8, 0.99
    p = parameter(drawn(4, 3))
    w, m, v = p.data.copy(), 0.0, 0.0
    optimizer = Adam([p], lr, (beta1, beta2), eps)
    for t in range(1, 21):
        g = drawn(4, 3, seed=t)
        give(p, g)
        optimizer.step()
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w = w - lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)
        np.testing.assert_allclose(p.data, w, rtol=1e-12, atol=1e-13)


def test_the_defaults_are_those_of_the_paper():
    (group,) = Adam([parameter([1.0])]).param_groups
    settings = {k: v for k, v in group.items() if k != "params"}
    assert settings == {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0}


def test_a_gradient_of_zero_moves_nothing():
    p = parameter([1.0, 2.0])
    optimizer = Adam([p])
    for _ in range(3):
        give(p, [0.0, 1.0])
        optimizer.step()
    assert p.data[0] == 1.0 and p.data[1] < 2.0


def test_the_gradient_is_left_as_it_was():
    p, g = parameter(drawn(3, 2)), Tensor(drawn(3, 2, seed=1))
    p.grad = g
    Adam([p], lr=0.5).step()
    assert p.grad is g and np.array_equal(g.data, drawn(3, 2, seed=1))


def test_float32_stays_close_to_float64():
    ps = [parameter(drawn(10), dtype) for dtype in (np.float32, np.float64)]
    optimizer = Adam(ps, lr=0.01)
    for step in range(50):
        for p in ps:
            give(p, drawn(10, seed=step) * 10.0 ** (np.arange(10) % 5 - 3))
        optimizer.step()
    assert ps[0].dtype == np.float32
    np.testing.assert_allclose(ps[0].data, ps[1].data, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": -1.0}, r"lr must be at least 0, not -1\.0"),
        ({"eps": -1e-8}, "eps must be at least 0, not -1e-08"),
        ({"weight_decay": -0.1}, r"weight_decay must be at least 0, not -0\.1"),
        ({"eps": math.nan}, "eps must be at least 0, not nan"),
        ({"betas": (1.0, 0.9)}, r"betas\[0\] must be at least 0 and below 1, not 1\.0"),
        ({"betas": (0.9, -0.1)}, r"betas\[1\] must be at least 0 and below 1, not -0\.1"),
        ({"betas": (0.9, 1.5)}, r"betas\[1\] must be at least 0 and below 1, not 1\.5"),
        ({"betas": (0.9,)}, "betas"),
        ({"betas": (0.9, 0.99, 0.999)}, "betas"),
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused_in_a_group_too(settings, message):
    with pytest.raises(ValueError, match=message):
        Adam([parameter([1.0])], **settings)
    with pytest.raises(ValueError, match=message):
        Adam([{"params": [parameter([1.0])], **settings}])


def test_one_number_as_betas_is_refused_by_name():
    with pytest.raises((TypeError, ValueError), match="betas"):
        Adam([parameter([1.0])], betas=0.9)


@pytest.mark.parametrize(("g", "share"), [(1e-9, 1 / 11), (-1e-8, -0.5), (1e-5, 1.0), (-3.0, -1.0)])
def test_the_first_step_is_as_long_as_lr_for_gradients_well_above_eps(g, share):
    p = parameter([0.0])
    give(p, [g])
    Adam([p], lr=0.5).step()
    assert math.isclose(p.item(), -0.5 * share, rel_tol=2e-3)


@pytest.mark.parametrize("kind", [Adam, optim.AdamW, optim.LAMB])
def test_settings_by_place_are_in_pytorchs_order(kind):
    (group,) = kind([parameter([1.0])], 0.1, (0.5, 0.6), 1e-3, 0.2).param_groups
    expected = {"lr": 0.1, "betas": (0.5, 0.6), "eps": 1e-3, "weight_decay": 0.2}
    assert {name: group[name] for name in expected} == expected
