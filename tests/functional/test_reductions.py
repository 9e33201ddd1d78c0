"""Tests of reductions against NumPy: running sums, places of extremes, numbers of no dimension."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_llm import Tensor
from tinygrad_llm import functional as F

X = np.array([[3.0, 1.0, 2.0], [0.0, 5.0, 4.0]])


def test_cumsum_flattens_without_an_axis():
    x = Tensor(X, requires_grad=True)
    y = F.cumsum(x)
    assert y.tolist() == np.cumsum(X).tolist()
    y.sum().backward()
    assert x.grad.tolist() == [[6.0, 5.0, 4.0], [3.0, 2.0, 1.0]]
    for axis in (0, 1, -1):
        assert F.cumsum(x, axis).tolist() == np.cumsum(X, axis).tolist()


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@pytest.mark.parametrize("axis", [None, 0, -1])
@pytest.mark.parametrize("keepdims", [False, True])
def test_places_of_extremes_are_numpys(name, axis, keepdims):
    y = getattr(F, name)(Tensor(X), axis, keepdims=keepdims)
    value = getattr(np, name)(X, axis=axis, keepdims=keepdims)
    assert y.dtype == np.int64 and y.shape == value.shape and y.tolist() == value.tolist()


@pytest.mark.parametrize("name", ["argmax", "argmin", "max", "min", "logsumexp"])
def test_of_no_elements_there_is_no_extreme(name):
    with pytest.raises(ValueError, match=rf"{name}: no elements along axis 1 of shape \(2, 0\)"):
        getattr(F, name)(np.zeros((2, 0)), 1)
    assert getattr(F, name)(Tensor(2.0)).shape == ()


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_softmax_sums_to_one_along_its_axis(axis):
    y = F.softmax(X, axis)
    assert np.allclose(y.data.sum(axis), 1.0, atol=1e-12)
    assert np.allclose(F.log_softmax(X, axis).data, np.log(y.data), atol=1e-12)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_an_axis_without_elements_has_no_softmax(name):
    with pytest.raises(ValueError, match=rf"{name}: no elements along axis 1 of shape \(2, 0\)"):
        getattr(F, name)(np.zeros((2, 0)), 1)
    assert getattr(F, name)(np.zeros((2, 0)), 0).shape == (2, 0)


def test_the_probability_of_dropout_goes_in_steps_of_one_in_65_536():
    x = Tensor(np.ones(10_000))
    assert F.dropout(x, 1e-6).tolist() == x.tolist()
    assert set(F.dropout(x, 0.5 + 1e-6).tolist()) == {0.0, 2.0}
