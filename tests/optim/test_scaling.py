"""Tests of GradScaler: PyTorch's scales, the division, steps that are left out, and misuse."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from tests.engine.common import drawn, leaf
from tests.fixtures import make_schedules as recorded
from tests.optim.common import give, parameter
from tinygrad_llm import Tensor, grad, nn
from tinygrad_llm.optim import SGD, Adam, GradScaler, clip_grad_norm_
from tinygrad_llm.testing import strict_cupy

FIGURES = json.loads(recorded.FILE.read_text(encoding="utf8"))


def pair(values=(1.0, 2.0), lr=1.0, **settings):
    """A float32 parameter, its optimizer, and a scaler."""
    p = parameter(values, "float32")
    return p, SGD([p], lr=lr), GradScaler(**settings)


# The scale


@pytest.mark.parametrize("name", recorded.SCALERS)
def test_scales_and_skipped_steps_are_pytorchs(name):
    w, optimizer, scaler = pair([0.0], **recorded.SCALERS[name])
    for overflow, (scale, place) in zip(recorded.OVERFLOWS, FIGURES["scales"][name], strict=True):
        optimizer.zero_grad()
        scaler.scale(w.sum()).backward()
        if overflow:
            give(w, [math.inf])
        assert scaler.step(optimizer) is not bool(overflow)
        scaler.update()
        assert math.isclose(scaler.get_scale(), scale, rel_tol=1e-6) and w.item() == place


def test_the_defaults_are_pytorchs():
    state = GradScaler().state_dict()
    assert state == {
        "scale": 65536.0,
        "growth_factor": 2.0,
        "backoff_factor": 0.5,
        "growth_interval": 2000,
        "_growth_tracker": 0,
    }


def test_the_scale_stays_where_float32_can_divide_by_it():
    w, optimizer, scaler = pair([0.0], init_scale=2.0**-125)
    for _ in range(5):
        give(w, [math.nan])
        scaler.step(optimizer)
        scaler.update()
    assert scaler.get_scale() == 2.0**-126
    give(w, [2.0**-126])
    assert scaler.step(optimizer) and w.item() == -1.0


# scale


def test_the_loss_is_multiplied_on_the_tape():
    x, scaler = leaf([3.0], "float32"), GradScaler(8.0)
    loss = (x * x).sum()
    scaled = scaler.scale(loss)
    assert scaled.item() == 72.0 and scaled.dtype == np.float32 and loss.item() == 9.0
    scaled.backward()
    assert x.grad.tolist() == [48.0]


def test_a_half_precision_loss_has_room():
    x, scaler = leaf([2.0], "float16"), GradScaler(1024.0)
    scaled = scaler.scale((x * 100.0).sum())
    assert scaled.dtype == np.float32 and scaled.item() == 204800.0
    (x * 0.125).sum().backward()
    assert x.grad.dtype == np.float16


def test_what_is_no_loss_is_refused():
    with pytest.raises(TypeError, match=r"scale takes the loss, a Tensor, not 0\.5"):
        GradScaler().scale(0.5)


# unscale_


@pytest.mark.parametrize("scale", [65536.0, 1000.0, 0.1])
def test_gradients_are_divided_in_place(scale):
    p, optimizer, scaler = pair(np.zeros(50), init_scale=scale)
    g = drawn(50).astype(np.float32)
    give(p, g)
    grad_before, array = p.grad, p.grad.data
    scaler.unscale_(optimizer)
    assert p.grad is grad_before and p.grad.data is array and array.dtype == np.float32
    assert np.array_equal(array, g / np.float32(scale))


def test_powers_of_two_round_nothing():
    p, optimizer, scaler = pair(np.zeros(50))
    g = drawn(50).astype(np.float32)
    give(p, g * np.float32(65536.0))
    scaler.unscale_(optimizer)
    assert np.array_equal(p.grad.data, g)


def test_clipping_between_unscale_and_step_sees_the_true_gradients():
    p, optimizer, scaler = pair([0.0, 0.0])
    scaler.scale((p * Tensor(np.float32([3.0, 4.0]))).sum()).backward()
    scaler.unscale_(optimizer)
    assert clip_grad_norm_([p], 1.0) == 5.0
    assert scaler.step(optimizer)
    np.testing.assert_allclose(p.data, [-0.6, -0.8], rtol=1e-6)


def test_float64_gradients_keep_their_digits():
    p = parameter([0.0])
    give(p, [65536.0 * (1.0 + 1e-12)])
    GradScaler().step(SGD([p], lr=1.0))
    assert p.item() == -(1.0 + 1e-12)


def test_a_gradient_on_a_tape_of_its_own_keeps_it_whole():
    w, x = leaf([2.0]), leaf([3.0])
    (g,) = grad((w * w * x).sum(), [w], create_graph=True)
    w.grad = g
    GradScaler(4.0).unscale_(SGD([w]))
    assert w.grad.tolist() == [3.0] and g.tolist() == [12.0]
    g.sum().backward()
    assert x.grad.tolist() == [4.0]


# step


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("unscaled", [False, True])
def test_a_step_with_inf_or_nan_anywhere_is_left_out(bad, unscaled):
    p, q = parameter(np.zeros(3), "float32"), parameter([5.0], "float32")
    optimizer, scaler = Adam([{"params": [p]}, {"params": [q]}]), GradScaler(growth_interval=1)
    give(p, np.ones(3))
    give(q, [bad])
    if unscaled:
        scaler.unscale_(optimizer)
    assert scaler.step(optimizer) is False
    scaler.update()
    assert p.tolist() == [0.0, 0.0, 0.0] and q.tolist() == [5.0]
    assert optimizer.state_dict()["state"] == {}  # no moment has seen it
    assert scaler.get_scale() == 32768.0
    optimizer.zero_grad()
    give(p, np.ones(3))
    assert scaler.step(optimizer) is True
    scaler.update()
    assert p.data[0] < 0.0 and scaler.get_scale() == 65536.0


def test_a_gradient_that_overflows_by_the_division_is_noticed():
    p, optimizer, scaler = pair([0.0], init_scale=2.0**-10)
    give(p, [1e38])
    assert not scaler.step(optimizer) and p.item() == 0.0


def test_training_with_and_without_a_scale_gives_the_same_bits():
    def train(scaler):
        layer = nn.Linear(3, 2)
        for p in layer.parameters():
            p.data[...] = drawn(*p.shape)
        optimizer = Adam(layer.parameters(), lr=0.1)
        for step in range(5):
            optimizer.zero_grad()
            loss = (layer(Tensor(drawn(4, 3, seed=step).astype(np.float32))) ** 2).mean()
            if scaler is None:
                loss.backward()
                optimizer.step()
            else:
                scaler.scale(loss).backward()
                assert scaler.step(optimizer)
                scaler.update()
        return [p.data.tobytes() for p in layer.parameters()]

    assert train(GradScaler(growth_interval=2)) == train(None)


def test_each_optimizer_is_skipped_for_its_own_gradients():
    """And the scale goes down when it happens to one of them."""
    p, q = parameter([0.0], "float32"), parameter([0.0], "float32")
    first, second, scaler = SGD([p], lr=1.0), SGD([q], lr=1.0), GradScaler(2.0)
    give(p, [math.inf])
    give(q, [2.0])
    assert not scaler.step(first) and scaler.step(second)
    scaler.update()
    assert p.item() == 0.0 and q.item() == -1.0 and scaler.get_scale() == 1.0


def test_a_parameter_without_a_gradient_is_left_alone():
    p, q = parameter([1.0], "float32"), parameter([1.0], "float32")
    give(p, [1.0])
    assert GradScaler(2.0).step(SGD([p, q], lr=1.0))
    assert p.item() == 0.5 and q.item() == 1.0 and q.grad is None


# Devices


def test_a_device_gives_the_same_and_waits_once():
    with strict_cupy.installed():
        ps = [nn.Parameter(Tensor(np.zeros(n, np.float32), device="cuda")) for n in (1, 2, 3)]
        optimizer, scaler = SGD(ps, lr=1.0), GradScaler(4.0)
        for p in ps:
            give(p, np.arange(p.size))
        with strict_cupy.count_synchronizations() as waits:
            assert scaler.step(optimizer)
        assert waits.total() == 1
        assert [p.tolist() for p in ps] == [[0.0], [0.0, -0.25], [0.0, -0.25, -0.5]]
        scaler.update()
        give(ps[1], [0.0, math.nan])
        assert not scaler.step(optimizer)


def test_one_bad_device_is_enough():
    with strict_cupy.installed():
        here = parameter([0.0], "float32")
        there = nn.Parameter(Tensor(np.zeros(1, np.float32), device="cuda"))
        for bad, good in ((here, there), (there, here)):
            give(bad, [math.inf])
            give(good, [1.0])
            assert not GradScaler().step(SGD([here, there]))


# States


def test_a_state_goes_on_where_it_stood():
    def run(scaler, overflows):
        w = parameter([0.0], "float32")
        optimizer, scales = SGD([w]), []
        for overflow in overflows:
            give(w, [math.inf if overflow else 1.0])
            scaler.step(optimizer)
            scaler.update()
            scales.append(scaler.get_scale())
        return scales

    settings = recorded.SCALERS["uneven"]
    whole = run(GradScaler(**settings), recorded.OVERFLOWS)
    for stop in range(1, len(whole)):
        scaler = GradScaler(**settings)
        run(scaler, recorded.OVERFLOWS[:stop])
        state = json.loads(json.dumps(scaler.state_dict()))
        resumed = GradScaler()
        resumed.load_state_dict(state)
        assert resumed.state_dict() == scaler.state_dict()
        assert run(resumed, recorded.OVERFLOWS[stop:]) == whole[stop:]


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"scale": None}, ValueError, "missing or unexpected: scale"),
        ({"steps": 3}, ValueError, "missing or unexpected: steps"),
        ({"scale": 0.0}, ValueError, r"the scale \(init_scale\) must be in float32's range, not 0"),
        ({"_growth_tracker": 2000}, ValueError, "_growth_tracker must be below growth_interval"),
        ({"_growth_tracker": -1}, ValueError, "_growth_tracker must be"),
        ({"backoff_factor": 1.0}, ValueError, "backoff_factor must be above 0 and below 1"),
        ({"growth_interval": 2.5}, TypeError, "growth_interval must be an integer"),
    ],
    ids=str,
)
def test_a_state_that_does_not_fit_is_refused_before_anything_changes(change, kind, message):
    scaler = GradScaler(16.0)
    before = scaler.state_dict()
    state = {k: v for k, v in {**GradScaler().state_dict(), **change}.items() if v is not None}
    with pytest.raises(kind, match=message):
        scaler.load_state_dict(state)
    assert scaler.state_dict() == before


# What is refused


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"init_scale": 0.0}, r"\(init_scale\) must be in float32's range, not 0\.0"),
        ({"init_scale": -1.0}, r"\(init_scale\) must be in float32's range, not -1\.0"),
        ({"init_scale": math.nan}, r"\(init_scale\) must be in float32's range, not nan"),
        ({"init_scale": 1e39}, r"\(init_scale\) must be in float32's range, not 1e\+39"),
        ({"growth_factor": 1.0}, r"growth_factor must be above 1 and finite, not 1\.0"),
        ({"growth_factor": math.inf}, "growth_factor must be above 1 and finite, not inf"),
        ({"backoff_factor": 0.0}, r"backoff_factor must be above 0 and below 1, not 0\.0"),
        ({"backoff_factor": 1.0}, r"backoff_factor must be above 0 and below 1, not 1\.0"),
        ({"growth_interval": 0}, "growth_interval must be at least 1, not 0"),
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused_by_name(settings, message):
    with pytest.raises(ValueError, match=f"GradScaler: .*{message}"):
        GradScaler(**settings)


def test_unscaling_twice_is_refused():
    p, optimizer, scaler = pair()
    give(p, [1.0, 1.0])
    scaler.unscale_(optimizer)
    before = p.grad.tolist()
    message = "gradients of this SGD are unscaled already: call unscale_ once, before step"
    with pytest.raises(RuntimeError, match=message):
        scaler.unscale_(optimizer)
    assert p.grad.tolist() == before
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match=message):
        scaler.unscale_(optimizer)
    scaler.update()
    scaler.unscale_(optimizer)


def test_a_second_step_without_update_is_refused():
    p, optimizer, scaler = pair()
    give(p, [1.0, 1.0])
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match=r"step of this SGD a second time: call update\(\)"):
        scaler.step(optimizer)


def test_update_without_a_step_is_refused():
    p, optimizer, scaler = pair()
    with pytest.raises(RuntimeError, match="update without a step: call step"):
        scaler.update()
    give(p, [1.0, 1.0])
    scaler.step(optimizer)
    scaler.update()
    with pytest.raises(RuntimeError, match="update without a step"):
        scaler.update()


def test_a_step_without_any_gradient_is_refused():
    _, optimizer, scaler = pair()
    with pytest.raises(RuntimeError, match=r"no parameter of this SGD has a gradient: call scaler"):
        scaler.step(optimizer)


def test_half_precision_gradients_are_refused_before_anything_changes():
    p, q = parameter([1.0], "float32"), parameter([1.0], "float16")
    give(p, [8.0])
    give(q, [8.0])
    with pytest.raises(TypeError, match=r"a gradient in float16 would be 0 again .*nn\.in_dtype"):
        GradScaler().unscale_(SGD([p, q]))
    assert p.grad.tolist() == [8.0]


def test_an_update_may_follow_unscale_alone():
    p, optimizer, scaler = pair([1.0], init_scale=4.0)
    give(p, [np.inf])
    scaler.unscale_(optimizer)
    scaler.update()
    assert scaler.get_scale() == 2.0
    with pytest.raises(RuntimeError, match="update without a step"):
        scaler.update()
