"""Tests of the formulas of half precision: G23; the library's loss scaling has them."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_llm import Tensor, nn, optim
from tinygrad_llm.formulas import FORMS, relative_error
from tinygrad_llm.formulas.precision import draw_exact, in_half, loss_scaled_step, unscaled

SEEDS = range(5)


@pytest.mark.formula("G23")
@pytest.mark.parametrize("seed", SEEDS)
def test_g23_without_a_scale_small_gradients_are_lost(hold, seed):
    hold("G23")
    g = draw_exact(np.random.default_rng(seed), 6, -36)
    half = in_half(g)
    assert np.all(np.abs(g) < 3e-8)
    assert np.array_equal(unscaled(half, 65536.0, 1.0), np.zeros(6))
    assert np.array_equal(FORMS["G23"].corrected(half, 65536.0, 1.0), g)


@pytest.mark.formula("G23")
def test_g23_clipped_before_unscaling_a_step_is_as_many_times_too_short():
    g = draw_exact(np.random.default_rng(0), 6, -10)
    half, scale = in_half(g), 1024.0
    right = FORMS["G23"].corrected(half, scale, 1.0)
    early = FORMS["G23"].mistake(half, scale, 1.0)
    assert np.isclose(np.linalg.norm(right), 1.0)
    assert np.isclose(np.linalg.norm(early), 1.0 / scale)


@pytest.mark.formula("G23")
def test_g23_one_infinite_element_stops_the_step():
    g = np.append(draw_exact(np.random.default_rng(0), 3, -20), 1.5)
    half = in_half(g)
    assert np.array_equal(FORMS["G23"].corrected(half, 65536.0, 1.0), np.zeros(4))
    with np.errstate(invalid="ignore"):
        assert np.isnan(FORMS["G23"].mistake(half, 65536.0, 1.0)).any()
    assert np.all(FORMS["G23"].corrected(half, 32768.0, 10.0) != 0.0)


@pytest.mark.formula("G23")
@pytest.mark.parametrize("exponent", [-36, -20, -9])
@pytest.mark.parametrize("seed", SEEDS)
def test_g23_the_library_unscales_looks_and_clips(exponent, seed):
    """Small gradients, moderate ones that are clipped, and ones that the scale makes infinite."""
    g = draw_exact(np.random.default_rng(seed), 6, exponent)
    weight = nn.Parameter(np.zeros(6, dtype=np.float32))
    optimizer, scaler = optim.SGD([weight], lr=1.0), optim.GradScaler()
    with np.errstate(over="ignore"):
        of_scaled = (g.astype(np.float32) * np.float32(scaler.get_scale())).astype(np.float16)
    weight.grad = Tensor(of_scaled.astype(np.float32))
    scaler.unscale_(optimizer)
    optim.clip_grad_norm_([weight], 1e-3)
    moved = scaler.step(optimizer)
    scaler.update()
    expected = loss_scaled_step(in_half(g), 65536.0, 1e-3)
    assert moved == bool(np.any(expected)) == (exponent < -9)
    assert scaler.get_scale() == (65536.0 if moved else 32768.0)
    if moved:
        assert relative_error(-expected, weight.numpy().astype(np.float64)) < 1e-6
    else:
        assert np.array_equal(weight.numpy(), expected)
