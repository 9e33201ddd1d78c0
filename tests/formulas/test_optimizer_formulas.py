"""Tests of the formulas of optimizers: F13-F18, F49, G13, G14; the library's steps are these."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tinygrad_llm import Tensor, nn, optim
from tinygrad_llm import functional as F
from tinygrad_llm.formulas import FORMS
from tinygrad_llm.formulas.losses import mean_logit_loss
from tinygrad_llm.formulas.numeric import flat
from tinygrad_llm.formulas.optimizers import (
    LOGISTIC,
    AdamDirection,
    adam,
    decayed_step,
    draw_sample,
    first_moment_printed,
    lamb_step,
    mean_by_age,
    rmsprop_step,
    second_moment_printed,
    sgd_step,
)

SEEDS = range(5)
STEPS = 12


def one_weight(seed, rows=100, steps=300):
    """Numbers x and whether they are above 0, which a fifth is: data (x, y), a row of it for each
    step."""
    rng = np.random.default_rng(seed)
    y = (np.arange(rows) < 0.2 * rows) * 1.0
    x, order = np.abs(rng.normal(size=rows)) * (2.0 * y - 1.0), rng.integers(0, rows, size=steps)
    return (x, y), [(x[i : i + 1], y[i : i + 1]) for i in order]


def mean_loss(W, data):
    """The mean logistic loss of one weight over the data."""
    x, y = data
    return float(mean_logit_loss(x * W.item(), y))


def walk(make, start, slope, steps=STEPS):
    """The parameter after each step of an optimizer, in float64; slope(w, t) is its gradient."""
    parameter = nn.Parameter(np.array(start))
    optimizer = make([parameter])
    for t in range(steps):
        parameter.grad = Tensor(slope(parameter.numpy(), t))
        optimizer.step()
        yield parameter.numpy().copy()


def drawn_walk(seed, size=6):
    """A start and a gradient for every step, of sizes from 1e-4 to 10."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=size), rng.normal(size=(STEPS, size)) * 10.0 ** rng.uniform(-4, 1, size)


def same(found, expected):
    """Whether every step of a walk is the form's, to rounding."""
    return all(
        np.allclose(w, v, rtol=1e-12, atol=1e-14) for w, v in zip(found, expected, strict=True)
    )


@pytest.mark.formula("F13")
@pytest.mark.parametrize("seed", SEEDS)
def test_f13_the_gradient_in_the_input_forgets_the_answer(hold, seed):
    hold("F13")
    data, samples = one_weight(seed)
    start, ends = np.array([[0.1]]), {}
    for name in ("printed", "corrected"):
        W = start
        for x, y in samples:
            W = getattr(FORMS["F13"], name)(LOGISTIC, W, x, y, 0.5)
        ends[name] = mean_loss(W, data)
    assert math.isclose(mean_loss(start, data), 0.653, abs_tol=0.01)
    assert math.isclose(ends["printed"], math.log(2.0), abs_tol=5e-4)
    assert math.isclose(ends["corrected"], 0.095, abs_tol=0.035)


@pytest.mark.formula("F14", "F15")
def test_f14_f15_moments_of_the_gradient_in_the_weights(hold):
    hold("F14")
    hold("F15")
    W, x, y = draw_sample(np.random.default_rng(0), 3, 1)
    g = LOGISTIC.in_weights(W, x, y)
    m, v = np.zeros((2, 3, 1))
    assert np.allclose(FORMS["F14"].corrected(m, LOGISTIC, W, x, y, 0.9), 0.1 * g)
    assert np.allclose(FORMS["F15"].corrected(v, LOGISTIC, W, x, y, 0.999), 1e-3 * g * g)


@pytest.mark.formula("F16", "F17")
def test_f16_f17_without_the_correction_the_first_step_is_three_times_too_long(hold):
    hold("F16")
    hold("F17")
    g = np.array([1e-3, -5.0, 300.0])
    m, v = 0.1 * g, 0.001 * g**2
    step = FORMS["F18"].corrected
    uncorrected = -step(np.zeros(3), m, v, 1.0, 0.0)
    assert np.allclose(uncorrected, 3.16 * np.sign(g), rtol=1e-3)
    m_hat, v_hat = FORMS["F16"].corrected(m, 0.9, 1), FORMS["F17"].corrected(v, 0.999, 1)
    assert np.allclose(-step(np.zeros(3), m_hat, v_hat, 1.0, 0.0), np.sign(g), rtol=1e-12)


@pytest.mark.formula("F16", "F17")
@pytest.mark.parametrize("beta", [0.0, 0.9, 0.999])
def test_f16_f17_steps_count_from_one_and_the_correction_fades(beta):
    with np.errstate(invalid="ignore"):
        assert np.all(np.isnan(FORMS["F16"].corrected(np.zeros(2), beta, 0)))
    late = FORMS["F17"].corrected(np.ones(2), beta, 20_000)
    assert np.allclose(late, 1.0, rtol=1e-8)


@pytest.mark.formula("F18")
@pytest.mark.parametrize("seed", SEEDS)
def test_f18_adam_from_end_to_end(hold, seed):
    hold("F18")
    data, samples = one_weight(seed)
    moments = first_moment_printed, second_moment_printed
    start = np.array([[0.1]])
    corrected = mean_loss(adam(LOGISTIC, start, samples, 0.1), data)
    printed = mean_loss(adam(LOGISTIC, start, samples, 0.1, moments), data)
    assert math.isclose(corrected, 0.082, abs_tol=0.015)
    assert math.isclose(printed, 0.696, abs_tol=0.005)


@pytest.mark.formula("F18")
def test_f18_epsilon_stands_outside_the_root():
    step = FORMS["F18"].corrected
    g = np.array([1e-8, 1.0])
    lengths = -step(np.zeros(2), g, g**2, 1.0, 1e-8)
    assert np.allclose(lengths, [0.5, 1.0], rtol=1e-7)


@pytest.mark.formula("F49")
def test_f49_inside_adam_the_decay_is_invisible(hold):
    hold("F49")
    theta, g = np.array([1.0]), np.array([0.3])
    ways = {
        name: (theta - getattr(FORMS["F49"], name)(theta, g, AdamDirection(), 0.01, 0.1)).item()
        for name in ("printed", "corrected")
    }
    assert math.isclose(ways["printed"], 0.010, rel_tol=1e-6)
    assert math.isclose(ways["corrected"], 0.011, rel_tol=1e-6)


@pytest.mark.formula("F49")
def test_f49_without_a_gradient_only_the_decay_beside_the_step_is_a_share():
    """Weights of very different sizes, left alone by the loss."""
    theta, nothing = np.array([1.0, 1e-3]), np.zeros(2)
    inside, beside = AdamDirection(), AdamDirection()
    ends = {"printed": theta, "corrected": theta}
    for _ in range(10):
        ends["printed"] = FORMS["F49"].printed(ends["printed"], nothing, inside, 1e-4, 0.1)
        ends["corrected"] = FORMS["F49"].corrected(ends["corrected"], nothing, beside, 1e-4, 0.1)
    assert np.allclose(ends["corrected"] / theta, (1.0 - 1e-5) ** 10, rtol=1e-12)
    assert ends["printed"][1] < 0.1 * theta[1] and ends["printed"][0] > 0.99


@pytest.mark.formula("G13")
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_g13_steps_do_not_depend_on_the_size_of_the_gradient(hold, size):
    hold("G13")
    w, v, g = np.zeros(2), np.zeros(2), size * np.array([1.0, -0.1])
    first, _ = FORMS["G13"].corrected(w, v, g, 0.99, 0.01, 0.0)
    assert np.allclose(-first, 0.1 * np.sign(g), rtol=1e-12)  # α/√(1 − ρ)
    mistaken, _ = FORMS["G13"].mistake(w, v, g, 0.99, 0.01, 0.0)
    assert np.allclose(-mistaken, 1.0 / g, rtol=1e-12)


@pytest.mark.formula("G14")
def test_g14_every_layer_goes_the_same_share_of_its_length(hold):
    hold("G14")
    rng = np.random.default_rng(0)
    for size in (1e-3, 1.0, 1e3):
        w, direction = size * rng.normal(size=8), rng.normal(size=8)
        way = np.linalg.norm(lamb_step(w, direction, 0.01, 0.1) - w)
        assert math.isclose(way, 0.01 * np.linalg.norm(w), rel_tol=1e-9)


@pytest.mark.formula("G14")
def test_g14_a_trust_ratio_of_one_where_a_norm_is_zero():
    zero, direction = np.zeros(3), np.array([1.0, -2.0, 0.5])
    assert np.array_equal(FORMS["G14"].corrected(zero, direction, 0.1, 0.1), -0.1 * direction)
    assert np.array_equal(FORMS["G14"].mistake(zero, direction, 0.1, 0.1), zero)
    with np.errstate(invalid="ignore"):
        assert np.all(np.isnan(FORMS["G14"].mistake(zero, zero, 0.1, 0.1)))
    assert np.array_equal(FORMS["G14"].corrected(zero, zero, 0.1, 0.1), zero)


@pytest.mark.formula("F13")
@pytest.mark.parametrize("seed", SEEDS)
def test_f13_the_library_steps_along_the_gradient_in_the_weights(seed):
    rng = np.random.default_rng(seed)
    W, samples = nn.Parameter(rng.normal(size=(3, 2))), [draw_sample(rng, 3, 2)[1:] for _ in "123"]
    expected, optimizer = W.numpy().copy(), optim.SGD([W], lr=0.1)
    for x, y in samples:
        expected = sgd_step(LOGISTIC, expected, x, y, 0.1)
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(Tensor(x) @ W, Tensor(y), reduction="sum").backward()
        optimizer.step()
    assert np.allclose(W.numpy(), expected, rtol=1e-12)


@pytest.mark.formula("F14", "F15", "F16", "F17", "F18")
@pytest.mark.parametrize("seed", SEEDS)
def test_f14_f18_the_library_has_the_corrected_adam(seed):
    rng = np.random.default_rng(seed)
    W, betas = rng.normal(size=(3, 2)), (rng.uniform(0.5, 0.95), rng.uniform(0.9, 0.999))
    samples = [draw_sample(rng, 3, 2)[1:] for _ in range(STEPS)]
    found = walk(
        lambda p: optim.Adam(p, lr=0.03, betas=betas, eps=1e-3),
        W,
        lambda w, t: LOGISTIC.in_weights(w, *samples[t]),
    )
    expected = (
        adam(LOGISTIC, W, samples[: t + 1], 0.03, betas=betas, eps=1e-3) for t in range(STEPS)
    )
    assert same(found, expected)


def decayed(form, start, gradients, lr, decay, direction):
    """A walk by a form of F49."""
    for g in gradients:
        start = form(start, g, direction, lr, decay)
        yield start


@pytest.mark.formula("F49")
@pytest.mark.parametrize("seed", SEEDS)
def test_f49_adamw_has_the_corrected_form_and_adam_the_printed(seed):
    start, gradients = drawn_walk(seed)
    for kind, form in ((optim.AdamW, "corrected"), (optim.Adam, "printed")):
        found = walk(
            lambda p, k=kind: k(p, lr=0.1, weight_decay=0.3), start, lambda w, t: gradients[t]
        )
        expected = decayed(getattr(FORMS["F49"], form), start, gradients, 0.1, 0.3, AdamDirection())
        assert same(found, expected), kind
    assert (optim.AdamW.decay, optim.Adam.decay) == ("decoupled", "l2")


@pytest.mark.formula("F49")
@pytest.mark.parametrize("seed", SEEDS)
def test_f49_for_sgd_both_forms_are_the_same(seed):
    start, gradients = drawn_walk(seed)
    make, slope = lambda p: optim.SGD(p, lr=0.1, weight_decay=0.3), lambda w, t: gradients[t]
    for form in (FORMS["F49"].corrected, FORMS["F49"].printed):
        expected = decayed(form, start, gradients, 0.1, 0.3, lambda g: g)
        assert same(walk(make, start, slope), expected)


@pytest.mark.formula("G13")
@pytest.mark.parametrize("seed", SEEDS)
def test_g13_the_library_has_the_corrected_rmsprop(seed):
    start, gradients = drawn_walk(seed)
    found = walk(
        lambda p: optim.RMSprop(p, lr=0.02, alpha=0.9, eps=1e-3), start, lambda w, t: gradients[t]
    )
    w, v = start, np.zeros_like(start)
    for g, ours in zip(gradients, found, strict=True):
        w, v = rmsprop_step(w, v, g, 0.9, 0.02, 1e-3)
        assert np.allclose(ours, w, rtol=1e-12, atol=1e-14)


@pytest.mark.formula("G14")
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_g14_the_library_has_the_corrected_lamb(seed, scale):
    """Two layers, each with a trust ratio of its own; with scale 0 the first begins at zero."""
    start, gradients = drawn_walk(seed)
    starts, slopes = (scale * start[:4], start[4:]), (gradients[:, :4], gradients[:, 4:])
    layers = [nn.Parameter(np.array(each)) for each in starts]
    optimizer = optim.LAMB(layers, lr=0.05, eps=1e-3, weight_decay=0.1)
    directions, expected = [AdamDirection(eps=1e-3) for _ in layers], list(starts)
    for t in range(STEPS):
        for i, layer in enumerate(layers):
            layer.grad = Tensor(slopes[i][t].copy())
            expected[i] = lamb_step(expected[i], directions[i](slopes[i][t]), 0.05, 0.1)
        optimizer.step()
        found = flat(*(layer.numpy() for layer in layers))
        assert np.allclose(found, flat(*expected), rtol=1e-12, atol=1e-14)


@pytest.mark.formula("G14")
def test_g14_the_library_leaves_zeros_without_a_gradient_alone():
    layer = nn.Parameter(np.zeros(3))
    layer.grad = Tensor(np.zeros(3))
    optim.LAMB([layer]).step()
    assert np.array_equal(layer.numpy(), np.zeros(3))


def test_mean_by_age_is_a_mean():
    assert np.allclose(mean_by_age(np.full((5, 2), 3.0), 0.7), 3.0)
    assert np.allclose(mean_by_age(np.array([0.0, 1.0]), 0.5), 2 / 3)


def test_adam_direction_is_what_adam_does():
    """The two ways in which the forms are put together agree."""
    rng = np.random.default_rng(0)
    W, samples = rng.normal(size=(3, 2)), [draw_sample(rng, 3, 2)[1:] for _ in range(STEPS)]
    direction, by_direction = AdamDirection(), W
    for x, y in samples:
        g = LOGISTIC.in_weights(by_direction, x, y)
        by_direction = decayed_step(by_direction, g, direction, 0.1, 0.0)
    assert np.allclose(by_direction, adam(LOGISTIC, W, samples, 0.1), rtol=1e-12)
