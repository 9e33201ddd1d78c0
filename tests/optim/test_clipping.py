"""Tests of clipping: by the formula, where squares overflow, and of what stays as it is."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.common import drawn
from tests.optim.common import give, parameter
from tinygrad_llm import Tensor, grad, nn, optim
from tinygrad_llm.formulas import FORMS
from tinygrad_llm.optim import SGD, clip_grad_norm_, clip_grad_value_, clipping
from tinygrad_llm.optim import gradients as gradients_module
from tinygrad_llm.testing import strict_cupy

SHAPES = [(3, 2), (), (4,), (0,), (2, 1, 3)]


def with_gradients(dtype="float64", scale=1.0):
    """Parameters of several shapes with drawn gradients, one of them without any."""
    ps = [parameter(np.zeros(shape), dtype) for shape in SHAPES]
    for i, p in enumerate(ps):
        give(p, drawn(*p.shape, seed=i) * scale)
    return [*ps, parameter([1.0, 2.0], dtype)]


def gradients(ps):
    return [p.grad.numpy().copy() for p in ps if p.grad is not None]


def norm_of(arrays):
    return math.sqrt(sum(float((np.float64(a) ** 2).sum()) for a in arrays))


# The norm


@pytest.mark.parametrize("share", [0.001, 0.1, 0.999])
def test_a_norm_above_the_limit_is_clipped_as_the_formula_says(share):
    ps = with_gradients()
    before = gradients(ps)
    c = share * norm_of(before)
    assert math.isclose(clip_grad_norm_(ps, c), norm_of(before), rel_tol=1e-14)
    for ours, expected in zip(gradients(ps), FORMS["G16"].corrected(before, c), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-14)
    assert math.isclose(norm_of(gradients(ps)), c, rel_tol=1e-14)


@pytest.mark.parametrize("share", [1.0, 1.001, 50.0, math.inf])
def test_a_norm_within_the_limit_changes_no_bit(share):
    ps = with_gradients()
    before = gradients(ps)
    norm = clip_grad_norm_(ps, share * clip_grad_norm_(ps, math.inf))
    assert type(norm) is float and math.isclose(norm, norm_of(before), rel_tol=1e-14)
    assert [a.tobytes() for a in gradients(ps)] == [a.tobytes() for a in before]
    assert ps[-1].grad is None


def test_it_works_in_place_on_the_gradients():
    p = parameter([0.0, 0.0], "float32")
    give(p, [3.0, 4.0])
    g, array = p.grad, p.grad.data
    assert clip_grad_norm_([p], 1.0) == 5.0
    assert p.grad is g and g.data is array and array.dtype == np.float32
    np.testing.assert_allclose(array, [0.6, 0.8], rtol=1e-6)
    assert p.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("power", [-44, -38, -30, -20, 20, 30, 38])
def test_neither_large_nor_small_gradients_get_lost_in_their_squares(dtype, power):
    p = parameter(np.zeros(3), dtype)
    give(p, np.array([1.0, -2.0, 2.0]) * 10.0**power)
    norm = 3.0 * 10.0**power
    rough = 0.2 if dtype == "float32" and power == -44 else 1e-6  # a few bits are left there
    assert math.isclose(clip_grad_norm_([p], 1.0), norm, rel_tol=rough)
    expected = np.array([1.0, -2.0, 2.0]) / 3.0 * min(1.0, norm)
    np.testing.assert_allclose(p.grad.data, expected, rtol=max(rough, 1e-6))


@pytest.mark.parametrize("power", [-300, -170, -150, 150, 200, 300])
def test_squares_that_overflow_in_float64_too(power):
    p, q = parameter(np.zeros(2)), parameter(0.0)
    give(p, np.array([2.0, -1.0]) * 10.0**power)
    give(q, 2.0 * 10.0**power)
    c = min(1.0, 10.0 ** (power - 3))
    assert math.isclose(clip_grad_norm_([p, q], c), 3.0 * 10.0**power, rel_tol=1e-14)
    assert math.isclose(norm_of([g / c for g in gradients([p, q])]), 1.0, rel_tol=1e-12)


def test_a_factor_too_small_for_float32_is_not_rounded():
    """‖g‖ is above what float32 can hold, though no element is: 1/‖g‖ has few bits left."""
    p = parameter(np.zeros(10_000), "float32")
    give(p, np.full(10_000, 3e38))
    norm = clip_grad_norm_([p], 0.01)
    assert math.isclose(norm, 3e40, rel_tol=1e-6)
    np.testing.assert_allclose(p.grad.data, np.full(10_000, 1e-4), rtol=1e-6)


@given(
    st.lists(st.floats(-(2.0**120), 2.0**120, width=32), min_size=1, max_size=8),
    st.floats(1e-3, 1e3),
)
def test_the_norm_is_that_of_numpy_and_no_more_than_the_limit_after(values, c):
    p = parameter(values, "float32")
    give(p, values)
    norm = clip_grad_norm_([p], c)
    assert math.isclose(norm, np.linalg.norm(np.float64(np.float32(values))), rel_tol=1e-6)
    assert norm_of([p.grad.data]) <= min(norm, c) * (1 + 1e-5)


@pytest.mark.parametrize("row", [1, 3, 7])
def test_rows_change_nothing(monkeypatch, row):
    ps = with_gradients()
    norm = clip_grad_norm_(ps, math.inf)
    monkeypatch.setattr(clipping, "ROW", row)
    assert math.isclose(clip_grad_norm_(ps, math.inf), norm, rel_tol=1e-14)


@pytest.mark.parametrize("size", [1023, 1024, 1025, 10 * 1024, 700_001])
def test_many_equal_numbers_add_up(size):
    """Where a sum in float32 goes the same way wrong at each number: 700,001 squares of 0.7 in one
    sum are off by 4e-5."""
    p = parameter(np.zeros(size), "float32")
    give(p, np.full(size, 0.7))
    expected = np.float64(np.float32(0.7)) * math.sqrt(size)
    assert math.isclose(clip_grad_norm_(p, math.inf), expected, rel_tol=1e-6)


@pytest.mark.parametrize("power", [-25, -22, -21, -19, -17, -15, -13])
def test_small_beside_large_and_many(power):
    """Half of the numbers have squares that float32 rounds to few bits, or to 0."""
    p = parameter(np.zeros(5000), "float32")
    give(p, np.repeat([10.0**power, 3.0 * 10.0**power], 2500))
    expected = np.linalg.norm(np.float64(p.grad.data))
    assert math.isclose(clip_grad_norm_(p, math.inf), expected, rel_tol=1e-6)


def test_a_gradient_is_one_stretch_on_a_device_whatever_its_size(monkeypatch):
    """Each stretch is a launch, which takes as long as the sum of many thousand squares."""
    stretches = []

    def counted(arrays, reduce):
        given = list(arrays)
        stretches.append(len(given))
        return gradients_module.numbers(given, reduce)

    monkeypatch.setattr(clipping, "numbers", counted)
    with strict_cupy.installed():
        ps = [nn.Parameter(Tensor(np.zeros(n, np.float32), device="cuda")) for n in (600_000, 5)]
        for p in ps:
            p.grad = Tensor(np.full(p.shape, 0.5, np.float32), device="cuda")
        norm = clip_grad_norm_(ps, math.inf)
    assert math.isclose(norm, math.sqrt(600_005 / 4), rel_tol=1e-4)
    assert stretches == [2]


def test_strides_do_not_matter():
    p = parameter(np.zeros((3, 4)))
    p.grad = Tensor(np.asfortranarray(drawn(3, 4)))
    clip_grad_norm_([p], 1.0)
    np.testing.assert_allclose(p.grad.data, drawn(3, 4) / np.linalg.norm(drawn(3, 4)), rtol=1e-14)


def test_gradients_of_zero_stay_zero():
    p = parameter([1.0, 2.0])
    give(p, [0.0, 0.0])
    assert clip_grad_norm_([p], 1.0) == 0.0
    assert p.grad.tolist() == [0.0, 0.0]


def test_without_any_gradient_the_norm_is_zero():
    p = parameter([1.0])
    assert clip_grad_norm_([p], 1.0) == 0.0 and p.grad is None


def test_a_parameter_that_is_given_twice_counts_once():
    p = parameter([0.0, 0.0])
    give(p, [3.0, 4.0])
    assert clip_grad_norm_([p, p], 2.5) == 5.0
    np.testing.assert_allclose(p.grad.data, [1.5, 2.0], rtol=1e-15)


def test_one_tensor_and_a_generator_are_taken_too():
    p = parameter([0.0, 0.0])
    give(p, [3.0, 4.0])
    assert clip_grad_norm_(p, 10.0) == clip_grad_norm_((each for each in [p]), 10.0) == 5.0


def test_half_precision_gradients_whose_squares_overflow():
    p = parameter(np.zeros(4), "float16")
    give(p, np.full(4, 30000.0))
    assert clip_grad_norm_([p], 2.0) == pytest.approx(60000.0, rel=1e-3)
    assert p.grad.dtype == np.float16
    np.testing.assert_allclose(p.grad.data, np.ones(4), rtol=2e-3)


def test_half_precision_gradients_whose_squares_have_few_bits():
    p = parameter(np.zeros(3000), "float16")
    give(p, np.full(3000, 1e-3))
    expected = math.sqrt(3000) * float(np.float16(1e-3))
    assert math.isclose(clip_grad_norm_([p], 1.0), expected, rel_tol=1e-6)


# Not finite


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_a_norm_that_is_not_finite_leaves_the_gradients_as_they_are(bad):
    p, q = parameter([0.0, 0.0], "float32"), parameter([0.0], "float32")
    give(p, [bad, 1.0])
    give(q, [5.0])
    norm = clip_grad_norm_([q, p], 1.0)
    assert norm == math.inf if math.isinf(bad) else math.isnan(norm)
    np.testing.assert_array_equal(p.grad.data, np.float32([bad, 1.0]))
    assert q.grad.tolist() == [5.0]
    message = f"clip_grad_norm_: the norm of the gradients is {norm}: leave this step out"
    with pytest.raises(RuntimeError, match=message):
        clip_grad_norm_([q, p], 1.0, error_if_nonfinite=True)
    np.testing.assert_array_equal(p.grad.data, np.float32([bad, 1.0]))


@pytest.mark.parametrize("order", [1, -1])
def test_nan_wins_over_inf_wherever_it_stands(order):
    p, q = parameter([0.0]), parameter([0.0])
    give(p, [math.nan])
    give(q, [math.inf])
    assert math.isnan(clip_grad_norm_([p, q][::order], 1.0))


def test_finite_gradients_pass_where_an_error_is_asked_for():
    p = parameter([0.0])
    give(p, [-8.0])
    assert clip_grad_norm_([p], 2.0, error_if_nonfinite=True) == 8.0
    assert p.grad.tolist() == [-2.0]


# Values


def test_values_are_held_within_the_limit():
    p, q = parameter(np.zeros(4), "float32"), parameter([0.0])
    give(p, [-3.0, 0.25, 0.5, 7.0])
    g, array = p.grad, p.grad.data
    assert clip_grad_value_([p, q], 0.5) is None
    assert p.grad is g and g.data is array and q.grad is None
    assert array.tolist() == [-0.5, 0.25, 0.5, 0.5] and array.dtype == np.float32


def test_values_that_are_not_finite():
    p = parameter(np.zeros(3))
    give(p, [math.inf, -math.inf, math.nan])
    clip_grad_value_(p, 2.0)
    np.testing.assert_array_equal(p.grad.data, [2.0, -2.0, math.nan])


def test_a_limit_that_float16_cannot_hold():
    p = parameter(np.zeros(2), "float16")
    give(p, [65504.0, math.inf])
    clip_grad_value_([p], 1e6)
    assert p.grad.tolist() == [65504.0, 65504.0]


# The tape


@pytest.mark.parametrize("clip", [clip_grad_norm_, clip_grad_value_])
def test_a_gradient_on_a_tape_of_its_own_keeps_it_whole(clip):
    w, x = parameter([2.0]), parameter([3.0])
    (g,) = grad((w * w * x * x).sum(), [w], create_graph=True)
    w.grad = g
    clip([w], 1.0)
    assert w.grad.tolist() == [1.0] and not w.grad.requires_grad
    assert g.tolist() == [36.0]
    (g * g).sum().backward()  # g = 2·w·x², so that d(g²)/dx = 2·g·4·w·x
    assert x.grad.tolist() == [2.0 * 36.0 * 4.0 * 6.0]


@pytest.mark.parametrize("clip", [clip_grad_norm_, clip_grad_value_])
def test_what_a_tape_has_saved_is_not_changed_unseen(clip):
    w, x = parameter([0.0]), parameter([3.0])
    give(w, [4.0])
    y = (w.grad * x).sum()
    clip([w], 1.0)
    with pytest.raises(RuntimeError, match="changed in place since"):
        y.backward()


def test_a_step_is_no_longer_than_the_limit():
    layer = nn.Linear(3, 2).astype("float64")
    before = [p.data.copy() for p in layer.parameters()]
    (layer(Tensor(drawn(5, 3))) * 100.0).sum().backward()
    assert clip_grad_norm_(layer.parameters(), 0.5) > 1.0
    SGD(layer.parameters(), lr=0.1).step()
    way = [p.data - v for p, v in zip(layer.parameters(), before)]
    assert math.isclose(norm_of(way), 0.05, rel_tol=1e-12)


# Devices


def test_a_device_gives_the_same_and_waits_once():
    here = with_gradients("float32")
    with strict_cupy.installed():
        there = [nn.Parameter(Tensor(p.detach(), device="cuda")) for p in here]
        for p, q in zip(there, here):
            p.grad = None if q.grad is None else q.grad.to("cuda")
        with strict_cupy.count_synchronizations() as waits:
            norm = clip_grad_norm_(there, 0.3)
        assert waits.total() == 1
        assert math.isclose(norm, clip_grad_norm_(here, 0.3), rel_tol=1e-6)
        for p, q in zip(there[:-1], here):
            assert p.grad.device == "cuda:0"
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-6)
        clip_grad_value_(there, 0.01)
        clip_grad_value_(here, 0.01)
        for p, q in zip(there[:-1], here):
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-6)


def test_gradients_on_several_devices_and_of_several_dtypes_have_one_norm():
    with strict_cupy.installed():
        a, b = parameter([0.0], "float32"), parameter([0.0])
        c = nn.Parameter(Tensor([0.0, 0.0], device="cuda"))
        for p, g in ((a, [2.0]), (b, [4.0]), (c, [5.0, -6.0])):
            give(p, g)
        assert clip_grad_norm_([a, b, c], 4.5) == 9.0
        assert a.grad.tolist() + b.grad.tolist() + c.grad.tolist() == [1.0, 2.0, 2.5, -3.0]
        give(c, [1e30, math.nan])
        assert math.isnan(clip_grad_norm_([a, b, c], 4.5))


# What is refused


@pytest.mark.parametrize("limit", [0.0, -1.0, math.nan])
def test_a_limit_that_makes_no_sense_is_refused_by_name(limit):
    p = parameter([1.0])
    give(p, [1.0])
    with pytest.raises(ValueError, match=f"max_norm must be above 0, not {limit}"):
        clip_grad_norm_([p], limit)
    with pytest.raises(ValueError, match=f"clip_value must be finite and above 0, not {limit}"):
        clip_grad_value_([p], limit)
    assert p.grad.tolist() == [1.0]


def test_an_infinite_clip_value_is_refused():
    with pytest.raises(ValueError, match="clip_value must be finite"):
        clip_grad_value_([parameter([1.0])], math.inf)


@pytest.mark.parametrize("name", ["clip_grad_norm_", "clip_grad_value_"])
def test_what_are_no_parameters_is_refused_with_the_mend(name):
    clip, layer = getattr(optim, name), nn.Linear(1, 1)
    generator = layer.parameters()
    list(generator)
    with pytest.raises(ValueError, match=f"{name}: no parameters; a generator can be used only"):
        clip(generator, 1.0)
    with pytest.raises(TypeError, match=rf"{name}: .* model.parameters\(\), not a Linear"):
        clip(layer, 1.0)
    with pytest.raises(TypeError, match=rf"{name}: a parameter is a Tensor, not \('weight'"):
        clip(layer.named_parameters(), 1.0)
