"""gradcheck finds what is wrong with a gradient, says where, and refuses what it cannot judge."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tinygrad_llm import Tensor, grad
from tinygrad_llm import functional as F
from tinygrad_llm.backend import random
from tinygrad_llm.ops import Op
from tinygrad_llm.tensor import apply
from tinygrad_llm.testing import GradientError, gradcheck

pytestmark = pytest.mark.usefixtures("own_ops")


def drawn(*shape, seed=0):
    return Tensor(np.random.default_rng(seed).standard_normal(shape), requires_grad=True)


def exponential(wrong):
    """exp, whose backward gives `wrong(g, y)`."""

    class Exponential(Op):
        @staticmethod
        def forward(xp, x):
            y = xp.exp(x)
            return y, (y,)

        @staticmethod
        def backward(xp, g, saved, needs):
            return wrong(g, saved[0])

    return lambda x: apply(Exponential, x)


def test_a_right_gradient_of_every_order():
    for order in (1, 2, 3):
        assert gradcheck(exponential(lambda g, y: g * y), drawn(2, 3), order) < 1e-9


@pytest.mark.parametrize(
    "wrong",
    [
        lambda g, y: -g * y,
        lambda g, y: 2.0 * g * y,
        lambda g, y: g * y * y,
        lambda g, y: g + y,
        lambda g, y: g * y * (1.0 + 1e-5),
        lambda g, y: g * y * math.nan,
        lambda g, y: g * (y > 1.0),
    ],
)
def test_a_wrong_gradient(wrong):
    with pytest.raises(GradientError, match="order 1"):
        gradcheck(exponential(wrong), drawn(2, 3), order=1)


def test_one_wrong_element_is_named():
    spoiled = np.ones((2, 3))
    spoiled[1, 2] = 1.5
    x = drawn(2, 3)
    with pytest.raises(GradientError) as caught:
        gradcheck(exponential(lambda g, y: g * y * spoiled), x)
    error = caught.value
    assert (error.input, error.order, error.place) == ("input 0", 1, (1, 2))
    assert error.analytic == pytest.approx(1.5 * error.numeric)
    assert error.error == pytest.approx(1 / 3, rel=1e-3)
    assert "input 0" in str(error) and "(1, 2)" in str(error) and repr(error.numeric) in str(error)


def test_the_second_input_is_named():
    class Product(Op):
        @staticmethod
        def forward(xp, a, b):
            return a * b, (a, b)

        @staticmethod
        def backward(xp, g, saved, needs):
            _, b = saved
            return g * b, g * b

    with pytest.raises(GradientError, match="input 1, order 1"):
        gradcheck(lambda a, b: apply(Product, a, b), [drawn(2), drawn(2, seed=1)])


def test_a_cached_intermediate_shows_at_order_2():
    """An op that hides its derivative from the tape: σ(x)·x has another second derivative then."""

    class Sigmoid(Op):
        @staticmethod
        def forward(xp, x):
            y = 1.0 / (1.0 + xp.exp(-x))
            slope = y * (1.0 - y)
            return y, (lambda: slope,)  # in a function, which no guard of the engine looks into

        @staticmethod
        def backward(xp, g, saved, needs):
            return g * saved[0]()

    def product(x):
        return apply(Sigmoid, x) * x

    x = Tensor(np.array(0.3), requires_grad=True)
    right = grad(grad(F.sigmoid(x) * x, x, create_graph=True), x).item()
    wrong = grad(grad(product(x), x, create_graph=True), x).item()
    assert abs(right - wrong) > 1e-2
    assert gradcheck(product, x, order=1) < 1e-9
    with pytest.raises(GradientError, match="order 2") as caught:
        gradcheck(product, x)
    assert caught.value.numeric / caught.value.analytic == pytest.approx(right / wrong, rel=1e-6)


@pytest.mark.parametrize("hide", [lambda slope: slope, lambda slope: (1, (slope,))])
@pytest.mark.parametrize("x", [0.3, [0.3, 0.5]], ids=["0-d", "1-d"])
def test_a_saved_intermediate_is_refused(hide, x):
    class Sigmoid(Op):
        @staticmethod
        def forward(xp, x):
            y = 1.0 / (1.0 + xp.exp(-x))
            return y, (hide(y * (1.0 - y)),)

    with pytest.raises(TypeError, match="it saves an intermediate"):
        apply(Sigmoid, Tensor(np.array(x), requires_grad=True))


def test_a_cotangent_of_ones_would_pass_where_a_drawn_one_does_not():
    class Softmax(Op):
        @staticmethod
        def forward(xp, x):
            e = xp.exp(x)
            return e / e.sum(axis=-1, keepdims=True), ()

        @staticmethod
        def backward(xp, g, saved, needs):
            return 0.0 * g

    x = drawn(2, 4)
    ones = np.ones((2, 4))
    assert np.abs(grad(F.softmax(x), x, ones).data).max() < 1e-15
    assert not grad(apply(Softmax, x), x, ones).data.any()
    with pytest.raises(GradientError):
        gradcheck(lambda x: apply(Softmax, x), x)


def test_a_derivative_that_is_wrong_only_in_the_cotangent():
    def cut_off(g, y):
        return (g.detach() if isinstance(g, Tensor) else g) * y

    with pytest.raises(GradientError, match=r"cotangent 0 \(order 1\), order 2"):
        gradcheck(exponential(cut_off), drawn(3))


def test_many_elements_are_checked_along_random_directions():
    x, w = drawn(10, 12), drawn(12, 3)
    assert gradcheck(lambda x, w: F.tanh(x @ w), [x, w]) < 1e-8
    spoiled = np.ones((10, 12))
    spoiled[3, 4] = 1.01
    with pytest.raises(GradientError) as caught:
        gradcheck(exponential(lambda g, y: g * y * spoiled), x)
    assert caught.value.place is None


def test_several_outputs_empty_inputs_and_constants():
    x = drawn(3, 4)
    assert gradcheck(lambda x: (x * x, F.sum(x, 0)), x) < 1e-9
    assert gradcheck(lambda x: F.split(x, [1, 3], 1), x) < 1e-9
    assert gradcheck(lambda x: F.topk(x, 2), x) < 1e-9
    assert gradcheck(lambda x: F.sum(F.exp(x), 0), drawn(0, 2)) == 0.0
    assert gradcheck(lambda x: Tensor(np.ones(2)), x) == 0.0


def test_functions_that_bend_quickly_are_measured_with_a_finer_step():
    x = Tensor(np.array([300.0, 500.0]), requires_grad=True)
    assert gradcheck(F.sin, x) < 1e-6


def test_small_numbers():
    x = Tensor(np.array([1e-3, 4e-3]), requires_grad=True)
    assert gradcheck(lambda x: 1.0 / x + F.log(x), x) < 1e-6


def test_dropout_draws_the_same_mask_in_every_call():
    before = random.state()
    assert gradcheck(lambda x: F.dropout(x * x, 0.5) * F.dropout(x, 0.3), drawn(4, 5)) < 1e-8
    random.restore(before)


def test_the_inputs_are_left_alone():
    x = drawn(2, 3)
    before = x.data.copy()
    gradcheck(F.exp, x)
    assert x.grad is None
    assert np.array_equal(x.data, before)


@pytest.mark.parametrize(
    "inputs, error, message",
    [
        (Tensor([1.0], requires_grad=True), TypeError, r"float32.*astype\('float64'\)"),
        (Tensor(np.ones(2)), TypeError, "requires_grad=True"),
        ([drawn(2), Tensor(np.ones(2))], TypeError, "input 1 asks for no gradient"),
        ([np.ones(2)], TypeError, "ndarray: give Tensors"),
    ],
)
def test_inputs_that_it_refuses(inputs, error, message):
    with pytest.raises(error, match=message):
        gradcheck(F.exp, inputs)


def test_an_order_below_1():
    with pytest.raises(ValueError, match="order 0"):
        gradcheck(F.exp, drawn(2), order=0)
