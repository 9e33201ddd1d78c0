"""Tests of RMSprop: against PyTorch, by the formulas, and the settings that it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.engine.common import drawn
from tests.fixtures.make_torch_training import CASES
from tests.optim.common import check_network, check_walk, give, parameter
from tinygrad_llm.optim import RMSprop


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c["optimizer"] == "RMSprop"])
def test_a_hundred_steps_are_pytorchs(name):
    check_walk(name)


def test_a_network_learns_as_in_pytorch():
    check_network("rmsprop network")


@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_steps_are_those_of_the_formulas(centered, momentum):
    lr, alpha, eps, decay = 0.05, 0.8, 0.1, 0.3
    p = parameter(drawn(4, 3))
    w, v, mean, b = p.data.copy(), 0.0, 0.0, 0.0
    optimizer = RMSprop([p], lr, alpha, eps, decay, momentum, centered)
    for t in range(20):
        g = drawn(4, 3, seed=t)
        give(p, g)
        optimizer.step()
        g = g + decay * w
        v = alpha * v + (1 - alpha) * g**2
        mean = alpha * mean + (1 - alpha) * g
        b = momentum * b + g / (np.sqrt(v - mean**2 if centered else v) + eps)
        w = w - lr * b
        np.testing.assert_allclose(p.data, w, rtol=1e-11, atol=1e-13)


def test_the_defaults_are_pytorchs():
    (group,) = RMSprop([parameter([1.0])]).param_groups
    settings = {k: v for k, v in group.items() if k != "params"}
    assert settings == {
        **{"lr": 0.01, "alpha": 0.99, "eps": 1e-8},
        **{"weight_decay": 0.0, "momentum": 0.0, "centered": False},
    }


def test_the_first_step_is_lr_over_the_root_of_what_is_new():
    p = parameter(np.zeros(3))
    give(p, [1e-3, -5.0, 300.0])
    RMSprop([p], lr=0.1, alpha=0.99).step()
    np.testing.assert_allclose(p.data, [-1.0, 1.0, -1.0], rtol=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_variance_that_rounding_makes_negative_is_zero(dtype):
    """Where gradients do not change, v − ḡ² is nothing but rounding; its root must be a number."""
    p = parameter(np.zeros(100), dtype)
    g = drawn(100)
    optimizer = RMSprop([p], lr=1e-3, alpha=0.5, eps=0.1, centered=True)
    for _ in range(80):
        give(p, g)
        before = p.data.copy()
        optimizer.step()
    assert p.dtype == dtype
    np.testing.assert_allclose(before - p.data, 1e-3 * g / 0.1, rtol=5e-2, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": -1.0}, r"lr must be at least 0, not -1\.0"),
        ({"alpha": 1.0}, r"alpha must be at least 0 and below 1, not 1\.0"),
        ({"alpha": -0.1}, r"alpha must be at least 0 and below 1, not -0\.1"),
        ({"eps": -1e-8}, "eps must be at least 0, not -1e-08"),
        ({"eps": math.nan}, "eps must be at least 0, not nan"),
        ({"weight_decay": -0.1}, r"weight_decay must be at least 0, not -0\.1"),
        ({"momentum": 1.0}, r"momentum must be at least 0 and below 1, not 1\.0"),
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused_in_a_group_too(settings, message):
    with pytest.raises(ValueError, match=message):
        RMSprop([parameter([1.0])], **settings)
    with pytest.raises(ValueError, match=message):
        RMSprop([{"params": [parameter([1.0])], **settings}])


@pytest.mark.parametrize("value", [0.9, 1, None])
def test_centered_is_a_bool(value):
    with pytest.raises(TypeError, match=f"centered must be True or False, not {value!r}"):
        RMSprop([parameter([1.0])], 0.01, 0.99, 1e-8, 0.0, 0.0, value)
