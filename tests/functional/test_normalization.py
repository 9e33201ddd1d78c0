"""Layer norm and RMS norm: what they refuse, halves, and what the fused nodes equal."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_llm import Tensor, grad
from tinygrad_llm import functional as F


def drawn(*shape, seed=0, dtype=np.float64):
    return Tensor(np.random.default_rng(seed).normal(size=shape).astype(dtype), requires_grad=True)


def composed(x, weight, bias, eps):
    """Layer norm of seven ops, as one would write it without the fused one."""
    centred = x - x.mean(-1, keepdims=True)
    return centred / F.sqrt((centred * centred).mean(-1, keepdims=True) + eps) * weight + bias


def test_layer_norm_equals_the_ops_that_it_is_made_of():
    inputs = drawn(4, 3, 8), drawn(8, seed=1), drawn(8, seed=2)
    v = np.random.default_rng(3).normal(size=(4, 3, 8))
    fused, parts = F.layer_norm(*inputs, eps=1e-3), composed(*inputs, 1e-3)
    np.testing.assert_allclose(fused.data, parts.data, rtol=1e-12, atol=1e-14)
    for a, b in zip(grad(fused, inputs, v), grad(parts, inputs, v)):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", ["layer_norm", "rms_norm"])
def test_the_sum_goes_on_beside_its_norm(name):
    x, residual, weight = drawn(2, 3), drawn(2, 3, seed=1), drawn(3, seed=2)
    y, s = getattr(F, f"add_{name}")(x, residual, weight)
    assert np.array_equal(s.data, x.data + residual.data)
    assert np.array_equal(y.data, getattr(F, name)(s, weight).data)


def test_rows_have_mean_0_and_variance_1():
    y = F.layer_norm(1e3 + drawn(5, 64)).data
    np.testing.assert_allclose(y.mean(-1), 0.0, atol=1e-12)
    np.testing.assert_allclose(y.var(-1), 1.0, rtol=1e-4)
    np.testing.assert_allclose((F.rms_norm(drawn(5, 64)).data ** 2).mean(-1), 1.0, rtol=1e-4)


@pytest.mark.parametrize("function", [F.layer_norm, F.rms_norm])
def test_squares_that_a_half_cannot_hold(function):
    """300² is above 65,504."""
    x = np.array([[300.0, -300.0, 400.0, -400.0]])
    y = function(Tensor(x.astype(np.float16)))
    assert y.dtype == np.float16
    np.testing.assert_allclose(y.data, function(Tensor(x)).data, rtol=2e-3)


def test_integers_are_taken_as_float32():
    assert F.layer_norm([[1, 2, 3]]).dtype == F.rms_norm([[1, 2, 3]]).dtype == np.float32


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: F.layer_norm(1.0), r"layer_norm: x \(\) needs a last axis"),
        (lambda: F.rms_norm(np.ones((2, 0))), r"rms_norm: x \(2, 0\) needs a last axis"),
        (lambda: F.layer_norm(drawn(2, 3), drawn(2)), r"layer_norm: weight \(2,\) for x \(2, 3\)"),
        (lambda: F.layer_norm(drawn(2, 3), None, drawn(1, 3)), r"layer_norm: bias \(1, 3\)"),
        (lambda: F.add_layer_norm(drawn(2, 3), drawn(3)), r"x \(2, 3\) and residual \(3,\) differ"),
        (lambda: F.add_rms_norm(drawn(2, 3), 1.0), "residual a number differ"),
    ],
)
def test_what_they_refuse(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_different_dtypes_do_not_mix():
    with pytest.raises(TypeError, match="layer_norm: float64 and float32 do not mix"):
        F.layer_norm(drawn(2, 3), drawn(3, dtype=np.float32))
