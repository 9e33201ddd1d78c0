"""Tests of the stand-in for CuPy: it fails where CuPy fails, and else gives NumPy's bits."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import sys

import numpy as np
import pytest

from tinygrad_llm.testing import strict_cupy
from tinygrad_llm.testing.strict_cupy import count_synchronizations, installed
from tinygrad_llm.testing.strict_cupy import module as cupy
from tinygrad_llm.testing.strict_cupy._api import API, signature
from tinygrad_llm.testing.strict_cupy._operators import FUNCTIONS

NEEDED = """
add subtract multiply divide power negative exp log log1p expm1 sqrt sin cos tanh abs sign clip
where maximum minimum sum mean max min prod cumsum sort argsort argmax matmul einsum reshape
transpose swapaxes expand_dims squeeze broadcast_to concatenate stack split pad flip roll tril triu
repeat take_along_axis zeros ones full empty zeros_like ones_like empty_like arange eye asarray
ascontiguousarray isnan isfinite isinf any all logical_not array moveaxis count_nonzero square
reciprocal ravel result_type ndarray bool_ float32 float64 int64 inf nan newaxis pi
"""


def floats(*shape, dtype="float32"):
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


def ints(*values):
    return cupy.asarray(np.array(values))


def same(device, host):
    """The device array has the host array's shape, dtype and bits."""
    host = np.asarray(host)
    assert type(device) is cupy.ndarray
    assert (device.shape, device.dtype) == (host.shape, host.dtype)
    assert device.get().tobytes() == host.tobytes()


def x():
    return cupy.asarray(floats(2, 3))


# Names and parameters


def test_what_the_engine_needs_is_there():
    for name in NEEDED.split():
        assert hasattr(cupy, name), name
    assert callable(cupy.add.at)


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - set(API["ufuncs"]) - {"einsum", "matmul"}))
def test_every_function_has_cupys_parameters(name):
    recorded = signature(API["functions"][name])
    assert kinds(inspect.signature(FUNCTIONS[name])) == kinds(recorded)


@pytest.mark.parametrize("name", [n for n in dir(cupy.ndarray) if not n.startswith("_")])
def test_every_method_has_cupys_parameters(name):
    if name in API["ndarray_attributes"]:
        assert not callable(vars(type(x())).get(name))
    elif name != "reshape":  # CuPy's record of it does not say that `order` needs its name
        recorded = signature("self " + API["ndarray_methods"][name])
        assert kinds(inspect.signature(getattr(cupy.ndarray, name))) == kinds(recorded)


def kinds(parameters):
    return [(p.name, p.kind, p.default is p.empty) for p in parameters.parameters.values()]


def test_cuda_has_only_cupys_names():
    for module, name in ((cupy.cuda, "cuda"), (cupy.cuda.runtime, "cuda.runtime")):
        assert {n for n in vars(module) if not n.startswith("_")} <= set(API[name])
    for kind in (cupy.cuda.Device, cupy.cuda.Stream):
        names = {n for n in dir(kind) if not n.startswith("_")}
        assert names <= set(API[f"cuda.{kind.__name__}"])


@pytest.mark.parametrize("name", ["vecdot", "matvec", "put_mask", "float128", "str_", "nothing"])
def test_a_name_that_cupy_lacks(name):
    with pytest.raises(AttributeError, match=f"cupy has no attribute '{name}'"):
        getattr(cupy, name)


@pytest.mark.parametrize("name", ["RawKernel", "ElementwiseKernel", "random", "linalg", "fuse"])
def test_a_name_that_only_the_stand_in_lacks(name):
    with pytest.raises(AttributeError, match=f"cupy.{name} exists in CuPy .* not in the stand-in"):
        getattr(cupy, name)


def test_missing_attributes_say_who_lacks_them():
    with pytest.raises(AttributeError, match=r"cupy\.ndarray has no attribute 'ctypes'"):
        x().ctypes  # noqa: B018
    with pytest.raises(AttributeError, match="partition exists in CuPy, but"):
        x().partition  # noqa: B018
    with pytest.raises(AttributeError, match=r"cupy\.cuda has no attribute 'gpu'"):
        cupy.cuda.gpu  # noqa: B018
    with pytest.raises(AttributeError):
        x().note = 1


KEYWORDS = {
    "sum where": lambda: cupy.sum(x(), where=x() > 0),
    "sum initial": lambda: cupy.sum(x(), initial=0),
    "method where": lambda: x().sum(where=x() > 0),
    "max initial": lambda: x().max(initial=0),
    "mean where": lambda: cupy.mean(x(), where=True),
    "add where": lambda: cupy.add(x(), x(), where=x() > 0),
    "exp order": lambda: cupy.exp(x(), order="C"),
    "exp signature": lambda: cupy.exp(x(), signature="f->f"),
    "argsort stable": lambda: cupy.argsort(x(), stable=True),
    "sort order": lambda: x().sort(order="a"),
    "clip min": lambda: cupy.clip(x(), min=0, max=1),
    "reshape shape": lambda: cupy.reshape(x(), shape=(6,)),
    "take mode": lambda: cupy.take(x(), 0, mode="clip"),
    "einsum out": lambda: cupy.einsum("ij->i", x(), out=x()),
    "einsum order": lambda: cupy.einsum("ij->i", x(), order="C"),
    "count_nonzero keepdims": lambda: cupy.count_nonzero(x(), keepdims=True),
    "asarray like": lambda: cupy.asarray(1, like=None),
    "zeros device": lambda: cupy.zeros(3, device="cpu"),
    "astype casting": lambda: x().astype("f8", casting="safe"),
    "item position": lambda: x().item(0),
    "zeros_like subok": lambda: cupy.zeros_like(x(), subok=True),
    "add without": lambda: cupy.add(x()),
    "too many": lambda: cupy.exp(x(), x(), x()),
}


@pytest.mark.parametrize("name", KEYWORDS)
def test_a_keyword_that_cupy_lacks(name):
    with pytest.raises(TypeError):
        KEYWORDS[name]()


@pytest.mark.parametrize("kind", ["quicksort", "mergesort", "heapsort"])
def test_sorts_are_stable_or_default(kind):
    for sort in (cupy.sort, cupy.argsort, cupy.ndarray.sort, cupy.ndarray.argsort):
        with pytest.raises(ValueError, match="kind"):
            sort(x(), kind=kind)
    same(cupy.argsort(ints(1, 0, 1, 0), kind="stable"), np.array([1, 3, 0, 2]))


# Host arrays do not mix with device arrays

N = np.ones((2, 3), np.float32)
MIXED = {
    "x + n": lambda: x() + N,
    "n + x": lambda: N + x(),
    "x @ n": lambda: x() @ N.T,
    "n @ x": lambda: N.T @ x(),
    "n == x": lambda: x() == N,
    "x < n": lambda: x() < N,
    "x += n": lambda: x().__iadd__(N),
    "n += x": lambda: N.copy().__iadd__(x()) is NotImplemented and N.copy() + x(),
    "x + list": lambda: x() + [1, 2, 3],
    "list * x": lambda: [1, 2, 3] * x(),
    "x ** list": lambda: x() ** [1, 2, 3],
    "x + text": lambda: x() + "1",
    "x + None": lambda: x() + None,
    "add": lambda: cupy.add(x(), N),
    "add out": lambda: cupy.add(x(), x(), out=N.copy()),
    "sum of a host array": lambda: cupy.sum(N),
    "sum of a list": lambda: cupy.sum([1.0]),
    "sum out": lambda: cupy.sum(x(), axis=0, out=np.zeros(3, "f4")),
    "where": lambda: cupy.where(N > 0, x(), x()),
    "where y": lambda: cupy.where(x() > 0, x(), N),
    "concatenate": lambda: cupy.concatenate([x(), N]),
    "concatenate an array": lambda: cupy.concatenate(x()),
    "stack of numbers": lambda: cupy.stack([1.0, 2.0]),
    "einsum": lambda: cupy.einsum("ij,kj->ik", x(), N),
    "zeros_like": lambda: cupy.zeros_like(N),
    "index by a host array": lambda: x()[np.array([0, 1])],
    "index by a host mask": lambda: x()[N > 0],
    "index by a list": lambda: x()[[0, 1]],
    "assignment": lambda: x().__setitem__(slice(None), N),
    "assignment of a list": lambda: x().__setitem__(0, [1, 2, 3]),
    "take": lambda: cupy.take(x(), np.array([0])),
    "take_along_axis": lambda: cupy.take_along_axis(x(), np.zeros((2, 3), int), 1),
    "add.at": lambda: cupy.add.at(x(), np.array([0]), 1.0),
    "axis on the device": lambda: cupy.sum(x(), axis=ints(0)[0]),
    "shape on the host": lambda: cupy.zeros(np.array([2, 3])),
    "clip": lambda: cupy.clip(x(), N, None),
    "repeats": lambda: cupy.repeat(x(), np.array([1, 2]), axis=0),
    "fill": lambda: x().fill(N),
    "slice": lambda: x()[: ints(1)[0]],
    "range": lambda: range(ints(1)[0]),
}


@pytest.mark.parametrize("name", MIXED)
def test_host_arrays_and_lists_do_not_mix(name):
    with pytest.raises(TypeError):
        MIXED[name]()


NUMPY = {
    "exp": lambda: np.exp(x()),
    "add": lambda: np.add(x(), 1),
    "sum": lambda: np.sum(x()),
    "sqrt of 0-d": lambda: np.sqrt(x()[0, 0]),
    "concatenate": lambda: np.concatenate([x(), x()]),
    "where": lambda: np.where(x() > 0, 1, 0),
    "asarray": lambda: np.asarray(x()),
    "array": lambda: np.array([x(), x()]),
    "float32": lambda: np.float32(x()[0, 0]),
    "isfinite": lambda: np.isfinite(x()),
    "maximum.reduce": lambda: np.maximum.reduce(x()),
    "assignment": lambda: N.copy().__setitem__(Ellipsis, x()),
    "transpose": lambda: np.transpose(x()),
}


@pytest.mark.parametrize("name", NUMPY)
def test_numpy_takes_no_device_array(name):
    with pytest.raises(TypeError):
        NUMPY[name]()


def test_numpys_refusal_names_the_reason():
    with pytest.raises(TypeError, match="__array_ufunc__=None"):
        np.exp(x())
    with pytest.raises(TypeError, match=r"np\.sum got a device array: use .* xp"):
        np.sum(x())
    with pytest.raises(TypeError, match=r"use \.get\(\)"):
        np.asarray(x())


def test_numbers_mix_and_promote_as_in_cupy():
    n = floats(2, 3)
    for number in (2, 2.5, True, np.float32(2), np.float64(2), np.int64(3), 1j):
        same(x() + number, n + number)
        same(number - x(), number - n)
        same(number * x(), number * n)
    same(cupy.arange(3) / 2, np.arange(3) / 2)
    same(cupy.where(x() > 0, 1.0, 0.0), np.where(n > 0, 1.0, 0.0))
    same(cupy.where(x() > 0, x(), 0.0), np.where(n > 0, n, np.float32(0)))
    with pytest.raises(OverflowError):
        cupy.zeros(2, "uint8") + 300


def test_another_class_may_take_over_an_operator():
    class Wrapper:
        __array_ufunc__ = None

        def __radd__(self, other):
            return "taken"

    assert x() + Wrapper() == "taken"


# Where the host waits for the device

WAITS = {
    "item": lambda a: a[0, 0].item(),
    "tolist": lambda a: a.tolist(),
    "tobytes": lambda a: a.tobytes(),
    "get": lambda a: cupy.asnumpy(a),
    "float": lambda a: float(a[0, 0]),
    "int": lambda a: int(a[0, 0]),
    "complex": lambda a: complex(a[0, 0]),
    "bool": lambda a: "yes" if a[0, 0] else "no",
    "repr": lambda a: repr(a),
    "str": lambda a: str(a),
    "format": lambda a: f"{a[0, 0]:.3f}",
    "boolean mask": lambda a: a[cupy.isfinite(a)],
    "nonzero": lambda a: cupy.where(a > 0),
    "unique": lambda a: cupy.unique(a),
    "bincount": lambda a: cupy.bincount(ints(1, 1, 2)),
    "Stream.synchronize": lambda a: cupy.cuda.get_current_stream().synchronize(),
    "Device.synchronize": lambda a: a.device.synchronize(),
    "deviceSynchronize": lambda a: cupy.cuda.runtime.deviceSynchronize(),
}


@pytest.mark.parametrize("cause", WAITS)
def test_a_synchronization_is_counted_once(cause):
    before = strict_cupy.synchronizations.total()
    with count_synchronizations() as outer, count_synchronizations() as counter:
        WAITS[cause](x())
    assert counter == outer == {cause: 1}
    WAITS[cause](x())
    assert counter.total() == 1
    assert strict_cupy.synchronizations.total() == before + 2


def test_what_runs_on_the_device_does_not_wait():
    with count_synchronizations() as counter:
        a = cupy.asarray(floats(4, 3))
        a[1] = (a.sum(axis=0) / a.max() + cupy.exp(a[0])).astype("f4")
        a[ints(2, 3)] = a[ints(0, 9)]
        cupy.add.at(a, ints(0, 0), a[:2])
        b = cupy.where(a > 0, a, 0) @ a.T
        assert (b.shape, len(b), b.ndim, b.dtype, a.all().ndim) == ((4, 4), 4, 2, "f4", 0)
        copy.deepcopy(b.reshape(-1))
    assert counter.total() == 0
    same(pickle.loads(pickle.dumps(a)), a.get())


def test_a_mask_in_an_assignment_waits():
    a = x()
    with count_synchronizations() as counter:
        a[a < 0] = 0
    assert counter == {"boolean mask": 1}
    same(a, np.where(floats(2, 3) < 0, np.float32(0), floats(2, 3)))


def test_the_truth_of_many_elements_is_an_error():
    for a in (x(), cupy.zeros(0)):
        with pytest.raises(ValueError, match="truth"):
            bool(a)
    with pytest.raises(ValueError, match="item"):
        x().item()


# The module


def test_installed_puts_it_into_sys_modules_and_takes_it_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", marker := type(sys)("cupy"))
    monkeypatch.delitem(sys.modules, "cupy.cuda", raising=False)
    with installed() as yielded:
        assert importlib.import_module("cupy") is yielded is cupy
        assert importlib.import_module("cupy.cuda") is cupy.cuda
        assert importlib.util.find_spec("cupy") is not None
    assert sys.modules["cupy"] is marker
    assert "cupy.cuda" not in sys.modules
    with pytest.raises(RuntimeError), installed():
        raise RuntimeError
    assert sys.modules["cupy"] is marker


def test_devices_and_streams():
    runtime = cupy.cuda.runtime
    with cupy.cuda.Device(0) as device:
        assert x().device == device and device.id == 0
    with pytest.raises(runtime.CUDARuntimeError, match="InvalidDevice"), cupy.cuda.Device(1):
        pass
    assert runtime.getDeviceCount() == 1
    assert isinstance(runtime.getDeviceProperties(0)["name"], bytes)
    assert len(runtime.memGetInfo()) == 2 == len(device.mem_info)
    with cupy.cuda.Stream(non_blocking=True) as stream:
        assert cupy.cuda.get_current_stream() is stream
    assert cupy.cuda.get_current_stream() is cupy.cuda.Stream.null
    assert cupy.get_array_module(1, x()) is cupy
    assert cupy.get_array_module(N) is np
    assert cupy.__version__ == API["cupy_version"]
