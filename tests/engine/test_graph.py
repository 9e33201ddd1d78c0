"""Tests of the walk back: what is visited and how often, what is freed, and what it costs."""

from __future__ import annotations

import gc
import inspect
import sys
import weakref
from collections import Counter

import numpy as np
import pytest

from tests.engine.common import drawn, leaf, nothing_left_behind
from tinygrad_llm import Tensor, grad, graph
from tinygrad_llm import functional as F


def test_a_product_with_itself_gets_both_gradients():
    x = leaf([1.0, -2.0, 3.0])
    (x * x).sum().backward()
    assert np.array_equal(x.grad.data, 2 * x.data)


def test_gradients_accumulate_over_backwards_in_place():
    x = leaf([1.0, -2.0])
    (x * x).sum().backward()
    first = x.grad
    (3.0 * x).sum().backward()
    assert x.grad is first
    assert np.array_equal(x.grad.data, 2 * x.data + 3)


@pytest.mark.parametrize("times", [2, 3, 5])
def test_a_tensor_used_several_times_collects_all(times):
    x, v = leaf([1.0, -2.0]), drawn(2)
    total = x
    for k in range(1, times):
        total = total + float(k) * x
    total.backward(v)
    assert np.allclose(x.grad.data, v * (1 + sum(range(times))), rtol=1e-15)


def test_diamonds_inside_diamonds_count_every_path():
    x = leaf(1.5)
    y = x
    for _ in range(20):
        y = y + y
    y.backward()
    assert x.grad.item() == 2.0**20


def test_a_long_chain_needs_no_recursion_and_visits_every_node_once(visits):
    x = leaf(0.5)
    y = x
    for _ in range(10_000):
        y = y + 1e-4
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 40)
    try:
        y.backward()
        assert Counter(visits) == {("add", (True, False)): 10_000}
        assert x.grad.item() == 1.0
        del y
    finally:
        sys.setrecursionlimit(limit)


def test_an_unused_long_chain_is_deleted_without_recursion():
    y = leaf(0.5)
    for _ in range(200_000):
        y = -y
    del y


def test_a_residual_net_is_visited_in_linear_time(visits):
    x = leaf(drawn(3))
    y = x
    for _ in range(60):
        y = y + F.tanh(y)
    y.sum().backward()
    assert Counter(visit.op for visit in visits) == {"add": 60, "tanh": 60, "sum": 1}


def test_nodes_are_taken_in_reverse_order_of_creation(visits):
    x = leaf([0.1, 0.2])
    a, b = F.exp(x), F.tanh(x)
    c = F.sin(a)
    (b * c).sum().backward()
    assert [visit.op for visit in visits] == ["sum", "multiply", "sin", "tanh", "exp"]


def test_nothing_outlives_a_backward():
    x, w = leaf(drawn(4, 3)), leaf(drawn(3, 2))
    with nothing_left_behind(tensors=2):  # the two gradients
        h = F.tanh(x @ w)
        parts = F.split(F.concatenate([h, h * h]), 2)
        (parts[0][:, [0, 0, 1]].sum() + parts[1].mean()).backward()
        del h, parts


def test_a_leaf_goes_with_its_last_name():
    with nothing_left_behind():
        x = leaf(drawn(3))
        x.register_hook(lambda g: None)
        (x * x).sum().backward()
        del x


def test_nothing_outlives_a_graph_that_is_never_walked():
    x = leaf(drawn(4, 3))
    with nothing_left_behind():
        y = F.softmax(x * x)
        y.register_hook(lambda g: None)
        y.retain_grad()
        z = (y * y).sum()
        del y, z


def test_nothing_outlives_an_error_inside_backward():
    x = leaf(drawn(4))

    def stop(g):
        raise ArithmeticError("stop")

    def fail():
        y = F.exp(x)
        y.register_hook(stop)
        try:
            (y * y).sum().backward()
        except ArithmeticError:
            return
        pytest.fail("the error was swallowed")

    with nothing_left_behind():
        fail()
    assert x.grad is None


def test_nothing_outlives_a_taped_backward():
    x = leaf(drawn(4))
    with nothing_left_behind():
        (x * F.exp(x)).sum().backward(create_graph=True)
        (x.grad * x.grad).sum().backward()
        x.grad = None


def test_what_a_node_saved_is_freed_while_the_walk_goes_on():
    """Of twelve arrays that exp saved, at most two are left when the walk is through eight."""
    x = leaf(drawn(5))
    arrays, left = [], []
    y = x
    for i in range(12):
        y = F.exp(0.1 * y)
        arrays.append(weakref.ref(y.data))
        if i == 3:
            y.register_hook(lambda g: left.append(sum(ref() is not None for ref in arrays[4:])))
    y = y.sum()
    assert sum(ref() is not None for ref in arrays) == 12
    gc.disable()
    try:
        y.backward()
    finally:
        gc.enable()
    assert left[0] <= 2
    assert all(ref() is None for ref in arrays)


def test_retained_values_stay_until_the_graph_goes():
    x = leaf(drawn(5))
    y = F.exp(x)
    saved = weakref.ref(y.data)
    y = y.sum()
    y.backward(retain_graph=True)
    assert saved() is not None
    y.backward()
    assert saved() is None


def test_a_second_backward_says_what_to_do():
    x = leaf(2.0)
    y = F.exp(x)
    y.backward()
    message = "ran through exp a second time.*retain_graph=True.*compute the forward pass again"
    with pytest.raises(RuntimeError, match=message):
        y.backward()


def test_a_second_backward_through_a_part_of_a_freed_graph_raises():
    x = leaf(2.0)
    h = F.exp(x)
    (h * 2.0).backward()
    with pytest.raises(RuntimeError, match="second time"):
        (h * 3.0).backward()


def test_retain_graph_gives_the_same_gradient_again():
    x = leaf(drawn(3))
    y = (F.tanh(x) * x).sum()
    y.backward(retain_graph=True)
    first = x.grad.data.copy()
    y.backward(retain_graph=True)
    y.backward()
    assert np.allclose(x.grad.data, 3 * first, rtol=1e-15)


def test_only_the_nodes_on_the_way_to_the_inputs_are_visited(visits):
    x, z = leaf(drawn(3)), leaf(drawn(3))
    h = F.tanh(x)
    off_the_way = F.exp(F.sin(F.cos(z)))
    y = (F.exp(h) * off_the_way).sum()
    grad(y, h)
    assert [visit.op for visit in visits] == ["sum", "multiply", "exp"]
    assert visits[1].needs == (True, False)
    assert x.grad is None and z.grad is None


def test_nodes_that_grad_did_not_visit_can_be_walked_later():
    x, z = leaf(2.0), leaf(3.0)
    a, b = F.exp(x), F.exp(z)
    y = a * b
    (da,) = grad(y, [a], retain_graph=True)
    y.backward()
    assert da.item() == b.item()
    assert np.allclose([x.grad.item(), z.grad.item()], y.item())


@pytest.mark.parametrize(
    ("x_asks", "w_asks", "expected"), [(True, True, 2), (False, True, 1), (True, False, 1)]
)
def test_a_frozen_operand_costs_no_matrix_product(products, x_asks, w_asks, expected):
    x, w = Tensor(drawn(5, 3), requires_grad=x_asks), Tensor(drawn(3, 2), requires_grad=w_asks)
    y = x @ w
    products.clear()
    y.backward(np.ones((5, 2)), create_graph=True)  # taped: its products are ops that we can count
    assert len(products) == expected


def test_grad_of_one_layer_leaves_out_the_products_of_the_others(products):
    x, w1, w2 = Tensor(drawn(5, 3)), leaf(drawn(3, 4)), leaf(drawn(4, 2))
    y = F.tanh(x @ w1) @ w2
    products.clear()
    grad(y, w2, np.ones((5, 2)), create_graph=True)
    assert products == [((4, 5), (5, 2))]


def test_a_sum_of_gradients_aliases_then_allocates_then_adds_in_place():
    total, parts = graph.Accumulator(), [drawn(3, seed=i) for i in range(3)]
    arrays = []
    for part in parts:
        total.add(part, owned=False, in_place=True)
        arrays.append(total.value)
    assert arrays[0] is parts[0] and arrays[1] is arrays[2]
    assert np.array_equal(total.value, parts[0] + parts[1] + parts[2])
    assert all(np.array_equal(part, drawn(3, seed=i)) for i, part in enumerate(parts))


def test_a_fresh_gradient_becomes_the_grad_without_a_copy(monkeypatch):
    x, v = leaf(drawn(3)), Tensor(drawn(3))
    y = x * 2.0
    with monkeypatch.context() as patch:
        patch.delattr(np, "array")
        y.backward(v)
    assert np.array_equal(x.grad.data, 2 * v.data)


def test_several_outputs_get_zeros_for_those_that_nobody_used():
    x = leaf(drawn(6))
    _, middle, _ = F.split(x, 3)
    (middle * middle).sum().backward()
    assert np.allclose(x.grad.data, [0, 0, *2 * x.data[2:4], 0, 0], rtol=1e-15)


def test_integer_outputs_take_no_gradient():
    x = leaf([3.0, 1.0, 2.0])
    values, places = F.topk(x, 2)
    assert values.requires_grad and not places.requires_grad
    (values * np.array([5.0, 7.0])).sum().backward()
    assert np.array_equal(x.grad.data, [5.0, 0.0, 7.0])


@pytest.mark.parametrize(("M", "K", "N"), [(2, 0, 3), (2, 3, 0), (0, 3, 2), (0, 0, 0)])
@pytest.mark.parametrize("stack", [(), (2,), (0,)])
def test_products_without_elements_have_gradients_of_zeros(stack, M, K, N):
    a, b = leaf(np.ones((*stack, M, K))), leaf(np.ones((K, N)))
    (a @ b).sum().backward()
    assert np.array_equal(a.grad.data, np.full(a.shape, float(N)))
    assert np.array_equal(b.grad.data, np.full(b.shape, float(M) * np.prod(stack)))


def test_a_leaf_that_is_gone_is_passed_over():
    x, w = leaf(2.0), leaf(3.0)
    y = x * w
    del w
    y.backward()
    assert x.grad.item() == 3.0


def test_an_op_whose_gradient_has_another_shape_is_called_a_bug(monkeypatch):
    monkeypatch.setattr(F.transpose(leaf(drawn(2, 3)))._edge[0].op, "broadcasts", False)
    y = F.transpose(leaf(drawn(2, 3)))
    node = y._edge[0]
    monkeypatch.setattr(node.op, "backward", staticmethod(lambda xp, g, saved, needs: g))
    with pytest.raises(RuntimeError, match=r"bug in the backward of transpose.*\(3, 2\).*\(2, 3\)"):
        y.sum().backward()


def test_an_op_that_saves_an_intermediate_is_called_a_bug(monkeypatch):
    op = F.exp(leaf(1.0))._edge[0].op
    forward = staticmethod(lambda xp, x: (xp.exp(x), (x * 2.0 + np.zeros(1),)))
    monkeypatch.setattr(op, "forward", forward)
    with pytest.raises(TypeError, match="bug in the forward of exp: it saves an intermediate"):
        F.exp(leaf(1.0))


def test_a_failed_backward_can_be_told_from_a_second_one():
    x = leaf([1.0])
    y = x.detach()
    z = x * y
    y += 1.0
    for _ in range(2):
        with pytest.raises(RuntimeError, match="changed in place"):
            z.backward()
