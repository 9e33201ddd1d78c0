"""Tests of activation checkpoints: the same bits as without, for less memory."""

from __future__ import annotations

import contextlib
import tracemalloc

import numpy as np
import pytest

from tests.engine.common import drawn, leaf, nothing_left_behind, same_bits
from tinygrad_llm import Tensor, checkpoint, grad, hessian, jvp, manual_seed, no_grad
from tinygrad_llm import functional as F
from tinygrad_llm.backend import random, stream

W = drawn(4, 4)


def plain(fn, *inputs):
    """What a checkpoint must be the same as."""
    return fn(*inputs)


class Net:
    """Two layers with dropout, whose parameters are captured and not given."""

    def __init__(self):
        self.w1, self.w2 = leaf(W), leaf(W.T * 0.5)
        self.calls = 0

    def __call__(self, x):
        self.calls += 1
        h = F.dropout(F.tanh(x @ self.w1), 0.5)
        return x + F.dropout(F.gelu(h @ self.w2), 0.25)


def run(call, net, x, cotangent, create_graph=False):
    """Value and gradients of a net under `call`, and where its random stream stands then."""
    manual_seed(5)
    y = call(net, x)
    y.backward(cotangent, create_graph=create_graph)
    return [y, x.grad, net.w1.grad, net.w2.grad], stream("dropout").position


@pytest.mark.parametrize("create_graph", [False, True])
def test_values_gradients_and_random_numbers_are_the_same_bits(create_graph):
    results = []
    for call in (plain, checkpoint):
        net, x = Net(), leaf(drawn(3, 4))
        results.append(run(call, net, x, drawn(3, 4, seed=1), create_graph))
    (plain_tensors, plain_position), (tensors, position) = results
    assert all(map(same_bits, plain_tensors, tensors))
    assert position == plain_position == 2


def test_the_function_is_called_exactly_twice():
    net, x = Net(), leaf(drawn(3, 4))
    y = checkpoint(net, x)
    assert net.calls == 1
    y.sum().backward()
    assert net.calls == 2


def test_the_function_is_called_once_when_nothing_is_recorded():
    net, x = Net(), leaf(drawn(3, 4))
    with no_grad():
        y = checkpoint(net, x)
    assert net.calls == 1 and not y.requires_grad


def test_the_second_call_has_the_modes_of_the_first():
    x, modes = leaf(2.0), []

    def fn(x):
        modes.append((x * 1.0).requires_grad)
        with no_grad():
            c = x * x
        return F.exp(x * c)

    y = checkpoint(fn, x)
    with no_grad():
        y.backward()
    assert modes == [True, True]
    assert np.isclose(x.grad.item(), 4 * np.exp(8.0), rtol=1e-14)


def test_random_numbers_go_on_as_if_there_had_been_no_second_call():
    following = []
    for call in (plain, checkpoint):
        manual_seed(3)
        x = leaf(np.ones(50))
        y = call(lambda x: F.dropout(x) * F.exp(x), x)
        between = F.dropout(x)
        y.sum().backward()
        following.append([between, F.dropout(x)])
    assert all(map(same_bits, *following))


def test_another_seed_before_backward_does_not_change_the_mask():
    manual_seed(1)
    x = leaf(np.ones(200))
    y = checkpoint(lambda x: F.dropout(x) * 1.0, x)
    manual_seed(2)
    y.sum().backward()
    assert np.array_equal(x.grad.data, y.data)
    after = F.dropout(Tensor(np.ones(200)))
    manual_seed(2)
    assert same_bits(after, F.dropout(Tensor(np.ones(200))))


def test_a_stream_that_the_function_is_the_first_to_use():
    x = leaf(np.ones(200))
    random._streams.pop("of the test", None)
    y = checkpoint(lambda x: F.dropout(x, stream="of the test"), x)
    y.sum().backward()
    assert np.array_equal(x.grad.data, y.data)
    assert stream("of the test").position == 1


def test_checkpoints_nest():
    x = leaf(drawn(3, 4))
    inner, outer = Net(), Net()

    def nested(x):
        return outer(checkpoint(inner, x))

    tensors = []
    for call in (plain, checkpoint):
        for parameter in (x, inner.w1, inner.w2, outer.w1, outer.w2):
            parameter.grad = None
        inner.calls = outer.calls = 0
        manual_seed(0)
        y = call(nested, x)
        y.sum().backward()
        tensors.append([y, x.grad, inner.w1.grad, outer.w2.grad])
    assert all(map(same_bits, *tensors))
    assert inner.calls == outer.calls == 2


def test_several_inputs_and_outputs_and_constants():
    x, z = leaf(drawn(3)), leaf(drawn(3, seed=1))

    def fn(x, scale, z):
        return F.exp(x) * scale, [F.tanh(z) * x], "as it is"

    a, (b,), text = checkpoint(fn, x, 2.0, z)
    assert text == "as it is"
    (a.sum() + (b * b).sum()).backward()
    t = np.tanh(z.data)
    assert np.allclose(x.grad.data, 2 * np.exp(x.data) + 2 * t**2 * x.data, rtol=1e-14)
    assert np.allclose(z.grad.data, 2 * t * x.data**2 * (1 - t**2), rtol=1e-13)


def test_outputs_used_in_two_backwards():
    x, calls = leaf(2.0), []

    def fn(x):
        calls.append(1)
        return F.exp(x), F.sin(x)

    a, b = checkpoint(fn, x)
    a.backward()
    b.backward()
    assert np.isclose(x.grad.item(), np.exp(2) + np.cos(2), rtol=1e-14)
    assert len(calls) == 2


def test_retain_graph_computes_again_as_often_as_needed():
    x, calls = leaf(2.0), []

    def fn(x):
        calls.append(1)
        return F.exp(x) * x

    y = checkpoint(fn, x)
    for times in (1, 2, 3):
        y.backward(retain_graph=times < 3)
        assert np.isclose(x.grad.item(), times * 3 * np.exp(2), rtol=1e-14)
        assert len(calls) == 1 + times
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def test_grad_through_a_checkpoint():
    x, w = leaf(2.0), leaf(3.0)
    h = x * x
    y = checkpoint(lambda h: F.sin(h * w), h)
    dh, dw = grad(y, [h, w])
    assert np.isclose(dh.item(), 3 * np.cos(12), rtol=1e-14)
    assert np.isclose(dw.item(), 4 * np.cos(12), rtol=1e-14)
    assert x.grad is None and w.grad is None


def test_grad_inside_of_a_checkpoint():
    results = []
    for call in (plain, checkpoint):
        x, w = leaf(0.7), leaf(1.3)

        def fn(x):
            dx = grad((w * x) ** 3, x, create_graph=True)  # noqa: B023 (called within the loop)
            return dx * F.exp(x)

        y = call(fn, x)
        y.backward()
        results.append([y, x.grad, w.grad])
    assert all(map(same_bits, *results))


def test_backward_inside_of_a_checkpoint():
    x, inner = leaf(0.7), leaf(2.0)

    def fn(x):
        (inner * inner * F.exp(inner)).backward()
        return F.exp(x)

    y = checkpoint(fn, x)
    y.backward()
    assert np.isclose(x.grad.item(), np.exp(0.7), rtol=1e-15)
    assert np.isclose(inner.grad.item(), 2 * (4 + 4) * np.exp(2), rtol=1e-14)  # fn ran twice


def test_second_order_through_a_checkpoint():
    def fn(x):
        return F.sum(F.tanh(x * x) * F.exp(x))

    x, v = leaf(drawn(3)), Tensor(drawn(3, seed=1))
    checked = lambda x: checkpoint(fn, x)  # noqa: E731
    assert same_bits(hessian(fn, x), hessian(checked, x))
    assert same_bits(jvp(fn, x, v)[1], jvp(checked, x, v)[1])
    third = []
    for function in (fn, checked):
        first = grad(function(x), x, create_graph=True)
        second = grad(first.sum(), x, create_graph=True)
        third.append(grad(second.sum(), x))
    assert same_bits(*third)


def peak_of_a_deep_net(call):
    """The most memory that forward and backward of forty layers take beyond their start."""
    weights = [leaf(drawn(8, 8, seed=i) * 0.3) for i in range(40)]
    x = leaf(drawn(1000, 8))

    def segment(i):
        def layers(h):
            for w in weights[i : i + 8]:
                h = F.tanh(h @ w)
            return h

        return layers

    tracemalloc.start()
    try:
        h = x
        for i in range(0, 40, 8):
            h = call(segment(i), h)
        (h * h).sum().backward()
        return tracemalloc.get_traced_memory()[1], weights[0].grad
    finally:
        tracemalloc.stop()


def test_a_deep_net_takes_less_memory():
    (whole, expected), (part, found) = peak_of_a_deep_net(plain), peak_of_a_deep_net(checkpoint)
    assert same_bits(expected, found)
    assert part < 0.5 * whole


def test_nothing_outlives_a_checkpoint():
    x = leaf(drawn(3, 4))
    net = Net()
    with nothing_left_behind(tensors=3):  # three gradients
        checkpoint(net, x).sum().backward()
    with nothing_left_behind():
        checkpoint(net, x)


def test_an_error_in_the_second_call_comes_through_and_restores_chance():
    manual_seed(0)
    x, calls = leaf(np.ones(3)), []

    def fn(x):
        calls.append(1)
        y = F.dropout(x)
        if len(calls) == 2:
            raise ArithmeticError("the second time")
        return F.exp(y)

    y = checkpoint(fn, x)
    F.dropout(x)
    with pytest.raises(ArithmeticError, match="the second time"):
        y.sum().backward()
    assert stream("dropout").position == 2


@pytest.mark.parametrize("change", ["op", "shape", "fewer"])
def test_a_function_that_does_something_else_the_second_time_raises(change):
    x, calls = leaf(drawn(4)), []

    def fn(x):
        calls.append(1)
        if len(calls) == 1:
            return F.exp(F.sin(x)).sum()
        other = {"op": F.cos(x), "shape": F.sin(x[:2]), "fewer": x}[change]
        return F.exp(other).sum()

    y = checkpoint(fn, x)
    message = "checkpoint: the function ran other ops, or other shapes, the second time: it must"
    with pytest.raises(RuntimeError, match=message):
        y.backward()


def test_an_input_changed_in_place_raises():
    x = leaf([1.0, 2.0])
    y = checkpoint(lambda x: F.exp(x + 1.0), x)
    with no_grad():
        x += 1.0
    with pytest.raises(RuntimeError, match=r"checkpoint: .* changed in place since: change a copy"):
        y.sum().backward()


@pytest.mark.parametrize("asks", [True, False])
def test_a_captured_tensor_changed_in_place_raises(asks):
    """The op that reads it saves nothing, but the second call would read the new value."""
    x, w = leaf([1.0, 2.0]), Tensor(np.array([0.5, 0.5]), requires_grad=asks)
    y = checkpoint(lambda x: F.exp(x + w), x)
    with no_grad():
        w += 1.0
    with pytest.raises(RuntimeError, match=r"checkpoint: .* changed in place"):
        y.sum().backward()


def test_a_change_of_what_came_out_or_is_not_read_is_allowed():
    x, z = leaf([1.0, 2.0]), leaf([1.0, 2.0])

    def fn(x):
        h = x + 1.0
        return h, F.exp(h + 1.0)

    h, y = checkpoint(fn, x)
    with no_grad():
        h += 1.0
        z += 1.0
    y.sum().backward()
    assert np.allclose(x.grad.data, np.exp([3.0, 4.0]), rtol=1e-14)


def test_a_function_that_counts_in_a_captured_tensor_of_its_own():
    x, count = leaf([1.0, 2.0]), Tensor(np.array(0.0))

    def fn(x):
        with no_grad():
            count.__iadd__(1.0)
        return F.exp(x)

    checkpoint(fn, x).sum().backward()
    assert count.item() == 2.0
    assert np.allclose(x.grad.data, np.exp(x.data), rtol=1e-15)


def test_hooks_inside_run_once_in_a_backward():
    x, seen = leaf([1.0, 2.0]), []

    def fn(x):
        h = F.exp(x)
        with contextlib.suppress(RuntimeError):
            h.register_hook(lambda g: seen.append(g.tolist()))
        return h * 3.0

    checkpoint(fn, x).sum().backward()
    assert seen == [[3.0, 3.0]]


@pytest.mark.parametrize(
    "fn",
    [
        lambda x, c: x * (c * 1.0),
        lambda x, c: F.where(c > 0, x * x, x),
        lambda x, c: x * c.astype("float64"),
    ],
    ids=["product", "comparison", "cast"],
)
def test_a_captured_tensor_off_the_tape_must_stay_too(fn):
    x, c = leaf([1.0, 2.0]), Tensor(np.ones(2))
    y = checkpoint(lambda x: fn(x, c), x)
    c -= 2.0
    with pytest.raises(RuntimeError, match="checkpoint: a tensor that the function reads"):
        y.sum().backward()


def test_the_seed_of_a_single_stream_is_replayed_and_given_back():
    x = leaf(np.ones(64))
    stream("d").seed(5)
    y = checkpoint(lambda x: F.dropout(x, 0.5, stream="d"), x)
    stream("d").seed(8)
    y.sum().backward()
    assert np.array_equal(x.grad.data, y.data)
    after = F.dropout(x, 0.5, stream="d")
    stream("d").seed(8)
    assert same_bits(after.detach(), F.dropout(x, 0.5, stream="d").detach())
