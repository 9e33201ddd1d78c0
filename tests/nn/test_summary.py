"""Tests of `Module.summary`: what it counts, and that it leaves everything as it was."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.nn.common import Net, Tied, numbers, same_values, values
from tinygrad_llm import Tensor, models, nn, no_grad, optim
from tinygrad_llm import functional as F
from tinygrad_llm.backend import random
from tinygrad_llm.testing import strict_cupy


def lines(text):
    return text.split("\n")


def activations(text):
    """The bytes that it says the tape holds."""
    return re.search(r"activations (.+) for backward,$", text, re.M)[1]


def test_the_table_of_an_mlp():
    text = models.MLP([4, 8, 2]).summary(numbers(3, 4))
    assert lines(text)[:-1] == [
        "module                output  parameters",
        "────────────────────  ──────  ──────────",
        "MLP                   (3, 2)          58",
        "  layers  Sequential  (3, 2)          58",
        "    0  Linear         (3, 8)          40",
        "    1  ReLU           (3, 8)           0",
        "    2  Linear         (3, 2)          18",
        "",
        "58 parameters, 0 of them frozen: 232 B",
        "training with Adam: gradients 232 B, moments 464 B",
        "one pass with these inputs: activations 144 B for backward,",
    ]


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_bytes_of_activations_are_those_that_a_hand_would_count(activation, dtype):
    """Each Linear saves its input once, an activation its output, which is the next input."""
    rows, widths = 50, [20, 30, 40, 10]
    model = models.MLP(widths, activation).astype(dtype)
    x = numbers(rows, 20).astype(dtype)
    size = np.dtype(dtype).itemsize
    expected = rows * (20 + 30 + 40) * size
    assert activations(model.summary(x)) == f"{expected / 1024:.4g} KiB"
    weights = sum(p.size for p in model.parameters())
    assert f"moments {2 * weights * size / 1024:.4g} KiB" in model.summary(x)


def test_frozen_parameters_are_no_activations():
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    x = numbers(3, 4)
    assert activations(model.summary(x)) == "144 B"
    model[2].requires_grad_(False)
    text = model.summary(x)
    assert "58 parameters, 18 of them frozen: 232 B" in text
    assert "gradients 160 B, moments 320 B" in text
    assert activations(text) == f"{3 * 4 * 4 + 3 * 8 * 4} B"  # x, and where ReLU is at work


def test_memory_that_is_looked_at_twice_counts_once():
    """What ReLU saves and what the second Linear saves are one array in two shapes."""
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    assert activations(model.summary(numbers(3, 2, 4))) == f"{(3 * 2 * 4 + 3 * 2 * 8) * 4} B"


@pytest.mark.parametrize("as_tensor", [True, False])
def test_of_an_input_that_is_a_part_of_something_large_the_part_counts(as_tensor):
    rows = numbers(1000, 4).numpy()[:3]
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    assert activations(model.summary(Tensor(rows) if as_tensor else rows)) == "144 B"


def test_weights_that_an_optimizer_holds_together_are_no_activations():
    model, x = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), numbers(3, 4)
    model(x).sum().backward()
    optim.SGD(model.parameters()).step()
    assert activations(model.summary(x)) == "144 B"


def test_without_inputs_there_are_parameters_alone():
    text = Net().summary()
    assert lines(text)[-2:] == [
        f"{12 + 4 + 4 + 16 + 4 + 4 + 8 + 1} parameters, 0 of them frozen: 212 B",
        "training with Adam: gradients 212 B, moments 424 B",
    ]
    assert "pass" not in text and "(" not in text


def test_shared_parameters_count_once_in_the_sum():
    assert "15 parameters, 0 of them frozen: 60 B" in Tied().summary()
    layer = nn.Linear(2, 2)
    assert "\n6 parameters" in nn.Sequential(layer, layer).summary(numbers(1, 2))


@pytest.mark.parametrize(
    ("count", "said"), [(1000, "1,000 parameters"), (1234567, "1,234,567 parameters")]
)
def test_large_counts_have_commas(count, said):
    class Many(nn.Module):
        def __init__(self):
            self.w = nn.Parameter(np.zeros(count, np.float32))

    assert f"\n{said}, 0 of them frozen: " in Many().summary()


def test_gradients_that_were_there_stay_to_the_bit():
    net, x = Net().eval(), numbers(2, 3)
    net.first(x).sum().backward()
    objects = {n: p.grad for n, p in net.named_parameters()}
    before = {n: g.numpy().copy() for n, g in objects.items() if g is not None}
    net.summary(x)
    assert "scale" not in before and "first.gain" in before
    for name, p in net.named_parameters():
        assert p.grad is objects[name]
        assert name not in before or np.array_equal(p.grad.numpy(), before[name]), name


def test_an_input_that_asks_for_its_gradient_gets_none():
    x = Tensor(np.ones((1, 2), np.float32), requires_grad=True)
    nn.Linear(2, 2).summary(x)
    assert x.grad is None


def test_streams_modes_hooks_and_values_stay():
    net, seen = Net(), []
    random.stream("dropout")  # a stream that nobody has used yet would be made by the pass
    net.blocks.eval()
    net.first.register_forward_hook(lambda *_: seen.append(1))
    before, state, modes = values(net), random.state(), [m.training for m in net.modules()]
    net.summary(numbers(2, 3))
    assert random.state() == state and same_values(values(net), before)
    assert [m.training for m in net.modules()] == modes
    assert [m for m in net.modules() for _ in m._forward_hooks] == [net.first]
    assert seen == [1] and all(p.requires_grad for p in net.parameters())


def test_an_error_in_forward_leaves_everything_as_it_was():
    net = Net()
    random.stream("dropout")
    state = random.state()
    with pytest.raises(ValueError, match="linear: x"):
        net.summary(numbers(2, 4))
    assert random.state() == state
    assert not any(m._forward_hooks for m in net.modules())


class Two(nn.Module):
    """Two outputs, one of which is not computed from parameters."""

    def __init__(self, kind):
        self.layer, self.kind = nn.Linear(2, 3), kind

    def forward(self, x, twice=False):
        y = F.tanh(self.layer(x))
        return self.kind(y * 2.0 if twice else y, x)


@pytest.mark.parametrize(
    "kind",
    [lambda y, x: (y, x), lambda y, x: [y, x], lambda y, x: {"a": y, "b": x, "c": "text"}],
    ids=["tuple", "list", "dict"],
)
def test_several_outputs(kind):
    text = Two(kind).summary(numbers(4, 2))
    assert "(4, 3), (4, 2)" in lines(text)[2]
    assert activations(text) == f"{4 * 2 * 4 + 4 * 3 * 4} B"


def test_several_outputs_of_one_tape():
    text = Two(lambda y, x: (y, y.sum(), y[0])).summary(numbers(4, 2))
    assert "(4, 3), (), (3,)" in lines(text)[2] and "forward and backward" in text


def test_inputs_by_name():
    text = Two(lambda y, x: y).summary(x=numbers(4, 2), twice=True)
    assert "(4, 3)" in lines(text)[2]


def test_a_pass_without_a_tape():
    layer, x = nn.Linear(2, 2), numbers(1, 2)
    said = "a forward pass without a tape: nothing in it requires a gradient"
    assert lines(layer.requires_grad_(False).summary(x))[-1] == said
    layer.requires_grad_(True)
    with no_grad():
        assert lines(layer.summary(x))[-1] == said
    assert lines(nn.Embedding(3, 2).requires_grad_(False).summary([0, 1]))[-1] == said


@pytest.mark.parametrize("output", [np.array(1.0), 3.0, None, "text"], ids=repr)
def test_outputs_that_are_no_tensors(output):
    class Gives(nn.Module):
        def forward(self, x):
            return output

    assert "without a tape" in Gives().summary(1.0)


def test_on_a_device():
    with strict_cupy.installed():
        net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).to("cuda")
        assert activations(net.summary(numbers(3, 4).to("cuda"))) == "144 B"


def test_the_time_is_told():
    text = nn.Linear(2, 2).summary(numbers(1, 2))
    assert re.fullmatch(
        r"forward and backward [\d.e+-]+ ms \(the first time; later ones are faster\)",
        lines(text)[-1],
    )
