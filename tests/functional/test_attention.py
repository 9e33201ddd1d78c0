"""Scaled dot-product attention: what may be seen, what is refused, caches, and dropout."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_llm import Tensor, grad, no_grad
from tinygrad_llm import functional as F
from tinygrad_llm.backend import random
from tinygrad_llm.ops import Cached

attend = F.scaled_dot_product_attention


def drawn(*shape, seed=0, dtype=np.float64):
    values = np.random.default_rng((seed, *shape)).normal(size=shape).astype(dtype)
    return Tensor(values, requires_grad=True)


def composed(q, k, v, mask):
    """Attention of six ops, as one would write it without the fused one."""
    scores = q @ k.swapaxes(-1, -2) * (1.0 / np.sqrt(q.shape[-1]).item())
    return F.softmax(F.where(mask, scores, -np.inf)) @ v


def test_it_equals_the_ops_that_it_is_made_of():
    inputs = [drawn(2, 2, 5, 4), drawn(2, 2, 6, 4), drawn(2, 2, 6, 3)]
    mask = Tensor(np.tri(5, 6, 1, dtype=bool))
    v = np.random.default_rng(0).normal(size=(2, 2, 5, 3))
    fused, parts = attend(*inputs, mask), composed(*inputs, mask)
    np.testing.assert_allclose(fused.data, parts.data, rtol=1e-12)
    for a, b in zip(grad(fused, inputs, v), grad(parts, inputs, v)):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-10, atol=1e-14)


def test_a_causal_query_feels_nothing_that_comes_after_it():
    q, k, v = drawn(1, 4, 3), drawn(1, 4, 3, seed=1), drawn(1, 4, 3, seed=2)
    y = attend(q, k, v, is_causal=True)
    for i in range(4):
        dk, dv = grad(y[0, i].sum(), [k, v], retain_graph=True)
        felt = np.abs(dv.data).sum(-1)[0] + np.abs(dk.data).sum(-1)[0]
        assert (felt[: i + 1] > 0).all() and not felt[i + 1 :].any()


@pytest.mark.parametrize("step", [1, 2, 3])
def test_with_a_cache_and_an_offset_it_gives_what_it_gives_at_once(step):
    q, k, v = drawn(2, 2, 6, 3), drawn(2, 1, 6, 3), drawn(2, 1, 6, 3, seed=1)
    whole = attend(q, k, v, is_causal=True).data
    for start in range(0, 6, step):
        end = start + step
        part = attend(
            q[:, :, start:end], k[:, :, :end], v[:, :, :end], is_causal=True, offset=start
        )
        np.testing.assert_allclose(part.data, whole[:, :, start:end], rtol=1e-13)


def test_shared_heads_are_the_same_as_repeated_ones():
    q, k, v = drawn(2, 6, 3, 4), drawn(2, 2, 5, 4), drawn(2, 2, 5, 3)
    g = np.random.default_rng(0).normal(size=(2, 6, 3, 3))
    shared, repeated = attend(q, k, v), attend(q, F.repeat(k, 3, 1), F.repeat(v, 3, 1))
    np.testing.assert_allclose(shared.data, repeated.data, rtol=1e-13)
    for a, b in zip(grad(shared, [q, k, v], g), grad(repeated, [q, k, v], g)):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("hidden", [False, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_query_that_may_see_nothing_gives_0_and_no_nan(hidden, dtype):
    inputs = [drawn(1, 2, 3, dtype=dtype), drawn(1, 4, 3, dtype=dtype), drawn(1, 4, 3, dtype=dtype)]
    mask = np.array([[hidden] * 4, [True if hidden is False else 0.0] * 4])
    y, weights = attend(*inputs, mask=mask, return_weights=True)
    assert not y.data[0, 0].any() and not weights.data[0, 0].any()
    assert y.data[0, 1].all() and weights.data[0, 1].sum() == pytest.approx(1.0, rel=2e-3)
    dq, dk, dv = grad((y * y).sum() + (weights * weights).sum(), inputs)
    assert not dq.data[0, 0].any()
    assert all(np.isfinite(g.data).all() for g in (dq, dk, dv))


def test_padding_beyond_the_mask_changes_nothing():
    q, k, v = drawn(1, 2, 3, 4), drawn(1, 2, 3, 4, seed=1), drawn(1, 2, 3, 4, seed=2)
    pad = np.full((1, 2, 2, 4), 1e3)
    padded = attend(
        q,
        F.concatenate([k, pad], 2),
        F.concatenate([v, pad], 2),
        np.array([True, True, True, False, False]),
    )
    np.testing.assert_allclose(padded.data, attend(q, k, v).data, rtol=1e-13)


def arrays_in(saved):
    """All arrays that a node keeps, inside of Cached and of tuples too."""
    if isinstance(saved, (tuple, list)):
        return [array for each in saved for array in arrays_in(each)]
    if isinstance(saved, Cached):
        return arrays_in(saved.value)
    return [saved] if isinstance(saved, np.ndarray) else []


def test_dropout_is_of_the_weights():
    random.manual_seed(3)
    q, k, v = drawn(4, 64, 8), drawn(4, 64, 8, seed=1), drawn(4, 64, 8, seed=2)
    y, weights = attend(q, k, v, dropout_p=0.5, return_weights=True)
    np.testing.assert_allclose(weights.data.sum(-1), 1.0)
    random.manual_seed(3)
    again = F.dropout(weights, 0.5) @ v
    np.testing.assert_allclose(y.data, again.data, rtol=1e-12)
    assert np.array_equal(attend(q, k, v, dropout_p=0.5, training=False).data, attend(q, k, v).data)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("return_weights", [False, True])
def test_dropout_keeps_its_draw_and_not_the_mask(dtype, return_weights):
    q, k, v = (drawn(4, 64, 8, seed=i, dtype=dtype) for i in range(3))
    y = attend(q, k, v, dropout_p=0.5, return_weights=return_weights)
    node = (y[0] if return_weights else y)._edge[0]
    (weights,) = [x for x in arrays_in(node.saved) if x.shape[-2:] == (64, 64)]
    assert weights.size == 4 * 64 * 64 and weights.all()


def test_what_follows_the_mask_is_given_by_name():
    """In PyTorch dropout_p comes before is_causal."""
    with pytest.raises(TypeError, match="positional argument"):
        attend(drawn(2, 3), drawn(2, 3), drawn(2, 3), None, True)


def test_its_weights_may_not_be_overwritten_before_backward():
    y, weights = attend(drawn(2, 3), drawn(2, 3), drawn(2, 3), return_weights=True)
    with no_grad():
        weights[0] = 0.0
    with pytest.raises(RuntimeError, match="needs its output for backward, but it was changed"):
        y.sum().backward()


def test_a_mask_may_not_be_overwritten_by_its_owner():
    """A NumPy array is copied, for the gradient of the gradient reads it."""
    q, k, v = drawn(2, 3), drawn(2, 3, seed=1), drawn(2, 3, seed=2)
    mask = np.array([[True, False], [True, True]])
    y = attend(q, k, v, mask)
    before = grad(y.sum(), q, retain_graph=True).data
    mask[...] = True
    assert np.array_equal(grad(y.sum(), q, create_graph=True).data, before)


@pytest.mark.parametrize(
    "shapes, message",
    [
        (((3,), (2, 3), (2, 3)), r"expected \(..., H, T, K\)"),
        (((1, 2, 3), (2, 3), (2, 3)), r"expected \(..., H, T, K\)"),
        (((2, 3), (2, 4), (2, 3)), "the widths of q and k, 3 and 4, differ"),
        (((2, 3), (4, 3), (5, 3)), "k and v differ"),
        (((2, 1, 2, 3), (1, 1, 2, 3), (1, 1, 2, 3)), "their leading axes from q's"),
        (((2, 3), (0, 3), (0, 3)), "there is no key to see"),
        (((3, 2, 3), (2, 4, 3), (2, 4, 3)), "2 heads of keys do not divide 3 heads"),
        (((0, 2, 3), (0, 4, 3), (0, 4, 3)), "there are no heads of keys"),
    ],
)
def test_shapes_that_it_refuses(shapes, message):
    with pytest.raises(ValueError, match=message):
        attend(*(drawn(*shape) for shape in shapes))


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"mask": np.ones((3, 2), bool)}, ValueError, r"a mask \(3, 2\) does not broadcast"),
        ({"mask": np.ones((1, 1, 2, 2), bool)}, ValueError, "does not broadcast"),
        ({"mask": np.ones((2, 2), int)}, TypeError, r"mask.astype\(\"bool\"\)"),
        ({"mask": drawn(2, 2)}, ValueError, r"give mask.detach\(\)"),
        ({"dropout_p": 1.5}, ValueError, "dropout_p is a probability, not 1.5"),
        ({"offset": 0.5}, TypeError, "offset must be an integer"),
        ({"mask": Tensor(np.ones((2, 2), np.float32))}, TypeError, "do not mix"),
    ],
)
def test_options_that_it_refuses(options, error, message):
    with pytest.raises(error, match=message):
        attend(drawn(1, 2, 3), drawn(1, 2, 3), drawn(1, 2, 3), **options)
