"""Tests of what a Tensor is: its data and dtype, its operators beside NumPy's, and its copies."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from tests.engine.common import drawn, leaf
from tinygrad_llm import Tensor, grad, no_grad
from tinygrad_llm import functional as F

FLOATS = [np.float16, np.float32, np.float64]


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, "float32"),
        ([1.0, 2], "float32"),
        ([[1.0], [2.0]], "float32"),
        ([], "float32"),
        (3, "int64"),
        ([1, 2], "int64"),
        (True, "bool"),
        ([True, False], "bool"),
        (range(3), "int64"),
        (np.zeros(3), "float64"),
        (np.zeros(3, np.float32), "float32"),
        (np.zeros(3, np.float16), "float16"),
        (np.zeros(3, np.int32), "int32"),
        (np.zeros(3, np.uint8), "uint8"),
        (np.float64(1.5), "float64"),
        (np.int8(1), "int8"),
        (np.zeros(3, ">f8"), "float64"),
        (np.zeros(3, ">i4"), "int32"),
    ],
)
def test_the_dtype_of_data(data, dtype):
    x = Tensor(data)
    assert x.dtype == dtype and x.dtype.isnative
    assert type(x.data) is np.ndarray and x.shape == np.shape(data)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "bool"])
def test_the_dtype_that_is_asked_for(dtype):
    for data in (1, [1.0, 2.0], np.ones(2), Tensor([1.0])):
        assert Tensor(data, dtype=dtype).dtype == dtype


def test_an_array_is_kept_and_not_copied():
    array = drawn(2, 3)
    x = Tensor(array)
    array[0, 0] = 7.0
    assert x.data[0, 0] == 7.0 and x.numpy()[0, 0] == 7.0
    assert Tensor(x).data[0, 0] == 7.0 and np.asarray(x)[0, 0] == 7.0


def test_subclasses_of_arrays_become_plain_arrays():
    assert type(Tensor(np.ma.array([1.0, 2.0])).data) is np.ndarray


def test_what_it_tells_about_itself():
    x = Tensor(np.zeros((2, 3)))
    assert (x.shape, x.ndim, x.size, len(x), x.device) == ((2, 3), 2, 6, 2, "cpu")
    assert x.is_leaf and not x.requires_grad and x.grad is None
    y = leaf([1.0]) * 2.0
    assert not y.is_leaf and y.requires_grad


def test_repr():
    assert repr(Tensor([1.0, 2.0])) == "Tensor([1., 2.])"
    assert repr(Tensor([1.0], requires_grad=True)) == "Tensor([1.], requires_grad=True)"
    assert repr(leaf([1.0]) * 2.0) == "Tensor([2.], op=multiply, dtype=float64)"
    assert repr(Tensor([1, 2])) == "Tensor([1, 2], dtype=int64)"


def test_numbers_come_out():
    x = Tensor([[2.5]])
    assert x.item() == float(x) == 2.5 and int(x) == 2 and bool(x) and x.tolist() == [[2.5]]
    assert [10, 20, 30][Tensor(1)] == 20 and list(range(Tensor(2))) == [0, 1]
    with pytest.raises(ValueError, match="size 1"):
        Tensor([1.0, 2.0]).item()
    with pytest.raises(TypeError):
        [10, 20][Tensor(1.0)]


def test_iteration_unpacks_along_the_first_axis():
    x = leaf(drawn(2, 3))
    a, b = x
    (a * 2.0 + b * 3.0).sum().backward()
    assert np.array_equal(x.grad.data, [[2.0] * 3, [3.0] * 3])
    for use in (len, iter):
        with pytest.raises(TypeError, match="a 0-d tensor has no length"):
            use(Tensor(1.0))


def test_tensors_are_keys_by_identity_and_compare_by_value():
    a, b = Tensor([1.0]), Tensor([1.0])
    assert {a: 1, b: 2}[a] == 1 and len({a, b}) == 2
    assert bool(a == b) and not bool(a != b)


OPERATORS = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: a**b,
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("operator", OPERATORS)
def test_what_is_no_tensor_takes_the_dtype_of_the_tensor(operator, dtype):
    f = OPERATORS[operator]
    x = leaf([1.5, 2.0], dtype)
    others = [
        2,
        2.0,
        True,
        np.float64(2.0),
        np.float32(2.0),
        np.int64(2),
        np.full(2, 2.0),
        [2.0, 2],
    ]
    others += [np.full(2, 2, np.int32), np.full(2, 2.0, np.float32), np.array(2.0), (2.0, 2.0)]
    for other in others:
        for y in (f(x, other), f(other, x)):
            assert type(y) is Tensor and y.dtype == dtype and y.requires_grad
        number = np.asarray(other, dtype)
        assert np.allclose(f(x, other).data, f(x.data, number), rtol=1e-2)
        assert np.allclose(f(other, x).data, f(number, x.data), rtol=1e-2)
        x.grad = None
        (f(x, other) + f(other, x)).sum().backward()
        assert x.grad.dtype == dtype


def test_matrix_products_with_arrays_on_either_side():
    x, a = leaf(drawn(2, 3)), drawn(3, 2)
    for y, value in ((x @ a, x.data @ a), (a @ x, a @ x.data), (x @ a.tolist(), x.data @ a)):
        assert type(y) is Tensor and np.allclose(y.data, value, rtol=1e-14)


@pytest.mark.parametrize("operator", ["<", "<=", ">", ">=", "==", "!="])
def test_comparisons_with_arrays_on_either_side(operator):
    compare = eval(f"lambda a, b: a {operator} b")
    x, y = Tensor([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 2.0])
    for found, value in (
        (compare(x, y), compare(x.data, y)),
        (compare(y, x), compare(y, x.data)),
        (compare(x, 2), compare(x.data, 2)),
        (compare(2, x), compare(2, x.data)),
        (compare(np.float64(2), x), compare(2, x.data)),
        (compare(x, [2, 2, 2]), compare(x.data, y)),
        (compare(x, Tensor(y, dtype="float32")), compare(x.data, y)),
    ):
        assert type(found) is Tensor and found.dtype == bool and found.tolist() == value.tolist()


def test_comparisons_are_made_in_the_dtype_of_the_tensor():
    """0.1 in float32 is not 0.1 in float64; beside a Tensor there is one 0.1."""
    x = Tensor([0.1])
    for other in (0.1, [0.1], np.array([0.1]), np.float64(0.1)):
        assert (x == other).all() and not (x < other).any()


def test_comparisons_record_no_tape():
    x = leaf([1.0, 2.0])
    assert not (x > 1.0).requires_grad and (~(x > 1.0) | (x == 2.0)).all()
    assert not ((x > 1.0) & (x < 2.0)).any()


def test_two_tensors_of_different_floats_do_not_mix():
    a, b = Tensor([1.0]), Tensor(np.ones(1))
    for use in (*OPERATORS.values(), F.maximum, F.matmul, lambda a, b: F.concatenate([a, b])):
        with pytest.raises(TypeError, match=r"float32 and float64 do not mix: .*\.astype"):
            use(a, b)


def test_integers_take_the_dtype_of_the_floats_that_they_meet():
    i = Tensor([1, 2])
    for dtype in FLOATS:
        x = leaf([1.0, 2.0], dtype)
        assert (x + i).dtype == (i * x).dtype == (x / i).dtype == (i**x).dtype == dtype
        assert F.concatenate([i, x]).dtype == F.stack([x, i]).dtype == dtype
    assert (i + i).dtype == (i * 2).dtype == (i**2).dtype == np.int64
    assert (i + 0.5).dtype == (0.5 * i).dtype == (i + [0.5, 0.5]).dtype == np.float32
    assert F.concatenate([i, [0.5]]).dtype == np.float32
    assert (Tensor([True]) + 1).dtype == np.int64


def test_integers_are_divided_and_exponentiated_as_float32():
    i = Tensor([1, 2])
    for y in (i / i, i / 2, 2 / i, F.exp(i), F.log(i), i.mean(), F.sigmoid(i), F.softmax(i)):
        assert y.dtype == np.float32
    assert (i / 2).tolist() == [0.5, 1.0] and i.sum().dtype == np.int64


@pytest.mark.parametrize("dtype", FLOATS)
def test_numbers_among_the_arguments_promote_nothing(dtype):
    x = leaf([[1.0, 2.0]], dtype)
    two = np.float64(2.0)
    for y in (
        F.clip(x, np.float64(1.5)),
        F.clip(x, None, 1.5),
        F.where(x > two, x, two),
        F.maximum(x, two),
        F.stack([x[0, 0], 1.0, 1]),
        F.einsum("ij,->ij", x, 2.0),
        F.pad(x, 1, constant_values=two),
        F.softplus(x) * two + two**x,
        F.dropout(x, 0.5),
        F.norm(x) + x.std() + x.var() + x.mean() + F.logsumexp(x),
        F.gelu(x) + F.gelu(x, "tanh") + F.silu(x) + F.erf(x),
        F.cross_entropy(x, [1], label_smoothing=0.1),
        F.mse_loss(x, [[0.5, 0.5]]),
    ):
        assert y.dtype == dtype
        x.grad = None
        y.sum().backward()
        assert x.grad.dtype == dtype


def test_clip_of_integers_by_floats_is_float32():
    assert F.clip(Tensor([1, 2]), 1.5).dtype == np.float32
    assert F.clip(Tensor([1, 2]), 1, 1).dtype == np.int64


def test_a_gradient_of_float32_through_float64_is_float32():
    x = leaf([1.0, 2.0], np.float32)
    (x.astype(np.float64) ** 2).sum().backward()
    assert x.grad.dtype == np.float32 and x.grad.tolist() == [2.0, 4.0]
    assert x.astype("float32") is x


def test_numpy_functions_leave_tensors_alone():
    x = leaf([1.0, 2.0])
    for function in (np.exp, np.negative, np.isnan):
        with pytest.raises(TypeError, match="Tensor"):
            function(x)
    with pytest.raises(TypeError):
        np.add(np.ones(2), x)


def test_pickling_a_leaf_keeps_its_dtype_and_requires_grad():
    for x in (leaf(drawn(2, 3), np.float32), Tensor([1, 2]), leaf(2.0)):
        y = pickle.loads(pickle.dumps(x))
        assert type(y) is Tensor and y.requires_grad == x.requires_grad and y.dtype == x.dtype
        assert np.array_equal(y.data, x.data) and not np.shares_memory(y.data, x.data)


def test_copies_of_leaves():
    x = leaf([1.0, 2.0])
    deep, shallow = copy.deepcopy(x), copy.copy(x)
    assert deep is not x and deep.requires_grad and deep.is_leaf
    assert not np.shares_memory(deep.data, x.data)
    assert shallow is not x and shallow.requires_grad and shallow.is_leaf
    (deep * deep).sum().backward()
    assert deep.grad is not None and x.grad is None


def test_deepcopy_keeps_shared_tensors_shared():
    x = leaf([1.0, 2.0])
    a, b = copy.deepcopy([x, x])
    assert a is b


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_computed_tensor_is_not_copied_or_pickled(duplicate):
    with pytest.raises(RuntimeError, match=r"computed tensor cannot be copied.*detach\(\)"):
        duplicate(leaf([1.0]) * 2.0)
    with no_grad():
        duplicate(leaf([1.0]) * 2.0)


def test_the_copy_method_has_its_own_memory_and_stays_on_the_tape():
    x = leaf([1.0, 2.0])
    y = x.copy()
    assert not np.shares_memory(x.data, y.data)
    (y * y).sum().backward()
    assert np.array_equal(x.grad.data, 2 * x.data)


def test_methods_are_numpys_by_name_and_argument():
    a = drawn(2, 3)
    x = Tensor(a)
    assert np.array_equal(x.T.data, a.T) and np.array_equal(x.transpose(1, 0).data, a.T)
    assert np.array_equal(x.transpose((1, 0)).data, a.transpose((1, 0)))
    assert x.transpose().shape == x.transpose(None).shape == (3, 2)
    assert x.reshape(3, 2).shape == x.reshape((3, -1)).shape == (3, 2) and x.reshape(-1).shape == (
        6,
    )
    assert x.flatten().shape == (6,) and x[None].squeeze().shape == (2, 3)
    for name in ("sum", "mean", "var", "std", "prod", "max", "min"):
        for axis in (None, 0, -1, (0, 1)):
            for keepdims in (False, True):
                expected = getattr(a, name)(axis=axis, keepdims=keepdims)
                found = getattr(x, name)(axis=axis, keepdims=keepdims)
                assert np.allclose(found.data, expected, rtol=1e-14)
                assert found.shape == np.shape(expected)
    assert np.array_equal(x.cumsum(0).data, a.cumsum(0))
    assert np.array_equal(x.argmax(1).data, a.argmax(1)) and x.argmin().item() == a.argmin()
    assert np.array_equal(x.argsort().data, a.argsort(-1))
    assert np.array_equal(abs(-x).data, abs(a)) and np.array_equal(
        x.clip(-1, 1).data, a.clip(-1, 1)
    )
    assert (x > -99).all().item() and not (x > 99).any().item()


def test_a_tensor_formats_as_its_number():
    assert f"{Tensor(1.23456):.2f} {Tensor([1.0])}" == "1.23 Tensor([1.])"


def test_a_shallow_copy_has_memory_of_its_own():
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    with no_grad():
        other = copy.copy(x)
        other += 10.0
    y.backward()
    assert x.grad.tolist() == [2.0, 4.0] and other.requires_grad


def test_data_set_to_a_number_is_an_array():
    w = leaf(3.0)
    w.data = w.data - 0.5 * np.ones(())
    (w * w).backward()
    assert w.item() == 2.5 and w.grad.item() == 5.0


@pytest.mark.parametrize("value", [np.ones((2, 3)), np.ones(3, np.float32)], ids=["shape", "dtype"])
def test_data_on_the_tape_keeps_shape_and_dtype(value):
    x = leaf(np.ones(3))
    with pytest.raises(ValueError, match=r"x\.data = v: x requires a gradient and stays float64"):
        x.data = value


def test_two_tensors_set_to_one_array_stay_apart_on_the_tape():
    x, y = leaf([2.0]), leaf([3.0])
    y.data = x.data
    first = grad((x * y).sum(), x, create_graph=True)
    assert grad(first.sum(), y).tolist() == [1.0]


def test_what_is_written_by_an_operator_on_data_is_seen():
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    x.data -= 1.0
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


@pytest.mark.parametrize(
    "use",
    [
        lambda x: Tensor([[x, x]]),
        lambda x: Tensor([1.0]) + [[x]],
        lambda x: Tensor(x * 2.0),
        lambda x: (x * 2.0).backward([x]),
    ],
    ids=["nested", "operand", "computed", "cotangent"],
)
def test_a_tape_is_not_lost_in_silence(use):
    with pytest.raises(TypeError, match="lose"):
        use(leaf(1.0))


def test_nothing_equals_none_or_text():
    x = Tensor([1.0])
    assert (x == None) is False and (x != None) is True and (x == "a") is False  # noqa: E711
