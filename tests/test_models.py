"""Tests of the models: MLP by hand, how it begins, what it refuses, and XOR."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.engine.common import drawn
from tinygrad_llm import Tensor, grad, manual_seed, models, nn, optim
from tinygrad_llm import functional as F

X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], np.float32)
XOR = np.array([0, 1, 1, 0])

BY_HAND = {
    "relu": lambda z: np.maximum(z, 0.0),
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "gelu": lambda z: z * 0.5 * (1 + np.vectorize(math.erf, otypes=[float])(z / math.sqrt(2))),
    "silu": lambda z: z / (1 + np.exp(-z)),
    "linear": lambda z: z,
}


def kinds(mlp):
    """The layers by name."""
    return [type(layer).__name__ for layer in mlp.layers]


@pytest.mark.parametrize("activation", BY_HAND)
@pytest.mark.parametrize("rows", [(), (5,), (2, 3), (0,)])
def test_values_are_those_of_the_formula(activation, rows):
    mlp = models.MLP([3, 4, 5, 2], activation, initialization="pytorch").astype("float64")
    a = x = drawn(*rows, 3)
    linears = [layer for layer in mlp.layers if isinstance(layer, nn.Linear)]
    for i, layer in enumerate(linears):
        z = a @ layer.weight.data + layer.bias.data
        a = z if i == 2 else BY_HAND[activation](z)
    y = mlp(Tensor(x))
    assert y.shape == (*rows, 2)
    np.testing.assert_allclose(y.data, a, rtol=1e-13, atol=1e-14)


def test_gradients_of_a_tanh_network_by_hand():
    mlp = models.MLP([3, 4, 2], "tanh").astype("float64")
    x, g = drawn(5, 3), drawn(5, 2, seed=1)
    first, last = mlp.layers[0], mlp.layers[2]
    a = np.tanh(x @ first.weight.data + first.bias.data)
    delta = (g @ last.weight.data.T) * (1 - a**2)
    expected = [x.T @ delta, delta.sum(0), a.T @ g, g.sum(0)]
    found = grad(mlp(Tensor(x)), list(mlp.parameters()), g)
    for ours, theirs in zip(found, expected):
        np.testing.assert_allclose(ours.data, theirs, rtol=1e-12, atol=1e-14)


def test_names_and_layers():
    mlp = models.MLP([64, 128, 32, 10])
    assert kinds(mlp) == ["Linear", "ReLU", "Linear", "ReLU", "Linear"]
    assert [(n, p.shape) for n, p in mlp.named_parameters()] == [
        ("layers.0.weight", (64, 128)),
        ("layers.0.bias", (128,)),
        ("layers.2.weight", (128, 32)),
        ("layers.2.bias", (32,)),
        ("layers.4.weight", (32, 10)),
        ("layers.4.bias", (10,)),
    ]
    assert kinds(models.MLP((3, 2))) == ["Linear"]
    assert kinds(models.MLP([3, 2], dropout=0.5)) == ["Linear"]


def test_dropout_stands_after_each_activation_and_not_at_the_end():
    mlp = models.MLP([4, 5, 6, 3], "tanh", dropout=0.25)
    assert kinds(mlp) == ["Linear", "Tanh", "Dropout", "Linear", "Tanh", "Dropout", "Linear"]
    assert [layer.p for layer in mlp.layers if isinstance(layer, nn.Dropout)] == [0.25, 0.25]
    x = np.ones((2, 4), np.float32)
    assert not np.array_equal(mlp(x).data, mlp(x).data)
    mlp.eval()
    assert np.array_equal(mlp(x).data, mlp(x).data)


@pytest.mark.parametrize(
    ("activation", "initialization", "variance"),
    [
        ("relu", "auto", 2 / 200),
        ("gelu", "auto", 2 / 200),
        ("silu", "auto", 2 / 200),
        ("tanh", "auto", 2 / 500),
        ("sigmoid", "auto", 2 / 500),
        ("linear", "auto", 2 / 500),
        ("relu", "xavier", 2 / 500),
        ("tanh", "he", 2 / 200),
        ("relu", "pytorch", 1 / 600),
    ],
)
def test_how_it_begins(activation, initialization, variance):
    manual_seed(0)
    mlp = models.MLP([200, 300, 4], activation, initialization=initialization)
    weight = mlp.layers[0].weight.data
    assert math.isclose(weight.var(), variance, rel_tol=5 * math.sqrt(2 / weight.size))
    biases = [layer.bias.data for layer in mlp.layers if isinstance(layer, nn.Linear)]
    assert all(b.any() == (initialization == "pytorch") for b in biases)
    assert not np.array_equal(weight, models.MLP([200, 300, 4], activation).layers[0].weight.data)
    manual_seed(0)
    again = models.MLP([200, 300, 4], activation, initialization=initialization)
    assert np.array_equal(again.layers[0].weight.data, weight)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (([3],), ValueError, r"MLP: widths \[3\] need an input and an output"),
        (([],), ValueError, r"MLP: widths \[\] need an input and an output"),
        (([3, 2], "swish"), ValueError, "MLP: activation 'swish' is not one of relu, tanh, sig"),
        (([3, 2], "relu", 0.0, "zeros"), ValueError, "initialization 'zeros' is not one of auto"),
        (([3, 2], "relu", 1.5), ValueError, r"Dropout: p is a probability, not 1\.5"),
        (([3, 2], "relu", -0.5), ValueError, r"Dropout: p is a probability, not -0\.5"),
        (([3, 2.5],), TypeError, r"must be an integer, not 2\.5"),
        (([3, -2],), ValueError, "MLP: width -2 is below 1"),
        (([3, 0, 2],), ValueError, "MLP: width 0 is below 1"),
        ((3,), TypeError, "MLP: widths"),
        (("64",), TypeError, r"MLP: widths are a list such as .*, not '64'"),
        (([True, 2],), TypeError, "MLP: width must be an integer, not True"),
    ],
    ids=["one width", "no width", "activation", "initialization", "dropout above", "dropout below",
         "a fraction", "negative", "zero", "a number", "digits", "a truth value"],
)  # fmt: skip
def test_what_is_refused(arguments, kind, message):
    with pytest.raises(kind, match=message):
        models.MLP(*arguments)


def test_inputs_of_another_width_are_refused():
    with pytest.raises(ValueError, match=r"linear: x \(2, 4\) with a weight \(3, 5\)"):
        models.MLP([3, 5, 2])(np.zeros((2, 4), np.float32))


def solves_xor(seed):
    """Whether 200 steps of Adam put all four rows on their side."""
    manual_seed(seed)
    mlp = models.MLP([2, 8, 2], "tanh")
    optimizer = optim.Adam(mlp.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        F.cross_entropy(mlp(X), XOR).backward()
        optimizer.step()
    return bool((mlp(X).argmax(-1) == XOR).all())


def test_xor_is_solved_from_nine_of_ten_seeds():
    assert sum(map(solves_xor, range(10))) >= 9


def test_a_network_without_bend_cannot_solve_xor():
    manual_seed(0)
    mlp = models.MLP([2, 8, 2], "linear")
    optimizer = optim.Adam(mlp.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        loss = F.cross_entropy(mlp(X), XOR)
        loss.backward()
        optimizer.step()
    assert math.isclose(loss.item(), math.log(2), rel_tol=1e-3)
