"""Tests of the stand-in for CuPy: indices wrap around, views and layouts are CuPy's."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

from tests.test_strict_cupy import floats, ints, same, x
from tinygrad_llm.testing.strict_cupy import module as cupy
from tinygrad_llm.testing.strict_cupy._api import API

# Indices


def test_integer_indices_wrap_around():
    n, index = floats(3, 4), np.array([[0, 5], [-7, 3]])
    same(x()[ints(0, 5, -3)], floats(2, 3)[[0, 1, 1]])
    same(cupy.asarray(n)[cupy.asarray(index)], n[index % 3])
    same(cupy.asarray(n)[:, cupy.asarray(index)], n[:, index % 4])
    same(cupy.asarray(n)[ints(4), ints(9)], n[[1], [1]])
    same(cupy.asarray(n)[ints(4), None, ints(9)], n[[1], None, [1]])
    same(cupy.asarray(n)[..., ints(9)], n[..., [1]])
    same(cupy.take(cupy.asarray(n), cupy.asarray(index)), n.ravel()[index % 12])
    same(cupy.asarray(n).take(-9, axis=1), n.take(3, axis=1))
    columns = cupy.asarray(index.T.reshape(1, 4))
    same(cupy.take_along_axis(cupy.asarray(n), columns, 0), n[index.T.ravel() % 3, range(4)][None])
    a = cupy.zeros(3)
    a[ints(4, -6)] = cupy.asarray(np.array([1.0, 2.0]))
    same(a, np.array([2.0, 1.0, 0.0]))
    with pytest.raises(IndexError):
        x()[2]  # an integer of the host is checked there
    with pytest.raises(IndexError, match="length 0"):
        cupy.zeros((0, 2))[ints(0)]


@pytest.mark.parametrize("key", [1.5, True, "a", ..., (..., ...), (0, 0, 0)])
def test_wrong_indices(key):
    if key is ...:
        key = cupy.asarray(floats(2))  # an array of floats
    with pytest.raises(IndexError):
        x()[key]


def test_two_values_for_one_element_are_an_error():
    a, values = cupy.zeros(4), cupy.asarray(np.arange(3.0))
    for key in (ints(1, 2, 1), ints(1, 2, 5), ints(1, 2, -3)):
        with pytest.raises(RuntimeError, match="twice"):
            a[key] = values
    m = cupy.zeros((2, 3))
    with pytest.raises(RuntimeError, match="twice"):
        m[ints(0, 2)] = cupy.ones((2, 3))
    m[ints(0, 0), ints(1, 2)] = cupy.ones(2)
    a[ints(1, 1)] = 7.0  # the same value twice is well defined
    same(a, np.array([0.0, 7.0, 0.0, 0.0]))
    same(m, np.array([[0.0, 1.0, 1.0], [0.0, 0.0, 0.0]]))


def test_add_at_adds_duplicates():
    host, index, values = floats(3, 2), np.array([0, 2, 0]), floats(3, 2)
    device = cupy.asarray(host)
    cupy.add.at(device, cupy.asarray(index + 3), cupy.asarray(values))
    np.add.at(host, index, values)
    same(device, host)
    cupy.add.at(device, (slice(None), ints(0, 0)), 1.0)
    np.add.at(host, (slice(None), [0, 0]), np.float32(1))
    same(device, host)
    cupy.add.at(device, 0, 1.0)
    same(device[0], host[0] + 1)
    cupy.maximum.at(device, ints(1), 9.0)
    same(device[1], np.full(2, 9, "float32"))


@pytest.mark.parametrize("dtype", [d for d in API["dtypes"] if d not in ("bool",)])
def test_add_at_takes_the_dtypes_of_atomic_additions(dtype):
    a = cupy.zeros(3, dtype)
    if dtype in API["ufuncs"]["add"]["at"]:
        cupy.add.at(a, ints(1, 1), 2)
        same(a, np.array([0, 4, 0], dtype))
    else:
        with pytest.raises(TypeError, match=r"add\.at takes"):
            cupy.add.at(a, ints(1, 1), 2)


def test_at_exists_where_cupy_has_it():
    cupy.subtract.at(a := cupy.zeros(2, "int32"), ints(0, 0), 1)
    same(a, np.array([-2, 0], "int32"))
    with pytest.raises(TypeError, match=r"subtract\.at"):
        cupy.subtract.at(x(), ints(0), 1.0)
    with pytest.raises(NotImplementedError, match=r"multiply\.at"):
        cupy.multiply.at(x(), ints(0), 1.0)


# Views and layouts


def origin(result, names):
    """Whose memory a result lies in, in the words of the record."""
    itself = [name for name in "atcm" if result is names[name]]
    owner = [f"view of {name}" for name in "acm" if result.base is names[name]]
    return (*itself, *owner, "new")[0]


def layout(expression):
    a, c = cupy.zeros((2, 3, 4), "float32"), cupy.zeros((2, 3, 4), "complex64")
    names = {"a": a, "t": a.T, "c": c, "m": cupy.zeros((3, 4), "float32")}
    try:
        result = eval(expression, {**names, "cupy": cupy, "numpy": np})
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        return type(error).__name__
    if not isinstance(result, cupy.ndarray):
        return str(result)
    flags, whose = result.flags, origin(result, names)
    if API["layouts"][expression] == "new memory":
        return "new memory" if whose == "new" else whose
    shape, strides = list(result.shape), list(result.strides)
    return [whose, shape, strides, flags.c_contiguous, flags.f_contiguous]


@pytest.mark.parametrize("expression", API["layouts"])
def test_views_are_laid_out_as_cupy_laid_them_out(expression):
    assert layout(expression) == API["layouts"][expression]


def test_a_view_names_the_owner_and_writes_through():
    a = x()
    view = a.T[1:].reshape(-1)[::2] if a.T[1:].flags.c_contiguous else a.T[1:]
    assert view.base is a and not view.flags.owndata and a.base is None and a.flags["OWNDATA"]
    view += 1
    a.T[0] = 0
    a.diagonal()[...] = 5
    expected = floats(2, 3)
    expected[:, 1:] += 1
    expected[:, 0] = 0
    np.fill_diagonal(expected, 5)
    same(a, expected)
    a.shape = (3, 2)
    assert a.shape == (3, 2)
    with pytest.raises(AttributeError, match="in place"):
        a.T.shape = (6,)
    alive = weakref.ref(a)
    del a, view
    assert alive() is None


NEW_MEMORY = {
    "a sum": lambda a: a.sum(axis=0),
    "a ufunc": lambda a: cupy.exp(a.T),
    "an advanced index": lambda a: a[ints(0)],
    "a 0-d index": lambda a: a[ints(0)[0]],
    "concatenate": lambda a: cupy.concatenate([a]),
    "copy": lambda a: a.copy(),
    "array": lambda a: cupy.array(a),
    "astype": lambda a: a.astype(a.dtype),
    "matmul": lambda a: a @ a.T,
    "tril": lambda a: cupy.tril(a),
    "where": lambda a: cupy.where(a > 0, a, a),
    "flatten": lambda a: a.flatten(),
    "imag of a real array": lambda a: a.imag,
}


@pytest.mark.parametrize("name", NEW_MEMORY)
def test_results_own_their_memory_in_c_order(name):
    a = x()
    result = NEW_MEMORY[name](a)
    assert result.flags.owndata and result.flags.c_contiguous
    assert not cupy.may_share_memory(a, result)


def test_results_that_cupy_lays_out_in_its_own_way():
    a, b = cupy.asarray(floats(2, 3)), cupy.asarray(floats(3, 4))
    product = cupy.einsum("ij,jk->ik", a, b)
    assert product.flags.fnc and not product.flags.owndata
    assert cupy.einsum("ij,jk->ki", a, b).flags.c_contiguous
    assert cupy.einsum("ij,ij->ij", a, a).flags.c_contiguous
    batched = cupy.einsum("bij,bjk->bik", cupy.ones((2, 3, 4)), cupy.ones((2, 4, 5)))
    assert batched.strides == (120, 8, 24)
    assert cupy.einsum("...ij,...jk->...ik", b[None], b.T[None]).flags.fnc
    assert cupy.argsort(a, axis=0).flags.fnc and cupy.argsort(a).flags.owndata
    assert cupy.cumsum(a, axis=0).flags.fnc and not cupy.cumsum(a, axis=1).flags.owndata
    for repeated in (cupy.repeat(a, 2, axis=0), cupy.tile(a, 2), cupy.roll(a, 1)):
        assert repeated.base is not None and repeated.base is not a
    assert cupy.sum(cupy.ones((2, 3, 4)).T, axis=0).flags.fnc
    assert not cupy.sum(a, keepdims=True).flags.owndata
    same(product, np.einsum("ij,jk->ik", floats(2, 3), floats(3, 4)))
