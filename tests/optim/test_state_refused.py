"""Tests of the saved states that load_state_dict refuses, before it changes anything."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.engine.common import drawn
from tests.optim.common import KINDS, give, parameter
from tests.optim.test_state import SHAPES, bits, made, same_state, walk
from tinygrad_llm.optim import SGD, Adam, Optimizer, RMSprop


def changed(change):
    """The state of RMSprop after a step of both parameters, changed."""
    ps = [parameter(drawn(2, 3)), parameter(drawn(4))]
    optimizer = RMSprop([{"params": [ps[0]]}, {"params": [ps[1]]}], momentum=0.5)
    walk(ps, optimizer, [(True, True)])
    state = optimizer.state_dict()
    return ps, optimizer, change(state) or state


class Runs:
    """Something that must not be looked at more closely than its class."""

    def __float__(self):
        raise AssertionError("was run")

    __array__ = __call__ = __float__


REFUSED = {
    "no dict": (lambda s: [s], TypeError, "a saved state is a dict, not list"),
    "no groups": (lambda s: {"state": {}}, ValueError, "a saved state: missing param_groups"),
    "more": (lambda s: s.update(epoch=3), ValueError, "a saved state: unknown epoch"),
    "groups": (
        lambda s: s["param_groups"].pop() and None,
        ValueError,
        "2 groups here, 1 in the state",
    ),
    "parameters": (
        lambda s: s["param_groups"][1].update(params=[1, 2]),
        ValueError,
        "group 1 has 1 parameter here, 2 in the state",
    ),
    "order": (
        lambda s: s["param_groups"][1].update(params=[0]),
        ValueError,
        r"group 1: parameters are counted from 1, not \[0\]",
    ),
    "unknown setting": (
        lambda s: s["param_groups"][0].update(betas=(0.9, 0.99)),
        ValueError,
        "group 0: unknown betas",
    ),
    "missing setting": (
        lambda s: s["param_groups"][1].pop("alpha") and None,
        ValueError,
        "group 1: missing alpha",
    ),
    "setting out of range": (
        lambda s: s["param_groups"][1].update(alpha=1.5),
        ValueError,
        "alpha must be at least 0 and below 1, not 1.5",
    ),
    "setting that is text": (
        lambda s: s["param_groups"][0].update(lr="0.1"),
        TypeError,
        "group 0, lr must be like 0.01, not '0.1'",
    ),
    "setting that runs": (
        lambda s: s["param_groups"][0].update(lr=Runs()),
        TypeError,
        "group 0, lr must be like 0.01",
    ),
    "flag that is a number": (
        lambda s: s["param_groups"][0].update(centered=1),
        TypeError,
        "group 0, centered must be like False, not 1",
    ),
    "number that is a flag": (
        lambda s: s["param_groups"][0].update(eps=True),
        TypeError,
        "group 0, eps must be like 1e-08, not True",
    ),
    "index": (
        lambda s: s["state"].update({2: s["state"][0]}),
        ValueError,
        "no parameter 2 here: they are 0 to 1",
    ),
    "index that is text": (
        lambda s: s["state"].update({"0": s["state"].pop(0)}),
        ValueError,
        "no parameter '0' here: they are 0 to 1",
    ),
    "shape": (
        lambda s: s["state"][1].update(v=np.ones((2, 2))),
        ValueError,
        r"parameter 1: v has shape \(2, 2\), the parameter \(4,\)",
    ),
    "unknown moment": (
        lambda s: s["state"][1].update(m=np.ones(4)),
        ValueError,
        "parameter 1: unknown m; known are mean, step, v, velocity",
    ),
    "missing moment": (
        lambda s: s["state"][0].pop("velocity") is None,
        ValueError,
        "parameter 0: missing velocity",
    ),
    "no step": (
        lambda s: s["state"][0].pop("step") and None,
        ValueError,
        "parameter 0: missing step",
    ),
    "step 0": (
        lambda s: s["state"][0].update(step=0),
        ValueError,
        "parameter 0: step counts from 1, not 0",
    ),
    "half a step": (
        lambda s: s["state"][0].update(step=1.5),
        ValueError,
        "parameter 0: step counts from 1, not 1.5",
    ),
    "no array": (
        lambda s: s["state"][0].update(v=[1.0] * 6),
        TypeError,
        "parameter 0: v must be an array of floats",
    ),
    "objects": (
        lambda s: s["state"][0].update(v=np.full((2, 3), None)),
        TypeError,
        "parameter 0: v must be an array of floats",
    ),
    "a moment that is not finite": (
        lambda s: s["state"][1].update(mean=np.array([0.0, np.nan, np.inf, 1.0])),
        ValueError,
        "parameter 1: mean is inf or NaN in 2 of 4 places: give the state of an earlier step",
    ),
    "a mean of squares below 0": (
        lambda s: s["state"][0]["v"].__setitem__((1, 2), -1e-30),
        ValueError,
        "parameter 0: v is below 0, and no mean of squares ever is",
    ),
    "what a schedule notes, in part": (
        lambda s: s["param_groups"][1].update(scheduled_lr=0.1),
        ValueError,
        "group 1: scheduled_lr stands alone, of initial_lr, scheduled_lr",
    ),
    "a base lr that is none": (
        lambda s: s["param_groups"][1].update(initial_lr=math.nan, scheduled_lr=0.1),
        ValueError,
        "group 1, initial_lr must be at least 0, not nan",
    ),
    "a base lr that is text": (
        lambda s: s["param_groups"][1].update(initial_lr="1", scheduled_lr=0.1),
        TypeError,
        "group 1, initial_lr must be like 0.0, not '1'",
    ),
    "a state that is no dict": (
        lambda s: s["state"].update({0: 3}),
        TypeError,
        "parameter 0 is a dict, not int",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_fit_is_named_and_changes_nothing(what):
    change, kind, message = REFUSED[what]
    ps, optimizer, state = changed(change)
    before, weights = optimizer.state_dict(), bits(ps)
    with pytest.raises(kind, match=f"^optimizer: {message}"):
        optimizer.load_state_dict(state)
    same_state(optimizer.state_dict(), before)
    assert bits(ps) == weights


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "SGD"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_no_optimizer_takes_a_moment_that_is_not_finite(kind, bad):
    ps, optimizer = made(kind)
    walk(ps, optimizer, [(True,) * len(SHAPES)])
    for index, place in ((0, (1, 1)), (1, ())):
        state = optimizer.state_dict()
        state["state"][index]["v"][place] = bad
        with pytest.raises(ValueError, match=f"parameter {index}: v is inf or NaN in 1 of"):
            optimizer.load_state_dict(state)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "SGD"])
def test_a_velocity_may_be_negative_and_a_mean_of_squares_may_not(kind):
    ps, optimizer = made(kind)
    walk(ps, optimizer, [(True,) * len(SHAPES)])
    state = optimizer.state_dict()
    for moments in state["state"].values():
        for name in moments.keys() & {"m", "velocity", "mean"}:
            moments[name][...] = -1.0
    optimizer.load_state_dict(state)
    state["state"][0]["v"][1, 1] = -1.0
    if kind in ("RMSprop", "Adam", "AdamW", "LAMB"):
        with pytest.raises(ValueError, match="parameter 0: v is below 0"):
            optimizer.load_state_dict(state)
    else:
        optimizer.load_state_dict(state)


class Own(Optimizer):
    """An optimizer of a user's: of its moments, `s` is a mean of squares, and v is not."""

    moments = ("s", "v")
    squares = ("s",)

    def update(self, group, flat, tile, step):
        for name in self.moments:
            flat.moment(name)[tile] = flat.gradient[tile] ** 2


@pytest.mark.parametrize(("moment", "refused"), [("s", True), ("v", False)])
def test_an_optimizer_says_which_of_its_moments_are_squares(moment, refused):
    p = parameter([1.0, 2.0])
    optimizer = Own([p], lr=0.1, alpha=0.5)
    give(p, [3.0, 4.0])
    optimizer.step()
    state = optimizer.state_dict()
    state["state"][0][moment][1] = -1.0
    if refused:
        with pytest.raises(ValueError, match=f"parameter 0: {moment} is below 0, and no mean of"):
            optimizer.load_state_dict(state)
    else:
        optimizer.load_state_dict(state)


def test_the_state_of_another_optimizer_is_refused():
    p = parameter([1.0])
    optimizer = Adam([p])
    give(p, [1.0])
    optimizer.step()
    with pytest.raises(ValueError, match="group 0: unknown betas, eps"):
        SGD([p]).load_state_dict(optimizer.state_dict())


def test_half_precision_is_refused_when_it_loads_too():
    p, q = parameter([1.0]), parameter([1.0], "float16")
    optimizer = SGD([p])
    give(p, [1.0])
    optimizer.step()
    with pytest.raises(TypeError, match="steps get lost in float16"):
        SGD([q]).load_state_dict(optimizer.state_dict())
