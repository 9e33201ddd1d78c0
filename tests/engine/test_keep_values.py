"""Tests of `keep_values`: what went through every node, kept to be looked at and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from tests.engine.common import drawn, leaf, nothing_left_behind, same_bits
from tinygrad_llm import Tensor, checkpoint, detect_anomaly, grad, keep_values, manual_seed, no_grad
from tinygrad_llm import functional as F
from tinygrad_llm.testing import strict_cupy


def node(x):
    """The node of a tensor."""
    return x._edge[0]


def kept(x):
    """What the node of a tensor kept."""
    return node(x).kept


def test_values_and_gradients_of_every_op():
    x, g = leaf(drawn(2, 3)), drawn(2, 3, seed=1)
    with keep_values():
        a = F.exp(x)
        y = F.sin(a) * a
    assert kept(a).gradients == (None,) and kept(y).gradients == (None,)
    y.backward(g)
    da = g * (np.cos(a.data) * a.data + np.sin(a.data))
    assert np.array_equal(kept(a).values[0], a.data) and len(kept(a).values) == 1
    np.testing.assert_allclose(kept(a).gradients[0], da, rtol=1e-14)
    assert np.array_equal(kept(y).values[0], y.data)
    assert np.array_equal(kept(y).gradients[0], g)
    np.testing.assert_allclose(x.grad.data, da * a.data, rtol=1e-14)


def test_the_gradient_is_the_whole_one_of_all_uses():
    x = leaf(2.0)
    with keep_values():
        a = x * 1.0
        y = a * 3.0 + a * 4.0 + a
    y.backward()
    assert kept(a).gradients[0] == 8.0


def test_several_outputs_each_have_their_own():
    x = leaf(drawn(6))
    with keep_values():
        a, b, c = F.split(x, 3)
    assert kept(a).gradients == (None, None, None)
    (a * 2.0 + c).backward(np.ones(2))
    record = kept(a)
    assert record is kept(b) is kept(c)
    assert [v.tolist() for v in record.values] == [v.tolist() for v in (a.data, b.data, c.data)]
    ga, gb, gc = record.gradients
    assert ga.tolist() == [2.0, 2.0] and gb is None and gc.tolist() == [1.0, 1.0]


def test_a_gradient_that_a_hook_replaced_is_the_one_that_went_on():
    x = leaf([1.0, 2.0])
    with keep_values():
        a = x * 3.0
    a.register_hook(lambda g: g * 10.0)
    a.sum().backward()
    assert kept(a).gradients[0].tolist() == [10.0, 10.0] and x.grad.tolist() == [30.0, 30.0]


def test_outside_the_block_and_under_no_grad_nothing_is_kept():
    x = leaf([1.0])
    before = x * 1.0
    with keep_values():
        inside = before * 2.0
        with no_grad():
            assert (x * 1.0)._edge is None
            with keep_values():
                assert (x * 1.0)._edge is None
    after = inside * 2.0
    after.backward()
    assert kept(before) is kept(after) is None and kept(inside) is not None
    assert kept(inside).gradients[0].tolist() == [2.0]


def test_leaves_are_left_alone():
    x = leaf([1.0])
    with keep_values():
        w = leaf([2.0])
        y = w * x
    y.backward()
    assert kept(w) is kept(x) is None
    assert node(x).op is None and node(x).tensor() is x
    del w
    assert node(y).parents[0][0].tensor() is None


def test_errors_and_nesting_restore_the_mode():
    x = leaf([1.0])
    with pytest.raises(ZeroDivisionError), keep_values():
        raise ZeroDivisionError
    assert kept(x * 1.0) is None
    with keep_values():
        with keep_values():
            pass
        assert kept(x * 1.0) is not None


@keep_values()
def decorated(x):
    """Keeps within each call."""
    return x * 2.0


def test_as_a_decorator():
    x = leaf([1.0])
    assert kept(decorated(x)) is not None and kept(decorated(x)) is not None
    assert kept(x * 1.0) is None


VIEWS = {
    "op": lambda x: x * 2.0,
    "reshape": lambda x: x.reshape(3, 2),
    "slice": lambda x: x[:, 1:],
    "copy": lambda x: x.copy(),
    "sum": lambda x: x.sum(),
}


@pytest.mark.parametrize("op", VIEWS)
def test_values_are_copies(op):
    x = leaf(drawn(2, 3))
    with keep_values():
        y = VIEWS[op](x)
    before = y.data.copy()
    assert not np.shares_memory(kept(y).values[0], y.data)
    assert not np.shares_memory(kept(y).values[0], x.data)
    assert type(kept(y).values[0]) is np.ndarray
    y.data[...] = 7.0
    x.data[...] = 7.0
    assert np.array_equal(kept(y).values[0], before)


def test_gradients_are_copies():
    """Of the gradient that came in, of each other, and of what the leaf collects."""
    x, g = leaf(drawn(2, 3)), Tensor(drawn(2, 3, seed=1))
    with keep_values():
        a = x + 0.0
        y = a + 0.0
    y.backward(g)
    arrays = [g.data, x.grad.data, kept(a).gradients[0], kept(y).gradients[0]]
    for i, one in enumerate(arrays):
        assert type(one) is np.ndarray
        assert not any(np.shares_memory(one, other) for other in arrays[:i])
    assert np.array_equal(kept(a).gradients[0], g.data)


def test_gradients_of_leaves_add_up_and_kept_ones_are_of_the_last_backward():
    x = leaf([1.0, 2.0])
    with keep_values():
        a = x * 3.0
        y = a.sum()
    y.backward(retain_graph=True)
    first = kept(a).gradients[0]
    y.backward(np.array(5.0))
    assert first.tolist() == [1.0, 1.0]
    assert kept(a).gradients[0].tolist() == [5.0, 5.0] and x.grad.tolist() == [18.0, 18.0]


def test_with_create_graph_gradients_are_arrays_off_the_tape():
    x = leaf([0.5, 2.0])
    with keep_values():
        a = x * x
        y = a * a
    (first,) = grad(y.sum(), [x], create_graph=True)
    assert type(kept(a).gradients[0]) is np.ndarray
    np.testing.assert_allclose(kept(a).gradients[0], 2 * x.data**2, rtol=1e-15)
    assert kept(first) is None
    (second,) = grad(first.sum(), [x])
    np.testing.assert_allclose(second.data, 12 * x.data**2, rtol=1e-14)


def test_a_taped_backward_within_the_block_is_kept_too():
    x = leaf([0.5, 2.0])
    with keep_values():
        (first,) = grad((x * x * x).sum(), [x], create_graph=True)
    np.testing.assert_allclose(kept(first).values[0], 3 * x.data**2, rtol=1e-15)


def test_grad_for_some_inputs_keeps_the_gradients_on_the_way():
    x, z = leaf([2.0]), leaf([3.0])
    with keep_values():
        a, b = x * 2.0, z * 2.0
        y = a * b
    assert grad(y, x).item() == 12.0
    assert kept(y).gradients[0].item() == 1.0 and kept(a).gradients[0].item() == 6.0
    assert kept(b).gradients == (None,)  # it is not on the way


def run(modes):
    """A net with dropout and a checkpoint under some modes; its nodes, in their order."""
    manual_seed(0)
    x, w = leaf(drawn(3, 4)), leaf(drawn(4, 4))
    for mode in modes:
        mode.__enter__()
    try:
        h = checkpoint(lambda x: F.dropout(F.tanh(x @ w), 0.5) * 2.0, x)
        y = (h * h).sum()
    finally:
        for mode in reversed(modes):
            mode.__exit__(None, None, None)
    y.backward()
    nodes, stack = {}, [node(y)]
    while stack:
        each = stack.pop()
        nodes[each.order] = each
        stack.extend(edge[0] for edge in each.parents if edge is not None)
    return x, w, y, [nodes[order] for order in sorted(nodes) if nodes[order].op]


@pytest.mark.parametrize(
    "modes", [[keep_values], [keep_values, detect_anomaly], [detect_anomaly, keep_values]]
)
def test_in_a_checkpoint_and_in_anomaly_mode_the_bits_are_the_same_and_all_is_kept(modes):
    plain = run([])
    found = run([mode() for mode in modes])
    (x, w, y, nodes), (x0, w0, y0, nodes0) = found, plain
    assert same_bits(x.grad, x0.grad) and same_bits(w.grad, w0.grad)
    assert same_bits(y.detach(), y0.detach())
    assert [n.op.name for n in nodes] == [n.op.name for n in nodes0]
    assert all(n.kept is None for n in nodes0)
    assert all(n.kept.values[0].shape == n.outputs[0][0] for n in nodes)
    assert all(n.kept.gradients[0].shape == n.outputs[0][0] for n in nodes)


def test_it_leaves_no_cycle_and_goes_with_the_tape():
    x = leaf(drawn(3))
    with nothing_left_behind(tensors=1), keep_values():
        F.sum(F.exp(x) * x).backward()


def test_on_a_device_arrays_stay_there():
    with strict_cupy.installed() as cupy:
        x = Tensor(drawn(3), requires_grad=True, device="cuda")
        with keep_values():
            a = x * 2.0
            y = a.sum()
        y.backward()
        assert type(kept(a).values[0]) is type(kept(a).gradients[0]) is cupy.ndarray
        assert kept(y).gradients[0].shape == () and kept(a).gradients[0].tolist() == [1.0] * 3
