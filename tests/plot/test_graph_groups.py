"""Tests of the figure of a large tape: calls of modules as boxes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.plot.drawn import boxes
from tinygrad_llm import Tensor, keep_values, nn, plot
from tinygrad_llm import functional as F
from tinygrad_llm.graph import begin_call, end_call
from tinygrad_llm.plot.groups import Grouping
from tinygrad_llm.plot.tape import _parents


@pytest.fixture(autouse=True)
def close():
    """No figure outlives its test."""
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


class Module:
    """As much of a module as a figure asks for; its attributes are modules, tensors, `forward`."""

    def __init__(self, **attributes):
        vars(self).update(attributes)

    def __call__(self, *inputs):
        begin = begin_call()
        output = self.forward(*inputs)
        end_call(self, begin, output._edge)
        return output

    def named_modules(self, prefix=""):
        yield prefix, self
        for name, module in vars(self).items():
            if isinstance(module, Module):
                yield from module.named_modules(f"{prefix}.{name}".lstrip("."))

    def named_parameters(self):
        for path, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, Tensor):
                    yield f"{path}.{name}".lstrip("."), value


class Linear(Module):
    def __init__(self, width=2):
        super().__init__(weight=Tensor(np.eye(width, dtype="f"), requires_grad=True))
        self.bias = Tensor(np.zeros(width, "f"), requires_grad=True)

    def forward(self, x):
        return x @ self.weight + self.bias


class Activation(Module):
    def forward(self, x):
        return F.tanh(x)


class Chain(Module):
    def __init__(self, *modules):
        super().__init__(**{str(i): module for i, module in enumerate(modules)})

    def forward(self, x):
        for module in vars(self).values():
            x = module(x)
        return x


class Residual(Module):
    def __init__(self, inner):
        super().__init__(inner=inner)

    def forward(self, x):
        return x + self.inner(x)


def grouped(tensor, most):
    """(titles or op names, parents) of the boxes when there may be `most` of them."""
    grouping = Grouping(plot.tape(tensor))
    groups = grouping.groups(grouping.opened(most))
    names = [g.title or (g.nodes[-1].op.name if g.nodes[-1].op else "leaf") for g in groups]
    return names, _parents(groups)


ONE = Tensor([[1.0, 2.0]])


def test_more_than_sixty_nodes_become_calls_with_shape_size_and_numbers():
    model = Chain(*[m for _ in range(13) for m in (Linear(), Activation())])
    with keep_values():
        y = model(ONE)
        loss = y.sum()
    loss.backward()
    assert len(plot.tape(loss)) == 66
    figure = plot.graph(loss, {"y": y})
    shown = boxes(figure)
    assert len(shown) == 27
    assert [*shown][:3] == ["0  Linear", "1  Activation", "2  Linear"]
    assert [*shown][-2:] == ["y = 25  Activation", "sum"]
    value, gradient = (str([float(f"{v:.3g}") for v in a]) for a in (y.data[0], np.ones(2)))
    assert shown["y = 25  Activation"][0] == "(1, 2) · 1 op"
    assert shown["y = 25  Activation"][1] == f"value {value}"
    assert shown["y = 25  Activation"][2] == "gradient [1, 1]" and gradient == "[1.0, 1.0]"
    assert shown["24  Linear"][0] == "(1, 2) · 2 ops"


def test_up_to_sixty_nodes_every_node_is_a_box_and_parameters_have_their_names():
    model = Chain(Linear(), Linear())
    shown = boxes(plot.graph(model(ONE), {"W": vars(model)["0"].weight}))
    assert [*shown].count("1.weight") == 1 and "W" in shown and "0.weight" not in shown
    sixty = Chain(*[m for _ in range(12) for m in (Linear(), Activation())])
    assert len(plot.tape(sixty(ONE))) == 60
    assert not any("Activation" in title for title in boxes(plot.graph(sixty(ONE))))


def test_what_fits_is_opened_and_equal_layers_look_equal():
    inner, other = Chain(Linear(), Activation(), Linear()), Linear()
    model = Module(inner=inner, other=other, forward=lambda x: inner(x).sum() + other(x))
    y = model(ONE)
    assert grouped(y, 1)[0] == grouped(y, 3)[0] == ["Module"]
    assert grouped(y, 4)[0] == grouped(y, 5)[0] == ["inner  Chain", "sum", "other  Linear", "add"]
    six = ["inner.0  Linear", "inner.1  Activation", "inner.2  Linear", "sum", "other  Linear"]
    everything = len(plot.tape(y))
    assert grouped(y, 6)[0] == grouped(y, everything - 1)[0] == [*six, "add"]  # all or no Linear
    assert grouped(y, everything)[0].count("leaf") == 6
    assert "inner.1  Activation" in grouped(y, everything)[0]  # it says more than its only op


def test_residual_blocks_are_a_chain_closed_and_have_their_way_around_opened():
    model = Chain(Residual(Chain(Linear(), Activation())), Residual(Chain(Linear(), Activation())))
    x = Tensor([[1.0, 2.0]], requires_grad=True)
    y = model(x * 1.0)
    names, parents = grouped(y, 4)
    assert names == ["leaf", "multiply", "0  Residual", "1  Residual"]
    assert parents == [[], [0], [1], [2]]
    names, parents = grouped(y, 6)
    assert names[2:] == ["0.inner  Chain", "add", "1.inner  Chain", "add"]
    assert parents == [[], [0], [1], [1, 2], [3], [3, 4]]


def test_modules_of_nn_are_grouped():
    inner = [nn.Sequential(nn.Linear(2, 2), nn.Tanh()) for _ in range(16)]
    model = nn.Sequential(*inner, nn.Linear(2, 3))
    loss = model(ONE).sum()
    assert len(plot.tape(loss)) == 16 * 4 + 4
    shown = boxes(plot.graph(loss))
    assert len(shown) == 34 and shown["16  Linear"] == ["(1, 3) · 1 op"]
    assert [*shown][:3] == ["0.0  Linear", "0.1  Tanh", "1.0  Linear"]


def test_a_module_called_again_is_numbered_and_a_shared_parameter_stands_alone():
    cell = Linear()
    y = ONE
    for _ in range(3):
        y = F.tanh(cell(y))
    names, parents = grouped(y, 10)
    calls = ["Linear", "tanh", "Linear #2", "tanh", "Linear #3", "tanh"]
    assert names == ["leaf", "leaf", *calls]
    assert parents == [[], [], [0, 1], [2], [3, 0, 1], [4], [5, 0, 1], [6]]


def test_a_leaf_that_is_no_parameter_stays_outside_unless_the_call_made_it():
    x = Tensor([[1.0, 2.0]], requires_grad=True)
    within = Module(forward=lambda x: x * Tensor(2.0, requires_grad=True))
    assert grouped(within(x), 2)[0] == ["leaf", "Module"]


def test_a_parameter_made_within_a_call_and_used_later_comes_first():
    made = []
    lazy = Module(forward=lambda x: made.append(Tensor(2.0, requires_grad=True)) or x * made[0])
    names, parents = grouped(lazy(ONE) * made[0], 3)
    assert names == ["leaf", "Module", "multiply"] and parents == [[], [0], [1, 0]]


def test_what_leaves_a_call_beside_its_output_is_outside():
    beside = []

    def forward(x):
        h = F.tanh(x * 2.0)
        beside.append(F.exp(h))
        return h

    model = Module(forward=forward)
    y = model(Tensor([[1.0, 2.0]], requires_grad=True))
    names, parents = grouped(y + beside[0], 4)
    assert names == ["leaf", "Module", "exp", "add"] and parents == [[], [0], [1], [1, 2]]


def test_modules_that_are_gone_do_not_group():
    kept, gone = Chain(Linear(), Linear()), Linear()
    y = gone(kept(ONE))
    del gone
    assert grouped(y, 7)[0] == ["leaf", "leaf", "0  Linear", "1  Linear", "matmul", "add"]


@st.composite
def called_tapes(draw):
    """A tape of sums with calls on it that began and ended anywhere, even across each other."""
    tensors = [Tensor(1.0, requires_grad=True) for _ in range(draw(st.integers(1, 3)))]
    modules = [Module(p=tensors[0]), Module()]
    for _ in range(draw(st.integers(1, 12))):
        a, b = (tensors[draw(st.integers(0, len(tensors) - 1))] for _ in range(2))
        tensors.append(a + b)
        if draw(st.integers(0, 5)) == 0:
            tensors.append(Tensor(1.0, requires_grad=True))
    total = F.stack(tensors).sum()
    nodes = plot.tape(total)
    for _ in range(draw(st.integers(0, 6))):
        node = nodes[draw(st.integers(0, len(nodes) - 1))]
        begin = node.order - draw(st.integers(0, 15)) - 0.5  # no node's own
        end_call(modules[draw(st.integers(0, 1))], begin, (node, 0))
    return modules, total


@given(called_tapes(), st.integers(0, 255))
def test_boxes_of_calls_make_no_cycle(tape, bits):
    _modules, total = tape  # a call counts as long as its module lives
    nodes = plot.tape(total)
    grouping = Grouping(nodes)
    opened = {call for i, call in enumerate(grouping.calls) if bits >> i & 1}
    groups = grouping.groups(opened)
    assert sorted((n for g in groups for n in g.nodes), key=lambda n: n.order) == nodes
    assert all(p < i for i, its in enumerate(_parents(groups)) for p in its)
    assert groups[-1].nodes[-1] is nodes[-1]
    assert all([*g.nodes] == sorted(g.nodes, key=lambda n: n.order) for g in groups)
    for most in (len(groups), len(nodes)):
        fewest = len(grouping.groups(set()))
        assert len(grouping.groups(grouping.opened(most))) <= max(most, fewest)


def test_graph_refuses_what_it_cannot_draw():
    with pytest.raises(RuntimeError, match="tape: this tensor was computed from nothing"):
        plot.graph(Tensor(1.0))
    y = Tensor(1.0, requires_grad=True)
    for _ in range(59):
        y = y + 1.0
    assert len(plot.graph(y).axes[0].patches) == 60 + 59  # boxes and arrows
    y = y + 1.0
    with pytest.raises(
        ValueError, match=r"61 nodes are too many to read .*put the ops into module"
    ):
        plot.graph(y)
    layer = Activation()
    for _ in range(60):
        y = layer(y + 1.0)
    with pytest.raises(ValueError, match="181 nodes are too many"):
        plot.graph(y)
    layer, h = Linear(), ONE
    for _ in range(58):
        h = layer(h)
    assert len(plot.graph(h).axes[0].patches) == 60 + 3 * 58 - 1
    h = layer(h)
    with pytest.raises(ValueError, match="graph: 61 boxes, one for each call of a module, are too"):
        plot.graph(h)
