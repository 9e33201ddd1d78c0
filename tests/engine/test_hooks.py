"""Tests of hooks on gradients, and of `retain_grad`."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

from tests.engine.common import drawn, leaf, nothing_left_behind
from tinygrad_llm import Tensor, grad
from tinygrad_llm import functional as F

GRAPH = pytest.mark.parametrize("create_graph", [False, True])


@GRAPH
def test_a_hook_on_a_leaf_runs_once_on_the_sum(create_graph):
    x, seen = leaf(drawn(3)), []
    x.register_hook(lambda g: seen.append(g))
    (x * x + 3.0 * x).sum().backward(create_graph=create_graph)
    assert len(seen) == 1 and isinstance(seen[0], Tensor)
    assert np.allclose(seen[0].data, 2 * x.data + 3, rtol=1e-15)
    assert np.allclose(x.grad.data, 2 * x.data + 3, rtol=1e-15)


@GRAPH
def test_a_hook_on_a_computed_tensor_runs_once_on_the_sum(create_graph):
    x, seen = leaf(drawn(3)), []
    h = F.exp(x)
    h.register_hook(lambda g: seen.append(g.data.copy()))
    (h * h + h[0]).sum().backward(create_graph=create_graph)
    expected = 2 * h.data + np.array([3.0, 0, 0])
    assert len(seen) == 1 and np.allclose(seen[0], expected, rtol=1e-15)


@GRAPH
def test_what_a_hook_returns_takes_the_gradients_place(create_graph):
    x = leaf(drawn(3))
    h = F.exp(x)
    h.register_hook(lambda g: 10.0 * g)
    h.sum().backward(create_graph=create_graph)
    assert np.allclose(x.grad.data, 10 * np.exp(x.data), rtol=1e-15)


@GRAPH
def test_hooks_run_in_their_order_each_on_what_the_last_one_gave(create_graph):
    x = leaf(2.0)
    x.register_hook(lambda g: g + 1.0)
    x.register_hook(lambda g: None)
    x.register_hook(lambda g: g * 10.0)
    (3.0 * x).backward(create_graph=create_graph)
    assert x.grad.item() == 40.0


def test_a_hook_that_is_taken_off_does_not_run():
    x, seen = leaf(2.0), []
    off = x.register_hook(lambda g: seen.append("first"))
    x.register_hook(lambda g: seen.append("second"))
    off()
    off()  # again: nothing happens
    (3.0 * x).backward()
    assert seen == ["second"]


def test_a_hook_may_take_itself_off():
    x, seen = leaf(2.0), []

    def once(g):
        seen.append(g.item())
        off()

    off = x.register_hook(once)
    x.register_hook(lambda g: seen.append("other"))
    for _ in range(2):
        (3.0 * x).backward()
    assert seen == [3.0, "other", "other"]


def test_a_hook_runs_in_every_backward():
    x, seen = leaf(2.0), []
    x.register_hook(lambda g: seen.append(g.item()))
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert seen == [4.0, 4.0]
    assert x.grad.item() == 8.0


def test_a_hook_of_a_leaf_has_second_derivatives():
    x = leaf(2.0)
    off = x.register_hook(lambda g: g * g)
    first = grad(x**3, x, create_graph=True)  # (3x²)² = 9x⁴
    off()
    assert np.isclose(first.item(), 144.0, rtol=1e-15)
    assert np.isclose(grad(first, x).item(), 36 * 8.0, rtol=1e-15)


def test_a_hook_of_a_computed_tensor_has_second_derivatives():
    x = leaf(0.5)
    h = x * x
    off = h.register_hook(lambda g: g * g)
    first = grad(F.exp(h), x, create_graph=True)  # 2x·e^(2x²)
    off()
    second = grad(first, x)
    e = np.exp(0.5)
    assert np.isclose(first.item(), e, rtol=1e-14)
    assert np.isclose(second.item(), (2 + 8 * 0.25) * e, rtol=1e-14)


def test_hooks_of_each_output_of_an_op_with_several():
    x, seen = leaf(drawn(4)), []
    parts = F.split(x, 2)
    parts[0].register_hook(lambda g: seen.append(("first", g.shape)))
    parts[1].register_hook(lambda g: g * 0.0)
    (parts[0].sum() + 2.0 * parts[1].sum()).backward()
    assert seen == [("first", (2,))]
    assert np.array_equal(x.grad.data, [1.0, 1.0, 0.0, 0.0])


def test_hooks_run_for_grad_too_but_not_off_the_way():
    x, z, seen = leaf(2.0), leaf(3.0), []
    x.register_hook(lambda g: seen.append("x"))
    z.register_hook(lambda g: seen.append("z"))
    grad(x * z, x)
    assert seen == ["x"]


@pytest.mark.parametrize("answer", [np.full(2, 5.0), [5.0, 5.0], np.full(2, 5, np.float32)])
@GRAPH
def test_a_hook_may_answer_with_an_array_and_the_dtype_stays(answer, create_graph):
    x = leaf([1.0, 2.0], np.float64)
    x.register_hook(lambda g: answer)
    x.sum().backward(create_graph=create_graph)
    assert x.grad.dtype == np.float64
    assert np.array_equal(x.grad.data, [5.0, 5.0])


def test_a_hook_on_float32_answering_float64_keeps_float32():
    x = leaf([1.0, 2.0], np.float32)
    x.register_hook(lambda g: g.astype(np.float64))
    (x * x).sum().backward()
    assert x.grad.dtype == np.float32


def test_a_hook_that_answers_with_another_shape_raises():
    x = leaf([1.0, 2.0])
    x.register_hook(lambda g: g.sum())
    with pytest.raises(ValueError, match=r"hook: returned shape \(\), the gradient \(2,\)"):
        x.sum().backward()


def test_a_hook_needs_a_tape():
    with pytest.raises(RuntimeError, match=r"register_hook: .*requires_grad=True"):
        Tensor([1.0]).register_hook(print)


def test_hooks_record_no_tape_without_create_graph():
    x, answers = leaf(2.0), []
    x.register_hook(lambda g: answers.append((x * g).requires_grad))
    (x * x).backward()
    assert answers == [False]


def test_a_hook_and_its_remover_make_no_cycle():
    x = leaf(drawn(3))
    with nothing_left_behind():
        h = F.exp(x)
        off = h.register_hook(lambda g: g)
        h.retain_grad()
        off()
        del h, off


def test_retain_grad_collects_for_a_computed_tensor():
    x = leaf(2.0)
    h = x * 3.0
    h.retain_grad()
    h.retain_grad()  # once is enough
    y = h * h
    y.backward(retain_graph=True)
    assert h.grad.item() == 12.0 and x.grad.item() == 36.0
    y.backward()
    assert h.grad.item() == 24.0  # it accumulates, as every .grad does


def test_retain_grad_under_create_graph_stays_on_the_tape():
    x = leaf(2.0)
    h = x * 3.0
    h.retain_grad()
    (h**3).backward(create_graph=True)
    assert np.isclose(grad(h.grad, x).item(), 3 * 6 * h.item(), rtol=1e-14)


def test_retain_grad_does_not_keep_its_tensor_alive():
    x = leaf(drawn(3))
    h = F.exp(x)
    h.retain_grad()
    gone, y = weakref.ref(h), (h * 2.0).sum()
    del h
    assert gone() is None
    y.backward()


def test_retain_grad_of_a_leaf_is_what_it_does_anyway():
    x = leaf(2.0)
    x.retain_grad()
    (x * x).backward()
    assert x.grad.item() == 4.0
