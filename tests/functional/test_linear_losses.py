"""The cross-entropy of a linear layer: what it equals, its memory, and what it refuses."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from tinygrad_llm import Tensor, grad, no_grad
from tinygrad_llm import functional as F

loss_of = F.linear_cross_entropy


def drawn(*shape, seed=0, dtype=np.float64):
    values = np.random.default_rng((seed, *shape)).normal(size=shape).astype(dtype)
    return Tensor(values, requires_grad=True)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("chunk", [1, 4, None])
def test_it_equals_linear_and_cross_entropy(reduction, smoothing, chunk):
    x, w, b = drawn(3, 4, 5), drawn(5, 7), drawn(7)
    target = np.random.default_rng(0).integers(0, 7, (3, 4))
    target[1, 1:3] = -100
    options = {"reduction": reduction, "label_smoothing": smoothing}
    one = loss_of(x, w, target, b, chunk=chunk, **options)
    two = F.cross_entropy(F.linear(x, w, b), target, **options)
    tied = loss_of(x, w.T, target, b, chunk=chunk, transposed=True, **options)
    g = np.random.default_rng(1).normal(size=one.shape)
    expected = grad(two, [x, w, b], g)
    for found in (one, tied):
        np.testing.assert_allclose(found.data, two.data, rtol=1e-13)
        for mine, theirs in zip(grad(found, [x, w, b], g), expected):
            np.testing.assert_allclose(mine.data, theirs.data, rtol=1e-11, atol=1e-14)


def test_a_second_backward_and_another_factor():
    """What forward has computed ahead stays as it is."""
    x, w = drawn(4, 3), drawn(3, 5)
    loss = loss_of(x, w, [1, 2, 3, 4])
    once = [g.data for g in grad(loss, [x, w], retain_graph=True)]
    thrice = [g.data for g in grad(3.0 * loss, [x, w], retain_graph=True)]
    again = [g.data for g in grad(loss, [x, w])]
    for a, b, c in zip(once, thrice, again):
        np.testing.assert_allclose(b, 3.0 * a, rtol=1e-14)
        assert np.array_equal(a, c)


def test_a_frozen_weight_costs_no_product_and_no_gradient_is_computed_without_a_tape():
    x, w = drawn(4, 3), drawn(3, 5).detach()
    saved = loss_of(x, w, [1, 2, 3, 4])._edge[0].saved
    dxs, dw, db = next(s.value for s in saved if type(s).__name__ == "Cached")
    assert len(dxs) == 1 and dw is None and db is None
    with no_grad():
        assert not loss_of(x, w, [1, 2, 3, 4]).requires_grad


def test_no_more_than_a_chunk_of_logits_is_there_at_a_time():
    x, w = drawn(512, 8, dtype=np.float32), drawn(8, 4096, dtype=np.float32)
    target = np.zeros(512, int)
    logits = 512 * 4096 * 4

    def peak(function):
        tracemalloc.start()
        function().backward()
        x.grad = w.grad = None
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    assert peak(lambda: loss_of(x, w, target, chunk=16)) < 0.25 * logits
    assert peak(lambda: F.cross_entropy(F.linear(x, w), target)) > 2.0 * logits


def test_ignored_rows_have_no_logits():
    x = Tensor(np.array([[1.0], [np.nan], [2.0]]), requires_grad=True)
    each = loss_of(x, np.array([[1.0, 0.0]]), [0, -100, 1], reduction="none")
    assert each.data[1] == 0.0 and np.isfinite(each.data).all()
    each.sum().backward()
    assert x.grad.data[1, 0] == 0.0 and np.isfinite(x.grad.data).all()
    assert loss_of(x, np.ones((1, 2)), [-100] * 3).item() == 0.0


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_the_mean_of_many_rows_is_finite_in_every_precision(dtype):
    x, w = Tensor(np.zeros((40_000, 2), dtype)), Tensor(np.zeros((2, 10), dtype))
    loss = loss_of(x, w, np.zeros(40_000, int))
    assert loss.dtype == dtype and loss.item() == pytest.approx(np.log(10), rel=1e-3)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (
            lambda: loss_of(drawn(2, 3), drawn(4, 5), [0, 1]),
            ValueError,
            r"expected \(..., D\), \(D",
        ),
        (
            lambda: loss_of(drawn(2, 3), drawn(3, 5), [0, 1], transposed=True),
            *(ValueError, r"expected \(..., D\), \(V, D\)"),
        ),
        (lambda: loss_of(drawn(2, 3), drawn(3, 5), [0]), ValueError, r"target \(1,\)"),
        (lambda: loss_of(drawn(2, 3), drawn(3, 5), [0, 1], drawn(4)), ValueError, r"bias \(4,\)"),
        (lambda: loss_of(drawn(2, 3), drawn(3, 0), [0, 1]), ValueError, "expected"),
        (lambda: loss_of(drawn(2, 3), drawn(3, 5), [0, 5]), IndexError, "class 5 is outside 0 … 4"),
        (lambda: loss_of(drawn(2, 3), drawn(3, 5), [0.0, 1.0]), TypeError, "targets are float64"),
        (lambda: loss_of(drawn(2, 3), drawn(3, 5), [0, 1], chunk=0), ValueError, "chunk 0"),
        (
            lambda: loss_of(drawn(2, 3), drawn(3, 5), [0, 1], label_smoothing=1.5),
            *(ValueError, "label_smoothing 1.5"),
        ),
        (lambda: loss_of(drawn(2, 3), drawn(3, 5), [0, 1], reduction="foo"), ValueError, "'foo'"),
        (
            lambda: loss_of(drawn(2, 3), drawn(3, 5, dtype=np.float32), [0, 1]),
            *(TypeError, "linear_cross_entropy: float64 and float32 do not mix"),
        ),
    ],
)
def test_what_it_refuses(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_linear_refuses_an_activation_that_it_does_not_know():
    with pytest.raises(ValueError, match="'relu', 'gelu', 'gelu_tanh' or None, not 'swish'"):
        F.linear(drawn(2, 3), drawn(3, 2), activation="swish")
