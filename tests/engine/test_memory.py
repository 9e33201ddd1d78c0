"""Tests that a `.grad` is nobody else's array: who writes into one changes nothing else."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from tests.engine.common import drawn, leaf
from tinygrad_llm import Tensor, checkpoint, grad
from tinygrad_llm import functional as F

INDEX = np.array([0, 0, 1])

GRAPHS = {
    "add": lambda a, b: a + b,
    "add itself": lambda a, b: a + a,
    "add three times": lambda a, b: a + a + a,
    "add a number": lambda a, b: a + 1.0,
    "subtract": lambda a, b: a - b,
    "negative": lambda a, b: -a,
    "multiply": lambda a, b: a * b,
    "multiply itself": lambda a, b: a * a,
    "broadcast": lambda a, b: a + b[0],
    "reshape": lambda a, b: a.reshape(3, 2),
    "reshape of a sum": lambda a, b: (a + b).reshape(6),
    "transpose": lambda a, b: a.T,
    "transpose twice": lambda a, b: a.T.T,
    "flip": lambda a, b: F.flip(a, 0),
    "concatenate": lambda a, b: F.concatenate([a, b]),
    "concatenate one twice": lambda a, b: F.concatenate([a, a]),
    "stack": lambda a, b: F.stack([a, b], axis=1),
    "split": lambda a, b: F.split(a, 3, axis=1)[1],
    "split and join": lambda a, b: F.concatenate(F.split(a + b, 3, axis=1), axis=1),
    "broadcast_to": lambda a, b: F.broadcast_to(a, (4, 2, 3)),
    "broadcast_to its own shape": lambda a, b: F.broadcast_to(a, (2, 3)),
    "getitem": lambda a, b: a[0],
    "getitem everything": lambda a, b: a[...],
    "getitem twice": lambda a, b: a[:, 0] + a[:, 1],
    "getitem by integers": lambda a, b: a[:, INDEX],
    "sum": lambda a, b: a.sum(0),
    "mean": lambda a, b: (a + b).mean(1, keepdims=True),
    "where": lambda a, b: F.where(a > 0, a, b),
    "astype": lambda a, b: a.astype(np.float64),
    "copy": lambda a, b: a.copy(),
    "exp": lambda a, b: F.exp(a),
    "clip": lambda a, b: F.clip(a, -9.0, 9.0),
    "matmul": lambda a, b: a @ b.T,
    "einsum": lambda a, b: F.einsum("ij->ji", a) + b.T,
    "roll": lambda a, b: F.roll(a, 0, 0),
    "pad": lambda a, b: F.pad(a, 0),
    "repeat": lambda a, b: F.repeat(a, 1, 0),
    "checkpoint": lambda a, b: checkpoint(lambda x: x + b, a),
    "the leaf itself": lambda a, b: a,
    "squeeze": lambda a, b: F.squeeze(a[None]) + F.expand_dims(b, 0)[0],
}


def arrays_of(a, b, v, y):
    """Every array that must not share memory with another."""
    return [a.data, b.data, v, *(x.grad.data for x in (a, b) if x.grad is not None)]


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("name", GRAPHS)
def test_gradients_share_memory_with_nothing(name, create_graph):
    a, b = leaf(drawn(2, 3)), leaf(drawn(2, 3, seed=1))
    y = GRAPHS[name](a, b)
    v = drawn(*y.shape, seed=2)
    y.backward(v, create_graph=create_graph)
    for one, other in combinations(arrays_of(a, b, v, y), 2):
        assert not np.shares_memory(one, other)
    if y is not a:
        assert not any(np.shares_memory(x.grad.data, y.data) for x in (a, b) if x.grad is not None)


@pytest.mark.parametrize("name", GRAPHS)
def test_writing_into_a_gradient_changes_no_later_backward(name):
    a, b = leaf(drawn(2, 3)), leaf(drawn(2, 3, seed=1))
    y = GRAPHS[name](a, b)
    value, v = y.data.copy(), Tensor(drawn(*y.shape, seed=2))
    y.backward(v, retain_graph=True)
    first = [x.grad.data.copy() for x in (a, b) if x.grad is not None]
    for x in (a, b):
        if x.grad is not None:
            x.grad.data[...] = np.nan
            x.grad = None
    y.backward(v, retain_graph=True)
    assert np.array_equal(y.data, value)
    second = [x.grad.data for x in (a, b) if x.grad is not None]
    assert all(map(np.array_equal, first, second))


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("name", GRAPHS)
def test_results_of_grad_share_memory_with_nothing(name, create_graph):
    a, b = leaf(drawn(2, 3)), leaf(drawn(2, 3, seed=1))
    h = a + 0.0
    y = GRAPHS[name](h, b)
    v = Tensor(drawn(*y.shape, seed=2))
    found = grad(y, [a, h, y, b, a], v, create_graph=create_graph, allow_unused=True)
    arrays = [a.data, b.data, v.data, *(g.data for g in found if g is not None)]
    for one, other in combinations(arrays, 2):
        assert not np.shares_memory(one, other)


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("on", ["leaf", "computed"])
def test_a_hook_cannot_reach_into_the_gradient_of_another(on, create_graph):
    a, b = leaf(drawn(3)), leaf(drawn(3, seed=1))
    h = a * 1.0
    seen = []

    def spoil(g):
        seen.append(g.data.copy())
        g.data[...] = np.nan

    (a if on == "leaf" else h).register_hook(spoil)
    v = drawn(3, seed=2)
    (h + b).backward(v.copy(), create_graph=create_graph)
    assert np.array_equal(a.grad.data, v) and np.array_equal(b.grad.data, v)
    assert len(seen) == 1 and np.array_equal(seen[0], v)


@pytest.mark.parametrize("create_graph", [False, True])
def test_what_a_hook_returns_is_copied(create_graph):
    a, b = leaf(drawn(3)), leaf(drawn(3, seed=1))
    kept = Tensor(np.ones(3))
    for x in (a, b):
        x.register_hook(lambda g: kept)
    (a * 2.0 + b * 3.0).backward(drawn(3), create_graph=create_graph)
    a.grad.data[...] = 7.0
    assert np.array_equal(kept.data, np.ones(3)) and np.array_equal(b.grad.data, np.ones(3))


@pytest.mark.parametrize("create_graph", [False, True])
def test_retained_gradients_are_arrays_of_their_own(create_graph):
    a = leaf(drawn(3))
    h = a + 1.0
    h.retain_grad()
    (h + 2.0).backward(drawn(3), create_graph=create_graph)
    h.grad.data[...] = np.nan
    assert np.array_equal(a.grad.data, drawn(3))


def test_a_user_gradient_is_neither_kept_nor_changed():
    x, v = leaf(drawn(3)), Tensor(drawn(3, seed=1))
    x.backward(v)
    x.backward(v)
    (x + x).backward(v)
    assert np.array_equal(v.data, drawn(3, seed=1))
    assert np.allclose(x.grad.data, 4 * v.data, rtol=1e-15)


def test_what_an_op_saved_is_not_changed_by_gradients_that_add_up():
    x, c = leaf(drawn(3)), Tensor(drawn(3, seed=1))
    kept = c.data.copy()
    y = x * c + x * c + c * x  # the gradient of x begins as a copy of what is saved
    y.backward(np.ones(3))
    assert np.array_equal(c.data, kept)
    assert np.allclose(x.grad.data, 3 * kept, rtol=1e-15)


def test_inputs_come_back_unchanged_from_forward_and_backward():
    for name, function in GRAPHS.items():
        a, b = leaf(drawn(2, 3)), leaf(drawn(2, 3, seed=1))
        function(a, b).sum().backward()
        assert np.array_equal(a.data, drawn(2, 3)), name
        assert np.array_equal(b.data, drawn(2, 3, seed=1)), name


def test_a_grad_that_is_its_own_cotangent_does_not_reach_others():
    b, a = leaf([1.0]), leaf([1.0])
    a.grad = Tensor(np.ones(1))
    (a + b).backward(a.grad)
    assert a.grad.tolist() == [2.0] and b.grad.tolist() == [1.0]


def test_a_grad_that_a_hook_returns_does_not_reach_others():
    b, a = leaf([1.0]), leaf([1.0])
    a.grad = Tensor(np.ones(1))
    y = a + b
    y.register_hook(lambda g: a.grad)
    y.backward(np.array([5.0]))
    assert a.grad.tolist() == [2.0] and b.grad.tolist() == [1.0]
