"""Tests of new tensors: their shapes, dtypes, devices and gradients."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_llm import Tensor, manual_seed
from tinygrad_llm import functional as F
from tinygrad_llm.testing import strict_cupy

CREATORS = {
    "zeros": lambda **options: F.zeros(2, 3, **options),
    "ones": lambda **options: F.ones(2, 3, **options),
    "full": lambda **options: F.full((2, 3), 7, **options),
    "zeros_like": lambda **options: F.zeros_like(Tensor(np.ones((2, 3), np.float32)), **options),
    "ones_like": lambda **options: F.ones_like(Tensor(np.ones((2, 3), np.float32)), **options),
    "arange": lambda **options: F.arange(0.0, 6.0, **options),
    "eye": lambda **options: F.eye(2, 3, **options),
    "randn": lambda **options: F.randn(2, 3, **options),
    "rand": lambda **options: F.rand(2, 3, **options),
}


@pytest.mark.parametrize("name", CREATORS)
def test_every_creator_takes_dtype_device_and_requires_grad(name):
    make = CREATORS[name]
    plain = make()
    assert plain.dtype == np.float32 and not plain.requires_grad and plain.device == "cpu"
    assert plain.size == 6
    assert make(dtype="float64").dtype == np.float64
    assert make(requires_grad=True).requires_grad
    with strict_cupy.installed():
        assert make(device="cuda").device == "cuda:0"


@pytest.mark.parametrize("make", [F.zeros, F.ones, F.randn, F.rand])
def test_a_shape_is_given_as_sizes_or_as_one_sequence(make):
    manual_seed(0)
    first = make(2, 3)
    manual_seed(0)
    second = make((2, 3))
    assert first.shape == (2, 3) and first.tolist() == second.tolist()
    assert make([2, 3]).shape == (2, 3) and make(4).shape == (4,)
    assert make().shape == make(()).shape == () and make(2, 0).shape == (2, 0)


def test_values():
    assert F.zeros(2).tolist() == [0, 0] and F.ones(2).tolist() == [1, 1]
    assert F.full(2, 7).tolist() == [7, 7] and F.full((1, 2), 0.5).tolist() == [[0.5, 0.5]]
    assert F.eye(2).tolist() == [[1, 0], [0, 1]] and F.eye(1, 2).tolist() == [[1, 0]]
    assert F.zeros_like([1, 2]).dtype == np.int64 and F.ones_like([1.0]).tolist() == [1.0]


def test_uniform_numbers_stay_below_one_in_every_dtype():
    assert F.rand(100_000, dtype="float16").data.max() < 1


def test_arange():
    assert F.arange(0).dtype == F.arange(1, 7, 2).dtype == np.int64
    assert F.arange(1, 7, 2).tolist() == [1, 3, 5]
    assert F.arange(0.5, 2).dtype == np.float32 and F.arange(0.5, 2).tolist() == [0.5, 1.5]
    assert F.arange(3, dtype="float64").dtype == np.float64
    assert Tensor([1.0, 2.0])[F.arange(0)].shape == (0,)
