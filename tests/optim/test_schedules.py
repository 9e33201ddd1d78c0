"""Tests of schedules: Hugging Face's at every step, groups, states, and what is warned of."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest

from tests.fixtures import make_schedules as recorded
from tests.optim.common import give, parameter
from tinygrad_llm import optim
from tinygrad_llm.optim import SGD, Adam, Schedule, constant, cosine, linear
from tinygrad_llm.optim.schedules import constant_factor, cosine_factor, linear_factor

FIGURES = json.loads(recorded.FILE.read_text(encoding="utf8"))


def two_groups(kind=SGD):
    return kind([{"params": parameter([1.0]), "lr": lr} for lr in recorded.LRS])


def made(case, optimizer):
    total = {} if case["schedule"] == "constant" else {"total_steps": case["total"]}
    cycles = {"cycles": case["cycles"]} if "cycles" in case else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return getattr(optim, case["schedule"])(
            optimizer, warmup_steps=case["warmup"], **total, **cycles
        )


def rates(schedule, steps):
    """get_last_lr before each of so many steps."""
    found = []
    for _ in range(steps):
        found.append(schedule.get_last_lr())
        schedule.step()
    return found


# Against Hugging Face


@pytest.mark.parametrize("number", range(len(recorded.CASES)), ids=lambda i: str(recorded.CASES[i]))
def test_the_rates_are_hugging_faces_at_every_step(number):
    case, expected = recorded.CASES[number], FIGURES["schedules"][number]
    optimizer = two_groups()
    schedule = made(case, optimizer)
    assert len(expected) == case["total"] + recorded.BEYOND
    for step, theirs in enumerate(expected):
        assert schedule.steps == step
        ours = [group["lr"] for group in optimizer.param_groups]
        assert ours == schedule.get_last_lr()
        np.testing.assert_allclose(ours, theirs, rtol=1e-14, atol=1e-17, err_msg=str(step))
        schedule.step()


@pytest.mark.parametrize(
    ("run", "warmup"), list(zip(recorded.RATIOS, FIGURES["warmup"], strict=True)), ids=str
)
def test_a_share_of_the_run_is_rounded_up_as_hugging_faces(run, warmup):
    total, ratio = run
    for make in (constant, linear, cosine):
        pair = [two_groups(), two_groups()]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            by_ratio = make(pair[0], total_steps=total, warmup_ratio=ratio)
            by_steps = make(pair[1], total_steps=total, warmup_steps=warmup)
        assert rates(by_ratio, total + 1) == rates(by_steps, total + 1)


# The factors


def test_the_linear_factor_by_hand():
    factors = [linear_factor(step, 10, 4) for step in range(12)]
    expected = [0, 1 / 4, 2 / 4, 3 / 4, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6, 0, 0]
    np.testing.assert_allclose(factors, expected, rtol=1e-15)


def test_a_warm_up_that_outlasts_the_run_never_turns_negative():
    """The form with a minimum of two lines would: (T − t)/(T − T_w) with T_w > T."""
    factors = [linear_factor(step, 150, 500) for step in range(700)]
    assert min(factors) == 0.0 and factors[149] == 149 / 500 and factors[600] == 0.0


def test_the_cosine_factor_at_its_marks():
    assert [cosine_factor(step, 12, 4) for step in (0, 1, 4)] == [0.0, 0.25, 1.0]
    marks = [cosine_factor(step, 12, 4) for step in (6, 8, 10, 12)]
    expected = [0.5 + math.sqrt(0.125), 0.5, 0.5 - math.sqrt(0.125), 0.0]
    np.testing.assert_allclose(marks, expected, atol=1e-15)
    whole = [cosine_factor(step, 8, cycles=1.0) for step in (0, 4, 8)]
    np.testing.assert_allclose(whole, [1.0, 0.0, 1.0], atol=1e-15)


def test_the_constant_factor_by_hand():
    assert [constant_factor(step, 4) for step in range(7)] == [0, 0.25, 0.5, 0.75, 1, 1, 1]
    assert constant_factor(0) == 1.0


# What a schedule does


def test_the_first_factor_applies_at_once():
    optimizer = two_groups()
    Schedule(optimizer, lambda step: 0.5 ** (step + 1))
    assert [group["lr"] for group in optimizer.param_groups] == [0.001, 0.25]


@pytest.mark.parametrize("kind", [SGD, Adam])
def test_a_step_has_the_length_that_the_schedule_says(kind):
    p = parameter([0.0])
    optimizer = kind([p], lr=1.0)
    schedule = linear(optimizer, 4, warmup_steps=2)
    places = []
    for _ in range(5):
        give(p, [1.0])
        optimizer.step()
        schedule.step()
        places.append(p.item())
    np.testing.assert_allclose(places, [0.0, -0.5, -1.5, -2.0, -2.0], atol=1e-7)


def test_what_is_set_in_between_lasts_until_the_next_step():
    optimizer = two_groups()
    schedule = constant(optimizer)
    optimizer.param_groups[0]["lr"] = 7.0
    assert schedule.get_last_lr() == [7.0, 0.5]
    schedule.step()
    assert schedule.get_last_lr() == [0.002, 0.5]


def test_a_group_that_comes_later_is_refused():
    optimizer = two_groups()
    schedule = constant(optimizer)
    optimizer.param_groups.append({"params": [parameter([1.0])], "lr": 1.0})
    with pytest.raises(RuntimeError, match="had 2 groups and has 3 now: make the schedule anew"):
        schedule.step()


def test_a_factor_that_cannot_be_called_is_refused():
    with pytest.raises(TypeError, match=r"factor is a function of the step, not 0\.5"):
        Schedule(two_groups(), 0.5)


# One schedule after another


@pytest.mark.parametrize("make", [linear, cosine])
def test_a_schedule_after_one_that_ended_begins_as_high(make):
    """And so does the next; the lr at the end, 0, would freeze the training in silence."""
    optimizer = two_groups()
    runs = [rates(make(optimizer, 5), 6) for _ in range(3)]
    assert runs[0] == runs[1] == runs[2] and runs[0][0] == list(recorded.LRS)
    assert math.isclose(runs[0][5][1], 0.0)


def test_a_schedule_in_the_place_of_one_that_is_on_its_way_has_its_base():
    optimizer = two_groups()
    rates(linear(optimizer, 10, warmup_steps=4), 2)
    assert rates(constant(optimizer), 1) == [list(recorded.LRS)]


def test_an_lr_that_somebody_set_is_the_base_of_the_next_schedule_and_of_those_after_it():
    optimizer = two_groups()
    rates(linear(optimizer, 3), 4)
    optimizer.param_groups[1]["lr"] = 7.0
    for _ in range(2):
        assert rates(linear(optimizer, 2), 3) == [[0.002, 7.0], [0.001, 3.5], [0.0, 0.0]]


@pytest.mark.parametrize("by_hand", [False, True])
def test_the_base_is_kept_in_a_saved_state(by_hand):
    """A new process that has the optimizer's state alone begins another run with it."""
    optimizer = two_groups(Adam)
    rates(linear(optimizer, 3), 4)
    if by_hand:
        optimizer.param_groups[0]["lr"] = 7.0
    state = json.loads(json.dumps(optimizer.state_dict()))
    fresh = two_groups(Adam)
    fresh.load_state_dict(state)
    assert [group["lr"] for group in fresh.param_groups] == [7.0 if by_hand else 0.0, 0.0]
    assert constant(fresh).get_last_lr() == [7.0 if by_hand else 0.002, 0.5]


def test_the_base_of_a_loaded_schedule_is_kept_too():
    optimizer = two_groups()
    linear(optimizer, 10).load_state_dict({"step": 10, "base_lrs": [2.0, 4.0]})
    assert constant(optimizer).get_last_lr() == [2.0, 4.0]


def test_a_state_from_before_a_schedule_was_made_fits_an_optimizer_that_has_one():
    state = two_groups().state_dict()
    optimizer = two_groups()
    schedule = linear(optimizer, 4, warmup_steps=2)
    optimizer.load_state_dict(state)
    assert schedule.get_last_lr() == list(recorded.LRS)
    schedule.step()
    assert schedule.get_last_lr() == [0.001, 0.25]


@pytest.mark.parametrize(
    ("make", "groups"),
    [
        (lambda o: Schedule(o, lambda step: 1.0), "0, 1"),
        (constant, "0, 1"),
        (lambda o: linear(o, 10), "1"),
        (lambda o: cosine(o, 10), "1"),
    ],
)
def test_a_base_of_nought_is_warned_of_where_the_schedule_is_made(make, groups):
    optimizer = two_groups()
    for number in groups.split(", "):
        optimizer.param_groups[int(number)]["lr"] = 0.0
    message = f"the base lr is 0 in group {groups}, where nothing will move: set .* before the"
    with pytest.warns(UserWarning, match=message) as caught:
        make(optimizer)
    assert [each.filename for each in caught] == [__file__]


# States


def test_a_state_is_plain_numbers():
    schedule = cosine(two_groups(), 20, warmup_steps=4)
    rates(schedule, 3)
    state = schedule.state_dict()
    assert state == {"step": 3, "base_lrs": [0.002, 0.5]}
    assert json.loads(json.dumps(state)) == state
    state["base_lrs"][0] = 9.0
    assert schedule.state_dict() == {"step": 3, "base_lrs": [0.002, 0.5]}


def test_a_loaded_state_applies_at_once():
    schedule = linear(two_groups(), 10)
    schedule.load_state_dict({"step": 5, "base_lrs": [2.0, 4.0]})
    assert schedule.get_last_lr() == [1.0, 2.0]


@pytest.mark.parametrize("first", ["optimizer", "schedule"])
@pytest.mark.parametrize("made_after", [False, True], ids=["made before", "made after"])
@pytest.mark.parametrize("stop", [0, 2, 11])
def test_a_resumed_run_goes_on_with_the_same_rates(first, made_after, stop):
    """Whichever is loaded first, and even if the schedule was made on an optimizer that was loaded
    already, whose lr is a reduced one."""
    whole = two_groups(Adam)
    schedule = cosine(whole, 15, warmup_steps=4)
    rates(schedule, stop)
    states = {"optimizer": whole.state_dict(), "schedule": schedule.state_dict()}
    states = {**states, "schedule": json.loads(json.dumps(states["schedule"]))}
    fresh = two_groups(Adam)
    if made_after:
        fresh.load_state_dict(states["optimizer"])
    resumed = {"optimizer": fresh, "schedule": cosine(fresh, 15, warmup_steps=4)}
    for name in (first, *(name for name in resumed if name != first)):
        resumed[name].load_state_dict(states[name])
    assert resumed["schedule"].steps == stop
    assert rates(resumed["schedule"], 8) == rates(schedule, 8)


@pytest.mark.parametrize(
    ("state", "kind", "message"),
    [
        ({"step": 1}, ValueError, "a state has step and base_lrs, this one has step"),
        ({}, ValueError, "this one has nothing"),
        ({"step": 1, "base_lrs": [1.0, 1.0], "x": 0}, ValueError, "this one has step, base_lrs, x"),
        ({"step": -1, "base_lrs": [1.0, 1.0]}, ValueError, "step must be at least 0, not -1"),
        ({"step": 1.5, "base_lrs": [1.0, 1.0]}, TypeError, r"step must be an integer, not 1\.5"),
        ({"step": 1, "base_lrs": [1.0]}, ValueError, "for 1 groups, the optimizer 2"),
        ({"step": 1, "base_lrs": [1.0, -1.0]}, ValueError, "base_lrs must be at least 0"),
        ({"step": 1, "base_lrs": [math.nan, 1.0]}, ValueError, "base_lrs must be at least 0"),
    ],
    ids=str,
)
def test_a_state_that_does_not_fit_is_refused_before_anything_changes(state, kind, message):
    schedule = linear(two_groups(), 10)
    rates(schedule, 3)
    before = schedule.state_dict(), schedule.get_last_lr()
    with pytest.raises(kind, match=message):
        schedule.load_state_dict(state)
    assert (schedule.state_dict(), schedule.get_last_lr()) == before


# Warnings (F74)


@pytest.mark.parametrize("make", [constant, linear, cosine])
@pytest.mark.parametrize(
    ("total", "warmup", "share"),
    [
        (150, 500, r"29\.8 % of it \(149/500\)"),  # 800 rows, 3 epochs, batches of 16
        (3, 500, r"0\.4 % of it \(2/500\)"),  # one row
        (2, 2, r"50 % of it \(1/2\)"),
        (150, 150, r"99\.3 % of it \(149/150\)"),
    ],
)
def test_a_warm_up_that_outlasts_the_run_is_warned_of(make, total, warmup, share):
    optimizer = two_groups()
    message = (
        f"{make.__name__}: a warm-up of {warmup} steps does not end within a run of {total}: "
        f"the learning rate gets no higher than {share}: give warmup_ratio=0.1"
    )
    with pytest.warns(UserWarning, match=message) as caught:
        schedule = make(optimizer, total_steps=total, warmup_steps=warmup)
    assert caught[0].filename == __file__
    reached = max(rate[1] for rate in rates(schedule, total)) / recorded.LRS[1]
    assert math.isclose(reached, (total - 1) / warmup)


@pytest.mark.parametrize("total", [2, 3, 10, 150])
def test_the_mend_of_the_warning_needs_no_warning(total):
    for make in (constant, linear, cosine):
        schedule = make(two_groups(), total_steps=total, warmup_ratio=0.1)
        assert max(rate[1] for rate in rates(schedule, total)) == 0.5


def test_a_run_of_one_step_needs_no_warm_up():
    with pytest.warns(UserWarning, match=r"higher than 0 % of it \(0/1\): give no warm-up for a"):
        linear(two_groups(), 1, warmup_ratio=0.1)
    assert linear(two_groups(), 1).get_last_lr() == [0.002, 0.5]


def test_a_share_that_is_the_whole_run_is_warned_of():
    with pytest.warns(UserWarning, match="a warm-up of 10 steps does not end within a run of 10"):
        cosine(two_groups(), 10, warmup_ratio=1.0)


# What is refused


@pytest.mark.parametrize("make", [constant, linear, cosine])
@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"total_steps": 0}, ValueError, "total_steps must be at least 1, not 0"),
        ({"total_steps": -5}, ValueError, "total_steps must be at least 1, not -5"),
        ({"total_steps": 10.0}, TypeError, r"total_steps must be an integer, not 10\.0"),
        ({"warmup_steps": -1}, ValueError, "warmup_steps must be at least 0, not -1"),
        ({"warmup_steps": 0.1}, TypeError, r"warmup_steps must be an integer, not 0\.1"),
        ({"warmup_ratio": -0.1}, ValueError, r"warmup_ratio is a share from 0 to 1, not -0\.1"),
        ({"warmup_ratio": 1.5}, ValueError, r"warmup_ratio is a share from 0 to 1, not 1\.5"),
        ({"warmup_ratio": math.nan}, ValueError, "warmup_ratio is a share from 0 to 1, not nan"),
        ({"warmup_steps": 1, "warmup_ratio": 0.1}, ValueError, "give warmup_steps or warmup_ratio"),
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused_by_name(make, settings, kind, message):
    optimizer = two_groups()
    with pytest.raises(kind, match=f"{make.__name__}: {message}"):
        make(optimizer, **{"total_steps": 10, **settings})
    assert [group["lr"] for group in optimizer.param_groups] == list(recorded.LRS)


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"warmup_steps": -1}, ValueError, "warmup_steps must be at least 0, not -1"),
        ({"warmup_steps": 0.5}, TypeError, "warmup_steps must be an integer"),
        ({"warmup_ratio": 0.1}, ValueError, "warmup_ratio is a share of total_steps: give total_s"),
    ],
)
def test_a_constant_schedule_of_a_run_without_an_end(settings, kind, message):
    with pytest.raises(kind, match=f"constant: {message}"):
        constant(two_groups(), **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rates(constant(two_groups(), warmup_steps=2), 3)[1] == [0.001, 0.25]


def test_a_number_that_could_be_either_count_of_steps_is_refused():
    with pytest.raises(TypeError, match="positional argument"):
        constant(two_groups(), 100)


@pytest.mark.parametrize("cycles", [-0.5, math.nan, math.inf])
def test_waves_that_make_no_sense_are_refused(cycles):
    with pytest.raises(ValueError, match="cycles must be at least 0"):
        cosine(two_groups(), 10, cycles=cycles)
