"""Tests of Module: what belongs to it, and what is done with all of it at once."""

from __future__ import annotations

import copy
import pickle
import re
import textwrap

import numpy as np
import pytest

from tests.nn.common import NAMES, Block, Net, Tied, numbers, same_values, values
from tinygrad_llm import Tensor, manual_seed, nn, no_grad, optim
from tinygrad_llm import functional as F
from tinygrad_llm.testing import strict_cupy

# What belongs to it


def test_parameters_stand_in_the_order_in_which_attributes_were_set():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == NAMES
    assert all(a is b for a, (_, b) in zip(net.parameters(), net.named_parameters()))
    assert all(type(p) is nn.Parameter and p.requires_grad for p in net.parameters())


def test_modules_and_children_by_name():
    net = Net()
    paths = {
        "": "Net",
        "first": "Block",
        "first.inner": "Linear",
        "first.act": "Tanh",
        "blocks": "ModuleList",
        "blocks.0": "Block",
        "blocks.0.inner": "Linear",
        "blocks.0.act": "Tanh",
        "drop": "Dropout",
        "head": "Linear",
    }
    assert [(n, type(m).__name__) for n, m in net.named_modules()] == list(paths.items())
    assert [type(m).__name__ for m in net.modules()] == list(paths.values())
    assert [name for name, _ in net.named_children()] == ["first", "blocks", "drop", "head"]
    assert list(net.children()) == [net.first, net.blocks, net.drop, net.head]


def test_a_prefix_stands_before_every_name():
    block = Block(2, 2)
    assert [n for n, _ in block.named_parameters("b")] == [
        "b.gain",
        "b.inner.weight",
        "b.inner.bias",
    ]
    assert [n for n, _ in block.named_modules("b")] == ["b", "b.inner", "b.act"]


def test_shared_parameters_and_modules_stand_once_under_their_first_name():
    tied = Tied()
    assert [n for n, _ in tied.named_parameters()] == ["a.weight", "a.bias", "b.bias"]
    relu = nn.ReLU()
    assert [n for n, _ in nn.Sequential(relu, nn.Tanh(), relu).named_modules()] == ["", "0", "1"]


def test_attributes_come_and_go():
    net = Net()
    net.scale = None
    del net.head
    net.extra = nn.Parameter([1.0])
    assert [n for n, _ in net.named_parameters()] == [*NAMES[:-2], "extra"]


def test_tensors_and_other_attributes_do_not_belong():
    class Plain(nn.Module):
        def __init__(self):
            self.buffer = Tensor([1.0], requires_grad=True)
            self.names, self.sizes, self.table = ["a"], (1, 2), {"x": 1.0, 3: Tensor([1.0])}

    plain = Plain()
    assert list(plain.parameters()) == [] and list(plain.modules()) == [plain]
    assert plain.state_dict() == {}


HIDDEN = {
    "list": lambda m: [1, m],
    "tuple": lambda m: (m,),
    "dict": lambda m: {"a": m},
    "list in a list": lambda m: [[m]],
    "list in a dict": lambda m: {"a": [1, [m]]},
    "set": lambda m: {m},
}


@pytest.mark.parametrize("kind", HIDDEN)
@pytest.mark.parametrize("part", [nn.Parameter([1.0]), nn.ReLU()], ids=["parameter", "module"])
def test_what_is_hidden_in_a_plain_container_is_refused(kind, part):
    class Hiding(nn.Module):
        def __init__(self):
            self.layers = HIDDEN[kind](part)

    outer = nn.Sequential(Hiding())
    holder = type(HIDDEN[kind](part)).__name__
    message = rf"Hiding\.layers is a {holder} with modules or parameters in it.*ModuleList"
    for walk in (
        lambda: list(outer.parameters()),
        lambda: list(outer.modules()),
        lambda: outer.load_state_dict({}),
        outer.state_dict,
        outer.eval,
    ):
        with pytest.raises(TypeError, match=message):
            walk()


def test_a_module_that_has_itself_below_it_is_named():
    """A child that knows its parent by an attribute: a plain reference, or a clear error."""

    class Child(nn.Module):
        def __init__(self, parent):
            self.parent, self.w = parent, nn.Parameter([1.0])

    class Parent(nn.Module):
        def __init__(self):
            self.child = Child(self)

    parent = Parent()
    try:
        found = [name for name, _ in parent.named_parameters()]
    except RecursionError:
        pytest.fail("a cycle of modules ends in a RecursionError")
    except (RuntimeError, ValueError) as error:
        assert re.search("Parent|parent", str(error))
    else:
        assert found == ["child.w"]


def test_a_module_without_forward_says_so():
    class Empty(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match="Empty has no forward: write one"):
        Empty()(1.0)
    with pytest.raises(NotImplementedError, match="ModuleList has no forward"):
        nn.ModuleList([nn.ReLU()])(1.0)


def test_a_module_with_a_constructor_that_calls_nothing_above_it():
    class Neuron(nn.Module):
        def __init__(self, inputs):
            self.w = nn.Parameter(np.ones(inputs))
            self.b = nn.Parameter(np.array(0.5))

        def forward(self, x):
            return F.tanh((self.w * x).sum(axis=-1) + self.b)

    neuron = Neuron(2)
    y = neuron(Tensor(np.array([[1.0, 2.0]])))
    y.sum().backward()
    assert np.isclose(y.item(), np.tanh(3.5))
    assert np.allclose(neuron.w.grad.data, (1 - np.tanh(3.5) ** 2) * np.array([1.0, 2.0]))
    assert neuron.training and neuron.b.grad is not None


def test_the_example_in_the_docstring_of_module_runs():
    code = textwrap.dedent(re.search(r"( +class Neuron.*?)\n\n {4}\w", nn.Module.__doc__, re.S)[1])
    names = {"Module": nn.Module, "Parameter": nn.Parameter, "np": np, "F": F}
    exec(code, names)
    neuron = names["Neuron"](3)
    assert [name for name, _ in neuron.named_parameters()] == ["w", "b"]
    neuron(numbers(2, 3)).sum().backward()
    assert neuron.w.grad is not None and neuron.b.grad is not None


def test_a_tensor_does_not_take_the_place_of_a_parameter():
    layer = nn.Linear(2, 2)
    weight = layer.weight
    for wrong in (weight * 2.0, weight.detach()):
        with pytest.raises(
            TypeError, match=r"Linear\.weight is a Parameter.*set Parameter\(value\)"
        ):
            layer.weight = wrong
    assert layer.weight is weight
    layer.weight = nn.Parameter(np.ones((2, 2), np.float32))
    with no_grad():
        layer.weight += 1.0
    layer.bias = None
    layer.bias = Tensor([1.0])  # nothing was there: a constant
    assert layer.weight.tolist() == [[2.0, 2.0]] * 2 and len(list(layer.parameters())) == 1


# Parameter


def test_a_parameter_is_a_tensor_that_asks_for_its_gradient():
    p = nn.Parameter([1.0, 2.0])
    assert p.requires_grad and p.is_leaf and p.dtype == np.float32
    assert type(p * 2.0) is Tensor and type(p.detach()) is Tensor
    assert repr(p) == "Parameter([1., 2.], requires_grad=True)"
    assert nn.Parameter([1.0], dtype="float64").dtype == np.float64
    assert not nn.Parameter([1.0], requires_grad=False).requires_grad
    with pytest.raises(TypeError, match=r"int64 can have no gradient.*astype"):
        nn.Parameter([1, 2])
    with pytest.raises(TypeError, match="detach"):
        nn.Parameter(p * 2.0)


# States


def test_train_and_eval_reach_every_module_and_return_the_module():
    net = Net()
    assert net.eval() is net and not any(m.training for m in net.modules())
    net.blocks.train()
    assert net.blocks[0].act.training and not net.first.training
    assert net.train() is net and all(m.training for m in net.modules())
    assert net.train(False) is net and not net.drop.training
    assert nn.Dropout().training


def test_zero_grad_and_requires_grad():
    net = Net().eval()
    net(numbers(2, 3)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    assert net.first.requires_grad_(False) is net.first
    net(numbers(2, 3)).sum().backward()
    learning = {n for n, p in net.named_parameters() if p.grad is not None}
    assert learning == {n for n in NAMES if not n.startswith("first")}
    net.requires_grad_()
    assert all(p.requires_grad for p in net.parameters())


def test_astype_keeps_the_objects_what_is_frozen_and_the_values():
    net = Net().eval()
    parameters, before = list(net.parameters()), values(net)
    net.first.gain.requires_grad = False
    net(numbers(2, 3)).sum().backward()
    assert net.astype("float64") is net
    assert all(a is b for a, b in zip(parameters, net.parameters()))
    assert all(p.dtype == np.float64 and p.grad is None for p in net.parameters())
    assert [p.requires_grad for p in net.parameters()] == [False] + [True] * 7
    assert all(np.array_equal(v, before[n]) for n, v in values(net).items())
    net(Tensor(np.ones((2, 3)))).sum().backward()
    assert net.head.weight.grad.dtype == np.float64
    tied = Tied().astype(np.float64)
    assert tied.again is tied.b.weight and tied.again.dtype == np.float64


@pytest.mark.parametrize("dtype", [int, bool, "complex64"])
def test_astype_refuses_what_is_not_floating_and_changes_nothing(dtype):
    net = Net()
    with pytest.raises(TypeError, match="astype: parameters are floating point numbers, not"):
        net.astype(dtype)
    assert all(p.dtype == np.float32 for p in net.parameters())


# Devices


def test_to_moves_parameters_and_gradients_and_keeps_the_objects():
    with strict_cupy.installed() as cupy:
        net, x = Net().eval(), numbers(2, 3)
        net.head.requires_grad_(False)
        net(x).sum().backward()
        parameters, before = list(net.parameters()), values(net)
        gradient = net.scale.grad.numpy().copy()
        assert net.to("cuda") is net
        assert all(a is b for a, b in zip(parameters, net.parameters()))
        assert all(type(p.data) is cupy.ndarray for p in net.parameters())
        assert net.scale.grad.device == "cuda:0" and net.head.weight.grad is None
        assert np.array_equal(net.scale.grad.numpy(), gradient)
        assert not net.head.weight.requires_grad and net.scale.requires_grad
        net.zero_grad()
        net(x.to("cuda")).sum().backward()
        assert type(net.scale.grad.data) is cupy.ndarray
        assert np.array_equal(net.scale.grad.numpy(), gradient)
        assert same_values({n: p.numpy() for n, p in net.to("cpu").named_parameters()}, before)
        tied = Tied().to("cuda")
        assert tied.again is tied.a.weight and tied.b.weight.device == "cuda:0"


def test_to_where_it_is_already_is_no_change_for_a_tape():
    net = nn.Linear(2, 2)
    y = net(Tensor(np.ones((1, 2), np.float32), requires_grad=True)).sum()
    net.to("cpu")
    y.backward()
    assert net.weight.grad is not None


def test_to_an_unknown_device_changes_nothing():
    net = Net()
    with pytest.raises(ValueError, match="unknown device 'gpu': use 'cpu', 'cuda'"):
        net.to("gpu")
    assert all(p.device == "cpu" for p in net.parameters())


# How it is shown


def test_repr():
    assert repr(nn.Linear(3, 4)) == "Linear(3, 4)"
    assert repr(nn.Linear(3, 4, bias=False)) == "Linear(3, 4, bias=False)"
    assert repr(nn.Embedding(5, 2, 0)) == "Embedding(5, 2, padding_idx=0)"
    assert repr(nn.Dropout(0.25)) == "Dropout(p=0.25)"
    assert repr(nn.Flatten()) == "Flatten(start_dim=1, end_dim=-1)"
    assert repr(nn.Softmax(0)) == "Softmax(axis=0)"
    assert repr(nn.GELU("tanh")) == "GELU(approximate='tanh')" and repr(nn.GELU()) == "GELU()"
    assert repr(nn.Sequential(nn.Sequential(nn.ReLU()), nn.Tanh())) == (
        "Sequential(\n  (0): Sequential(\n    (0): ReLU()\n  )\n  (1): Tanh()\n)"
    )


# Copies


def train_a_step(net):
    """One step of SGD on a fixed batch."""
    net.zero_grad()
    (net(numbers(2, 3)) ** 2).sum().backward()
    optim.SGD(net.parameters(), lr=0.1).step()


COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda m: pickle.loads(pickle.dumps(m))}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("trained", [False, True])
def test_a_copy_learns_on_by_itself(how, trained):
    """After a step the parameters are views of one array; copies must not be."""
    net = Net().eval()
    if trained:
        train_a_step(net)
    net.first.gain.requires_grad = False
    twin = COPIES[how](net)
    start = values(net)
    assert same_values(values(twin), start)
    assert type(twin.scale) is nn.Parameter and not twin.training
    assert [p.requires_grad for p in twin.parameters()] == [False] + [True] * 7
    assert all(p.grad is None for p in twin.parameters())
    train_a_step(twin)
    assert same_values(values(net), start)
    changed = values(twin)
    assert [n for n in NAMES if np.array_equal(changed[n], start[n])] == ["first.gain"]
    train_a_step(net)
    assert same_values(values(net), changed)


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_keeps_shared_parameters_shared(how):
    twin = COPIES[how](Tied())
    assert twin.again is twin.a.weight is twin.b.weight


def test_parameters_of_a_float64_module_keep_their_dtype_in_a_copy():
    twin = copy.deepcopy(Net().astype("float64"))
    assert all(p.dtype == np.float64 for p in twin.parameters())


def test_two_modules_made_from_one_seed_are_the_same():
    pair = []
    for _ in range(2):
        manual_seed(3)
        pair.append(values(Net()))
    assert same_values(*pair)
    with no_grad():
        manual_seed(4)
        assert not same_values(pair[0], values(Net()))


def test_repr_shows_a_module_that_hides_others_in_a_list():
    class Hiding(nn.Module):
        def __init__(self):
            self.layers, self.last = [nn.ReLU()], nn.Tanh()

    assert repr(Hiding()) == "Hiding(\n  (last): Tanh()\n)"


def test_a_dtype_that_changes_before_backward_is_refused():
    layer = nn.Linear(2, 1)
    y = layer(numbers(1, 2)).sum()
    layer.astype("float64")
    with pytest.raises(RuntimeError, match=r"float32 on cpu in the forward pass is float64 on cpu"):
        y.backward()
