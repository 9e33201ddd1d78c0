"""Tests of AdamW: against PyTorch, and what sets it apart from L2 inside the gradient."""

from __future__ import annotations

import numpy as np
import pytest

from tests.engine.common import drawn
from tests.fixtures.make_torch_training import CASES
from tests.optim.common import check_network, check_walk, give, parameter
from tinygrad_llm.optim import SGD, Adam, AdamW, RMSprop


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c["optimizer"] == "AdamW"])
def test_a_hundred_steps_are_pytorchs(name):
    check_walk(name)


def test_a_network_learns_as_in_pytorch():
    check_network("adamw network")


def test_the_defaults_are_pytorchs():
    (group,) = AdamW([parameter([1.0])]).param_groups
    settings = {k: v for k, v in group.items() if k != "params"}
    assert settings == {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01}


@pytest.mark.parametrize(("kind", "way"), [(Adam, 0.010), (AdamW, 0.011)])
def test_the_first_step_shows_the_decay_only_beside_it(kind, way):
    p = parameter([1.0])
    give(p, [1.0])
    kind([p], lr=0.01, weight_decay=0.1).step()
    assert round(1.0 - p.item(), 6) == way


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_without_a_slope_weights_shrink_by_lr_times_decay_exactly(dtype):
    w = drawn(50).astype(dtype)
    p = parameter(w, dtype)
    optimizer = AdamW([p], lr=0.1, weight_decay=0.3)
    for _ in range(3):
        give(p, np.zeros(50))
        optimizer.step()
        w = w * np.asarray(1.0 - 0.1 * 0.3, dtype)
        assert np.array_equal(p.data, w)


def test_without_decay_it_is_adam():
    pair = [parameter(drawn(4, 3)) for _ in range(2)]
    optimizers = Adam([pair[0]], lr=0.1), AdamW([pair[1]], lr=0.1, weight_decay=0.0)
    for step in range(5):
        for p, optimizer in zip(pair, optimizers):
            give(p, drawn(4, 3, seed=step))
            optimizer.step()
    assert np.array_equal(pair[0].data, pair[1].data)


def test_what_weight_decay_means_is_said():
    kinds = [SGD, RMSprop, Adam, AdamW]
    assert [kind.decay for kind in kinds] == ["l2", "l2", "l2", "decoupled"]
    for kind in kinds:
        assert f"{kind.__name__}, weight decay {kind.decay}\n" in repr(kind([parameter([1.0])]))


def test_decay_below_zero_is_refused():
    with pytest.raises(ValueError, match=r"weight_decay must be at least 0, not -0\.1"):
        AdamW([parameter([1.0])], weight_decay=-0.1)
