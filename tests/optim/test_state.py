"""Tests of state_dict and load_state_dict: what a state holds, and a walk that goes on."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.common import drawn
from tests.optim.common import KINDS, give, parameter
from tinygrad_llm import Tensor, nn
from tinygrad_llm.optim import SGD, Adam, AdamW, Optimizer
from tinygrad_llm.testing import strict_cupy

SHAPES = [(3, 2), (), (4,), (0,), (1, 5)]


def made(kind, dtype="float64"):
    """Parameters in two groups, and their optimizer."""
    ps = [parameter(drawn(*s, seed=9), dtype) for s in SHAPES]
    return ps, KINDS[kind]([{"params": ps[:2]}, {"params": ps[2:], "lr": 0.05}])


def walk(ps, optimizer, present, start=0):
    """One step for each row of `present`: which parameters have a gradient."""
    for step, row in enumerate(present, start):
        for i, (p, there) in enumerate(zip(ps, row)):
            give(p, drawn(*p.shape, seed=100 * step + i) if there else None)
        optimizer.step()


def bits(ps):
    return [(p.dtype, p.numpy().tobytes()) for p in ps]


def same_state(a, b):
    """Equal keys, numbers and bits."""
    assert a["param_groups"] == b["param_groups"] and list(a["state"]) == list(b["state"])
    for index, mine in a["state"].items():
        assert mine.keys() == b["state"][index].keys()
        for name, value in mine.items():
            assert np.asarray(value).tobytes() == np.asarray(b["state"][index][name]).tobytes()


ROWS = st.lists(st.tuples(*[st.booleans()] * len(SHAPES)), max_size=4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@settings(max_examples=25)
@given(before=ROWS, after=ROWS, other=ROWS)
def test_the_steps_after_loading_have_the_bits_of_the_walk_that_went_on(
    kind, dtype, before, after, other
):
    """Whichever parameters have gradients, and whatever the loading optimizer did before."""
    ps, optimizer = made(kind, dtype)
    walk(ps, optimizer, before)
    state = optimizer.state_dict()
    weights = [p.data.copy() for p in ps]
    walk(ps, optimizer, after, start=50)

    qs, resumed = made(kind, dtype)
    walk(qs, resumed, other, start=20)
    resumed.load_state_dict(state)
    for q, weight in zip(qs, weights):
        q.data[...] = weight
    same_state(resumed.state_dict(), state)
    walk(qs, resumed, after, start=50)
    assert bits(qs) == bits(ps)
    same_state(resumed.state_dict(), optimizer.state_dict())


def test_what_a_state_holds():
    a, b, c = parameter(drawn(2, 3)), parameter(drawn(4)), parameter(1.5)
    optimizer = Adam([{"params": [a, b]}, {"params": [c], "lr": 0.5}], lr=0.25)
    for g in (1.0, 3.0):
        give(a, g * np.ones((2, 3)))
        give(c, g)
        optimizer.step()
    state = optimizer.state_dict()
    shared = {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0}
    assert state["param_groups"] == [
        {"lr": 0.25, **shared, "params": [0, 1]},
        {"lr": 0.5, **shared, "params": [2]},
    ]
    assert list(state["state"]) == [0, 2] and state["state"][0].keys() == {"step", "m", "v"}
    assert state["state"][0]["step"] == 2 and state["state"][2]["m"].shape == ()
    np.testing.assert_allclose(state["state"][0]["m"], np.full((2, 3), 0.9 * 0.1 + 0.3))


def test_a_state_is_a_copy_both_ways():
    p = parameter([1.0, 2.0])
    optimizer = SGD([p], lr=0.1, momentum=0.9)
    give(p, [1.0, 1.0])
    optimizer.step()
    state = optimizer.state_dict()
    before = copy.deepcopy(state)
    optimizer.step()
    same_state(state, before)
    optimizer.load_state_dict(state)
    state["state"][0]["v"][...] = 99.0
    same_state(optimizer.state_dict(), before)


def test_settings_come_back_and_what_is_loaded_stays_as_it_was():
    p = parameter([1.0])
    optimizer = AdamW([p], lr=0.5, betas=(0.5, 0.6), weight_decay=0.1)
    state = json.loads(json.dumps(optimizer.state_dict()))  # betas as a list
    fresh = AdamW([parameter([1.0])])
    fresh.load_state_dict(state)
    (group,) = fresh.param_groups
    assert group["lr"] == 0.5 and group["betas"] == (0.5, 0.6) and group["weight_decay"] == 0.1
    assert isinstance(group["params"][0], nn.Parameter)
    fresh.param_groups[0]["lr"] = 0.0
    assert state["param_groups"][0]["lr"] == 0.5


def test_tensors_are_taken_as_arrays_are():
    p, q = parameter([1.0, 2.0]), parameter([1.0, 2.0])
    optimizer, fresh = SGD([p], 0.1, momentum=0.9), SGD([q], 0.1, momentum=0.9)
    for _ in range(2):
        give(p, [1.0, 3.0])
        optimizer.step()
    state = optimizer.state_dict()
    state["state"][0]["v"] = Tensor(state["state"][0]["v"])
    fresh.load_state_dict(state)
    same_state(fresh.state_dict(), optimizer.state_dict())


def test_momentum_that_is_turned_on_or_off_on_the_way_is_saved_and_loaded():
    ends = []
    for resume in (False, True):
        p = parameter([1.0])
        optimizer = SGD([p], lr=0.1, momentum=0.5)
        for step, momentum in enumerate((0.5, 0.0, 0.5, 0.25)):
            optimizer.param_groups[0]["momentum"] = momentum
            if resume:
                state = optimizer.state_dict()
                optimizer = SGD([p], lr=0.7)
                optimizer.load_state_dict(state)
            give(p, [1.0 + step])
            optimizer.step()
        ends.append(p.item())
    assert ends[0] == ends[1]


def test_what_a_refused_step_was_about_has_no_state():
    p, q = parameter([1.0]), parameter([1.0, 2.0])
    optimizer = Adam([p, q])
    give(p, [1.0])
    optimizer.step()
    p.grad, q.grad = None, Tensor(np.zeros(3))
    with pytest.raises(ValueError, match="a gradient of shape"):
        optimizer.step()
    state = optimizer.state_dict()
    assert list(state["state"]) == [0]
    optimizer.load_state_dict(state)


def test_a_loaded_optimizer_can_be_copied_and_pickled_before_its_first_step():
    p = parameter(drawn(3))
    optimizer = Adam([p], lr=0.1)
    give(p, drawn(3, seed=1))
    optimizer.step()
    fresh = Adam([parameter(p.data.copy())], lr=0.1)
    fresh.load_state_dict(optimizer.state_dict())
    give(p, drawn(3, seed=2))
    optimizer.step()
    for twin in (copy.deepcopy(fresh), pickle.loads(pickle.dumps(fresh))):
        (q,) = twin.param_groups[0]["params"]
        give(q, drawn(3, seed=2))
        twin.step()
        assert np.array_equal(q.data, p.data)


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_goes_from_one_device_to_another(kind):
    present = [(True, False, True, True, True), (True, True, True, False, True)]
    with strict_cupy.installed():
        ps, optimizer = made(kind, "float32")
        walk(ps, optimizer, present)
        qs = [nn.Parameter(Tensor(p.detach(), device="cuda")) for p in ps]
        fresh = KINDS[kind]([{"params": qs[:2]}, {"params": qs[2:], "lr": 0.05}])
        fresh.load_state_dict(optimizer.state_dict())
        same_state(fresh.state_dict(), optimizer.state_dict())
        walk(ps, optimizer, present, start=7)
        walk(qs, fresh, present, start=7)
        assert bits(qs) == bits(ps)


# How it is shown


def test_an_optimizer_shows_its_settings_group_by_group():
    ps = [parameter(np.zeros((40, 30))), parameter(np.zeros(3)), parameter(1.0)]
    optimizer = AdamW([{"params": ps[:2]}, {"params": ps[2], "weight_decay": 0.0}], lr=0.1)
    assert repr(optimizer) == (
        "AdamW, weight decay decoupled\n"
        "    group 0: 2 parameters (1,203 numbers), "
        "lr=0.1, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.01\n"
        "    group 1: 1 parameter (1 number), "
        "lr=0.1, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0"
    )
    assert repr(Optimizer([ps[2]], lr=1.0)).startswith(
        "Optimizer\n    group 0: 1 parameter (1 number), lr=1.0"
    )
