"""The faster forms of ops on the CPU where numbers are very large, very small, or not seen."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.both import close, drawn, equal, on_both, run
from tinygrad_llm import Tensor, grad, use_backend
from tinygrad_llm import functional as F


@pytest.mark.parametrize("size", [1e-4, 30.0, 1e4])
@pytest.mark.parametrize("causal", [False, True])
def test_attention_of_scores_in_and_out_of_range(size, causal):
    q, k, v = drawn(2, 2, 9, 4, size=size), drawn(2, 2, 9, 4)[..., ::-1], drawn(2, 2, 9, 3)
    mask = np.random.default_rng(0).random((2, 1, 9, 9)) < 0.7
    mask[0, :, 3] = False

    def function(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, mask, is_causal=causal)

    y, dq, *_ = run(function, q, k, v)
    assert np.isfinite(y).all() and not y[0, :, 3].any() and not dq[0, :, 3].any()
    on_both(function, q, k, v, ulps=16 * max(1.0, size))


def test_what_lies_beside_a_text_or_behind_a_query_changes_rounding_alone():
    """One score out of range, and of all rows of its tile the maxima are taken away."""
    q, k, v = drawn(2, 2, 9, 4), drawn(2, 2, 9, 4)[..., ::-1].copy(), drawn(2, 2, 9, 3)
    y = run(lambda *qkv: F.scaled_dot_product_attention(*qkv, is_causal=True), q, k, v)[0]
    q[1] *= 1e3
    k[:, :, 6:] *= 1e3
    z = run(lambda *qkv: F.scaled_dot_product_attention(*qkv, is_causal=True), q, k, v)[0]
    close(y[0, :, :6], z[0, :, :6])


@pytest.mark.parametrize("score", [-38.0, 38.0])
@pytest.mark.parametrize("value, slope", [(1e25, 1.0), (1e-30, 1.0), (1.0, 1e-28), (1e10, 1e-28)])
def test_attention_keeps_values_and_gradients_of_every_size(score, value, slope):
    """2⁵⁵ times 10²⁵ is ∞, and times 10⁻²⁸ rather little."""
    q, k = np.full((1, 1, 3, 1), score, np.float32), np.ones((1, 1, 4, 1), np.float32)
    k[..., 1:, :] -= drawn(3, 1, size=0.01)
    v = drawn(1, 1, 4, 2, size=value).astype(np.float32)

    def function(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, scale=1.0) * np.float32(slope)

    assert all(x.any() and np.isfinite(x).all() for x in run(function, q, k, v))
    on_both(function, q, k, v, ulps=1024)  # scores of 38 are rounded to 4e-6


def test_what_no_query_sees_may_be_nan():
    q, k, v = drawn(1, 1, 3, 2), drawn(1, 1, 4, 2), drawn(1, 1, 4, 2)
    k[..., 2, :] = np.nan
    mask = np.array([True, True, False, True])
    y = F.scaled_dot_product_attention(q, k, v, mask).data
    close(F.scaled_dot_product_attention(q, k[:, :, [0, 1, 3]], v[:, :, [0, 1, 3]]).data, y)


ONE = Tensor(np.ones((1, 1), np.float32))

GELUS = {
    "gelu": F.gelu,
    "gelu by tanh": lambda x: F.gelu(x, approximate="tanh"),
    "linear gelu": lambda x: F.linear(x, ONE, activation="gelu"),
    "linear gelu by tanh": lambda x: F.linear(x, ONE, activation="gelu_tanh"),
}


@pytest.mark.parametrize("function", GELUS.values(), ids=GELUS)
def test_gelu_far_out(function):
    z = np.array([[-1e4, -40.0, -7.0, -6.0, -1e-4, 0.0, 1e-4, 6.0, 7.0, 40.0, 1e4]], np.float32).T
    y, dz = run(function, z)
    assert not y[:3].any() and np.abs(dz[:2]).max() < 2.0**-24
    equal(y[8:], z[8:])
    on_both(function, z, ulps=1)


@pytest.mark.parametrize("function", [F.gelu, GELUS["gelu by tanh"]], ids=["gelu", "gelu by tanh"])
@pytest.mark.parametrize(
    "x",
    [drawn(), drawn(0, 3), drawn(4, 0), drawn(6, 8).T, drawn(6, 8)[::2, ::-3]],
    ids=["a number", "no rows", "no width", "transposed", "strided"],
)
def test_gelu_of_any_form(function, x):
    before = x.copy()
    on_both(lambda x: function(x.T).T, x)
    on_both(function, np.asarray(x))
    equal(x, before)


@pytest.mark.parametrize("backend", ["fast", "reference"])
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_gelu_by_tanh_where_the_cube_is_infinite(backend, fused):
    z = np.array([[-3e38, -1e20, -1e15, -1e13, 1e13, 1e15, 1e20, 3e38]], np.float32).T
    one = Tensor(np.ones((1, 1), np.float32))
    with use_backend(backend):
        x = Tensor(z, requires_grad=True)
        y = F.linear(x, one, activation="gelu_tanh") if fused else F.gelu(x, approximate="tanh")
        for create_graph in (False, True):
            equal(grad(y.sum(), x, create_graph=create_graph, retain_graph=True).data, z > 0)
    equal(y.data, np.maximum(z, 0))


@pytest.mark.parametrize("size", [1e-4, 1e4])
def test_norms_of_extreme_rows(size):
    x = drawn(4, 6, size=size) + np.float32(size)
    on_both(lambda x, w: F.layer_norm(x, w), x, drawn(6), ulps=64)
    on_both(lambda x, w: F.rms_norm(x, w), x, drawn(6), ulps=64)


@pytest.mark.parametrize("adds", [False, True])
@pytest.mark.parametrize("mean, spread", [(100.3, 0.0), (1000.7, 0.0), (1e4, 1.0), (-300.0, 0.1)])
def test_layer_norm_of_rows_far_from_0(mean, spread, adds):
    """BLAS rounds sums of 1,024 equal numbers more than NumPy does; one row is near 0."""
    x = (mean + spread * drawn(4, 1024)).astype(np.float32)
    x[1] = drawn(1024)

    def function(x):
        return F.add_layer_norm(x, np.zeros_like(x))[0] if adds else F.layer_norm(x)

    y, dx = run(function, x)
    exact, slope = run(function, x.astype(np.float64))
    np.testing.assert_allclose(y, exact, atol=2e-6)
    np.testing.assert_allclose(dx, slope, rtol=0, atol=2e-6 * np.abs(slope).max())


@pytest.mark.parametrize("size", [1.0, 1e4])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_head_with_logits_in_and_out_of_range(size, smoothing):
    bias = np.array([0.0, 0.0, 1e4, -1e4 if smoothing else -np.inf, 5.0], np.float32)

    def function(x, w):
        b = Tensor(bias if size > 1 else bias * np.float32(1e-4))
        given = {"label_smoothing": smoothing, "chunk": 2}
        return F.linear_cross_entropy(x, w, [0, 2, 4, 2, 1], b, **given)

    on_both(function, drawn(5, 3, size=size), drawn(3, 5), ulps=64)


LARGEST = {
    "x": ([[3e38], [1.0]], [[0.1, 0.0]], [0.0, 0.0]),
    "the bias": ([[1.0], [1.0]], [[0.1, 0.0]], [-1.0, 3e38]),
    "a logit": ([[3e19], [1.0]], [[0.1, 1e19]], [0.0, 0.0]),
    "a logit below 0": ([[3e19], [1.0]], [[-1e19, 0.0]], [0.0, 0.0]),
}


@pytest.mark.parametrize("reduction", ["none", "mean"])
@pytest.mark.parametrize("case", LARGEST)
def test_the_head_where_the_binary_logarithm_is_infinite(case, reduction):
    x, w, b = (np.array(values, np.float32) for values in LARGEST[case])

    def function(x, w, b):
        return F.linear_cross_entropy(x, w, [0, 1], b, reduction=reduction) * np.float32(1e-3)

    assert all(np.isfinite(found).all() for found in run(function, x, w, b))
    on_both(function, x, w, b)
