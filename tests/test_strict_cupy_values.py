"""Tests of the stand-in for CuPy: values are NumPy's to the bit, dtypes follow CuPy's loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.test_strict_cupy import floats, same, x
from tinygrad_llm.testing.strict_cupy import module as cupy
from tinygrad_llm.testing.strict_cupy._api import API

DTYPES = ("float32", "float64", "int32", "int64", "bool", "complex64", "complex128")
LAYOUTS = {
    "as it is": lambda a: a,
    "transposed": lambda a: a.T,
    "every second": lambda a: a[::2],
    "backwards": lambda a: a[..., ::-1],
}


def pairs(dtypes=DTYPES, least=2):
    """A host array and the same on the device, in one of several layouts."""
    shapes = hnp.array_shapes(min_dims=least, max_dims=3, min_side=1, max_side=5)
    magnitudes = st.sampled_from([1e-3, 1.0, 1e3])

    def make(shape, dtype, seed, magnitude, layout):
        generator = np.random.default_rng(seed)
        values = generator.normal(size=shape) * magnitude
        if np.dtype(dtype).kind == "c":
            values = values + 1j * generator.normal(size=shape)
        host = np.round(values * 3).astype(dtype) if dtype == "bool" else values.astype(dtype)
        return tuple(LAYOUTS[layout](a) for a in (host, cupy.asarray(host)))

    return st.builds(
        make,
        shapes,
        st.sampled_from(dtypes),
        st.integers(0, 99),
        magnitudes,
        st.sampled_from(sorted(LAYOUTS)),
    )


UNARY = "negative exp log log1p expm1 sqrt sin cos tanh abs sign square reciprocal isnan isfinite"
BINARY = "add subtract multiply divide power maximum minimum equal less"
REDUCTIONS = "sum mean max min prod any all argmax argmin count_nonzero var std cumsum argsort sort"


@given(pairs(), st.sampled_from((UNARY + " isinf conj positive logical_not").split()))
@settings(max_examples=150)
def test_unary_functions_have_numpys_bits(pair, name):
    host, device = pair
    try:
        result = getattr(cupy, name)(device)
    except TypeError:
        char, types = host.dtype.char, API["ufuncs"][name]["types"].split()
        refused_here = name == "negative" and char == "?"
        assert refused_here or not any(t.startswith(f"{char}->") for t in types)
        return
    if name == "sign" and host.dtype == bool:  # NumPy has no loop for it, CuPy takes int8's
        host = host.astype("int8")
    with np.errstate(all="ignore"):
        same(result, getattr(np, name)(host))


@given(pairs(), pairs(), st.sampled_from(BINARY.split()))
@settings(max_examples=150)
def test_binary_functions_have_numpys_bits(left, right, name):
    (a, a_device), (b, b_device) = left, right
    try:
        with np.errstate(all="ignore"):
            expected = getattr(np, name)(a, b)
    except (ValueError, TypeError):
        with pytest.raises((ValueError, TypeError)):
            getattr(cupy, name)(a_device, b_device)
        return
    same(getattr(cupy, name)(a_device, b_device), expected)


@given(
    pairs(), st.sampled_from(REDUCTIONS.split()), st.sampled_from([None, 0, 1, -1]), st.booleans()
)
@settings(max_examples=200)
def test_reductions_have_numpys_bits(pair, name, axis, keepdims):
    host, device = pair
    options = {"axis": axis}
    if name not in ("count_nonzero", "cumsum", "argsort", "sort"):
        options["keepdims"] = keepdims
    stable = {"kind": "stable"} if "sort" in name else {}
    with np.errstate(all="ignore"):
        same(getattr(cupy, name)(device, **options), getattr(np, name)(host, **options, **stable))
        if name not in ("count_nonzero", "sort"):
            method = getattr(device, name)(**options)
            same(method, getattr(np, name)(host, **options, **stable))


SHAPES = {
    "reshape": lambda xp, a: xp.reshape(a, -1),
    "ravel": lambda xp, a: xp.ravel(a),
    "transpose": lambda xp, a: xp.transpose(a),
    "swapaxes": lambda xp, a: xp.swapaxes(a, 0, -1),
    "moveaxis": lambda xp, a: xp.moveaxis(a, 0, -1),
    "expand_dims": lambda xp, a: xp.expand_dims(a, (0, -1)),
    "squeeze": lambda xp, a: xp.squeeze(a),
    "broadcast_to": lambda xp, a: xp.broadcast_to(a, (2, *a.shape)),
    "concatenate": lambda xp, a: xp.concatenate([a, a[:1], a], axis=0),
    "stack": lambda xp, a: xp.stack((a, a), axis=1),
    "split": lambda xp, a: xp.split(a, [1], axis=-1)[1],
    "where": lambda xp, a: xp.where(a == a, a, a * a),
    "pad": lambda xp, a: xp.pad(a, [(1, 2)] * a.ndim),
    "pad edge": lambda xp, a: xp.pad(a, 1, mode="edge"),
    "pad constant": lambda xp, a: xp.pad(a, 1, constant_values=1),
    "flip": lambda xp, a: xp.flip(a, axis=1),
    "roll": lambda xp, a: xp.roll(a, 1, axis=-1),
    "roll all": lambda xp, a: xp.roll(a, -2),
    "tril": lambda xp, a: xp.tril(a, k=-1),
    "triu": lambda xp, a: xp.triu(a),
    "repeat": lambda xp, a: xp.repeat(a, 3, axis=0),
    "tile": lambda xp, a: xp.tile(a, (2, 1)),
    "diff": lambda xp, a: xp.diff(a + a, axis=-1),
    "diagonal": lambda xp, a: xp.diagonal(a),
    "astype": lambda xp, a: a.astype("complex128"),
    "real": lambda xp, a: xp.real(a),
    "imag": lambda xp, a: a.imag,
    "conj": lambda xp, a: a.conj() if a.dtype.kind == "c" else a,
    "zeros_like": lambda xp, a: xp.zeros_like(a),
    "ones_like": lambda xp, a: xp.ones_like(a, dtype="float32"),
    "full_like": lambda xp, a: xp.full_like(a, 1),
    "argwhere": lambda xp, a: xp.argwhere(a),
    "flatnonzero": lambda xp, a: xp.flatnonzero(a),
    "isclose": lambda xp, a: xp.isclose(a, 1.0),
    "array_equal": lambda xp, a: xp.asarray(xp.array_equal(a, a)),
    "atleast_2d": lambda xp, a: xp.atleast_2d(a[0, 0]),
    "broadcast_arrays": lambda xp, a: xp.broadcast_arrays(a, a[:1])[1],
    "tensordot": lambda xp, a: xp.tensordot(a, a, axes=a.ndim),
    "outer": lambda xp, a: xp.outer(a, a),
    "trace": lambda xp, a: xp.trace(a),
    "matmul": lambda xp, a: xp.matmul(a, xp.swapaxes(a, -1, -2)),
    "@": lambda xp, a: xp.swapaxes(a, -1, -2) @ a,
    "einsum": lambda xp, a: xp.einsum("...ij,...kj->...ki", a, a),
    "einsum sum": lambda xp, a: xp.einsum("...i->...", a),
    "einsum view": lambda xp, a: xp.einsum("...i->i...", a),
    "einsum of three": lambda xp, a: xp.einsum("i...,k...,k...->i...", a, a, a[..., :1]),
    "x ** 2": lambda xp, a: a**2 if a.dtype.kind == "f" else a.real,
    "x ** .5": lambda xp, a: xp.abs(a) ** 0.5,
    "x ** -1.": lambda xp, a: xp.abs(a) ** -1.0,
    "x ** 3": lambda xp, a: xp.abs(a) ** 3,
    "2 ** x": lambda xp, a: 2.0 ** xp.abs(a),
    "index": lambda xp, a: a[..., 0, None, :1],
    "last": lambda xp, a: a[-1],
    "mask": lambda xp, a: a[a == a],
}


@given(pairs(), st.sampled_from(sorted(SHAPES)))
@settings(max_examples=400)
def test_shapes_and_products_have_numpys_bits(pair, name):
    host, device = pair
    with np.errstate(all="ignore"):
        same(SHAPES[name](cupy, device), SHAPES[name](np, host))


# dtypes, out and the rest


def test_only_cupys_dtypes():
    for dtype in ("str", "object", "datetime64[s]", "longdouble"):
        with pytest.raises(ValueError, match="no arrays of dtype"):
            cupy.zeros(2, dtype)
    for values in (["a"], [object()], np.zeros(2, "longdouble")):
        with pytest.raises(ValueError):
            cupy.asarray(values)


@pytest.mark.parametrize("name", ["isnan", "floor_divide", "logical_not", "clip"])
def test_a_dtype_without_a_loop(name):
    c = cupy.zeros(2, "complex64")
    if name == "isnan":
        same(cupy.isnan(c), np.zeros(2, bool))
        return
    with pytest.raises(TypeError):
        {"clip": lambda: cupy.clip(c, 0, 1)}.get(name, lambda: getattr(cupy, name)(*[c] * 2))()


def test_loops_follow_dtype_and_out():
    a, out = x(), cupy.zeros((2, 3))
    assert cupy.add(a, 1, out=out) is out and cupy.exp(a, out) is out
    same(out, np.exp(floats(2, 3)).astype("float64"))
    same(cupy.add(a, 1, dtype="float64"), np.add(floats(2, 3), 1, dtype="float64"))
    assert cupy.sum(a, axis=0, out=(total := cupy.zeros(3, "float32"))) is total
    for wrong in (cupy.zeros(3), cupy.zeros((2, 2))):
        with pytest.raises(ValueError):
            cupy.add(a, a, out=wrong)
    with pytest.raises(TypeError, match="does not cast"):
        cupy.add(a, a, out=cupy.zeros((2, 3), "int32"))
    with pytest.raises(TypeError, match="does not cast"):
        a += 1j
    counts = cupy.arange(3)
    with pytest.raises(TypeError, match="does not cast"):
        counts += 0.5
    counts += 1
    same(counts, np.arange(1, 4))
    same(cupy.divmod(counts, 2)[1], np.arange(1, 4) % 2)
    same(cupy.add.reduce(a), np.add.reduce(floats(2, 3)))


def test_making_arrays():
    a = x()
    assert cupy.asarray(a) is a and cupy.array(a, copy=None) is a and cupy.array(a) is not a
    same(cupy.array([a, a]), np.stack([floats(2, 3)] * 2))
    same(cupy.asarray([[1, 2], [3, 4]]), np.array([[1, 2], [3, 4]]))
    same(cupy.asarray(2.5, dtype="float32"), np.float32(2.5))
    same(cupy.arange(1, 2, 0.25), np.arange(1, 2, 0.25))
    same(cupy.arange(3, dtype="float32"), np.arange(3, dtype="float32"))
    same(cupy.eye(3, k=1), np.eye(3, k=1))
    same(cupy.full((2,), 3), np.full(2, 3))
    same(cupy.ascontiguousarray(a[0, 0]), floats(2, 3)[:1, 0])
    same(cupy.linspace(0, 1, 5), np.linspace(0, 1, 5))
    assert np.isnan(cupy.empty(3).get()).all() and np.isnan(cupy.empty_like(a).get()).all()
    assert np.isnan(cupy.ndarray((2,), "float32").get()).all()
    assert cupy.empty(2, int).get().all()
    a.set(np.ones((2, 3), "float32"))
    a.fill(2)
    same(a, np.full((2, 3), 2, "float32"))


def test_arithmetic_gives_no_warnings():
    zero = cupy.zeros(2, "float32")
    same(1 / zero, np.full(2, np.inf, "float32"))
    assert np.isnan((zero / zero).get()).all() and np.isnan(cupy.mean(zero[:0]).get())
    same(cupy.log(zero), np.full(2, -np.inf, "float32"))
    (zero / zero).astype("int32")
    zero[...] = cupy.full(2, 1e300)
    same(cupy.sum(cupy.full(2, 1e300), out=zero[0]), np.float32(np.inf))


def test_comparisons_take_any_python_integer():
    for dtype in ("uint8", "uint64"):
        same(cupy.arange(2, dtype=dtype) > -1, np.ones(2, bool))
        same(cupy.arange(2, dtype=dtype) < 300, np.ones(2, bool))


def test_equality_with_what_is_no_number():
    same(x() == None, np.zeros((2, 3), bool))  # noqa: E711
    same(x() != object(), np.ones((2, 3), bool))
    with pytest.raises(TypeError, match="unhashable"):
        hash(x())


def test_sorting_in_place_needs_c_order():
    a = cupy.asarray(floats(3, 4))
    with pytest.raises(NotImplementedError, match="C-contiguous"):
        a.T.sort()
    a.sort(axis=0)
    same(a, np.sort(floats(3, 4), axis=0))
