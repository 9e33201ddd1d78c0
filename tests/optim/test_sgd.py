"""Tests of SGD: by hand, against PyTorch, and the settings that it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.engine.common import drawn
from tests.fixtures.make_torch_training import CASES
from tests.optim.common import check_network, check_walk, give, parameter
from tinygrad_llm import Tensor, no_grad
from tinygrad_llm.optim import SGD


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c["optimizer"] == "SGD"])
def test_a_hundred_steps_are_pytorchs(name):
    check_walk(name)


def test_a_network_learns_as_in_pytorch():
    check_network("sgd network")


def test_a_step_is_against_the_gradient():
    p = parameter([1.0, -2.0])
    give(p, [0.5, -4.0])
    SGD([p], lr=0.25).step()
    assert p.tolist() == [0.875, -1.0]


def test_the_defaults():
    p = parameter([1.0])
    optimizer = SGD([p])
    for _ in range(2):
        give(p, [1.0])
        optimizer.step()
    assert math.isclose(p.item(), 0.98, rel_tol=1e-15)
    assert optimizer.param_groups[0]["momentum"] == 0.0


def test_momentum_by_hand():
    p = parameter([0.0])
    optimizer = SGD([p], lr=1.0, momentum=0.5)
    places = []
    for g in (1.0, 1.0, 0.0, -2.0):
        give(p, [g])
        optimizer.step()
        places.append(p.item())
    assert places == [-1.0, -2.5, -3.25, -1.625]  # speeds 1, 1.5, 0.75, −1.625


def test_momentum_goes_up_to_its_limit_where_gradients_agree():
    p = parameter([0.0])
    optimizer = SGD([p], lr=0.1, momentum=0.9)
    for _ in range(300):
        before = p.item()
        give(p, [1.0])
        optimizer.step()
    assert math.isclose(before - p.item(), 0.1 / (1 - 0.9), rel_tol=1e-9)


def test_the_gradient_is_left_as_it_was():
    p = parameter(drawn(3, 2))
    g = Tensor(drawn(3, 2, seed=1))
    for momentum in (0.0, 0.9):
        p.grad = g
        SGD([p], lr=0.5, momentum=momentum).step()
        assert p.grad is g and np.array_equal(g.data, drawn(3, 2, seed=1))


def test_least_squares_is_found():
    x, y = drawn(50, 3), drawn(50, 1, seed=1)
    w = parameter(np.zeros((3, 1)))
    optimizer = SGD([w], lr=0.2, momentum=0.5)
    for _ in range(200):
        optimizer.zero_grad()
        ((Tensor(x) @ w - y) ** 2).mean().backward()
        optimizer.step()
    np.testing.assert_allclose(w.data, np.linalg.lstsq(x, y, rcond=None)[0], rtol=1e-9)


def test_lr_zero_moves_nothing():
    p = parameter([1.0])
    give(p, [5.0])
    SGD([p], lr=0.0).step()
    assert p.item() == 1.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": -0.1}, r"lr must be at least 0, not -0\.1"),
        ({"lr": math.nan}, "lr must be at least 0, not nan"),
        ({"lr": math.inf}, "lr must be at least 0.*, not inf"),
        ({"momentum": -0.1}, r"momentum must be at least 0 and below 1, not -0\.1"),
        ({"momentum": 1.0}, r"momentum must be at least 0 and below 1, not 1\.0"),
    ],
)
def test_settings_out_of_range_are_refused_in_a_group_too(settings, message):
    with pytest.raises(ValueError, match=message):
        SGD([parameter([1.0])], **settings)
    with pytest.raises(ValueError, match=message):
        SGD([{"params": [parameter([1.0])], **settings}])


def test_it_works_under_no_grad_and_makes_no_tape():
    p = parameter([1.0])
    optimizer = SGD([p], lr=1.0)
    for mode in (no_grad, None):
        give(p, [1.0])
        if mode:
            with mode():
                optimizer.step()
        else:
            optimizer.step()
    assert p.item() == -1.0 and p.is_leaf and p.requires_grad
