"""Tests of the grading of chapter 03a's exercises: the usual mistakes are found and named."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.grading_tools import exercises, failure, grade, solutions

NAME = "03a_optimization"
EXERCISES = exercises(NAME)
SOLUTIONS = solutions(NAME)


@pytest.mark.parametrize("name", EXERCISES)
def test_the_solution_passes(name):
    grade(EXERCISES[name], getattr(SOLUTIONS, name))


def momentum(velocity=lambda g, v, lr, mu: mu * v + g, step=None):
    """momentum_step with its v, or with what is multiplied by lr, wrong."""

    def right(g, old, v, mu, nesterov):
        return g + mu * v if nesterov else v

    def answer(w, g, v, lr, mu, nesterov):
        new = velocity(g, v, lr, mu)
        return w - lr * (step or right)(g, v, new, mu, nesterov), new

    return answer


def in_place_momentum(w, g, v, lr, mu, nesterov):
    v *= mu
    v += g
    return w - lr * (g + mu * v if nesterov else v), v


MOMENTUM = [
    (momentum(lambda g, v, lr, mu: g), "v is .* comes out of the gradient alone"),
    (momentum(lambda g, v, lr, mu: mu * v + (1 - mu) * g), "when g is weighted by 1 − μ"),
    (momentum(lambda g, v, lr, mu: mu * v + lr * g), "with the learning rate in v"),
    (momentum(lambda g, v, lr, mu: v + mu * g), r"comes out with v \+ μ·g"),
    (momentum(lambda g, v, lr, mu: v + g), "v is .* comes out without μ"),
    (momentum(lambda g, v, lr, mu: mu * v - g), "with μ·v − g"),
    (momentum(lambda g, v, lr, mu: v), "v is .* comes out of (the old v|the gradient alone)"),
    (momentum(step=lambda g, old, v, mu, n: v), "w is .* of plain momentum: nesterov is True"),
    (momentum(step=lambda g, old, v, mu, n: g + mu * v), "Nesterov's momentum: nesterov is False"),
    (
        momentum(step=lambda g, old, v, mu, n: v + mu * v if n else v),
        r"comes out with v \+ μ·v: Nesterov's is g \+ μ·v",
    ),
    (momentum(step=lambda g, old, v, mu, n: g + v if n else v), r"comes out with g \+ v"),
    (
        momentum(step=lambda g, old, v, mu, n: -(g + mu * v if n else v)),
        "in the direction of the gradient",
    ),
    (momentum(step=lambda g, old, v, mu, n: g), "w is .* comes out of the gradient alone"),
    (momentum(step=lambda g, old, v, mu, n: old), "w is .* comes out of the v from before"),
    (in_place_momentum, "it changes its input"),
    (lambda w, g, v, lr, mu, nesterov: w - lr * g, r"returns ndarray, expected \(w, v\)"),
]

EPOCH = [
    (lambda g, n: g.mean(axis=0), "comes out of a plain mean: a smaller batch counts for less"),
    (lambda g, n: g.sum(axis=0), "comes out of a plain sum"),
    (lambda g, n: n @ g, "comes out (without dividing by the number of samples|by the number of)"),
    (lambda g, n: n @ g / len(n), "(divide by|dividing by) the number of samples"),
    (lambda g, n: (g / n[:, None]).sum(axis=0), "when a row is divided by its size"),
    (lambda g, n: (g * n[:, None]).sum(axis=1), "axis 0|has shape"),
    (lambda g, n: g.T @ n / n.max(), "the gradient is .*, expected"),
]


def adamw(m_of=None, v_of=None, w_of=None):
    """adamw_step with its m, its v or its step wrong; g, or g + λw, goes into m and v."""

    def answer(w, g, m, v, t, lr, decay):
        new_m = 0.9 * m + 0.1 * (m_of(g, w, decay) if m_of else g)
        new_v = 0.999 * v + 0.001 * (v_of(g, w, decay) if v_of else g**2)
        m_hat, v_hat = new_m / (1 - 0.9**t), new_v / (1 - 0.999**t)
        d = m_hat / (np.sqrt(v_hat) + 1e-8)
        after = w_of(w, d, lr, decay) if w_of else w - lr * d - lr * decay * w
        return after, new_m, new_v

    return answer


def divided_too(w, g, m, v, t, lr, decay):
    _, m, v = SOLUTIONS.adamw_step(w, g, m, v, t, lr, decay)
    m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.999**t)
    return w - lr * (m_hat + decay * w) / (np.sqrt(v_hat) + 1e-8), m, v


def uncorrected(w, g, m, v, t, lr, decay):
    _, m, v = SOLUTIONS.adamw_step(w, g, m, v, t, lr, decay)
    return w - lr * m / (np.sqrt(v) + 1e-8) - lr * decay * w, m, v


def returns_m_hat(w, g, m, v, t, lr, decay):
    w, m, v = SOLUTIONS.adamw_step(w, g, m, v, t, lr, decay)
    return w, m / (1 - 0.9**t), v


def returns_v_hat(w, g, m, v, t, lr, decay):
    w, m, v = SOLUTIONS.adamw_step(w, g, m, v, t, lr, decay)
    return w, m, v / (1 - 0.999**t)


def without_eps(w, g, m, v, t, lr, decay):
    _, m, v = SOLUTIONS.adamw_step(w, g, m, v, t, lr, decay)
    d = m / (1 - 0.9**t) / np.sqrt(v / (1 - 0.999**t))
    return w - lr * d - lr * decay * w, m, v


def in_place_adamw(w, g, m, v, t, lr, decay):
    w *= 1 - lr * decay
    new_w, m, v = SOLUTIONS.adamw_step(w, g, m, v, t, lr, 0.0)
    return new_w, m, v


ADAMW = [
    (adamw(m_of=lambda g, w, decay: g + decay * w), "m is .* comes out when λw is added"),
    (adamw(v_of=lambda g, w, decay: (g + decay * w) ** 2), "v is .* comes out when λw is added"),
    (adamw(v_of=lambda g, w, decay: g), "v is .* comes out of g: v is the mean of g²"),
    (returns_m_hat, "m is .* comes out after the bias correction"),
    (returns_v_hat, "v is .* comes out after the bias correction"),
    (divided_too, "w is .* comes out when λw is divided by √v̂ too"),
    (uncorrected, "w is .* comes out without the bias corrections"),
    (without_eps, "w is .* comes out without ε"),
    (adamw(w_of=lambda w, d, lr, decay: w - lr * d), "w is .* comes out without the decay"),
    (
        adamw(w_of=lambda w, d, lr, decay: w - lr * d - decay * w),
        "comes out without the learning rate in the decay",
    ),
    (
        adamw(w_of=lambda w, d, lr, decay: w - lr * d + lr * decay * w),
        "comes out when the decay makes w grow",
    ),
    (
        adamw(w_of=lambda w, d, lr, decay: (w - lr * d) * (1 - lr * decay)),
        "comes out when the decay is taken of the w after the step",
    ),
    (
        adamw(w_of=lambda w, d, lr, decay: w + lr * d - lr * decay * w),
        "comes out in the direction of the gradient",
    ),
    (in_place_adamw, "it changes its input"),
]


def lower_line(step, total, warmup):
    return min(step / warmup, (total - step) / (total - warmup))


def guarded(line):
    """The right factor without a warm-up, and where it is as long as the run."""

    def answer(step, total, warmup):
        if warmup in (0, total):
            return SOLUTIONS.warmup_linear(step, total, warmup)
        return line(step, total, warmup)

    return answer


def one_later(step, total, warmup):
    if step < warmup:
        return (step + 1) / warmup
    return SOLUTIONS.warmup_linear(step, total, warmup)


def from_zero(step, total, warmup):
    return step / warmup if step < warmup else max(0.0, (total - step) / total)


def below_zero(step, total, warmup):
    return step / warmup if step < warmup else (total - step) / max(1, total - warmup)


def stays(step, total, warmup):
    return step / warmup if step < warmup else 1.0


WARMUP = [
    (lower_line, "ZeroDivisionError"),
    (guarded(lower_line), "of the lower of the two lines|without max"),
    (
        guarded(lambda *place: max(0.0, lower_line(*place))),
        "of the lower of the two lines, cut at 0",
    ),
    (one_later, r"comes out with step \+ 1"),
    (from_zero, "when the way down is measured from step 0"),
    (below_zero, "comes out without max"),
    (stays, "when it stays at 1 after the warm-up"),
    (lambda step, total, warmup: max(0.0, (total - step) / total), "without the warm-up"),
    (lambda step, total, warmup: None, "it returns None"),
]


def clip(factor=None, norm=None):
    """clip_by_norm with what an array is multiplied by, or with its norm, wrong."""

    def answer(dW, db, c):
        whole = np.sqrt((dW**2).sum() + (db**2).sum())
        said = norm(dW, db, c, whole) if norm else whole
        parts = (factor(g, whole, c) if factor else g * (c / max(whole, c)) for g in (dW, db))
        return *parts, said

    return answer


def in_place_clip(dW, db, c):
    whole = np.sqrt((dW**2).sum() + (db**2).sum())
    dW *= c / max(whole, c)
    return dW, db * (c / max(whole, c)), whole


CLIP = [
    (clip(lambda g, n, c: g / n * min(n, c)), "d. is .*nan.* comes out by 0/0"),
    (clip(lambda g, n, c: g * c / n if n else g), "when a small gradient is stretched to c"),
    (clip(lambda g, n, c: g), "comes out when it is not clipped"),
    (
        clip(lambda g, n, c: g * (c / max(np.linalg.norm(g), c))),
        "when (each array is clipped by its own norm|it is clipped by itself|it is not clipped)",
    ),
    (clip(lambda g, n, c: np.clip(g, -c, c)), "when it is (clipped by (value|itself)|not clipped)"),
    (clip(lambda g, n, c: g / max(n, 1.0)), "1/‖g‖, without c"),
    (clip(norm=lambda dW, db, c, n: min(n, c)), "norm is .* after clipping"),
    (clip(norm=lambda dW, db, c, n: n**2), "norm is .* comes out without the root"),
    (clip(norm=lambda dW, db, c, n: np.linalg.norm(dW)), "norm is .* comes out of dW alone"),
    (
        clip(norm=lambda dW, db, c, n: np.linalg.norm(dW) + np.linalg.norm(db)),
        "norm is .* when the norms are added|of the sum of the sizes",
    ),
    (
        clip(norm=lambda dW, db, c, n: max(abs(dW).max(), abs(db).max())),
        "of (dW alone|the largest)",
    ),
    (in_place_clip, "it changes its input"),
]

WRONG = [
    (name, answer, complaint)
    for name, answers in [
        ("momentum_step", MOMENTUM),
        ("epoch_gradient", EPOCH),
        ("adamw_step", ADAMW),
        ("warmup_linear", WARMUP),
        ("clip_by_norm", CLIP),
    ]
    for answer, complaint in answers
]


@pytest.mark.parametrize("name, answer, complaint", WRONG)
def test_a_wrong_answer_is_found_and_named(name, answer, complaint):
    found = failure(EXERCISES[name], answer)
    assert re.search(complaint, found.complaint), found.complaint
    assert found.call.startswith(f"{name}(") and len(found.call) < 250, found.call
