"""Tests of LAMB: against its algorithm in plain NumPy, and the lengths of its steps."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.engine.common import drawn
from tests.fixtures import make_torch_training as recorded
from tests.optim.common import give, give_all, parameter, start
from tinygrad_llm.optim import LAMB, flat

SETTINGS = {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.3}


def norm(x):
    return math.sqrt(float((np.asarray(x, np.float64) ** 2).sum()))


class Algorithm2:
    """Algorithm 2 of You et al. 2020 for one layer, line by line, with φ(z) = z."""

    def __init__(self, x, lr, betas, eps, weight_decay):
        self.x, self.lr, self.betas = np.array(x, np.float64), lr, betas
        self.eps, self.decay = eps, weight_decay
        self.m, self.v, self.t = np.zeros_like(self.x), np.zeros_like(self.x), 0

    def step(self, g):
        beta1, beta2 = self.betas
        self.t += 1
        self.m = beta1 * self.m + (1 - beta1) * g
        self.v = beta2 * self.v + (1 - beta2) * g**2
        m_hat = self.m / (1 - beta1**self.t)
        v_hat = self.v / (1 - beta2**self.t)
        u = m_hat / (np.sqrt(v_hat) + self.eps) + self.decay * self.x
        ratio = norm(self.x) / norm(u) if norm(self.x) > 0 and norm(u) > 0 else 1.0
        self.x = self.x - self.lr * ratio * u


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("tile", [flat.TILE, 2])
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_a_hundred_steps_are_those_of_the_algorithm(monkeypatch, missing, tile, decay):
    monkeypatch.setattr(flat, "TILE", tile)
    settings, case = {**SETTINGS, "weight_decay": decay}, {"missing": missing}
    ps = start()
    layers = {name: Algorithm2(p.data, **settings) for name, p in ps.items()}
    optimizer = LAMB(ps.values(), **settings)
    for step in range(1, 101):
        give_all(ps, case, step)
        for name, p in ps.items():
            if recorded.has_gradient(case, name, step):
                layers[name].step(p.grad.numpy().copy())
        optimizer.step()
        for name, p in ps.items():
            np.testing.assert_allclose(p.data, layers[name].x, rtol=1e-10, atol=1e-13)


def test_the_defaults():
    (group,) = LAMB([parameter([1.0])]).param_groups
    settings = {k: v for k, v in group.items() if k != "params"}
    assert settings == {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-6, "weight_decay": 0.01}
    assert "LAMB, weight decay decoupled" in repr(LAMB([parameter([1.0])]))


@pytest.mark.parametrize(("dtype", "close"), [("float64", 1e-10), ("float32", 1e-5)])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_step_is_as_long_as_lr_times_the_weights(dtype, close, decay):
    ps = [parameter(10.0**i * drawn(5, 4, seed=i + 3), dtype) for i in (-3, 0, 2)]
    optimizer = LAMB(ps, lr=0.01, weight_decay=decay)
    for step in range(5):
        before = [p.data.astype(np.float64) for p in ps]
        for i, p in enumerate(ps):
            give(p, drawn(5, 4, seed=10 * step + i + 3))
        optimizer.step()
        for p, w in zip(ps, before):
            assert p.dtype == dtype
            assert math.isclose(norm(p.data - w), 0.01 * norm(w), rel_tol=close)


def test_a_tensor_of_zeros_moves():
    p = parameter(np.zeros(4))
    give(p, [1.0, -2.0, 3.0, -4.0])
    LAMB([p], lr=0.5).step()
    np.testing.assert_allclose(p.data, [-0.5, 0.5, -0.5, 0.5], rtol=1e-5)


@pytest.mark.filterwarnings("error")
def test_no_weight_and_no_slope_give_a_number():
    nothing, still, empty = parameter(np.zeros(3)), parameter([1.0, 2.0]), parameter(np.zeros(0))
    optimizer = LAMB([nothing, still, empty], lr=0.5, weight_decay=0.0)
    for _ in range(3):
        for p in (nothing, still, empty):
            give(p, np.zeros(p.shape))
        optimizer.step()
    assert nothing.tolist() == [0.0, 0.0, 0.0] and still.tolist() == [1.0, 2.0]


def test_many_numbers_lose_nothing_in_float32():
    w, g = 1e-3 * drawn(300_000), drawn(300_000, seed=1)
    p = parameter(w, np.float32)
    give(p, g)
    LAMB([p], lr=0.1, weight_decay=0.0).step()
    assert math.isclose(norm(p.data - w.astype(np.float32)), 0.1 * norm(w), rel_tol=1e-5)
