"""Tests of losses: their means in every precision, and the names of their reductions."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_llm import Tensor
from tinygrad_llm import functional as F

DTYPES = [np.float16, np.float32, np.float64]


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_mean_of_many_rows_is_finite_in_every_precision(dtype):
    logits = Tensor(np.zeros((40_000, 10), dtype), requires_grad=True)
    loss = F.cross_entropy(logits, np.zeros(40_000, int))
    assert loss.dtype == dtype and loss.item() == pytest.approx(np.log(10), rel=1e-3)
    loss.backward()
    assert logits.grad.data[0, 0] == pytest.approx(-0.9 / 40_000, rel=1e-2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_and_ignored_rows_count_in_the_mean_of_many_rows(dtype):
    logits, target = Tensor(np.zeros((40_000, 10), dtype)), np.zeros(40_000, int)
    target[::4] = -100
    weight = np.full(10, 4.0, dtype)
    assert F.cross_entropy(logits, target).item() == pytest.approx(np.log(10), rel=2e-3)
    assert F.cross_entropy(logits, target, weight).item() == pytest.approx(np.log(10), rel=2e-3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_mean_over_no_row_is_zero(dtype):
    logits = Tensor(np.ones((2, 3), dtype), requires_grad=True)
    loss = F.cross_entropy(logits, [-100, -100])
    loss.backward()
    assert loss.item() == 0.0 and not logits.grad.data.any()
    assert F.cross_entropy(np.ones((0, 3), dtype), np.zeros(0, int)).item() == 0.0


@pytest.mark.parametrize("dtype", DTYPES)
def test_batchmean_is_the_sum_over_the_length_of_the_first_axis(dtype):
    x, t = (np.random.default_rng(0).random((4, 3, 2)).astype(dtype) for _ in range(2))
    value = F.kl_div(x, t, reduction="sum").item() / 4
    assert F.kl_div(x, t, reduction="batchmean").item() == pytest.approx(value, rel=2e-3)
    many = Tensor(np.full((40_000, 2), -10.0, dtype))
    half = np.full((40_000, 2), 0.5, dtype)
    value = 10 - np.log(2)
    assert F.kl_div(many, half, reduction="batchmean").item() == pytest.approx(value, rel=2e-3)


def test_an_unknown_reduction_is_told_the_known_ones():
    with pytest.raises(ValueError) as caught:
        F.kl_div([0.0], [1.0], reduction="foo")
    names = "'mean', 'batchmean', 'sum' or 'none'"
    assert str(caught.value) == f"reduction must be {names}, not 'foo'"
    with pytest.raises(ValueError, match="must be 'mean', 'sum' or 'none', not 'batchmean'"):
        F.mse_loss([0.0], [1.0], reduction="batchmean")


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int64])
def test_narrow_ids_below_zero_are_not_taken_for_large_ones(dtype):
    """As bytes without a sign −100 is 156 and −1 is 255, which are classes here."""
    logits = np.random.default_rng(0).normal(size=(3, 300))
    found = F.cross_entropy(logits, np.array([1, -100, 2], dtype), reduction="none")
    alone = F.cross_entropy(logits[[0, 2]], np.array([1, 2]), reduction="none")
    assert found.numpy()[1] == 0.0
    assert np.array_equal(found.numpy()[[0, 2]], alone.numpy())
    with pytest.raises(IndexError, match="class -1 is outside 0 … 299"):
        F.cross_entropy(logits, np.array([1, -1, 2], dtype))
    unsigned = F.cross_entropy(logits, np.array([1, 255, 2], np.uint8), reduction="none")
    assert unsigned.numpy()[1] > 0.0


def test_the_mean_of_many_halves_has_a_gradient():
    """70,000 is ∞ in float16; the share of each element is not."""
    x = Tensor(np.ones(70_000, np.float16), requires_grad=True)
    x.mean().backward()
    assert np.allclose(x.grad.data, 1.0 / 70_000, rtol=1e-2)
