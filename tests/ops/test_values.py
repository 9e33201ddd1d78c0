"""Values of the functions against NumPy, the standard library and definitions; float32."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm import Tensor
from tinygrad_llm import functional as F
from tinygrad_llm.ops import OPS
from tinygrad_llm.testing.raw import forward
from tinygrad_llm.testing.samples import SAMPLES, all_samples
from tinygrad_llm.testing.samples.registry import is_float
from tinygrad_llm.testing.strategies import arrays, broadcastable, shapes

close = np.testing.assert_allclose

UNARY = {
    "negative": (np.negative, {}),
    "exp": (np.exp, {"size": 100}),
    "log": (np.log, {"positive": True}),
    "log1p": (np.log1p, {"positive": True}),
    "expm1": (np.expm1, {"size": 100}),
    "sqrt": (np.sqrt, {"positive": True}),
    "sin": (np.sin, {}),
    "cos": (np.cos, {}),
    "tanh": (np.tanh, {}),
    "abs": (np.abs, {}),
    "sign": (np.sign, {}),
    "relu": (lambda x: np.where(x > 0, x, 0), {}),
    "sigmoid": (lambda x: 0.5 * (1 + np.tanh(x / 2)), {"size": 10}),
    "silu": (lambda x: x * 0.5 * (1 + np.tanh(x / 2)), {"size": 10}),
    "softplus": (lambda x: np.logaddexp(0, x), {}),
    "erf": (np.vectorize(math.erf, otypes=[float]), {}),
    "gelu": (np.vectorize(lambda x: 0.5 * x * (1 + math.erf(x / math.sqrt(2))), [float]), {}),
}
BINARY = {
    "add": (np.add, {}),
    "subtract": (np.subtract, {}),
    "multiply": (np.multiply, {}),
    "divide": (np.divide, {}),
    "maximum": (np.maximum, {}),
    "minimum": (np.minimum, {}),
    "power": (np.power, {"positive": True, "size": 10}),
}
REDUCED = {
    "sum": np.sum,
    "mean": np.mean,
    "var": np.var,
    "std": np.std,
    "max": np.max,
    "min": np.min,
    "prod": np.prod,
    "logsumexp": lambda x, **k: np.log(np.sum(np.exp(x), **k)),
    "norm": lambda x, **k: np.sqrt(np.sum(x * x, **k)),
}
SAME_NAME = [
    ("cumsum", {"axis": 1}),
    ("sort", {"axis": 0}),
    ("flip", {"axis": (0, 2)}),
    ("roll", {"shift": 2, "axis": 1}),
    ("roll", {"shift": -1}),
    ("tril", {"k": -1}),
    ("triu", {"k": 1}),
    ("repeat", {"repeats": 2, "axis": 1}),
    ("repeat", {"repeats": [1, 0, 2], "axis": 1}),
    ("pad", {"pad_width": ((1, 0), (0, 2), (1, 1)), "constant_values": 3.0}),
    ("transpose", {"axes": (1, 2, 0)}),
    ("swapaxes", {"axis1": 0, "axis2": -1}),
    ("expand_dims", {"axis": (0, 2)}),
    ("reshape", {"shape": (4, -1)}),
    ("broadcast_to", {"shape": (2, 2, 3, 4)}),
    ("argmax", {"axis": 2}),
    ("argmin", {"axis": 0}),
    ("argsort", {"axis": 1}),
    ("isfinite", {}),
]


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("name", UNARY)
@given(data=st.data())
def test_functions_of_one_number(name, data):
    reference, domain = UNARY[name]
    x = data.draw(arrays(data.draw(shapes()), **domain))
    close(getattr(F, name)(x).data, reference(x), rtol=4e-15, atol=1e-15)


@pytest.mark.parametrize("name", BINARY)
@given(data=st.data())
def test_functions_of_two_numbers(name, data):
    reference, domain = BINARY[name]
    a, b = (data.draw(arrays(s, **domain)) for s in data.draw(broadcastable()))
    y = getattr(F, name)(a, b)
    close(y.data, reference(a, b), rtol=1e-15)
    assert y.shape == np.broadcast_shapes(a.shape, b.shape)


@pytest.mark.parametrize("name", REDUCED)
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (2, 0, 1), ()])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions(name, axis, keepdims):
    x = random(2, 3, 4)
    y = getattr(F, name)(x, axis=axis, keepdims=keepdims)
    close(y.data, REDUCED[name](x, axis=axis, keepdims=keepdims), rtol=1e-14)


@pytest.mark.parametrize("name, arguments", SAME_NAME)
def test_functions_that_numpy_has_by_the_same_name(name, arguments):
    x = random(2, 3, 4)
    expected = getattr(np, name)(x, **arguments)
    assert np.array_equal(getattr(F, name)(x, **arguments).data, expected)


@pytest.mark.parametrize("sample", [s for s in all_samples() if not s.composite], ids=repr)
def test_float32_is_float64_to_its_precision(sample):
    for call in sample.calls():
        narrow = [x.astype(np.float32) if is_float(x) else x for x in call.arrays]
        wide = [x.astype(np.float64) if is_float(x) else x for x in narrow]
        ys, _ = forward(OPS[sample.op], narrow, call.constants)
        expected, _ = forward(OPS[sample.op], wide, call.constants)
        for y, e in zip(ys, expected):
            size = max(np.abs(e).max(initial=0.0), 1.0)
            close(y, e, rtol=0, atol=4 * 2.0**-23 * size)


def test_every_loss_has_an_independent_formula():
    for name in (
        "crossentropy",
        "weightedcrossentropy",
        "softcrossentropy",
        "squarederror",
        "bcewithlogits",
        "kldiv",
    ):
        assert any(c.reference for s in SAMPLES[name] for c in s.calls()), name


def test_erf_to_the_last_digits():
    x = np.concatenate([np.linspace(-7, 7, 4001), np.geomspace(1e-300, 1, 200)])
    close(F.erf(x).data, [math.erf(v) for v in x], rtol=2e-15)


def test_gelu_by_tanh_is_near_the_exact_one():
    x = np.linspace(-8, 8, 1001)
    t = np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)
    close(F.gelu(x, approximate="tanh").data, 0.5 * x * (1 + np.tanh(t)), rtol=1e-14, atol=1e-15)
    assert 1e-4 < np.abs((F.gelu(x) - F.gelu(x, approximate="tanh")).data).max() < 1e-3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_activations_are_finite_far_out(dtype):
    x = np.array([-1000.0, 0.0, 1000.0], dtype=dtype)
    close(F.sigmoid(x).data, [0.0, 0.5, 1.0])
    close(F.softplus(x).data, [0.0, math.log(2.0), 1000.0], rtol=1e-6)
    close(F.silu(x).data, [0.0, 0.0, 1000.0])
    close(F.gelu(x).data, [0.0, 0.0, 1000.0])
    close(F.gelu(x, approximate="tanh").data, [0.0, 0.0, 1000.0])


def test_small_sigmoids_keep_their_digits():
    x = np.array([-700.0, -40.0, -1.0])
    close(F.sigmoid(x).data, np.exp(x) / (1 + np.exp(x)), rtol=1e-15)


@pytest.mark.parametrize("classes", [2, 7, 50257])
def test_uniform_logits_cost_the_logarithm_of_the_number_of_classes(classes):
    logits = np.full((2, classes), 3.5)
    assert abs(F.cross_entropy(logits, [0, classes - 1]).item() - math.log(classes)) < 1e-9


def test_large_logits_give_finite_losses():
    logits = np.array([[-100.0, 100.0], [100.0, -100.0]])
    close(F.cross_entropy(logits, [0, 0], reduction="none").data, [200.0, 0.0])
    narrow = F.cross_entropy(logits.astype(np.float32), [0, 0], reduction="none")
    assert narrow.dtype == np.float32
    close(narrow.data, [200.0, 0.0])


@pytest.mark.parametrize("size", [1.0, 1e3, 1e6])
def test_rows_of_softmax_sum_to_1(size):
    x = random(20, 30) * size
    y = F.softmax(x).data
    close(y.sum(-1), 1.0, rtol=1e-14)
    assert (y >= 0).all()
    close(np.exp(F.log_softmax(x).data), y, rtol=1e-10, atol=1e-300)
    close(F.softmax(x + 17.0 * size).data, y, rtol=1e-8, atol=1e-300)


def test_cross_entropy_of_each_form_of_target_is_the_same():
    logits, labels = random(5, 4), np.array([3, 0, 1, 1, 2])
    onehot = np.eye(4)[labels]
    each = F.cross_entropy(logits, labels, label_smoothing=0.1)
    soft = F.cross_entropy(logits, onehot, label_smoothing=0.1)
    by_hand = F.cross_entropy(logits, onehot * 0.9 + 0.1 / 4)
    close(each.item(), soft.item(), rtol=1e-14)
    close(each.item(), by_hand.item(), rtol=1e-14)


def test_class_weights_weigh_the_mean():
    logits, labels, weight = random(3, 2), np.array([0, 1, 1]), np.array([1.0, 3.0])
    rows = F.cross_entropy(logits, labels, reduction="none").data
    expected = (rows * weight[labels]).sum() / weight[labels].sum()
    close(F.cross_entropy(logits, labels, weight=weight).item(), expected, rtol=1e-14)


def test_reductions_of_losses():
    a, b = random(2, 3), random(2, 3, seed=1)
    for loss in (F.mse_loss, lambda *k, **n: F.kl_div(k[0], np.abs(k[1]), **n)):
        each = loss(a, b, reduction="none").data
        close(loss(a, b).item(), each.mean(), rtol=1e-14)
        close(loss(a, b, reduction="sum").item(), each.sum(), rtol=1e-14)
    batch = F.kl_div(a, np.abs(b), reduction="batchmean").item()
    close(batch, F.kl_div(a, np.abs(b), reduction="sum").item() / 2, rtol=1e-14)


def test_binary_cross_entropy_is_the_definition():
    z, t = random(20), np.random.default_rng(1).random(20)
    p = 1 / (1 + np.exp(-z))
    expected = -(t * np.log(p) + (1 - t) * np.log(1 - p))
    close(F.binary_cross_entropy_with_logits(z, t, reduction="none").data, expected, rtol=1e-12)


@pytest.mark.parametrize(
    "a, b", [((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((4, 2, 3), (3, 5)), ((2, 3), (4, 3, 2))]
)
def test_matmul_follows_numpy(a, b):
    a, b = random(*a), random(*b, seed=1)
    y = F.matmul(a, b)
    close(y.data, a @ b, rtol=1e-13)
    assert y.shape == (a @ b).shape


@pytest.mark.parametrize("notation", ["ij,jk", "ij,jk->ki", "ji,jk->", "...j,jk->...k", "ij,kj->i"])
def test_einsum_follows_numpy(notation):
    a, b = random(3, 3), random(3, 3, seed=1)
    close(F.einsum(notation, a, b).data, np.einsum(notation, a, b), rtol=1e-13)


def test_split_concatenate_stack_and_topk():
    x = random(4, 6)
    assert np.array_equal(F.concatenate(F.split(x, [1, 4], 1), 1).data, x)
    assert np.array_equal(F.stack(F.split(x, 2, 1), 0).data, np.stack(np.split(x, 2, 1)))
    values, places = F.topk(x, 2)
    assert np.array_equal(values.data, -np.sort(-x)[:, :2])
    assert np.array_equal(np.take_along_axis(x, places.data, 1), values.data)


def test_scatter_add_adds_for_every_repetition():
    y = F.scatter_add(np.zeros((1, 3)), np.array([[2, 0, 2]]), np.array([[1.0, 2.0, 4.0]]), 1)
    assert y.data.tolist() == [[2.0, 0.0, 5.0]]
    assert F.scatter(np.array([1.0, 2.0]), (np.array([1, 1]),), (3,)).data.tolist() == [0, 3, 0]


@pytest.mark.parametrize("name", ["exp", "log", "sin", "cos", "tanh", "sqrt", "expm1", "log1p"])
def test_forward_takes_complex_numbers(name):
    """That is what the complex step needs: the same formula, analytically continued."""
    z = np.array([0.3 + 0.2j, 1.5 - 0.4j])
    (y,), _ = forward(OPS[name], [z], {})
    reference = {
        "expm1": lambda v: cmath.exp(v) - 1,
        "log1p": lambda v: cmath.log(1 + v),
    }.get(name) or getattr(cmath, name)
    close(y, [reference(v) for v in z], rtol=1e-14)


def test_dropout_keeps_the_mean_and_its_share():
    x = np.ones(200_000)
    y = F.dropout(x, 0.3).data
    assert set(np.unique(y)) == {0.0, y.max()}
    close(y.max(), 1 / 0.7, rtol=1e-4)
    close((y == 0).mean(), 0.3, atol=0.005)
    assert np.array_equal(F.dropout(x, 0.3, training=False).data, x)


def test_operators_are_the_functions():
    a, b = random(2, 3), random(2, 3, seed=1) + 5.0
    x, y = Tensor(a), Tensor(b)
    close((x + y - 2.0 * x / y + (-x) ** 2 - 1.0).data, a + b - 2 * a / b + a**2 - 1, rtol=1e-14)
    close((x @ y.T).data, a @ b.T, rtol=1e-14)
    close((2.0**x).data, 2.0**a, rtol=1e-15)
