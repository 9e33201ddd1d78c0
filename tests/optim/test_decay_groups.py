"""Tests of decay_groups: which parameters decay, and what comes of it in a step."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.nn.common import Net, Tied
from tests.optim.common import give, parameter
from tinygrad_llm import nn, optim
from tinygrad_llm.optim import decay_groups


def names(net, groups):
    """The names of the parameters in each group, and its weight decay."""
    of = {id(p): name for name, p in net.named_parameters()}
    return [([of[id(p)] for p in group["params"]], group["weight_decay"]) for group in groups]


def test_matrices_decay_and_the_rest_does_not():
    net = Net()
    assert names(net, decay_groups(net, 0.1)) == [
        (["first.inner.weight", "blocks.0.inner.weight", "head.weight"], 0.1),
        (["first.gain", "first.inner.bias", "blocks.0.gain", "blocks.0.inner.bias", "scale"], 0.0),
    ]


def test_pairs_are_taken_as_well_as_a_module():
    net = Net()
    expected = names(net, decay_groups(net, 0.1))
    assert names(net, decay_groups(net.named_parameters(), 0.1)) == expected
    assert names(net, decay_groups(list(net.named_parameters()), 0.1)) == expected


def test_frozen_parameters_are_left_out():
    net = Net()
    net.first.requires_grad_(False)
    net.scale.requires_grad = False
    assert names(net, decay_groups(net, 0.1)) == [
        (["blocks.0.inner.weight", "head.weight"], 0.1),
        (["blocks.0.gain", "blocks.0.inner.bias"], 0.0),
    ]


def test_a_shared_parameter_is_there_once():
    tied = Tied()
    pairs = [("a", tied.a.weight), ("b", tied.b.weight)]
    (group,) = decay_groups(pairs, 0.1)
    assert len(group["params"]) == 1 and group["params"][0] is tied.a.weight
    assert names(tied, decay_groups(tied, 0.1)) == [
        (["a.weight"], 0.1),
        (["a.bias", "b.bias"], 0.0),
    ]


def test_a_group_without_parameters_is_not_made():
    """An optimizer would refuse it."""
    (matrices,) = decay_groups(nn.Linear(2, 2, bias=False), 0.1)
    assert matrices["weight_decay"] == 0.1
    (rest,) = decay_groups([("b", parameter([1.0]))], 0.1)
    assert rest["weight_decay"] == 0.0


def test_an_optimizer_lets_only_matrices_decay():
    layer = nn.Linear(2, 2).astype("float64")
    layer.bias.data[...] = 3.0
    before = {name: p.data.copy() for name, p in layer.named_parameters()}
    optimizer = optim.AdamW(decay_groups(layer, 0.5), lr=0.1)
    for p in layer.parameters():
        give(p, np.zeros(p.shape))
    optimizer.step()
    np.testing.assert_allclose(layer.weight.data, before["weight"] * (1 - 0.1 * 0.5), rtol=1e-12)
    np.testing.assert_array_equal(layer.bias.data, before["bias"])


@pytest.mark.parametrize("decay", [-0.1, math.nan, math.inf])
def test_a_decay_that_makes_no_sense_is_refused(decay):
    with pytest.raises(ValueError, match=f"weight_decay must be at least 0, not {decay}"):
        decay_groups(nn.Linear(1, 1), decay)


def test_nothing_to_learn_is_refused():
    with pytest.raises(ValueError, match="nothing to learn: there are no parameters, or all are"):
        decay_groups(nn.Linear(1, 1).requires_grad_(False), 0.1)
    with pytest.raises(ValueError, match="nothing to learn"):
        decay_groups(nn.ReLU(), 0.1)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        (lambda layer: layer.parameters(), "pairs"),
        (lambda layer: [("weight", layer.weight, 1)], "pairs"),
        (lambda layer: layer.state_dict(), "pairs"),
        (lambda layer: [("weight", "bias")], "pairs"),
        (lambda layer: layer.weight, "a module"),
        (lambda layer: 3, "a module"),
    ],
    ids=["parameters", "triple", "state_dict", "names", "parameter", "number"],
)
def test_what_are_no_pairs_is_refused_with_the_mend(given, what):
    with pytest.raises(TypeError, match=rf"decay_groups: give {what}.* named_parameters\(\), not"):
        decay_groups(given(nn.Linear(1, 1)), 0.1)
