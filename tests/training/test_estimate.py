"""Tests of what is said before the first step, and that saying it changes nothing."""

from __future__ import annotations

import numpy as np

from tests.training.common import blobs, network
from tinygrad_llm import functional as F
from tinygrad_llm import nn, optim
from tinygrad_llm.backend import random
from tinygrad_llm.training.estimate import estimate, shown_seconds


def estimated(model, optimizer=None):
    x, labels = blobs(50)
    optimizer = optimizer or optim.AdamW(model.parameters())
    return estimate(model, optimizer, lambda: F.cross_entropy(model(x), labels))


def test_bytes_are_those_of_the_arrays():
    found = estimated(network())
    assert (found.parameters, found.learning) == (67, 67)
    assert (found.weights, found.gradients, found.moments) == (4 * 67, 8 * 67, 8 * 67)
    x, hidden, logits, labels = 50 * 4 * 4, 50 * 8 * 4, 50 * 3 * 4, 50 * 8
    assert x + hidden + logits <= found.activations <= x + 3 * hidden + 3 * logits + labels
    assert found.memory == found.weights + found.gradients + found.moments + found.activations
    assert 0.0 < found.seconds < 1.0


def test_seconds_of_a_batch_are_told_as_such():
    found = estimated(network())
    assert "2 batches of about 6.4 s: about 13 s" in found._replace(seconds=6.36).text(2)
    assert "1 batch of about 36 ms: about " in found._replace(seconds=0.036).text(1)


def test_moments_are_those_that_the_optimizer_needs():
    model = network()
    assert estimated(model, optim.SGD(model.parameters())).moments == 0
    assert estimated(model, optim.SGD(model.parameters(), momentum=0.9)).moments == 4 * 67


def test_gradients_and_random_streams_are_as_before():
    model = network(dropout=0.5)
    parameters = list(model.parameters())
    parameters[0].grad = kept = parameters[0].detach() * 2
    before, values = random.state(), [p.numpy().copy() for p in parameters]
    estimated(model)
    assert parameters[0].grad is kept and all(p.grad is None for p in parameters[1:])
    assert random.state() == before
    assert all(np.array_equal(p.numpy(), v) for p, v in zip(parameters, values))


def test_a_frozen_model_with_nothing_but_a_head():
    model = nn.Sequential(nn.Linear(4, 8).requires_grad_(False), nn.Linear(8, 3))
    found = estimated(model, optim.Adam(model[1].parameters()))
    assert (found.parameters, found.learning) == (67, 27)
    assert "67 parameters, 40 of them frozen" in found.text(10)


def test_times_are_read_easily():
    assert [shown_seconds(s) for s in (0.5, 90, 400, 10_000)] == [
        "0.5 s",
        "90 s",
        "6.7 min",
        "2.8 h",
    ]
