"""Tests of the formulas of data before it is learned from: F53, F82; the library has them."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_llm import Tensor, data, grad
from tinygrad_llm import functional as F
from tinygrad_llm.formulas import FORMS, relative_error
from tinygrad_llm.formulas.losses import cross_entropy_gradient

SEEDS = range(5)


@pytest.mark.formula("F53")
def test_f53_a_constant_feature_becomes_zero(hold):
    hold("F53")
    constant = np.full((4, 1), 7.0)
    with np.errstate(invalid="ignore"):
        assert np.all(np.isnan(FORMS["F53"].printed(constant, constant)))
    assert np.array_equal(FORMS["F53"].corrected(constant, constant), np.zeros((4, 1)))


@pytest.mark.formula("F53")
def test_f53_one_value_is_one_value_in_every_set():
    train, new = np.array([[0.0], [10.0]]), np.array([[5.0], [20.0]])
    assert FORMS["F53"].corrected(train, new).ravel().tolist() == [0.5, 2.0]
    assert FORMS["F53"].printed(train, new).ravel().tolist() == [0.0, 1.0]


@pytest.mark.formula("F53")
@pytest.mark.parametrize("seed", SEEDS)
def test_f53_the_library_measures_new_rows_by_the_training_rows(seed):
    rng = np.random.default_rng(seed)
    train, new = rng.normal(size=(8, 4)) * 10.0 ** rng.uniform(-3, 3, 4), rng.normal(size=(5, 4))
    train[:, 2] = 7.0
    scaler = data.MinMaxScaler().fit(train)
    for rows in (train, new):
        expected = FORMS["F53"].corrected(train, rows)
        assert np.allclose(scaler.transform(rows), expected, rtol=1e-12, atol=1e-12)
    assert np.array_equal(scaler.transform(new)[:, 2], np.zeros(5))


@pytest.mark.formula("F82")
@pytest.mark.parametrize("seed", SEEDS)
def test_f82_entries_read_as_class_numbers_forget_the_label(hold, seed):
    hold("F82")
    Z = np.random.default_rng(seed).normal(size=(4, 2))
    losses = [FORMS["F82"].printed(Z, np.full(4, label)) for label in (0, 1)]
    assert np.isclose(*losses, rtol=1e-15)
    right = [FORMS["F82"].corrected(Z, np.full(4, label)) for label in (0, 1)]
    assert abs(right[0] - right[1]) > 1e-3


@pytest.mark.formula("F82")
@pytest.mark.parametrize("seed", SEEDS)
def test_f82_the_library_takes_one_hot_floats_and_refuses_one_hot_numbers(seed):
    rng = np.random.default_rng(seed)
    Z, classes = Tensor(rng.normal(size=(5, 3)), requires_grad=True), rng.integers(0, 3, size=5)
    one_hot = data.one_hot(classes, 3)
    assert np.array_equal(one_hot, np.eye(3)[classes])
    for labels in (one_hot, classes):
        loss = F.cross_entropy(Z, labels)
        assert np.isclose(loss.item(), FORMS["F82"].corrected(Z.numpy(), classes), rtol=1e-12)
        slope = grad(loss, Z).numpy()
        assert relative_error(cross_entropy_gradient(Z.numpy(), one_hot), slope) < 1e-12
    with pytest.raises(ValueError, match="neither class indices"):
        F.cross_entropy(Z, one_hot.astype(np.int64))
