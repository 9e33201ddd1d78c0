"""Tests of `state_dict` and `load_state_dict`: copies out, copies in, all or nothing."""

from __future__ import annotations

import numpy as np
import pytest

from tests.nn.common import NAMES, Net, Tied, numbers, same_values, values
from tinygrad_llm import Tensor, nn, no_grad
from tinygrad_llm.testing import strict_cupy


def test_it_is_a_copy_by_name():
    net = Net()
    state = net.state_dict()
    before = values(net)
    assert list(state) == NAMES
    assert all(type(t) is Tensor and not t.requires_grad for t in state.values())
    for t, p in zip(state.values(), net.parameters()):
        assert not np.shares_memory(t.data, p.data)
    with no_grad():
        for p in net.parameters():
            p += 1.0
    assert same_values({n: t.numpy() for n, t in state.items()}, before)
    state["scale"][...] = 9.0
    assert net.scale.item() == 3.0


def test_a_round_trip_gives_every_bit_and_shares_no_memory():
    net, other = Net(), Net()
    assert not same_values(values(net), values(other))
    objects = list(other.parameters())
    state = net.state_dict()
    other.load_state_dict(state)
    assert same_values(values(net), values(other))
    assert all(a is b for a, b in zip(objects, other.parameters()))
    state["scale"][...] = 9.0
    assert other.scale.item() == 2.0


def test_arrays_and_lists_are_taken_and_dtypes_stay():
    layer = nn.Linear(2, 1)
    layer.load_state_dict({"weight": np.array([[1.5], [2]]), "bias": [3]})
    assert layer.weight.tolist() == [[1.5], [2.0]] and layer.bias.tolist() == [3.0]
    assert layer.weight.dtype == layer.bias.dtype == np.float32
    layer.astype("float64").load_state_dict({"weight": numbers(2, 1), "bias": np.float32([0.1])})
    assert layer.weight.dtype == np.float64 and layer.bias.item() == np.float32(0.1)


def test_what_is_frozen_stays_frozen_and_gradients_stay():
    net = Net().eval()
    net(numbers(2, 3)).sum().backward()
    gradient = net.scale.grad
    net.first.requires_grad_(False)
    net.load_state_dict(Net().state_dict())
    assert not net.first.gain.requires_grad and net.head.weight.requires_grad
    assert net.scale.grad is gradient


def test_a_parameter_of_its_own_array_is_written_in_place():
    net = Net()
    array = net.scale.data
    net.load_state_dict(Net().state_dict())
    assert net.scale.data is array


def test_loading_between_forward_and_backward_is_seen_by_the_tape():
    net = Net().eval()
    y = net(numbers(2, 3)).sum()
    net.load_state_dict(net.state_dict())
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


def test_missing_unexpected_and_misshapen_names_stand_in_one_message_and_nothing_changes():
    net = Net()
    before = values(net)
    state = {name: np.zeros(p.shape) for name, p in net.named_parameters()}
    del state["head.weight"], state["first.gain"]
    state |= {"scale": np.zeros(2), "blocks.0.inner.weight": np.zeros((4, 5)), "tail.weight": [1]}
    with pytest.raises(ValueError) as caught:
        net.load_state_dict(state)
    assert str(caught.value) == (
        "load_state_dict: the weights do not fit Net: missing: first.gain, head.weight; "
        "unexpected: tail.weight; of another shape: "
        "blocks.0.inner.weight (4, 5), expected (4, 4), scale (2,), expected ()"
    )
    assert same_values(values(net), before)


def test_shapes_that_would_broadcast_are_refused():
    layer = nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"bias \(1,\), expected \(2,\)"):
        layer.load_state_dict({"weight": np.zeros((2, 2)), "bias": np.zeros(1)})


@pytest.mark.parametrize("value", ["text", [1j], [None]], ids=str)
def test_what_holds_no_numbers_is_refused_by_name_and_nothing_changes(value):
    layer = nn.Linear(1, 1)
    before = values(layer)
    with pytest.raises(TypeError, match=r"load_state_dict: bias holds .*, not numbers"):
        layer.load_state_dict({"weight": [[7.0]], "bias": value})
    assert same_values(values(layer), before)


@pytest.mark.parametrize("names", [["a.weight"], ["b.weight"], ["again"], ["again", "a.weight"]])
def test_a_shared_parameter_may_come_under_any_of_its_names(names):
    tied, w = Tied(), np.arange(9.0).reshape(3, 3)
    tied.load_state_dict({**dict.fromkeys(names, w), "a.bias": np.zeros(3), "b.bias": np.ones(3)})
    assert np.array_equal(tied.b.weight.data, w) and tied.again is tied.a.weight
    assert tied.a.bias.tolist() == [0.0] * 3 and tied.b.bias.tolist() == [1.0] * 3


def test_a_shared_parameter_that_is_missing_is_named_once():
    with pytest.raises(ValueError, match=r"missing: a\.weight$"):
        Tied().load_state_dict({"a.bias": np.zeros(3), "b.bias": np.zeros(3)})


def test_a_shared_parameter_with_two_values_is_refused():
    tied = Tied()
    before = values(tied)
    state = {**before, "b.weight": before["a.weight"] + 1.0}
    message = "a.weight and b.weight are one parameter here, but the weights hold two values: give"
    with pytest.raises(ValueError, match=message):
        tied.load_state_dict(state)
    assert same_values(values(tied), before)


def test_a_shared_parameter_with_the_same_nan_twice_is_one_value():
    tied = Tied()
    w = np.full((3, 3), np.nan, np.float32)
    tied.load_state_dict({**values(tied), "a.weight": w, "b.weight": w.copy()})
    assert np.isnan(tied.again.data).all()


def test_to_and_from_a_device():
    with strict_cupy.installed() as cupy:
        here, there = Net(), Net().to("cuda")
        state = there.state_dict()
        assert all(type(t.data) is cupy.ndarray for t in state.values())
        there.load_state_dict(here.state_dict())
        assert there.scale.device == "cuda:0" and same_values(values(here), values(there))
        here.load_state_dict(state)
        assert here.scale.device == "cpu"
        here.load_state_dict({name: t.data for name, t in state.items()})
        assert same_values(values(here), {name: t.numpy() for name, t in state.items()})
        tied = Tied().to("cuda")
        tied.load_state_dict({**tied.state_dict(), "b.weight": tied.a.weight})


def test_a_module_without_parameters():
    empty = nn.Sequential(nn.ReLU())
    assert empty.state_dict() == {}
    empty.load_state_dict({})
    with pytest.raises(ValueError, match=r"do not fit Sequential: unexpected: w$"):
        empty.load_state_dict({"w": [1.0]})
