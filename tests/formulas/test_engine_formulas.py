"""Tests that the engine's gradients are the corrected forms, to 1e-10 in float64."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_llm import Tensor, grad
from tinygrad_llm import functional as F
from tinygrad_llm.formulas import FORMS, relative_error
from tinygrad_llm.formulas.backprop import draw_net
from tinygrad_llm.formulas.losses import draw_labels
from tinygrad_llm.formulas.neuron import activation_slope, off_kink, sigmoid

pytestmark = pytest.mark.parametrize("seed", range(20))


def leaf(array):
    """A float64 tensor that asks for its gradient."""
    return Tensor(np.array(array), requires_grad=True)


def same(tensor, array):
    """Whether the engine's gradient is the form's array, shape included."""
    assert tensor.shape == np.shape(array)
    return relative_error(np.asarray(array), tensor.numpy()) < 1e-10


@pytest.mark.formula("F05", "F06", "F07", "F08", "F09", "F10", "F11", "F12")
def test_engine_two_layer_chain(seed):
    rng = np.random.default_rng(seed)
    net = draw_net(rng, tuple(rng.integers(1, 6, size=3)), rows=int(rng.integers(1, 6)))
    W1, b1, W2, b2 = map(leaf, (net.W1, net.b1, net.W2, net.b2))
    Z1 = Tensor(net.X) @ W1 + b1
    hidden = F.tanh(Z1)
    Z2 = hidden @ W2 + b2
    Y = F.sigmoid(Z2)
    loss = 0.5 * ((Y - Tensor(net.T)) ** 2).sum()

    z2 = FORMS["F05"].corrected(net.hidden(), net.W2, net.b2)
    assert same(Z2, z2) and same(Y, FORMS["F06"].corrected(z2, "binary"))
    slope2, slope1 = activation_slope("sigmoid", z2), activation_slope("tanh", Z1.numpy())
    output_error, hidden_error = FORMS["F07"].corrected, FORMS["F08"].corrected
    rows = zip(sigmoid(z2) - net.T, slope2)
    delta2 = np.array([output_error(y_slope, np.diag(slope)) for y_slope, slope in rows])
    delta1 = hidden_error(delta2, net.W2, slope1)
    expected = (
        delta2,
        FORMS["F09"].corrected(net.hidden(), delta2).T,  # from (out, in) to the engine's (in, out)
        FORMS["F11"].corrected(delta2),
        delta1,
        FORMS["F10"].corrected(net.X, delta1).T,
        FORMS["F12"].corrected(delta1),
    )
    for gradient, form in zip(grad(loss, [Z2, W2, b2, Z1, W1, b1]), expected):
        assert same(gradient, form)


@pytest.mark.formula("F07")
def test_engine_cross_entropy_of_targets_that_do_not_sum_to_one(seed):
    rng = np.random.default_rng(seed)
    z, t = leaf(rng.normal(size=(1, 4))), rng.uniform(0.5, 1.5, size=(1, 4))
    y = F.softmax(z).numpy()[0]
    expected = FORMS["F07"].corrected(-t[0] / y, np.diag(y) - np.outer(y, y))
    assert same(grad(F.cross_entropy(z, Tensor(t)), z), expected[None])


@pytest.mark.formula("G03")
def test_engine_linear_layer(seed):
    rng = np.random.default_rng(seed)
    N, D, K = rng.integers(1, 6, size=3)
    X, W, b = leaf(rng.normal(size=(N, D))), leaf(rng.normal(size=(D, K))), leaf(rng.normal(size=K))
    cotangent = rng.normal(size=(N, K))
    gradients = grad(X @ W + b, [X, W, b], Tensor(cotangent))
    expected = FORMS["G03"].corrected(X.numpy(), W.numpy(), cotangent)
    assert all(same(gradient, form) for gradient, form in zip(gradients, expected))


@pytest.mark.formula("F23", "F24", "F25")
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_engine_binary_cross_entropy(seed, scale):
    rng = np.random.default_rng(seed)
    X, y, theta = rng.normal(size=(7, 3)), draw_labels(rng, 7), leaf(scale * rng.normal(size=3))
    z = Tensor(X) @ theta
    each = F.binary_cross_entropy_with_logits(z, Tensor(y), reduction="none")
    mean = F.binary_cross_entropy_with_logits(z, Tensor(y))
    assert same(each, FORMS["F23"].corrected(z.numpy(), y))
    assert same(mean, FORMS["F24"].corrected(z.numpy(), y))
    assert same(grad(mean, theta), FORMS["F25"].corrected(X, theta.numpy(), y))


@pytest.mark.formula("F47", "G02")
def test_engine_cross_entropy(seed):
    rng = np.random.default_rng(seed)
    Z, classes = leaf(rng.normal(size=(5, 4))), rng.integers(0, 4, size=5)
    Y, loss = np.eye(4)[classes], F.cross_entropy(Z, Tensor(classes))
    assert same(loss, FORMS["F47"].corrected(F.softmax(Z).numpy(), Y))
    assert same(grad(loss, Z), FORMS["G02"].corrected(Z.numpy(), Y))


@pytest.mark.formula("F46")
def test_engine_mean_squared_error(seed):
    prediction, y = np.random.default_rng(seed).normal(size=(2, 6))
    at = leaf(prediction)
    loss = F.mse_loss(at, Tensor(y))
    assert same(loss, FORMS["F46"].corrected(prediction, y))
    assert same(grad(loss, at), 2.0 * (prediction - y) / 6)


@pytest.mark.formula("G01", "F62")
@pytest.mark.parametrize("name", ["sigmoid", "tanh", "relu"])
def test_engine_activations(seed, name):
    rng = np.random.default_rng(seed)
    z, cotangent = leaf(off_kink(rng, (3, 4))), rng.normal(size=(3, 4))
    out = getattr(F, name)(z)
    assert same(out, FORMS["F62"].corrected(name, z.numpy()))
    expected = cotangent * FORMS["G01"].corrected(name, z.numpy())
    assert same(grad(out, z, Tensor(cotangent)), expected)


@pytest.mark.formula("G04")
def test_engine_embedding(seed):
    rng = np.random.default_rng(seed)
    table, ids = leaf(rng.normal(size=(6, 3))), rng.integers(0, 6, size=8)
    cotangent = rng.normal(size=(8, 3))
    gradient = grad(F.embedding(Tensor(ids), table), table, Tensor(cotangent))
    assert same(gradient, FORMS["G04"].corrected(ids, cotangent, 6))


@pytest.mark.formula("F48")
def test_engine_accumulates(seed):
    x, cotangent = np.random.default_rng(seed).normal(size=(2, 5))
    at = leaf(x)
    (at * at).backward(Tensor(cotangent))
    assert same(at.grad, FORMS["F48"].corrected([cotangent * x, cotangent * x]))
