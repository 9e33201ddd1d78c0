"""Tests of `grad`, higher derivatives, and of products with Jacobians and Hessians."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.common import drawn, leaf
from tinygrad_llm import Tensor, grad, hessian, jacobian, jvp, no_grad, vjp
from tinygrad_llm import functional as F


def test_grad_touches_no_grad_of_anybody():
    x, w = leaf(drawn(3)), leaf(drawn(3, seed=1))
    x.grad = kept = Tensor(np.ones(3))
    h = x * w
    found = grad((h * h).sum(), w)
    assert np.allclose(found.data, 2 * h.data * x.data, rtol=1e-14)
    assert x.grad is kept and np.array_equal(kept.data, np.ones(3))
    assert w.grad is None and h.grad is None


def test_grad_of_computed_inputs_and_of_the_output_itself():
    x = leaf(2.0)
    h = x * x
    y = F.exp(h)
    dy, dh, dx = grad(y, [y, h, x])
    assert dy.item() == 1.0
    assert np.isclose(dh.item(), math.exp(4), rtol=1e-15)
    assert np.isclose(dx.item(), 4 * math.exp(4), rtol=1e-15)


def test_grad_of_a_leaf_in_itself_is_its_cotangent():
    x, v = leaf(drawn(3)), drawn(3, seed=1)
    assert np.array_equal(grad(x, x, v).data, v)


def test_an_input_before_another_input_gets_its_whole_gradient():
    x = leaf(2.0)
    h = x * x
    dx, dh = grad(h * x, [x, h])
    assert dx.item() == 12.0 and dh.item() == 2.0


def test_grad_gives_one_result_for_every_input_named_twice():
    x = leaf(drawn(3))
    one, other = grad((x * x).sum(), [x, x])
    assert np.array_equal(one.data, 2 * x.data) and np.array_equal(other.data, 2 * x.data)


def test_grad_of_several_outputs_is_their_weighted_sum():
    x = leaf(drawn(3))
    v = drawn(3, seed=1)
    a, b = F.exp(x), (x * x).sum()
    found = grad([a, b, a], x, [Tensor(v), None, v])
    assert np.allclose(found.data, 2 * v * np.exp(x.data) + 2 * x.data, rtol=1e-14)


def test_grad_answers_as_it_was_asked():
    x = leaf(2.0)
    y = x * x
    assert isinstance(grad(y, x, retain_graph=True), Tensor)
    assert isinstance(grad(y, [x], retain_graph=True), tuple)
    assert isinstance(grad([y], (x,)), tuple)


def test_inputs_without_a_part_raise_or_give_none():
    x, z = leaf(2.0), leaf(3.0)
    y = x * x
    with pytest.raises(RuntimeError, match="do not depend on input 1; allow_unused=True"):
        grad(y, [x, z], retain_graph=True)
    dx, dz = grad(y, [x, z], allow_unused=True)
    assert dx.item() == 4.0 and dz is None


@pytest.mark.parametrize("v", [2.0, np.float64(2.0), np.array(2.0), Tensor(2.0), [Tensor(2.0)]])
def test_grad_outputs_may_be_anything_that_is_like_the_output(v):
    x = leaf(3.0)
    found = grad(x * x, x, v)
    assert found.item() == 12.0 and found.dtype == np.float64


def test_grad_outputs_of_one_output_may_be_its_array_or_list():
    x = leaf([3.0, 4.0])
    for v in (np.array([1.0, 2.0]), [1.0, 2.0], Tensor([1.0, 2.0])):
        assert np.array_equal(grad(x * x, x, v).data, [6.0, 16.0])


def test_a_gradient_has_the_dtype_of_its_tensor():
    x = leaf([1.0, 2.0], np.float32)
    y = x.astype(np.float64) * np.array([1.0, 3.0])
    y.backward(np.array([1.0, 2.0], dtype=np.float32))
    assert x.grad.dtype == np.float32
    assert grad(x * x, x, np.ones(2)).dtype == np.float32


def silu(x, order=0):
    """x·σ(x) and its first two derivatives."""
    s = 1 / (1 + math.exp(-x))
    s1 = s * (1 - s)
    return [x * s, s + x * s1, 2 * s1 + x * s1 * (1 - 2 * s)][order]


DERIVATIVES = {
    "x⁵": (lambda x: x**5, lambda x: [5 * x**4, 20 * x**3, 60 * x**2, 120 * x]),
    "x·x·x·x": (lambda x: x * x * x * x, lambda x: [4 * x**3, 12 * x**2, 24 * x, 24]),
    "exp": (F.exp, lambda x: [math.exp(x)] * 4),
    "sin": (F.sin, lambda x: [math.cos(x), -math.sin(x), -math.cos(x), math.sin(x)]),
    "cos": (F.cos, lambda x: [-math.sin(x), -math.cos(x), math.sin(x), math.cos(x)]),
    "log": (F.log, lambda x: [1 / x, -1 / x**2, 2 / x**3, -6 / x**4]),
    "1/x": (lambda x: 1.0 / x, lambda x: [-(x**-2), 2 * x**-3, -6 * x**-4, 24 * x**-5]),
    "x·e^x": (lambda x: x * F.exp(x), lambda x: [(x + n) * math.exp(x) for n in (1, 2, 3, 4)]),
    "√x": (F.sqrt, lambda x: [x**-0.5 / 2, -(x**-1.5) / 4, 3 * x**-2.5 / 8, -15 * x**-3.5 / 16]),
    "x²·σ(x)": (
        lambda x: x * F.silu(x),
        lambda x: [silu(x) + x * silu(x, 1), 2 * silu(x, 1) + x * silu(x, 2)],
    ),
    "2^x": (lambda x: 2.0**x, lambda x: [math.log(2) ** n * 2**x for n in (1, 2, 3, 4)]),
}


@pytest.mark.parametrize("at", [0.3, 1.7])
@pytest.mark.parametrize("name", DERIVATIVES)
def test_the_first_four_derivatives(name, at):
    function, derivatives = DERIVATIVES[name]
    x = leaf(at)
    y = function(x)
    for expected in derivatives(at):
        y = grad(y, x, create_graph=True)
        assert np.isclose(y.item(), expected, rtol=1e-12)


def test_backward_with_create_graph_leaves_gradients_on_the_tape():
    x = leaf(1.5)
    (x**3).backward(create_graph=True)
    assert x.grad.requires_grad
    second = grad(x.grad, x)
    assert np.isclose(second.item(), 6 * 1.5, rtol=1e-15)


def test_taped_gradients_accumulate_on_the_tape():
    x = leaf(1.5)
    (x**3).backward(create_graph=True)
    first = x.grad
    (x**2).backward()
    assert np.isclose(first.item(), 3 * 1.5**2, rtol=1e-15)
    assert np.isclose(x.grad.item(), 3 * 1.5**2 + 3.0, rtol=1e-15)
    assert np.isclose(grad(x.grad, x).item(), 9.0, rtol=1e-15)


def test_a_gradient_penalty_goes_into_the_parameters():
    """∂/∂w of ‖∂(wx)²/∂x‖² = (2w²x)² is 16w³x²."""
    x, w = leaf(0.7), leaf(1.3)
    dx = grad((w * x) ** 2, x, create_graph=True)
    (dx * dx).backward()
    assert np.isclose(w.grad.item(), 16 * 1.3**3 * 0.7**2, rtol=1e-14)


def test_create_graph_holds_within_no_grad():
    x = leaf(2.0)
    y = x**3
    with no_grad():
        first = grad(y, x, create_graph=True)
    assert np.isclose(grad(first, x).item(), 12.0, rtol=1e-15)


def test_taped_gradients_accumulate_within_no_grad():
    x = leaf(2.0)
    cube, square = x**3, x**2
    with no_grad():
        cube.backward(create_graph=True)
        square.backward(create_graph=True)
    assert np.isclose(grad(x.grad, x).item(), 14.0, rtol=1e-15)


def test_detached_factors_are_constants_in_every_order():
    """x and its detached twin are one memory; the tape must not take one for the other."""
    for twin in (lambda x: x.detach(), lambda x: Tensor(x), lambda x: Tensor(x.data)):
        x = leaf(3.0)
        for product in (x * twin(x), twin(x) * x):
            first = grad(product, x, create_graph=True)
            assert first.item() == 3.0
            assert not first.requires_grad or grad(first, x, allow_unused=True) is None
        x = leaf(2.0)
        quotient = x / twin(x)
        first = grad(quotient + x * x, x, create_graph=True)
        assert np.isclose(grad(first, x).item(), 2.0, rtol=1e-15)


def bent(x, y):
    """A scalar of two vectors with every mixed partial."""
    inner = F.tanh(x) * F.exp(-y * y) + F.sin(x * y) / (2.0 + x * x)
    return F.sum(inner) ** 2 + F.logsumexp(x + 2.0 * y)


vectors = st.lists(st.floats(-2.0, 2.0), min_size=3, max_size=3)


@given(vectors, vectors)
def test_mixed_partials_are_symmetric(xs, ys):
    x, y = leaf(xs), leaf(ys)
    H = hessian(bent, (x, y))
    scale = 1.0 + max(np.abs(block.data).max() for row in H for block in row)
    for i in range(2):
        for j in range(2):
            assert np.allclose(H[i][j].data, H[j][i].data.T, rtol=0, atol=1e-12 * scale)


@given(vectors, vectors)
def test_hessian_vector_products_agree_with_differences_of_gradients(xs, vs):
    x, v = leaf(xs), np.array(vs)
    y = Tensor(np.array([0.3, -0.2, 0.9]))
    first = grad(bent(x, y), x, create_graph=True)
    product = grad(first, x, v).data
    h = 1e-5
    ahead, behind = (grad(bent(s, y), s).data for s in (leaf(x.data + h * v), leaf(x.data - h * v)))
    scale = 1.0 + np.abs(hessian(lambda x: bent(x, y), x).data).max()
    assert np.allclose(product, (ahead - behind) / (2 * h), rtol=0, atol=1e-7 * scale)


def central(function, at, h=1e-6):
    """The Jacobian of an array function by central differences."""
    rows = []
    for i in range(at.size):
        step = np.zeros(at.size)
        step[i] = h
        step = step.reshape(at.shape)
        rows.append((function(at + step) - function(at - step)) / (2 * h))
    return np.moveaxis(np.array(rows), 0, -1).reshape(*rows[0].shape, *at.shape)


def test_jacobian_of_a_linear_function_is_its_matrix():
    A, x = drawn(3, 4), leaf(drawn(4))
    assert np.allclose(jacobian(lambda x: Tensor(A) @ x, x).data, A, rtol=1e-15)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0,), (2, 0)])
def test_jacobian_of_each_shape(shape):
    x = leaf(drawn(*shape))
    found = jacobian(lambda x: F.exp(x) * 2.0, x)
    assert found.shape == shape * 2 and found.dtype == np.float64
    expected = np.diag(2 * np.exp(x.data).ravel()).reshape(shape * 2)
    assert np.allclose(found.data, expected, rtol=1e-15)


def test_jacobian_of_two_inputs_of_different_shapes():
    x, y = leaf(drawn(2)), leaf(drawn(2, 3))
    Jx, Jy = jacobian(lambda x, y: F.tanh(x) @ y, (x, y))
    assert Jx.shape == (3, 2) and Jy.shape == (3, 2, 3)
    assert np.allclose(Jx.data, central(lambda a: np.tanh(a) @ y.data, x.data), atol=1e-9)
    assert np.allclose(Jy.data, central(lambda b: np.tanh(x.data) @ b, y.data), atol=1e-9)


def test_jacobian_with_create_graph_can_be_differentiated():
    x, w = leaf(drawn(2)), leaf(1.3)
    J = jacobian(lambda x: w * x**3, x, create_graph=True)
    (J * J).sum().backward()
    assert np.allclose(J.data, np.diag(3.9 * x.data**2), rtol=1e-14)
    assert np.allclose(w.grad.data, (18 * 1.3 * x.data**4).sum(), rtol=1e-13)
    assert np.allclose(x.grad.data, 36 * 1.3**2 * x.data**3, rtol=1e-13)


def test_jacobian_with_create_graph_needs_inputs_on_the_tape():
    with pytest.raises(RuntimeError, match=r"jacobian \(input\).*requires_grad=True"):
        jacobian(lambda x: x * x, Tensor([1.0]), create_graph=True)


def test_vjp_and_jvp_are_transposes_of_each_other():
    x, y = leaf(drawn(4)), leaf(drawn(4, seed=1))
    dx, dy, v = drawn(4, seed=2), drawn(4, seed=3), drawn(4, seed=4)

    def function(x, y):
        return F.sin(x * y) + x[::-1] ** 2

    value, (px, py) = vjp(function, (x, y), v)
    same, pushed = jvp(function, (x, y), (Tensor(dx), Tensor(dy)))
    assert np.array_equal(value.data, same.data)
    assert np.array_equal(value.data, np.sin(x.data * y.data) + x.data[::-1] ** 2)
    assert np.isclose((pushed.data * v).sum(), (px.data * dx + py.data * dy).sum(), rtol=1e-13)
    ahead, behind = (function(x + h * dx, y + h * dy) for h in (1e-6, -1e-6))
    assert np.allclose(pushed.data, (ahead.data - behind.data) / 2e-6, atol=1e-8)
    assert not value.requires_grad and not pushed.requires_grad and not px.requires_grad
    assert x.grad is None and y.grad is None


def test_vjp_and_jvp_of_several_outputs():
    x, v = leaf(drawn(3)), drawn(3, seed=1)

    def function(x):
        return x * x, F.exp(x), F.ones(3, dtype=np.float64)

    values, pulled = vjp(function, x, (v, 2 * v, 3 * v))
    assert len(values) == 3 and not any(value.requires_grad for value in values)
    assert np.allclose(pulled.data, v * 2 * x.data + 2 * v * np.exp(x.data), rtol=1e-14)
    _, pushed = jvp(function, x, Tensor(v))
    expected = [2 * x.data * v, np.exp(x.data) * v, np.zeros(3)]
    assert all(np.allclose(g.data, e, rtol=1e-14) for g, e in zip(pushed, expected, strict=True))


def test_vjp_takes_no_second_look_at_the_past_of_its_inputs():
    w = leaf(3.0)
    x = w * 2.0  # 6
    _, g = vjp(lambda x: x * x, x)
    assert g.item() == 12.0 and w.grad is None


def test_scalar_vjp_needs_no_v():
    value, g = vjp(lambda x: (x * x).sum(), leaf([1.0, 2.0]))
    assert value.item() == 5.0 and np.array_equal(g.data, [2.0, 4.0])


def quadratic(A):
    return lambda x: 0.5 * (x @ (Tensor(A) @ x))


def test_hessian_of_a_quadratic_form():
    A, x = drawn(4, 4), leaf(drawn(4))
    assert np.allclose(hessian(quadratic(A), x).data, (A + A.T) / 2, rtol=1e-13, atol=1e-14)


def test_hessian_of_two_inputs_has_a_block_for_each_pair():
    x, y = leaf(drawn(2)), leaf(drawn(2, 2))
    H = hessian(lambda x, y: (x @ y * y[0]).sum(), (x, y))
    assert [[block.shape for block in row] for row in H] == [
        [(2, 2), (2, 2, 2)],
        [(2, 2, 2), (2, 2, 2, 2)],
    ]
    assert np.array_equal(H[0][0].data, np.zeros((2, 2)))
    gradient = jacobian(lambda x: grad((x @ y * y[0]).sum(), y, create_graph=True), x)
    assert np.allclose(H[1][0].data, gradient.data, rtol=1e-14)


def test_hessian_of_a_function_that_captures_its_own_input():
    """f(q) = q·x·q at q = x, with x captured: a constant, so f″ = 2x and not 6x."""
    x = leaf(3.0)
    assert hessian(lambda q: q * x * q, x).item() == 6.0


def test_hessian_of_a_number_and_of_nothing():
    assert np.isclose(hessian(lambda x: x**3, leaf(2.0)).item(), 12.0, rtol=1e-15)
    assert hessian(lambda x: (x * x).sum(), leaf(np.zeros((0,)))).shape == (0, 0)


def test_functions_that_ignore_an_input_give_zeros_for_it():
    x, y = leaf(drawn(2)), leaf(drawn(3))

    def function(x, y):
        return (x * x).sum()

    zeros = np.zeros(3)
    assert np.array_equal(vjp(function, (x, y))[1][1].data, zeros)
    assert np.array_equal(jacobian(function, (x, y))[1].data, zeros)
    assert jvp(function, (x, y), (x.detach() * 0.0, y.detach()))[1].item() == 0.0
    H = hessian(function, (x, y))
    assert np.array_equal(H[0][0].data, 2 * np.eye(2))
    assert not H[0][1].data.any() and H[1][1].shape == (3, 3) and not H[1][1].data.any()


def test_constant_functions_give_zeros():
    x, c = leaf(drawn(2)), Tensor(np.array(3.0))
    assert not vjp(lambda x: c, x)[1].data.any()
    assert jvp(lambda x: c, x, x.detach())[1].item() == 0.0
    assert np.array_equal(jacobian(lambda x: c, x).data, np.zeros(2))
    assert np.array_equal(hessian(lambda x: c, x).data, np.zeros((2, 2)))


def test_linear_functions_have_a_hessian_of_zeros():
    assert not hessian(lambda x: (3.0 * x).sum(), leaf(drawn(2))).data.any()


def test_derivatives_of_functions_hold_within_no_grad():
    x = leaf([1.0, 2.0])
    with no_grad():
        assert np.array_equal(vjp(lambda x: (x * x).sum(), x)[1].data, [2.0, 4.0])
        assert jvp(lambda x: (x * x).sum(), x, Tensor(np.ones(2)))[1].item() == 6.0
        assert np.array_equal(jacobian(lambda x: x * x, x).data, np.diag([2.0, 4.0]))
        assert np.array_equal(hessian(lambda x: (x * x).sum(), x).data, 2 * np.eye(2))


def test_jvp_wants_a_direction_for_every_input():
    x, y = leaf([1.0, 2.0]), leaf(3.0)
    with pytest.raises(ValueError, match=r"jvp: directions of shapes \[\(\)\] .*\[\(2,\)\]"):
        jvp(lambda x: x * x, x, Tensor(1.0))
    with pytest.raises(ValueError, match="jvp: directions"):
        jvp(lambda x, y: x * y, (x, y), (x.detach(),))


def test_jvp_of_a_number_takes_a_number():
    assert jvp(lambda x: x * x, leaf(3.0), 2.0)[1].item() == 12.0


def test_outputs_may_be_a_generator_and_cotangents_must_be_a_list():
    x = leaf([1.0, 2.0])
    assert grad((y for y in (x[0], x[1])), x).tolist() == [1.0, 1.0]
    with pytest.raises(TypeError, match="grad_outputs for a list of outputs is a list"):
        grad([x[0], x[1]], x, Tensor(np.array([3.0, 4.0])))


def test_a_jacobian_is_of_one_output():
    with pytest.raises(TypeError, match="jacobian: the function must return one Tensor, not tuple"):
        jacobian(lambda x: (x, x), leaf([1.0]))
