"""Tests of changes in place: what the tape still needs raises, and views tell on each other."""

from __future__ import annotations

import copy
import re

import numpy as np
import pytest

from tests.engine.common import drawn, leaf
from tinygrad_llm import Tensor, detect_anomaly, no_grad
from tinygrad_llm import functional as F

HERE = re.escape(__file__)

CHANGES = {
    "x[...] = v": lambda x: x.__setitem__(Ellipsis, 7.0),
    "x[mask] = v": lambda x: x.__setitem__(x > -100.0, 7.0),
    "x += y": lambda x: x.__iadd__(1.0),
    "x -= y": lambda x: x.__isub__(1.0),
    "x *= y": lambda x: x.__imul__(2.0),
    "x /= y": lambda x: x.__itruediv__(2.0),
}

VIEWS = {
    "itself": lambda x: x,
    "detach": lambda x: x.detach(),
    "Tensor": lambda x: Tensor(x),
    "reshape": lambda x: x.reshape(6),
    "flatten": lambda x: x.flatten(),
    "transpose": lambda x: x.T,
    "swapaxes": lambda x: x.swapaxes(0, 1),
    "slice": lambda x: x[:, 1:],
    "step": lambda x: x[::-1],
    "integer": lambda x: x[0],
    "one element": lambda x: x[0, 1],
    "ellipsis": lambda x: x[..., 0],
    "new axis": lambda x: x[None],
    "expand_dims": lambda x: F.expand_dims(x, 0),
    "squeeze": lambda x: F.squeeze(x[None]),
    "split": lambda x: F.split(x, 3, axis=1)[1],
    "flip": lambda x: F.flip(x, 1),
    "einsum": lambda x: F.einsum("ij->ji", x),
    "view of a view of a view": lambda x: x.T[1:].reshape(2, 2)[0].detach(),
    "iteration": lambda x: next(iter(x)),
}

COPIES = {
    "copy": lambda x: x.copy(),
    "integers": lambda x: x[[0, 1]],
    "mask": lambda x: x[np.ones((2, 3), bool)],
    "reshape of a transposed": lambda x: x.T.reshape(6),
    "concatenate": lambda x: F.concatenate([x]),
    "add": lambda x: x + 0.0,
    "sum over no axis": lambda x: x.sum(()),
    "roll": lambda x: F.roll(x, 0, 0),
    "repeat": lambda x: F.repeat(x, 1, 0),
    "tril": lambda x: F.tril(x, 9),
    "clip": lambda x: F.clip(x, -9.0),
    "deepcopy": lambda x: copy.deepcopy(x.detach()),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changing_what_was_saved_makes_backward_raise(change):
    x = leaf(drawn(2, 3))
    y = x * x
    with no_grad():
        CHANGES[change](x)
    message = "multiply needs its input 0 for backward, .* changed in place since: change a copy"
    with pytest.raises(RuntimeError, match=message):
        y.sum().backward()
    assert x.grad is None


def test_changing_a_saved_output_makes_backward_raise():
    x = leaf(drawn(2, 3))
    y = F.exp(x)
    with no_grad():
        y *= 2.0
    with pytest.raises(RuntimeError, match="exp needs its output for backward"):
        y.sum().backward()


@pytest.mark.parametrize("view", VIEWS)
def test_a_change_through_a_view_is_seen_by_the_tape_of_the_base(view):
    x = leaf(drawn(2, 3))
    y = x * x
    with no_grad():
        v = VIEWS[view](x)
        assert np.shares_memory(v.data, x.data)
        v[...] = 7.0
    with pytest.raises(RuntimeError, match="changed in place"):
        y.sum().backward()


@pytest.mark.parametrize("view", VIEWS)
def test_a_change_of_the_base_is_seen_by_the_tape_of_a_view(view):
    x = leaf(drawn(2, 3))
    v = VIEWS[view](x.detach() if view in ("detach", "Tensor") else x)
    y = v * leaf(1.0)
    with no_grad():
        x[...] = 7.0
    with pytest.raises(RuntimeError, match="changed in place"):
        y.sum().backward()


def test_a_change_of_the_base_is_seen_by_a_broadcast_view():
    x = leaf(drawn(3))
    y = F.broadcast_to(x, (2, 3)) * leaf(1.0)
    with no_grad():
        x += 1.0
    with pytest.raises(RuntimeError, match="changed in place"):
        y.sum().backward()


@pytest.mark.parametrize("make", COPIES)
def test_a_change_of_a_copy_is_nobodys_business(make):
    x = leaf(drawn(2, 3))
    y = x * x
    with no_grad():
        c = COPIES[make](x)
        c[...] = 7.0
    y.sum().backward()
    assert np.array_equal(x.data, drawn(2, 3))
    assert np.allclose(x.grad.data, 2 * x.data, rtol=1e-15)


@pytest.mark.parametrize("change", CHANGES)
def test_changes_of_what_no_backward_needs_are_allowed(change):
    x, z = leaf(drawn(2, 3)), leaf(drawn(2, 3, seed=1))
    y = x + z
    s = F.exp(y)  # saves its output alone
    with no_grad():
        CHANGES[change](x)
        CHANGES[change](y)
    s.sum().backward()
    assert np.allclose(x.grad.data, np.exp(drawn(2, 3) + drawn(2, 3, seed=1)), rtol=1e-15)
    assert np.array_equal(x.grad.data, z.grad.data)


def test_a_changed_frozen_operand_raises_too():
    x, c = leaf([1.0, 2.0]), Tensor(np.array([3.0, 4.0]))
    y = x * c
    c += 1.0
    with pytest.raises(RuntimeError, match="multiply needs its input 1"):
        y.sum().backward()


def test_indices_are_kept_as_they_were_or_their_change_raises():
    x = leaf([1.0, 2.0, 3.0])
    for places in (Tensor([0, 1]), np.array([0, 1])):
        x.grad = None
        y = x[places]
        places += 1
        y.sum().backward()
        assert np.array_equal(x.grad.data, [1.0, 1.0, 0.0])
    mask = np.array([True, False, False])
    y = x[mask]
    mask[:] = True
    x.grad = None
    y.sum().backward()
    assert np.array_equal(x.grad.data, [1.0, 0.0, 0.0])


def takes(x, i):
    return F.take_along_axis(x, i, 0)


def embeds(x, i):
    return F.embedding(i, x.reshape(3, 1))


def scatters(x, i):
    return F.scatter_add(F.zeros(3, dtype=np.float64), i, x[:2], 0)


def classifies(x, i):
    return F.cross_entropy(F.stack([x, 2.0 * x]), i)


@pytest.mark.parametrize("use", [takes, embeds, scatters, classifies])
def test_changed_integer_inputs_raise(use):
    x, i = leaf([1.0, 2.0, 3.0]), Tensor([0, 1])
    y = use(x, i)
    i += 1
    with pytest.raises(RuntimeError, match="changed in place"):
        y.sum().backward()


def test_changed_places_of_topk_raise():
    values, places = F.topk(leaf([1.0, 2.0, 3.0]), 2)
    places -= 1
    with pytest.raises(RuntimeError, match=r"topk needs its output .* changed in place"):
        values.sum().backward()


def test_a_changed_condition_raises():
    x, c = leaf([1.0, 2.0]), Tensor([True, False])
    y = F.where(c, x, 0.0)
    c[1] = True
    with pytest.raises(RuntimeError, match="where needs its input 0"):
        y.sum().backward()


@pytest.mark.parametrize("change", CHANGES)
def test_a_leaf_on_the_tape_is_not_changed_in_place(change):
    x = leaf(drawn(2, 3))
    with pytest.raises(RuntimeError, match=r"would change a value on the tape.*no_grad\(\)"):
        CHANGES[change](x)
    assert np.array_equal(x.data, drawn(2, 3))


def test_assignment_of_taped_values_is_refused():
    x, v = Tensor(np.zeros(3)), leaf(1.0)
    with pytest.raises(RuntimeError, match=r"x\[\.\.\.\] = v would change .*where\(\)"):
        x[0] = v
    with no_grad():
        x[0] = v
    assert x.data[0] == 1.0


def test_augmented_assignment_off_the_tape_writes_into_the_same_array():
    x = Tensor(np.array([1.0, 2.0]))
    same, array = x, x.data
    x += Tensor(np.array([1.0, 1.0]))
    x -= 0.5
    x *= [2.0, 2.0]
    x /= np.array([1.0, 5.0])
    assert x is same and x.data is array
    assert np.allclose(array, [3.0, 1.0], rtol=1e-15)


def test_augmented_assignment_on_the_tape_makes_a_new_tensor():
    x = leaf([1.0, 2.0])
    y = before = x * 1.0
    y += 1.0
    y *= x
    assert y is not before and np.array_equal(before.data, [1.0, 2.0])
    y.sum().backward()
    assert np.array_equal(x.grad.data, 2 * x.data + 1)


def test_a_sum_that_takes_in_taped_values_goes_on_the_tape():
    x, total = leaf([1.0, 2.0]), F.zeros(2, dtype=np.float64)
    start = total
    for _ in range(3):
        total += x
    assert total is not start and not start.data.any()
    total.sum().backward()
    assert np.array_equal(x.grad.data, [3.0, 3.0])


def test_augmented_assignment_keeps_shape_and_dtype():
    x = Tensor([1, 2])
    with pytest.raises(ValueError, match=r"x \+= y: the result is float32\(2,\), x stays int64"):
        x += 0.5
    with pytest.raises(ValueError, match=r"x \*= y: the result is int64\(3, 2\), x stays"):
        x *= np.ones((3, 2), int)
    assert x.data.tolist() == [1, 2]


def test_the_step_of_an_optimizer_keeps_the_parameter():
    w, x = leaf([1.0, -2.0]), Tensor(np.array([3.0, 4.0]))
    same, array = w, w.data
    for _ in range(3):
        loss = ((w * x).sum() - 1.0) ** 2
        loss.backward()
        with no_grad():
            w -= 0.01 * w.grad
        w.grad = None
    assert w is same and w.data is array
    assert w.is_leaf and w.requires_grad
    expected = np.array([1.0, -2.0])
    for _ in range(3):
        expected -= 0.01 * 2 * (expected @ x.data - 1.0) * x.data
    assert np.allclose(w.data, expected, rtol=1e-14)


def test_a_step_between_forward_and_backward_raises():
    w = leaf([1.0, -2.0])
    loss = (w * w).sum()
    with no_grad():
        w -= 0.1
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


def test_accumulating_into_a_gradient_that_a_tape_needs_raises():
    x, w = leaf(2.0), leaf(3.0)
    (x * x).backward()
    y = x.grad * w
    (x * x).backward()  # adds into x.grad in place
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


def test_a_change_is_seen_by_a_taped_backward():
    x = leaf([1.0, 2.0])
    y = x * x
    with no_grad():
        x += 1.0
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward(np.ones(2), create_graph=True)


def test_a_change_between_first_and_second_derivative_raises():
    x = leaf([1.0, 2.0])
    (x**3).sum().backward(create_graph=True)
    with no_grad():
        x += 1.0
    with pytest.raises(RuntimeError, match="changed in place"):
        x.grad.sum().backward()


def test_overlapping_assignment_within_one_tensor():
    x = Tensor(np.arange(5.0))
    x[1:] = x[:-1]
    assert x.tolist() == [0.0, 0.0, 1.0, 2.0, 3.0]


def test_an_anomaly_block_names_the_line_of_the_op_that_lost_its_input():
    x = leaf([1.0])
    with detect_anomaly():
        y = x * x
        with no_grad():
            x += 1.0
        with pytest.raises(RuntimeError, match=rf"multiply, called at {HERE}:\d+ in test_an_ano"):
            y.backward()
