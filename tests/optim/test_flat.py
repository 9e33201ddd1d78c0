"""Tests of what all optimizers share: one array, gradients that are missing, and changes."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest

from tests.engine.common import drawn, leaf
from tests.optim.common import CASES_OF_ALL, KINDS, Alone, give, give_all, parameter, start, walk
from tinygrad_llm import Tensor, manual_seed, models, nn
from tinygrad_llm import functional as F
from tinygrad_llm.optim import SGD, Adam, flat
from tinygrad_llm.testing import strict_cupy


def bits(walked):
    """All parameters of a walk as bytes."""
    return [v.tobytes() for ps in walked.values() for v in ps.values()]


def gradients(step, *shape):
    return drawn(*shape, seed=step)


@pytest.mark.parametrize("kind", KINDS)
def test_together_gives_the_bits_of_each_alone(kind):
    shapes = [(3, 2), (), (4,), (0,), (1, 1), (2, 0, 3), (5,)]
    pair = [[parameter(drawn(*s, seed=9)) for s in shapes] for _ in range(2)]
    steppers = KINDS[kind](pair[0]), Alone(kind, pair[1])
    for step in range(20):
        for ps, stepper in zip(pair, steppers):
            for i, (p, shape) in enumerate(zip(ps, shapes)):
                give(p, None if (step + i) % 5 == 0 else gradients(step, *shape))
            stepper.step()
        for a, b in zip(*pair):
            assert a.shape == b.shape and a.data.tobytes() == b.data.tobytes()


def test_data_are_views_of_one_array_from_the_first_step_on():
    a, b = parameter(drawn(2, 3)), parameter(drawn(4))
    optimizer = SGD([a, b], lr=0.5)
    a0, b0 = a.data.copy(), b.data.copy()
    assert a.data.base is None or a.data.base is not b.data.base
    give(a, np.ones((2, 3)))
    give(b, np.ones(4))
    optimizer.step()
    assert a.data.base is b.data.base is not None
    assert not np.shares_memory(a.data, b.data)
    assert a.shape == (2, 3) and a.data.flags.c_contiguous and a.is_leaf and a.requires_grad
    assert np.array_equal(a.data, a0 - 0.5) and np.array_equal(b.data, b0 - 0.5)
    array = a.data
    optimizer.step()
    assert a.data is array and np.array_equal(array, a0 - 1.0)


def test_strides_do_not_matter():
    w = drawn(3, 4)
    a, b = parameter(w), nn.Parameter(np.asfortranarray(w))
    c = nn.Parameter(np.repeat(w, 2, axis=1)[:, ::2])
    optimizer = Adam([a, b, c], lr=0.1)
    for step in range(3):
        g = gradients(step, 3, 4)
        a.grad, b.grad, c.grad = Tensor(g), Tensor(np.asfortranarray(g)), Tensor(g.T.copy().T)
        optimizer.step()
    assert np.array_equal(a.data, b.data) and np.array_equal(a.data, c.data)


@pytest.mark.parametrize("name", CASES_OF_ALL)
@pytest.mark.parametrize("tile", [1, 2, 3, 7])
def test_tiles_change_no_bit(monkeypatch, name, tile):
    whole = walk(name, steps=12)
    monkeypatch.setattr(flat, "TILE", tile)
    assert bits(walk(name, steps=12)) == bits(whole)


def test_a_parameter_larger_than_a_tile():
    p, n = parameter(np.zeros(flat.TILE + 3), np.float32), flat.TILE + 3
    give(p, np.ones(n))
    SGD([p], lr=1.0).step()
    assert (p.data == -1.0).all()


def test_two_runs_give_the_same_bits():
    def run():
        manual_seed(0)
        net = models.MLP([4, 8, 3], dropout=0.3)
        optimizer = Adam(net.parameters(), lr=0.01)
        for step in range(10):
            optimizer.zero_grad()
            x = Tensor(drawn(6, 4, seed=step).astype(np.float32))
            F.cross_entropy(net(x), [0, 1, 2, 0, 1, 2]).backward()
            optimizer.step()
        return [p.data.tobytes() for p in net.parameters()]

    assert run() == run()


# Gradients that are missing


@pytest.mark.parametrize("kind", KINDS)
def test_without_gradients_nothing_moves(kind):
    p, q = parameter(drawn(3)), parameter(drawn(2))
    optimizer = KINDS[kind]([p, q])
    optimizer.step()
    give(p, np.ones(3))
    optimizer.step()
    assert np.array_equal(q.data, drawn(2))
    p.grad, before = None, p.data.copy()
    optimizer.step()
    assert np.array_equal(p.data, before)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_frozen_at_first_begins_when_it_is_unfrozen(kind):
    pair = [[parameter(drawn(3)), parameter(drawn(2))] for _ in range(2)]
    steppers = KINDS[kind](pair[0]), Alone(kind, pair[1])
    for ps, stepper in zip(pair, steppers):
        a, b = ps
        b.requires_grad = False
        for step in range(8):
            if step == 4:
                b.requires_grad = True
            for p in ps:
                p.grad = None
            ((a * a).sum() + (b * b * b).sum()).backward()
            stepper.step()
    for a, b in zip(*pair):
        assert np.array_equal(a.data, b.data)
    assert not np.array_equal(pair[0][1].data, drawn(2))


def test_what_never_has_a_gradient_keeps_its_own_array():
    a, b = parameter(drawn(3)), parameter(drawn(10_000))
    array = b.data
    give(a, np.ones(3))
    SGD([a, b]).step()
    assert b.data is array


def test_what_is_frozen_costs_no_memory():
    a, b = parameter(drawn(3)), parameter(np.zeros(1_000_000))
    optimizer = Adam([a, b])
    give(a, np.ones(3))
    tracemalloc.start()
    try:
        optimizer.step()
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_a_frozen_parameter_gets_no_gradient_and_stays():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[0].requires_grad_(False)
    before = [p.data.copy() for p in net.parameters()]
    net(np.ones((1, 2), np.float32)).sum().backward()
    Adam(net.parameters(), lr=0.1).step()
    same = [np.array_equal(p.data, v) for p, v in zip(net.parameters(), before)]
    assert same == [True, True, False, False]


# Changes from outside, between steps


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", ["data =", "data[...] =", "load_state_dict", "init"])
def test_values_that_are_set_between_steps_are_those_that_move(kind, change):
    layer = nn.Linear(2, 3).astype("float64")
    twin = nn.Linear(2, 3).astype("float64")
    for p, q in zip(layer.parameters(), twin.parameters()):
        q.data[...] = p.data
    optimizer, other = KINDS[kind](layer.parameters()), Alone(kind, list(twin.parameters()))
    new = drawn(2, 3, seed=5)
    for step in range(4):
        if step == 2:
            twin.weight.data[...] = new
            if change == "data =":
                layer.weight.data = new
            elif change == "data[...] =":
                layer.weight.data[...] = new
            elif change == "load_state_dict":
                layer.load_state_dict({"weight": new, "bias": layer.bias})
            else:
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(twin.weight)
        for module in (layer, twin):
            for p in module.parameters():
                give(p, gradients(step, *p.shape))
        optimizer.step()
        other.step()
        for p, q in zip(layer.parameters(), twin.parameters()):
            assert np.array_equal(p.data, q.data)
    if change == "data =":
        assert np.array_equal(new, drawn(2, 3, seed=5))  # the array that was given stays


REARRANGED = {
    "reversed": lambda a, b: setattr(a, "data", a.data[::-1]),
    "transposed": lambda a, b: setattr(a, "data", a.data.T),
    "the other one's": lambda a, b: setattr(a, "data", b.data),
    "exchanged": lambda a, b: exchange(a, b),
    "reshaped there and back": lambda a, b: setattr(a, "data", a.data.reshape(-1).reshape(3, 3)),
}


def exchange(a, b):
    a.data, b.data = b.data, a.data


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", REARRANGED)
def test_data_that_is_set_to_a_view_of_the_common_array(kind, change):
    """What is set lies within the optimizer's own array, but not where it put this parameter."""
    pair = [[parameter(drawn(3, 3)), parameter(drawn(3, 3, seed=1))] for _ in range(2)]
    steppers = KINDS[kind](pair[0]), Alone(kind, pair[1])
    for step in range(4):
        for (a, b), stepper in zip(pair, steppers):
            if step == 2:
                if stepper is steppers[1]:  # arrays of their own: no view of anything
                    a.data, b.data = a.data.copy(), b.data.copy()
                REARRANGED[change](a, b)
                if stepper is steppers[1]:
                    a.data, b.data = a.data.copy(), b.data.copy()
            give(a, gradients(step, 3, 3))
            give(b, gradients(step + 10, 3, 3))
            stepper.step()
    for ours, theirs in zip(*pair):
        assert np.array_equal(ours.data, theirs.data)


def exchanged(kind, how):
    """Two parameters that are exchanged after two steps, and the optimizers that move them."""
    a, b = parameter(drawn(3)), parameter(drawn(3, seed=1))
    groups = {
        "one group": [[a, b]],
        "a pause": [[a, b]],
        "two groups": [[{"params": [a]}, {"params": [b]}]],
        "two optimizers": [[a], [b]],
        "alone": [[a], [b]],
    }
    optimizers = [KINDS[kind](ps) for ps in groups[how]]
    return a, b, optimizers


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["one group", "a pause", "two groups", "two optimizers"])
def test_parameters_that_are_exchanged_do_not_write_over_each_other(kind, how):
    """Each lies where the other one lay: to put one back in its place would overwrite the other."""
    ends = []
    for arrangement in (how, "alone"):
        a, b, optimizers = exchanged(kind, arrangement)
        for step in range(4):
            if step == 2:
                if arrangement == "alone":
                    a.data, b.data = b.data.copy(), a.data.copy()
                else:
                    exchange(a, b)
            give(a, gradients(step, 3))
            give(b, None if how == "a pause" and step == 2 else gradients(step + 10, 3))
            for optimizer in optimizers:
                optimizer.step()
        ends.append([a.tolist(), b.tolist()])
    assert ends[0] == ends[1]


def test_a_weight_that_changes_between_forward_and_backward_is_seen_by_the_tape():
    w, x = parameter([1.0, 2.0]), leaf([3.0, 4.0])
    optimizer = SGD([w], lr=0.1)
    for _ in range(2):
        give(w, [1.0, 1.0])
        optimizer.step()
    y = (w * x).sum()
    optimizer.step()
    with pytest.raises(RuntimeError, match=r"multiply needs its input 0 .* changed in place since"):
        y.backward()


def test_before_the_first_step_the_tape_has_the_old_array_or_complains():
    w, x = parameter([1.0, 2.0]), leaf([3.0, 4.0])
    y = (w * x).sum()
    give(w, [1.0, 1.0])
    SGD([w], lr=0.1).step()
    w.grad = None
    try:
        y.backward()
    except RuntimeError as error:
        assert "changed in place" in str(error)
    else:
        assert x.grad.tolist() == [1.0, 2.0] and w.grad.tolist() == [3.0, 4.0]


def test_parameters_without_a_gradient_keep_their_version():
    w, v, x = parameter([1.0]), parameter([2.0]), leaf([3.0])
    optimizer = SGD([w, v], lr=0.1)
    give(w, [1.0])
    give(v, [1.0])
    optimizer.step()
    y = v * x
    v.grad = None
    optimizer.step()
    y.backward()
    assert x.grad.data == v.data


@pytest.mark.parametrize("kinds", list(itertools.product(KINDS, repeat=2)), ids="-".join)
def test_two_optimizers_over_the_same_parameters(kinds):
    """A step of one after a step of the other, each with its own memory."""
    pair = [[parameter(drawn(3)), parameter(drawn(2))] for _ in range(2)]
    ours = [KINDS[kind](pair[0]) for kind in kinds]
    alone = [Alone(kind, pair[1]) for kind in kinds]
    for step in range(6):
        for ps, steppers in zip(pair, (ours, alone)):
            for i, p in enumerate(ps):
                give(p, gradients(step + i, *p.shape))
            steppers[step % 2].step()
    for a, b in zip(*pair):
        assert np.array_equal(a.data, b.data)


@pytest.mark.parametrize("change", ["to", "astype"])
def test_a_move_after_the_first_step_is_refused_clearly(change):
    with strict_cupy.installed():
        layer = nn.Linear(2, 2)
        optimizer = Adam(layer.parameters())
        layer(np.ones((1, 2), np.float32)).sum().backward()
        optimizer.step()
        layer = layer.to("cuda") if change == "to" else layer.astype("float64")
        for p in layer.parameters():
            give(p, np.ones(p.shape))
        now = "cuda:0 float32" if change == "to" else "cpu float64"
        message = rf"a parameter was cpu float32 and is {now} now: make the optimizer after \.to"
        with pytest.raises(RuntimeError, match=message):
            optimizer.step()


def test_a_move_before_the_first_step_is_fine():
    with strict_cupy.installed():
        layer = nn.Linear(2, 2)
        optimizer = Adam(layer.parameters(), lr=0.1)
        layer.to("cuda")
        before = layer.weight.numpy().copy()
        give(layer.weight, np.ones((2, 2)))
        optimizer.step()
        np.testing.assert_allclose(layer.weight.numpy(), before - 0.1, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_device_gives_the_same_bits(kind, dtype):
    ends = []
    with strict_cupy.installed():
        for device in ("cpu", "cuda"):
            ps = start(device, dtype)
            optimizer = KINDS[kind](ps.values())
            for step in range(1, 12):
                give_all(ps, {"missing": True}, step)
                optimizer.step()
            ends.append([(p.dtype, p.numpy().tobytes()) for p in ps.values()])
    assert ends[0] == ends[1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_on_a_device_waits_for_nothing(kind):
    with strict_cupy.installed():
        ps = start("cuda")
        optimizer = KINDS[kind](ps.values())
        give_all(ps, {}, 1)
        with strict_cupy.count_synchronizations() as waits:
            optimizer.step()
            optimizer.step()
        assert waits.total() == 0


def test_mixed_dtypes_and_devices_in_one_optimizer():
    with strict_cupy.installed():
        ps = [parameter([1.0, 2.0], dtype) for dtype in ("float32", "float64")]
        ps.append(nn.Parameter(Tensor([1.0, 2.0], device="cuda")))
        optimizer = SGD(ps, lr=0.5)
        for _ in range(2):
            for p in ps:
                give(p, [1.0, -1.0])
            optimizer.step()
        assert all(p.tolist() == [0.0, 3.0] for p in ps)
        assert [str(p.dtype) for p in ps] == ["float32", "float64", "float32"]
        assert [p.device for p in ps] == ["cpu", "cpu", "cuda:0"]


def test_tiles_are_larger_on_a_device_where_each_is_some_ten_launches():
    ps = [parameter(np.ones(600_000), np.float32)]
    with strict_cupy.installed():
        ps.append(nn.Parameter(Tensor(ps[0].data, device="cuda")))
        for p in ps:
            p.grad = p.detach()
        assert [len(list(flat.Flat([p]).gather())) for p in ps] == [10, 1]
