"""Edges of what ops take: extreme integers, infinities, all letters in use, a taken name."""

from __future__ import annotations

from string import ascii_letters, ascii_lowercase

import numpy as np
import pytest

from tinygrad_llm import Tensor, grad
from tinygrad_llm import functional as F
from tinygrad_llm.ops import OPS, Op, elementwise

equal = np.testing.assert_array_equal
EXTREMES = {
    "uint8": [3, 0, 255, 3],
    "int8": [5, -128, 127, 5],
    "int64": [5, -(2**63), 2**63 - 1, 5],
    "bool": [True, False, True, True],
}


@pytest.mark.parametrize("dtype", EXTREMES)
def test_topk_of_dtypes_without_a_negative(dtype):
    x = np.array(EXTREMES[dtype], dtype)
    values, places = F.topk(Tensor(x), 4)
    equal(places.data, [0, 2, 3, 1] if dtype == "bool" else [2, 0, 3, 1])
    equal(values.data, x[places.data])
    assert values.dtype == dtype and places.dtype == np.int64


def test_topk_of_equal_values_on_an_inner_axis():
    x = np.array([[1.0, 2.0], [1.0, 2.0], [0.0, 3.0]])
    equal(F.topk(x, 3, 0)[1].data, [[0, 2], [1, 0], [2, 1]])


def test_the_class_that_the_loss_asks_for_may_not_be_impossible():
    logits = [[1.0, 2.0, -np.inf]]
    assert F.cross_entropy(logits, [0]).item() == pytest.approx(np.log(1.0 + np.e))
    assert F.cross_entropy(logits, [2]).item() == np.inf


@pytest.mark.parametrize("create_graph", [False, True])
def test_beside_infinity_logsumexp_has_gradient_0(create_graph):
    x = Tensor([[np.inf, 5.0], [5.0, 5.0]], requires_grad=True)
    with np.errstate(invalid="ignore"):  # ∞ − ∞ is meant
        y = F.logsumexp(x, 1)
        dx = grad(y, x, np.array([148.0, 2.0]), create_graph=create_graph).data
    assert y.data[0] == np.inf
    equal(dx, [[np.nan, 0.0], [1.0, 1.0]])


def test_logsumexp_of_nothing_but_minus_infinity_does_not_warn():
    assert F.logsumexp(np.full(3, -np.inf)).item() == -np.inf


def test_the_divergence_from_a_class_that_never_comes_does_not_warn():
    assert F.kl_div([-np.inf, -1.0], [0.0, 1.0], reduction="sum").item() == 1.0


@pytest.mark.parametrize("x", [-2.0, 0.0, 3.0])
def test_minus_abs_has_the_derivative_of_minus_abs(x):
    y = elementwise.minus_abs(np, np.array(x + 1e-30j))
    assert y.real == -abs(x)
    assert y.imag == pytest.approx(-1e-30 * np.sign(x) if x else 1e-30)


def test_a_diagonal_takes_a_letter_beyond_the_lower_case():
    a = Tensor(np.arange(4.0).reshape((2, 2) + (1,) * 25), requires_grad=True)
    y = F.einsum(f"a{ascii_lowercase}->{ascii_lowercase}", a)
    dx = grad(y, a, np.array([5.0, 7.0]).reshape(y.shape))
    equal(dx.data.reshape(2, 2), [[5.0, 0.0], [0.0, 7.0]])


def test_a_diagonal_when_all_letters_are_taken():
    a = np.ones((1,) * 53)
    with pytest.raises(ValueError, match=r"einsum: .*all 52 letters are in use"):
        F.einsum(f"a{ascii_letters}->{ascii_letters}", a)


@pytest.mark.parametrize("norm", [F.layer_norm, F.rms_norm, F.add_layer_norm, F.add_rms_norm])
def test_squares_beyond_float16_leave_a_gradient_when_a_graph_is_made(norm):
    values = 600 * np.random.default_rng(0).standard_normal((2, 4, 6))
    xs = values[: 2 if norm in (F.add_layer_norm, F.add_rms_norm) else 1]

    def slope(dtype, create_graph):
        inputs = [Tensor(x.astype(dtype), requires_grad=True) for x in xs]
        y = norm(*inputs)
        y = y[0] if isinstance(y, tuple) else y
        cotangent = np.arange(24.0).reshape(4, 6).astype(dtype)
        return grad(y, inputs[0], cotangent, create_graph=create_graph).data

    exact = slope("float64", False)
    for create_graph in (False, True):
        found = slope("float16", create_graph)
        assert found.dtype == np.float16
        np.testing.assert_allclose(found, exact, atol=0.01 * np.abs(exact).max())


@pytest.mark.usefixtures("own_ops")
def test_an_op_from_outside_does_not_displace_one_of_ours():
    ours = OPS["tanh"]

    class Tanh(Op):
        """A learner's own."""

    assert Tanh.name == "tanh" and OPS["tanh"] is ours


@pytest.mark.usefixtures("own_ops")
def test_an_op_from_outside_can_be_defined_again():
    def define() -> type[Op]:
        class Twice(Op):
            """As when a notebook cell runs a second time."""

        return Twice

    define()
    second = define()
    assert OPS["twice"] is second


@pytest.mark.usefixtures("own_ops")
def test_an_op_of_ours_takes_its_name_from_one_from_outside():
    define = "class Thrice(Op): '''An op.'''"
    exec(define, {"Op": Op, "__name__": "__main__"})
    exec(define, {"Op": Op, "__name__": "tinygrad_llm.ops.anywhere"})
    assert OPS["thrice"].__module__ == "tinygrad_llm.ops.anywhere"


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_the_mean_of_nothing_has_an_empty_gradient():
    x = Tensor(np.zeros((0, 3)), requires_grad=True)
    x.mean().backward()
    assert x.grad.shape == (0, 3)
