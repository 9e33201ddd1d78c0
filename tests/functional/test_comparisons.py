"""Tests of comparisons and logic: NumPy's values, booleans off the tape, clear errors."""

from __future__ import annotations

import operator

import numpy as np
import pytest

from tinygrad_llm import Tensor
from tinygrad_llm import functional as F
from tinygrad_llm.testing import strict_cupy

PYTHON = {
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
    "equal": operator.eq,
    "not_equal": operator.ne,
    "logical_and": lambda a, b: bool(a) and bool(b),
    "logical_or": lambda a, b: bool(a) or bool(b),
}
A, B = np.array([[0.0], [1.0], [np.nan]]), np.array([0.0, 1.0, 2.0])


def expected(name: str, a: np.ndarray, b: np.ndarray) -> list:
    pairs = zip(*(x.ravel() for x in np.broadcast_arrays(a, b)))
    return [bool(PYTHON[name](x, y)) for x, y in pairs]


@pytest.mark.parametrize("name", PYTHON)
@pytest.mark.parametrize(
    "b", [B, B.tolist(), Tensor(B), Tensor(B, requires_grad=True), B.astype(int), B.astype("f4")]
)
def test_values_of_every_kind_of_operand(name, b):
    compare, a = getattr(F, name), Tensor(A, requires_grad=True)
    for y, value in ((compare(a, b), (A, B)), (compare(b, a), (B, A))):
        assert type(y) is Tensor and y.dtype == bool and y.shape == (3, 3)
        assert not y.requires_grad and y.numpy().ravel().tolist() == expected(name, *value)


@pytest.mark.parametrize("name", PYTHON)
@pytest.mark.parametrize("number", [1, 1.0, True, np.float64(1), np.int64(1)])
def test_numbers_on_either_side(name, number):
    compare = getattr(F, name)
    one = np.array(1.0)
    assert compare(Tensor(B), number).tolist() == expected(name, B, one)
    assert compare(number, B.tolist()).tolist() == expected(name, one, B)
    assert compare(number, 2.0).tolist() == expected(name, one, np.array(2.0))[0]


def test_numbers_are_compared_in_the_dtype_of_the_tensor():
    x = Tensor([0.1])
    for tenth in (0.1, [0.1], np.array([0.1]), np.float64(0.1), np.array(0.1)):
        assert F.equal(x, tenth).item() and F.equal(tenth, x).item()


def test_a_number_beside_integers_is_compared_exactly():
    assert not F.equal([2**24 + 1], float(2**24)).item()
    assert F.less(Tensor(np.array([200], np.uint8)), 300).item()


@pytest.mark.parametrize("name", PYTHON)
def test_tensors_of_two_floating_dtypes_are_refused_as_in_arithmetic(name):
    with pytest.raises(TypeError, match=f"{name}: float64 and float32 do not mix"):
        getattr(F, name)(Tensor(B), Tensor([1.0]))


@pytest.mark.parametrize("name", PYTHON)
def test_shapes_that_do_not_broadcast_are_named(name):
    with pytest.raises(ValueError) as caught:
        getattr(F, name)(Tensor([1, 2, 3]), [1, 2, 3, 4])
    assert str(caught.value) == f"{name}: (3,) and (4,) do not broadcast"


@pytest.mark.parametrize("name", PYTHON)
@pytest.mark.parametrize("other", [None, "a", [None], object(), {}])
def test_what_holds_no_numbers_is_refused(name, other):
    for a, b in ((Tensor(B), other), (other, Tensor(B)), (other, 1)):
        with pytest.raises(TypeError, match="a tensor holds numbers"):
            getattr(F, name)(a, b)


@pytest.mark.parametrize("name", PYTHON)
def test_on_a_device(name):
    with strict_cupy.installed():
        here, there = Tensor(B), Tensor(A, device="cuda")
        with pytest.raises(ValueError, match=rf"{name}: tensors on cpu and cuda:0: bring them"):
            getattr(F, name)(here, there)
        for b in (B, B.tolist(), here.to("cuda")):
            y = getattr(F, name)(there, b)
            assert y.device == "cuda:0" and y.numpy().ravel().tolist() == expected(name, A, B)
        assert getattr(F, name)(1.0, there).device == "cuda:0"


def test_tests_of_each_element():
    x = Tensor([0.0, np.nan, np.inf, -np.inf], requires_grad=True)
    assert F.isfinite(x).tolist() == [True, False, False, False]
    assert F.isnan(x).tolist() == [False, True, False, False]
    assert F.logical_not(x).tolist() == [True, False, False, False]
    assert F.isfinite([1, 2]).tolist() == [True, True] and not F.isnan(3).item()
    for y in (F.isfinite(x), F.isnan(x), F.logical_not(x), F.any(x), F.all(x)):
        assert type(y) is Tensor and y.dtype == bool and not y.requires_grad
    with strict_cupy.installed():
        there = x.to("cuda")
        for function in (F.isfinite, F.isnan, F.logical_not, F.any, F.all):
            assert function(there).device == "cuda:0"


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 1), ()])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("name", ["any", "all"])
def test_any_and_all_are_numpys(name, axis, keepdims):
    x = np.array([[0.0, 1.0], [2.0, 3.0]])
    value = getattr(np, name)(x, axis=axis, keepdims=keepdims)
    y = getattr(F, name)(Tensor(x), axis=axis, keepdims=keepdims)
    assert y.shape == value.shape and y.tolist() == value.tolist()


def test_any_and_all_of_nothing_and_of_one():
    assert not F.any([]).item() and F.all([]).item()
    assert F.any(2.0).item() and not F.all(Tensor(0)).item()
    with pytest.raises(ValueError, match="axis 2 does not exist"):
        F.any([[True]], axis=2)
