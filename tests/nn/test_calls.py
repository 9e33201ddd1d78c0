"""Tests of calls: hooks, what the tape notes of them, and that it keeps no module alive."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from tests.engine.common import leaf, nothing_left_behind
from tests.nn.common import Net, numbers, values
from tinygrad_llm import Tensor, checkpoint, detect_anomaly, manual_seed, nn, no_grad
from tinygrad_llm import functional as F

# Forward hooks


def test_a_hook_sees_module_inputs_and_output_in_the_order_of_registration():
    seen = []
    layer = nn.Linear(2, 2)
    layer.register_forward_hook(lambda *given: seen.append(("first", *given)))
    layer.register_forward_hook(lambda *given: seen.append(("second", *given)))
    x = numbers(1, 2)
    y = layer(x)
    (one, module, inputs, output), (two, *_) = seen
    assert (one, two) == ("first", "second")
    assert module is layer and inputs[0] is x and len(inputs) == 1 and output is y


def test_what_a_hook_returns_takes_the_place_of_the_output():
    layer, seen = nn.Identity(), []
    layer.register_forward_hook(lambda m, i, y: y + 1.0)
    layer.register_forward_hook(lambda m, i, y: seen.append(y.item()))
    layer.register_forward_hook(lambda m, i, y: y * 10.0)
    assert layer(Tensor(2.0)).item() == 30.0 and seen == [3.0]


def test_a_hook_may_answer_with_zero():
    layer = nn.Identity()
    layer.register_forward_hook(lambda m, i, y: 0)
    assert layer(5) == 0


def test_hooks_come_off():
    layer, seen = nn.Identity(), []
    one = layer.register_forward_hook(lambda *_: seen.append(1))
    two = layer.register_forward_hook(lambda *_: seen.append(2))
    one()
    layer(0)
    assert seen == [2]
    one()
    two()
    layer(0)
    assert seen == [2]


def test_a_hook_that_is_registered_twice_comes_off_once_at_a_time():
    layer, seen = nn.Identity(), []

    def hook(*_):
        seen.append(1)

    first = layer.register_forward_hook(hook)
    second = layer.register_forward_hook(hook)
    layer(0)
    first()
    layer(0)
    assert len(seen) == 3
    second()
    layer(0)
    assert len(seen) == 3


def test_a_hook_may_take_itself_off_within_its_call():
    layer, seen, remove = nn.Identity(), [], []

    def once(*_):
        seen.append("once")
        remove[0]()

    remove.append(layer.register_forward_hook(once))
    layer.register_forward_hook(lambda *_: seen.append("always"))
    layer(0)
    layer(0)
    assert seen == ["once", "always", "always"]


def test_hooks_of_one_module_are_not_those_of_another():
    one, two, seen = nn.Identity(), nn.Identity(), []
    one.register_forward_hook(lambda *_: seen.append(1))
    two(0)
    assert seen == [] and list(one.named_parameters()) == []


# What the tape notes


def callees(tensor):
    """The modules that the node of a tensor names, and where their calls begin."""
    return [(ref(), begin) for ref, begin in tensor._edge[0].calls]


def nodes_of(tensor, begin):
    """Names of the ops of a call, as api users find them: those made after it began."""
    found, stack = set(), [tensor._edge[0]]
    while stack:
        node = stack.pop()
        if node.order > begin and node not in found:
            found.add(node)
            stack.extend(edge[0] for edge in node.parents if edge is not None)
    return sorted((node for node in found if node.op), key=lambda node: node.order)


def test_the_node_of_an_output_names_the_calls_that_made_it_innermost_first():
    net = Net().eval()
    x = net.first(numbers(2, 3))
    y = net(numbers(2, 3))
    assert [m for m, _ in callees(x)] == [net.first]
    assert [m for m, _ in callees(y)] == [net]
    inner = nn.Sequential(nn.Sequential(nn.Linear(3, 2)))
    z = inner(numbers(2, 3))
    assert [m for m, _ in callees(z)] == [inner[0][0], inner[0], inner]
    begins = [begin for _, begin in callees(z)]
    assert begins == sorted(begins, reverse=True) and len(set(begins)) == 3


def test_the_nodes_of_a_call_are_those_between_its_beginning_and_its_output():
    net = Net().eval()
    y = net(numbers(2, 3) * leaf(1.0, np.float32))
    ((_, begin),) = callees(y)
    names = [node.op.name for node in nodes_of(y, begin)]
    assert names == ["linear", "tanh", "multiply"] * 2 + ["linear", "multiply"]
    block = nodes_of(y, begin)[2]
    ((ref, start),) = block.calls
    assert ref() is net.first
    inside = [n.op.name for n in nodes_of(y, begin) if start < n.order <= block.order]
    assert inside == ["linear", "tanh", "multiply"]


class Outputs(nn.Module):
    """Two outputs in a container: the second op is the one that was made last."""

    def __init__(self, kind):
        self.kind = kind

    def forward(self, x):
        a = F.exp(x)
        return self.kind(a, F.sin(a))


KINDS = {
    "tuple": lambda a, b: (b, None, a, 3),
    "list": lambda a, b: [a, b],
    "dict": lambda a, b: {"last": b, "first": a, "text": "as it is"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_node_of_several_outputs_names_the_call(kind):
    module = Outputs(KINDS[kind])
    output = module(leaf(1.0))
    tensors = output.values() if isinstance(output, dict) else output
    marked = [t._edge[0] for t in tensors if isinstance(t, Tensor) and t._edge[0].calls]
    assert [node.op.name for node in marked] == ["sin"]
    assert marked[0].calls[0][0]() is module


class Gives(nn.Module):
    """Gives what a function makes of its input."""

    def __init__(self, fn):
        self.fn = fn

    def forward(self, x):
        return self.fn(x)


@pytest.mark.parametrize(
    ("fn", "same"),
    [
        (lambda x: None, lambda y: y is None),
        (lambda x: "text", lambda y: y == "text"),
        (lambda x: 3.0, lambda y: y == 3.0),
        (lambda x: np.array(3.0), lambda y: y == 3.0),
        (lambda x: np.ones(3), lambda y: y.shape == (3,)),
        (lambda x: (), lambda y: y == ()),
    ],
    ids=["None", "text", "number", "0-d array", "array", "empty tuple"],
)
def test_outputs_without_a_tensor_come_through(fn, same):
    assert same(Gives(fn)(leaf(1.0)))


def test_an_iterator_as_output_is_not_used_up():
    steps = Gives(lambda x: (x * i for i in range(3)))(leaf(2.0))
    assert [y.item() for y in steps] == [0.0, 2.0, 4.0]


def test_a_module_that_only_passes_on_names_no_call():
    x = leaf([1.0]) * 2.0
    assert nn.Identity()(x) is x and x._edge[0].calls == ()
    assert nn.Dropout(0.5).eval()(Tensor(x.data)).data is not None and x._edge[0].calls == ()
    w = leaf([1.0])
    assert nn.Sequential()(w) is w and w._edge[0].calls == ()


def test_under_no_grad_nothing_is_noted_and_constants_have_no_node():
    layer = nn.Linear(2, 2)
    with no_grad():
        assert layer(numbers(1, 2))._edge is None
    assert nn.ReLU()(numbers(1, 2))._edge is None


def test_each_call_of_a_module_is_a_call_of_its_own():
    layer = nn.Linear(2, 2)
    one = layer(numbers(1, 2))
    two = layer(one)
    assert callees(one)[0][1] < one._edge[0].order < callees(two)[0][1] < two._edge[0].order


# Memory, and modes


def test_a_tape_keeps_no_module_alive():
    net = Net().eval()
    y, ref = net(numbers(2, 3)), weakref.ref(net)
    gc.collect()
    gc.disable()
    try:
        del net
        assert ref() is None
    finally:
        gc.enable()
    assert [m for m, _ in callees(y)] == [None]
    y.sum().backward()


def test_a_call_and_its_backward_leave_nothing_behind():
    net = Net()
    net(numbers(2, 3)).sum().backward()
    net.zero_grad()
    with nothing_left_behind():
        net(numbers(2, 3)).sum().backward()
        net.zero_grad()


def test_an_error_in_forward_leaves_the_module_as_it_was():
    layer, seen = nn.Linear(2, 2), []
    layer.register_forward_hook(lambda *_: seen.append(1))
    with pytest.raises(ValueError, match="linear"):
        layer(numbers(1, 3))
    assert seen == []
    layer(numbers(1, 2))
    assert seen == [1]


def gradients(call):
    """Gradients of a net with dropout whose forward runs under `call`."""
    manual_seed(1)
    net = Net()
    call(net, numbers(4, 3)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    return {n: p.grad.numpy() for n, p in net.named_parameters()} | values(net)


def test_checkpointed_and_checked_calls_give_the_same_bits():
    plain = gradients(lambda net, x: net(x))
    with detect_anomaly():
        watched = gradients(lambda net, x: net(x))
    again = gradients(lambda net, x: checkpoint(net, x))
    for other in (watched, again):
        assert all(np.array_equal(plain[name], other[name]) for name in plain)


def test_anomaly_names_the_line_of_the_caller_and_not_of_the_layer():
    with (
        np.errstate(all="ignore"),
        detect_anomaly(),
        pytest.raises(FloatingPointError, match=r"log made a NaN, called at .*test_calls\.py"),
    ):
        Gives(F.log)(leaf([-1.0]))
