"""Tests of the layers, containers and activations: values, gradients, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.engine.common import drawn, leaf, same_bits
from tests.nn.common import numbers
from tinygrad_llm import Tensor, grad, manual_seed, nn, no_grad
from tinygrad_llm import functional as F
from tinygrad_llm.backend import stream
from tinygrad_llm.testing import strict_cupy

SHAPES = [(3,), (4, 3), (2, 4, 3), (2, 1, 4, 3), (0, 3), (2, 0, 3)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bias", [True, False])
def test_linear_is_x_w_plus_b_in_value_and_gradients(shape, bias):
    layer = nn.Linear(3, 2, bias=bias).astype("float64")
    x, g = leaf(drawn(*shape)), drawn(*shape[:-1], 2, seed=1)
    w = leaf(layer.weight.data)
    b = leaf(layer.bias.data if bias else np.zeros(2))
    y, plain = layer(x), x @ w + b
    assert y.shape == (*shape[:-1], 2)
    np.testing.assert_allclose(y.data, plain.data, rtol=1e-14, atol=1e-15)
    ours = grad(y, [x, *layer.parameters()], g)
    theirs = grad(plain, [x, w, b], g)
    for one, other in zip(ours, theirs):
        np.testing.assert_allclose(one.data, other.data, rtol=1e-13, atol=1e-15)
    assert len(ours) == (3 if bias else 2)


@pytest.mark.parametrize("sizes", [(0, 3), (3, 0), (0, 0)])
def test_linear_without_inputs_or_outputs(sizes):
    layer = nn.Linear(*sizes)
    y = layer(np.zeros((2, sizes[0]), np.float32))
    y.sum().backward()
    assert y.shape == (2, sizes[1]) and layer.weight.grad.shape == sizes
    assert layer.bias.grad.tolist() == [2.0] * sizes[1]


def test_linear_begins_uniform_within_one_over_the_root_of_its_inputs():
    manual_seed(0)
    layer = nn.Linear(100, 400)
    for p in (layer.weight, layer.bias):
        assert 0.099 < abs(p.data).max() <= 0.1 and p.dtype == np.float32
        # A uniform's sample variance has a standard error of √(0.8/n) of itself.
        expected = 0.1**2 / 3
        assert math.isclose(p.data.var(), expected, rel_tol=5 * math.sqrt(0.8 / p.size))
        assert abs(p.data.mean()) < 5 * math.sqrt(expected / p.size)
    assert layer.weight.shape == (100, 400) and layer.bias.shape == (400,)
    assert not np.array_equal(layer.weight.data[0], layer.bias.data)


def test_linear_takes_lists_integers_and_arrays_as_a_product_does():
    layer = nn.Linear(2, 2)
    expected = (np.array([[1.0, 2.0]], np.float32) @ layer.weight.data) + layer.bias.data
    for x in ([[1.0, 2.0]], [[1, 2]], np.array([[1, 2]]), np.float32([[1, 2]])):
        assert np.allclose(layer(x).data, expected, rtol=1e-6)
    x = np.array([[1.0, 2.0]])
    assert np.allclose((x @ layer.weight + layer.bias).data, expected, rtol=1e-6)
    assert np.allclose(layer(x).data, expected, rtol=1e-6)  # float64, as NumPy makes them


def test_linear_on_a_device_takes_arrays_from_the_host():
    with strict_cupy.installed():
        layer = nn.Linear(2, 2).to("cuda")
        assert layer(np.float32([[1, 2]])).device == "cuda:0"


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ((-1, 2), ValueError, "Linear: in_features -1 is below 0"),
        ((2, -1), ValueError, "Linear: out_features -1 is below 0"),
        ((2.5, 2), TypeError, r"Linear: in_features must be an integer, not 2\.5"),
        ((2, "3"), TypeError, "Linear: out_features must be an integer, not '3'"),
    ],
)
def test_linear_refuses_sizes_that_are_none(arguments, kind, message):
    with pytest.raises(kind, match=message):
        nn.Linear(*arguments)


def test_linear_refuses_inputs_that_do_not_fit():
    layer = nn.Linear(3, 2)
    with pytest.raises(ValueError, match=r"linear: x \(4, 2\) with a weight \(3, 2\).*expected"):
        layer(numbers(4, 2))
    with pytest.raises(TypeError, match=r"linear: float64 and float32 .*astype"):
        layer(Tensor(np.zeros((1, 3))))


# Embedding


def test_embedding_gives_rows_and_collects_gradients_of_repeated_ids():
    layer = nn.Embedding(5, 3).astype("float64")
    ids = np.array([[1, 4, 1], [0, 1, 4]])
    g = drawn(2, 3, 3)
    y = layer(ids)
    assert np.array_equal(y.data, layer.weight.data[ids])
    y.backward(g)
    expected = np.zeros((5, 3))
    for place in np.ndindex(2, 3):
        expected[ids[place]] += g[place]
    np.testing.assert_allclose(layer.weight.grad.data, expected, rtol=1e-15)
    assert not expected[[2, 3]].any() and expected[1].any()
    for shape in ((), (0,), (4,), (2, 3, 2)):
        assert layer(np.zeros(shape, int)).shape == (*shape, 3)


def test_the_padding_row_begins_as_zero_and_gets_no_gradient():
    layer = nn.Embedding(4, 2, padding_idx=2)
    assert layer.weight.data[2].tolist() == [0.0, 0.0] and layer.weight.data[[0, 1, 3]].all()
    layer([2, 1, 2, 0]).backward(np.ones((4, 2)))
    assert layer.weight.grad.tolist() == [[1, 1], [1, 1], [0, 0], [0, 0]]


def test_embedding_begins_standard_normal():
    manual_seed(0)
    weight = nn.Embedding(200, 100).weight.data
    assert weight.dtype == np.float32
    assert abs(weight.mean()) < 5 / math.sqrt(weight.size)
    assert math.isclose(weight.var(), 1.0, rel_tol=5 * math.sqrt(2 / weight.size))


@pytest.mark.parametrize("ids", [[4], [-1], [[0, 9]]])
def test_embedding_refuses_ids_outside(ids):
    with pytest.raises(IndexError, match=r"embedding: id -?\d is outside 0 … 3"):
        nn.Embedding(4, 2)(ids)


def test_embedding_refuses_what_is_no_id_or_no_size():
    with pytest.raises(TypeError, match="embedding: ids are float32; token ids are integers"):
        nn.Embedding(4, 2)([1.0])
    for padding in (-1, 4):
        with pytest.raises(IndexError, match=rf"padding_idx {padding} is outside 0 … 3"):
            nn.Embedding(4, 2, padding)
    with pytest.raises(TypeError, match=r"Embedding: padding_idx must be an integer, not 1\.0"):
        nn.Embedding(4, 2, 1.0)
    with pytest.raises(ValueError, match="Embedding: num_embeddings -1 is below 0"):
        nn.Embedding(-1, 2)
    with pytest.raises(TypeError, match="Embedding: embedding_dim must be an integer"):
        nn.Embedding(4, 2.0)


# Dropout


def test_dropout_works_in_training_alone():
    x, layer = numbers(50), nn.Dropout(0.5)
    before = stream("dropout").position
    assert same_bits(layer.eval()(x), x) and stream("dropout").position == before
    y = layer.train()(x)
    assert stream("dropout").position == before + 1
    kept = y.data != 0
    assert 5 < kept.sum() < 45 and np.array_equal(y.data[kept], 2 * x.data[kept])


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_dropout_has_its_mean_and_variance(p):
    manual_seed(0)
    y = nn.Dropout(p)(np.ones(1_000_000, np.float32)).data.astype(np.float64)
    assert abs(y.mean() - 1.0) < 0.01
    kept = 1 - p
    fourth = p + p**4 / kept**3  # central moment of a variable that is 0 or 1/kept
    error = math.sqrt((fourth - (p / kept) ** 2) / y.size)
    assert abs(y.var() - p / kept) < 3 * error + 1e-5
    assert np.unique(y).size == 2 and math.isclose(y.max(), 1 / kept, rel_tol=1e-4)


def test_dropout_has_the_same_mask_in_backward_and_another_one_in_the_next_call():
    manual_seed(0)
    layer, x = nn.Dropout(0.5), leaf(np.ones(200))
    y = layer(x)
    y.backward(np.full(200, 3.0))
    assert np.array_equal(x.grad.data, 3.0 * y.data)
    again = layer(x)
    assert not same_bits(again, y)
    manual_seed(0)
    assert same_bits(layer(x).detach(), y.detach())


def test_dropout_of_nothing_and_of_everything():
    x = numbers(20)
    assert same_bits(nn.Dropout(0.0)(x), x)
    assert not nn.Dropout(1.0)(x).data.any()


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
def test_dropout_refuses_what_is_no_probability(p):
    with pytest.raises(ValueError, match=f"Dropout: p is a probability, not {p}"):
        nn.Dropout(p)


# Flatten


@pytest.mark.parametrize(
    ("arguments", "shape"),
    [
        ((), (2, 60)),
        ((0,), (120,)),
        ((1, 2), (2, 12, 5)),
        ((0, 1), (6, 4, 5)),
        ((-2,), (2, 3, 20)),
        ((2, 2), (2, 3, 4, 5)),
        ((-4, -3), (6, 4, 5)),
    ],
)
def test_flatten(arguments, shape):
    x, g = leaf(drawn(2, 3, 4, 5)), drawn(*shape)
    y = nn.Flatten(*arguments)(x)
    assert y.shape == shape and np.array_equal(y.data.reshape(-1), x.data.reshape(-1))
    y.backward(g)
    assert np.array_equal(x.grad.data.reshape(-1), g.reshape(-1))


def test_flatten_of_empty_batches_and_lists():
    assert nn.Flatten()(np.zeros((0, 3, 4))).shape == (0, 12)
    assert nn.Flatten()(np.zeros((2, 0, 4))).shape == (2, 0)
    assert nn.Flatten()([[[1.0], [2.0]]]).tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.Flatten(), (3,), r"Flatten: axis 1 does not exist: the tensor has 1 dim"),
        (nn.Flatten(0, 3), (3, 2), r"Flatten: axis 3 does not exist"),
        (nn.Flatten(2, 1), (3, 2, 2), r"Flatten: axis 2 comes after axis 1 in \(3, 2, 2\)"),
    ],
    ids=["too few axes", "no such end", "wrong order"],
)
def test_flatten_refuses_axes_that_are_not_there(layer, shape, message):
    with pytest.raises(ValueError, match=message):
        layer(numbers(*shape))


# Sequential and ModuleList


def test_sequential_runs_one_after_the_other():
    manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    x = numbers(5, 3)
    assert same_bits(net(x), net[2](F.tanh(net[0](x))))
    assert nn.Sequential()(x) is x
    double = nn.Sequential(net[1], net[1])
    assert same_bits(double(x), F.tanh(F.tanh(x)))


def test_sequential_runs_what_it_holds_and_nothing_else():
    """An attribute beside the list belongs to the parameters, but is no step."""

    class Noted(nn.Sequential):
        def __init__(self, *modules):
            super().__init__(*modules)
            self.probe = nn.Linear(3, 1)

    net = Noted(nn.Tanh())
    assert len(net) == 1 and len(list(net.parameters())) == 2
    x = numbers(2, 3)
    assert same_bits(net(x), F.tanh(x))


@pytest.mark.parametrize("make", [lambda ms: nn.Sequential(*ms), nn.ModuleList])
def test_lists_of_modules_are_read_like_lists(make):
    modules = [nn.ReLU(), nn.Linear(1, 1), nn.Tanh(), nn.Identity()]
    held = make(modules)
    assert len(held) == 4 and list(held) == modules
    assert [held[i] for i in range(-4, 4)] == modules * 2
    assert held[np.int64(1)] is modules[1]
    for part in (slice(1, 3), slice(None, None, -1), slice(-2, None), slice(9, None)):
        assert list(held[part]) == modules[part] and type(held[part]) is type(held)
    assert next(held[1:3].named_parameters())[0] == "0.weight"
    assert held[1] in held and nn.ReLU() not in held


@pytest.mark.parametrize("make", [lambda ms: nn.Sequential(*ms), nn.ModuleList])
def test_append_and_errors(make):
    held = make([nn.ReLU()])
    name = type(held).__name__
    held.append(nn.Linear(1, 1))
    assert len(held) == 2 and [n for n, _ in held.named_parameters()] == ["1.weight", "1.bias"]
    for place in (2, -3):
        with pytest.raises(IndexError, match=f"{name}: no module {place} among 2"):
            held[place]
    for wrong in (F.relu, None, [nn.ReLU()], nn.ReLU):
        with pytest.raises(TypeError, match=f"{name}: takes modules, not "):
            held.append(wrong)
    assert len(held) == 2 and len(make([])) == 0
    for wrong in (1.0, "0"):
        with pytest.raises(TypeError, match=name):
            held[wrong]


def test_an_appended_module_runs():
    net = nn.Sequential()
    for _ in range(12):
        net.append(nn.Identity())
    net.append(nn.Tanh())  # "12" comes after "2", and after "11"
    assert same_bits(net(numbers(3)), F.tanh(numbers(3))) and len(net) == 13


# Activations

ACTIVATIONS = {
    "ReLU": (nn.ReLU(), F.relu),
    "Tanh": (nn.Tanh(), F.tanh),
    "Sigmoid": (nn.Sigmoid(), F.sigmoid),
    "SiLU": (nn.SiLU(), F.silu),
    "Softplus": (nn.Softplus(), F.softplus),
    "GELU": (nn.GELU(), F.gelu),
    "GELU tanh": (nn.GELU("tanh"), lambda x: F.gelu(x, "tanh")),
    "Softmax": (nn.Softmax(), lambda x: F.softmax(x, -1)),
    "Softmax axis": (nn.Softmax(0), lambda x: F.softmax(x, 0)),
    "LogSoftmax": (nn.LogSoftmax(), lambda x: F.log_softmax(x, -1)),
    "LogSoftmax axis": (nn.LogSoftmax(axis=0), lambda x: F.log_softmax(x, 0)),
    "Identity": (nn.Identity(), lambda x: x),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_their_functions(name):
    module, function = ACTIVATIONS[name]
    x, g = leaf(drawn(3, 4) * 3), drawn(3, 4, seed=1)
    y, expected = module(x), function(x)
    assert same_bits(y.detach(), expected.detach())
    assert np.array_equal(grad(y * 1.0, x, g).data, grad(expected * 1.0, x, g).data)
    assert list(module.parameters()) == []
    others = {n for n, (_, f) in ACTIVATIONS.items() if n != name}
    with no_grad():
        same = {n for n in others if np.array_equal(ACTIVATIONS[n][1](x).data, y.data)}
    assert same == set()


def test_gelu_refuses_an_unknown_approximation():
    with pytest.raises(ValueError, match="GELU: approximate must be 'none' or 'tanh', not 'fast'"):
        nn.GELU("fast")
