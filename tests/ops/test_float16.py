"""float16: sums go on where its own would stand still, and nothing overflows on the way."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_llm import Tensor, grad
from tinygrad_llm import functional as F

MANY = 5000
"""Rows. 2,048 + 1 is 2,048 in float16, so a sum of ones stops there."""

BEYOND = 70_000
"""Elements whose count is above 65,504, the largest number of float16."""


def half(*shape: int, size: float = 1.0) -> Tensor:
    return Tensor(np.full(shape, size, np.float16), requires_grad=True)


def of_row(values) -> np.ndarray:
    """A (MANY, 2) whose rows are all the same."""
    return np.broadcast_to(np.array(values, np.float16), (MANY, 2))


SUMS = {
    "sum": lambda x: F.sum(x, 0),
    "cumulative sum": lambda x: F.cumsum(x, 0)[-1],
    "square of the norm": lambda x: F.norm(x, 0) ** 2,
    "variance": lambda x: F.var(F.concatenate([x, -x]), 0) * (MANY / 1.0),
    "exponent of logsumexp": lambda x: F.exp(F.logsumexp(x - 1.0, 0)),
    "einsum": lambda x: F.einsum("ij->j", x),
    "scatter_add": lambda x: F.scatter_add(half(1, 2, size=0.0), np.zeros((MANY, 2), int), x, 0)[0],
    "one over softmax": lambda x: 1.0 / F.softmax(x, 0)[0],
    "one over the exponent of log_softmax": lambda x: F.exp(-F.log_softmax(x, 0)[0]),
}


@pytest.mark.parametrize("name", SUMS)
def test_sums_of_many_ones(name):
    y = SUMS[name](half(MANY, 2))
    assert y.dtype == np.float16
    np.testing.assert_allclose(y.data, float(MANY), rtol=0.02)


GRADIENTS = {
    "bias of linear": lambda b: F.linear(half(MANY, 3), half(3, 2), b),
    "shift of layer_norm": lambda b: F.layer_norm(of_row([1.0, -1.0]), None, b),
    "what broadcasts": lambda b: b + half(MANY, 2),
    "broadcast_to": lambda b: F.broadcast_to(b, (MANY, 2)),
    "einsum": lambda b: F.einsum("j,ij->ij", b, half(MANY, 2)),
    "getitem": lambda b: b[np.zeros((MANY, 2), int) + [0, 1]],
    "take_along_axis": lambda b: F.take_along_axis(
        b.reshape(1, 2), np.zeros((MANY, 2), int), axis=0
    ),
    "repeat": lambda b: F.repeat(b, MANY, 0),
    "embedding": lambda b: F.embedding(np.zeros(MANY, int), b.reshape(1, 2)),
}


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_that_add_up_many_ones(name, create_graph):
    b = half(2)
    y = GRADIENTS[name](b)
    db = grad(y, b, np.ones(y.shape, np.float16), create_graph=create_graph)
    assert db.dtype == np.float16
    np.testing.assert_allclose(db.data, float(MANY), rtol=1e-3)


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("norm", [F.layer_norm, F.rms_norm])
def test_the_factor_of_a_norm(norm, create_graph):
    weight = half(2)
    y = norm(of_row([1.0, -1.0]), weight, eps=0.0)
    dweight = grad(y, weight, of_row([1.0, -1.0]), create_graph=create_graph)
    np.testing.assert_allclose(dweight.data, float(MANY), rtol=1e-3)


@pytest.mark.parametrize("create_graph", [False, True])
def test_the_running_sum_of_many_gradients(create_graph):
    x = half(MANY)
    dx = grad(F.cumsum(x), x, np.ones(MANY, np.float16), create_graph=create_graph)
    np.testing.assert_allclose(dx.data[[0, -1]], [MANY, 1.0], rtol=1e-3)


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("softmax", [F.softmax, F.log_softmax])
def test_softmax_over_rows_takes_their_whole_sum_from_each_gradient(softmax, create_graph):
    x = half(MANY, 2)
    dx = grad(softmax(x, 0), x, np.ones((MANY, 2), np.float16), create_graph=create_graph).data
    np.testing.assert_allclose(dx, 0.0, atol=2e-3)


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("extreme", [F.max, F.min])
def test_more_ties_than_float16_can_count(extreme, create_graph):
    x = half(BEYOND)
    dx = grad(extreme(x), x, np.float16(1000.0), create_graph=create_graph).data
    np.testing.assert_allclose(dx, 1000.0 / BEYOND, rtol=1e-3)


def test_squares_beyond_the_largest_number():
    x = Tensor(np.array([300.0, -400.0], np.float16))
    assert F.norm(x).item() == 500.0 and F.std(x).item() == 350.0


# Softmax of more elements than float16 can count


def test_softmax_of_many_equal_logits():
    y = F.softmax(half(BEYOND)).data
    np.testing.assert_allclose(y, 1.0 / BEYOND, rtol=0.01)
    np.testing.assert_allclose(F.log_softmax(half(BEYOND)).data, -np.log(BEYOND), rtol=1e-3)
    assert F.logsumexp(half(BEYOND)).item() == pytest.approx(np.log(BEYOND) + 1.0, rel=1e-3)
    assert F.cross_entropy(half(1, BEYOND), [7]).item() == pytest.approx(np.log(BEYOND), rel=1e-3)


@pytest.mark.parametrize("create_graph", [False, True])
def test_attention_to_many_equal_keys(create_graph):
    v = half(BEYOND, 1, size=3.0)
    y = F.scaled_dot_product_attention(half(1, 1), half(BEYOND, 1), v)
    assert y.item() == pytest.approx(3.0, rel=0.01)
    dv = grad(y, v, np.ones((1, 1), np.float16), create_graph=create_graph).data
    np.testing.assert_allclose(dv, 1.0 / BEYOND, rtol=0.01)


# The head


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("chunk", [None, 1000])
def test_sums_of_the_head_are_scaled_before_they_are_rounded(chunk, create_graph):
    """Σ x·(p − q) is 4,096·20, and its mean 20·½."""
    x, w, b = half(8192, 1, size=20.0), half(1, 2), half(2)
    loss = F.linear_cross_entropy(x, w, np.zeros(8192, int), b, chunk=chunk)
    dx, dw, db = grad(loss, [x, w, b], create_graph=create_graph)
    assert {dx.dtype, dw.dtype, db.dtype, loss.dtype} == {np.dtype(np.float16)}
    np.testing.assert_allclose(dw.data, [[-10.0, 10.0]], rtol=1e-3)
    np.testing.assert_allclose(db.data, [-0.5, 0.5], rtol=1e-3)


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_a_head_of_many_classes(reduction):
    x, w = half(2, 1), half(1, BEYOND)
    loss = F.linear_cross_entropy(x, w, [0, 5], reduction=reduction)
    np.testing.assert_allclose(loss.data, np.log(BEYOND), rtol=1e-3)
    dw = grad(loss.sum(), w).data[0]
    each = 2.0 / loss.size
    np.testing.assert_allclose(dw[[0, 5, 6]] * each, [-1.0, -1.0, 2.0 / BEYOND], rtol=0.02)


# Norms of constant rows


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("norm", [F.layer_norm, F.rms_norm, F.add_layer_norm, F.add_rms_norm])
def test_a_constant_row_with_a_small_epsilon(norm, create_graph):
    """1/s is 10⁶ there, which float16 cannot hold."""
    adds = norm in (F.add_layer_norm, F.add_rms_norm)
    size = 0.0 if norm in (F.rms_norm, F.add_rms_norm) else 3.0
    x, weight = half(2, 4, size=size), half(4)
    y = norm(x, np.zeros((2, 4), np.float16), weight, eps=1e-12)[0] if adds else None
    y = norm(x, weight, eps=1e-12) if y is None else y
    assert y.dtype == np.float16 and not y.data.any()
    v = np.array([[1e-3, -1e-3, 0.0, 0.0]] * 2, np.float16)
    dx, dweight = grad(y, [x, weight], v, create_graph=create_graph)
    np.testing.assert_allclose(dx.data, v.astype(np.float64) * 1e6, rtol=1e-3)
    assert not dweight.data.any()
