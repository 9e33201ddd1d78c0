"""Tests of SGD: by hand, against PyTorch, and the settings that it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.common import drawn
from tests.fixtures.make_torch_training import CASES
from tests.optim.common import check_network, check_walk, give, parameter
from tinygrad_llm import Tensor, no_grad
from tinygrad_llm.optim import SGD


def objective(w, x, y, l1):
    """½‖xw − y‖²/N + l1·‖w‖₁, the lasso."""
    return 0.5 * np.mean((x @ w - y) ** 2) + l1 * np.abs(w).sum()


def lasso_by_sgd(x, y, l1, momentum, lr=0.1, steps=3000):
    """Weights after full-batch steps from zero."""
    w = parameter(np.zeros((x.shape[1], 1)))
    optimizer = SGD([w], lr=lr, momentum=momentum, l1=l1)
    for _ in range(steps):
        give(w, x.T @ (x @ w.data - y) / len(x))
        optimizer.step()
    return w.data


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
    ("given", "message"),
    [
        ({"lr": -0.1}, r"lr must be at least 0, not -0\.1"),
        ({"lr": math.nan}, "lr must be at least 0, not nan"),
        ({"lr": math.inf}, "lr must be at least 0.*, not inf"),
        ({"momentum": -0.1}, r"momentum must be at least 0 and below 1, not -0\.1"),
        ({"momentum": 1.0}, r"momentum must be at least 0 and below 1, not 1\.0"),
        ({"weight_decay": -0.1}, r"weight_decay must be at least 0, not -0\.1"),
        ({"l1": -0.1}, r"l1 must be at least 0, not -0\.1"),
        ({"nesterov": True}, "nesterov looks along the momentum: give momentum > 0"),
        ({"nesterov": True, "momentum": 0.9, "l1": 0.1}, "nesterov .* l1 .* use momentum without"),
    ],
)
def test_settings_out_of_range_are_refused_in_a_group_too(given, message):
    with pytest.raises(ValueError, match=message):
        SGD([parameter([1.0])], **given)
    with pytest.raises(ValueError, match=message):
        SGD([{"params": [parameter([1.0])], **given}])


def test_pytorchs_call_by_place_is_refused():
    """SGD(p, lr, momentum, dampening, weight_decay) there: 1e-4 would be read as nesterov."""
    with pytest.raises(TypeError, match="positional arguments"):
        SGD([parameter([1.0])], 0.1, 0.9, 0, 1e-4)
    (group,) = SGD([parameter([1.0])], 0.1, 0.9).param_groups
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.1, 0.9, 0.0)


@pytest.mark.parametrize("value", [1e-4, 1, 0, None, "yes"])
def test_nesterov_is_a_bool_in_a_group_too(value):
    given = {"momentum": 0.9, "nesterov": value}
    message = f"^optimizer: nesterov must be True or False, not {value!r}$"
    with pytest.raises(TypeError, match=message):
        SGD([parameter([1.0])], **given)
    with pytest.raises(TypeError, match=message):
        SGD([{"params": [parameter([1.0])], **given}])


# Penalties on the weights


def test_weight_decay_is_the_gradient_of_half_the_squares():
    pair = [parameter(drawn(4)) for _ in range(2)]
    optimizers = SGD([pair[0]], lr=0.1, weight_decay=0.3), SGD([pair[1]], lr=0.1)
    for step in range(5):
        for p, optimizer, own in zip(pair, optimizers, (0.0, 0.15)):
            p.grad = None
            ((p * drawn(4, seed=step)).sum() + own * (p**2).sum()).backward()
            optimizer.step()
    np.testing.assert_allclose(pair[0].data, pair[1].data, rtol=1e-14)


def test_nesterov_by_hand():
    p = parameter([0.0])
    optimizer = SGD([p], lr=1.0, momentum=0.5, nesterov=True)
    places = []
    for g in (1.0, 1.0, -2.0):
        give(p, [g])
        optimizer.step()
        places.append(p.item())
    assert places == [-1.5, -3.25, -0.625]  # v = 1, 1.5, −1.25; g + v/2 = 1.5, 1.75, −2.625


def test_l1_by_hand():
    p = parameter([1.0, -1.0, 0.05, -0.05, 0.0])
    give(p, np.zeros(5))
    SGD([p], lr=0.5, l1=0.25).step()
    assert p.tolist() == [0.875, -0.875, 0.0, 0.0, 0.0]


def test_the_velocity_is_the_way_that_was_gone():
    p = parameter(drawn(6))
    optimizer = SGD([p], lr=0.25, momentum=0.5, l1=0.5)
    v = np.zeros(6)
    for step in range(8):
        before, g = p.data.copy(), drawn(6, seed=step)
        z = before - 0.25 * (0.5 * v + g)
        after = np.sign(z) * np.maximum(0.0, np.abs(z) - 0.125)
        give(p, g)
        optimizer.step()
        np.testing.assert_allclose(p.data, after, rtol=1e-13, atol=1e-15)
        v = (before - after) / 0.25


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@settings(max_examples=10)
@given(st.integers(0, 1000))
def test_l1_finds_the_lasso(momentum, seed):
    """Its conditions: the slope is −λ·sign(w) where w ≠ 0, and within ±λ where w = 0."""
    rows, columns, l1 = 60, 12, 0.1
    x = drawn(rows, columns, seed=seed)
    true = np.zeros((columns, 1))
    true[::4] = 1.0 + np.abs(drawn(3, 1, seed=seed))
    y = x @ true + 0.05 * drawn(rows, 1, seed=seed)
    w = lasso_by_sgd(x, y, l1, momentum)
    slope = x.T @ (x @ w - y) / rows
    kept = w != 0.0
    np.testing.assert_allclose(slope[kept], -l1 * np.sign(w[kept]), rtol=1e-9)
    assert (np.abs(slope[~kept]) <= l1 * (1 + 1e-9)).all()
    assert kept[::4].all() and (~kept).sum() >= 6
    for nearby in (0.999 * w, 1.001 * w, w + 1e-3):
        assert objective(w, x, y, l1) < objective(nearby, x, y, l1)


def test_with_lr_zero_l1_moves_nothing_and_the_velocity_stays_a_number():
    p = parameter([1.0, 0.0])
    optimizer = SGD([p], lr=0.0, momentum=0.5, l1=0.1)
    for lr in (0.0, 0.5):
        optimizer.param_groups[0]["lr"] = lr
        give(p, [1.0, 0.0])
        optimizer.step()
        assert p.tolist() == ([1.0, 0.0] if lr == 0.0 else [0.2, 0.0])  # 1 − 0.5·1.5 − 0.05


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
