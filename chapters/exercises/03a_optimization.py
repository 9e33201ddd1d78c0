"""Property tests for the exercises of chapter 03a."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from chapters.checks import Ask, exercise
from tinygrad_llm.formulas import numeric_gradient

WEIGHTS = [0.0, 1.0, -1.0, 2.0, 0.5]
GRADIENTS = [1.0, -1.0, 0.0, 100.0, 1e-4]
VELOCITIES = [2.0, -1.0, 0.5]
SQUARES = [1.0, 0.25, 0.0, 1e-8]


def table(numbers: list[float], *shape: int) -> st.SearchStrategy:
    """Arrays of this shape whose elements are some of the numbers."""
    return arrays(np.float64, shape, elements=st.sampled_from(numbers))


@st.composite
def velocities(draw: st.DrawFn) -> tuple[Any, ...]:
    """w, g, v of one shape, lr, mu, and whether it is to be Nesterov's."""
    shape = draw(array_shapes(min_dims=1, max_dims=2, max_side=2))
    drawn = (draw(table(each, *shape)) for each in (WEIGHTS, GRADIENTS, VELOCITIES))
    rates = draw(st.sampled_from([0.25, 0.01])), draw(st.sampled_from([0.9, 0.5]))
    return *drawn, *rates, draw(st.booleans())


@exercise("momentum_step(w, g, v, lr, mu, nesterov)", before=velocities())
def momentum_step(ask: Ask, before: tuple[Any, ...]) -> None:
    """It must be one step of SGD with momentum, of either sort."""
    w, g, v, lr, mu, nesterov = before
    new_w, new_v = ask.parts(ask(*before), "w", "v")
    next_v = mu * v + g
    mistakes = {
        "of the gradient alone: μ·v is added to it": g,
        "when g is weighted by 1 − μ: that is a mean, and v is a sum": mu * v + (1.0 - mu) * g,
        "with the learning rate in v: it belongs to the step of w": mu * v + lr * g,
        "with v + μ·g: μ belongs to the old v": v + mu * g,
        "without μ": v + g,
        "with μ·v − g: gradients are added up, and w goes against the sum": mu * v - g,
        "of the old v": v,
    }
    ask.expect("v", new_v, next_v, 1e-9, mistakes)
    step = g + mu * next_v if nesterov else next_v
    truth = w - lr * step
    ask.expect("w", new_w, truth, 1e-9, _wrong_momentum(before, next_v, step))


def _wrong_momentum(before: tuple[Any, ...], next_v: np.ndarray, step: np.ndarray) -> dict:
    w, g, v, lr, mu, nesterov = before
    if nesterov:
        steps = {
            "of plain momentum: nesterov is True": next_v,
            "with v + μ·v: Nesterov's is g + μ·v": next_v + mu * next_v,
            "with g + v: Nesterov's is g + μ·v": g + next_v,
        }
    else:
        steps = {"of Nesterov's momentum: nesterov is False": g + mu * next_v}
    steps |= {
        "in the direction of the gradient: it must be w − …": -step,
        "without the learning rate": step / lr,
        "of the gradient alone": g,
        "of the v from before this step": v,
    }
    return {mistake: w - lr * each for mistake, each in steps.items()}


@st.composite
def epochs(draw: st.DrawFn) -> tuple[np.ndarray, ...]:
    """Inputs (N, 2), targets (N,), weights (2,), and sizes (K,) of batches that hold all N rows."""
    sizes = np.array(draw(st.lists(st.integers(1, 3), min_size=1, max_size=3)))
    rows = int(sizes.sum())
    return *(draw(table(WEIGHTS, *shape)) for shape in ((rows, 2), (rows,), (2,))), sizes


@exercise("epoch_gradient(gradients, sizes)", epoch=epochs())
def epoch_gradient(ask: Ask, epoch: tuple[np.ndarray, ...]) -> None:
    """It must be the slope, by differences, of the mean loss over all rows: a linear regression."""
    X, targets, weights, sizes = epoch

    def loss(w: np.ndarray, rows: Any = slice(None)) -> float:
        return 0.5 * ((X[rows] @ w - targets[rows]) ** 2).mean()

    ends = np.cumsum(sizes)
    batches = [slice(end - size, end) for end, size in zip(ends, sizes)]
    slopes = [X[b].T @ (X[b] @ weights - targets[b]) / (b.stop - b.start) for b in batches]
    gradients = np.array(slopes) + 0.0  # −0 + 0 = 0
    truth = numeric_gradient(loss, weights).round(9) + 0.0
    ask.expect("the gradient", ask(gradients, sizes), truth, 1e-6, _wrong_means(gradients, sizes))


def _wrong_means(gradients: np.ndarray, sizes: np.ndarray) -> dict[str, np.ndarray]:
    total = sizes @ gradients
    return {
        "of a plain mean: a smaller batch counts for less": gradients.mean(axis=0),
        "of a plain sum: weight each batch by its size, and divide by all": gradients.sum(axis=0),
        "without dividing by the number of samples": total,
        "by the number of batches: divide by the number of samples": total / len(sizes),
        "when a row is divided by its size: it is a mean already": (
            (gradients / sizes[:, None]).sum(axis=0)
        ),
        "along axis 1: sum over the batches, axis 0": (gradients * sizes[:, None]).sum(axis=1),
    }


@st.composite
def moments(draw: st.DrawFn) -> tuple[Any, ...]:
    """w, g, m, v of one shape, t, lr and decay."""
    shape = draw(array_shapes(min_dims=1, max_dims=2, max_side=2))
    drawn = (draw(table(each, *shape)) for each in (WEIGHTS, GRADIENTS, GRADIENTS, SQUARES))
    rates = draw(st.sampled_from([0.1, 0.01])), draw(st.sampled_from([0.1, 0.5]))
    return *drawn, draw(st.integers(1, 1000)), *rates


@exercise("adamw_step(w, g, m, v, t, lr, decay)", before=moments())
def adamw_step(ask: Ask, before: tuple[Any, ...]) -> None:
    """It must be step t, counted from 1, of AdamW with its usual β and ε."""
    w, g, m, v, t, lr, decay = before
    new_w, new_m, new_v = ask.parts(ask(*before), "w", "m", "v")
    inside = g + decay * w
    next_m, next_v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
    mistakes = {
        "when λw is added to the gradient: that is L2 inside Adam": 0.9 * m + 0.1 * inside,
        "after the bias correction: m goes on without it": next_m / (1.0 - 0.9**t),
        "when m is decayed: only w is": next_m - lr * decay * m,
    }
    ask.expect("m", new_m, next_m, 1e-9, mistakes)
    mistakes = {
        "when λw is added to the gradient: that is L2 inside Adam": 0.999 * v + 0.001 * inside**2,
        "after the bias correction: v goes on without it": next_v / (1.0 - 0.999**t),
        "of g: v is the mean of g²": 0.999 * v + 0.001 * g,
    }
    ask.expect("v", new_v, next_v, 1e-9, mistakes)
    m_hat, v_hat = next_m / (1.0 - 0.9**t), next_v / (1.0 - 0.999**t)
    d = m_hat / (np.sqrt(v_hat) + 1e-8)
    wrong = _wrong_adamw(before, d) | {
        "without the bias corrections": w - lr * next_m / (np.sqrt(next_v) + 1e-8) - lr * decay * w,
        "when λw is divided by √v̂ too": (w - lr * (m_hat + decay * w) / (np.sqrt(v_hat) + 1e-8)),
        "without ε: √v̂ can be 0": w - lr * m_hat / np.sqrt(v_hat) - lr * decay * w,
    }
    ask.expect("w", new_w, w - lr * d - lr * decay * w, 1e-7, wrong)


def _wrong_adamw(before: tuple[Any, ...], d: np.ndarray) -> dict[str, np.ndarray]:
    w, *_, lr, decay = before
    return {
        "without the decay": w - lr * d,
        "without the learning rate in the decay: it is α·λ·w": w - lr * d - decay * w,
        "when the decay makes w grow: it must be … − αλw": w - lr * d + lr * decay * w,
        "when the decay is taken of the w after the step": (w - lr * d) * (1.0 - lr * decay),
        "when the decay alone is done": w - lr * decay * w,
        "in the direction of the gradient: it must be w − …": w + lr * d - lr * decay * w,
    }


@st.composite
def places(draw: st.DrawFn) -> tuple[int, int, int]:
    """step, total and warmup; a step after the end only where the warm-up is over by then."""
    total, warmup = draw(st.integers(3, 10)), draw(st.just(0) | st.integers(2, 14))
    last = total + 3 if warmup <= total else total - 1
    return draw(st.integers(0, last)), total, warmup


@exercise("warmup_linear(step, total, warmup)", place=places())
def warmup_linear(ask: Ask, place: tuple[int, int, int]) -> None:
    """It must lie on the lines between (0, 0), (warmup, 1) and (total, 0), as far as they go."""
    step, total, warmup = place
    corners = {0: 0.0, warmup: 1.0}  # with warmup = 0 the second takes the place of the first
    if warmup < total:
        corners[total] = 0.0
    after = step >= total >= warmup
    truth = 0.0 if after else np.interp(step, list(corners), list(corners.values()))
    ask.expect("the factor", ask(*place), truth, 1e-9, _wrong_factors(*place))


def _wrong_factors(step: int, total: int, warmup: int) -> dict[str, Any]:
    up, down = step / max(1, warmup), (total - step) / max(1, total - warmup)
    rising = step < warmup
    wrong = {
        "without max(0, …): beyond the end it stays 0": up if rising else down,
        "when the way down is measured from step 0: it begins at the end of the warm-up": (
            up if rising else max(0.0, (total - step) / total)
        ),
        "when it stays at 1 after the warm-up": min(1.0, up) if warmup else 1.0,
        "with step + 1: at step 0 of a warm-up the factor is 0": (
            (step + 1) / warmup if rising else max(0.0, down)
        ),
        "when it goes down already during the warm-up": up * max(0.0, (total - step) / total),
        "without the warm-up": max(0.0, (total - step) / total),
    }
    if total != warmup and warmup:
        lower = min(step / warmup, (total - step) / (total - warmup))
        wrong["of the lower of the two lines: with a long warm-up the second one turns"] = lower
        wrong["of the lower of the two lines, cut at 0: a long warm-up goes on rising"] = max(
            0.0, lower
        )
    return wrong


@st.composite
def gradients(draw: st.DrawFn) -> tuple[Any, ...]:
    """dW (in, out), db (out,) and c."""
    n_in, n_out = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    numbers = [0.0, 3.0, -4.0, 100.0, 1e-3]
    drawn = draw(table(numbers, n_in, n_out)), draw(table(numbers, n_out))
    return *drawn, draw(st.sampled_from([1.0, 0.5, 10.0]))


@exercise("clip_by_norm(dW, db, c)", given=gradients())
def clip_by_norm(ask: Ask, given: tuple[Any, ...]) -> None:
    """All elements times min(1, c/‖g‖), with the norm over both arrays together."""
    dW, db, c = given
    *clipped, norm = ask.parts(ask(*given), "dW", "db", "norm")
    truth = float(np.linalg.norm(np.concatenate([dW.ravel(), db])))
    factor = c / max(truth, c)
    mistakes = {
        "after clipping: return the norm from before": min(truth, c),
        "without the root": truth**2,
        "of dW alone: both arrays have one norm": np.linalg.norm(dW),
        "when the norms are added: add the squares": np.linalg.norm(dW) + np.linalg.norm(db),
        "of the largest element": max(np.abs(dW).max(), np.abs(db).max()),
        "of the sum of the sizes: take the squares": np.abs(dW).sum() + np.abs(db).sum(),
    }
    ask.expect("norm", norm, truth, 1e-9, mistakes)
    for name, got, g in (("dW", clipped[0], dW), ("db", clipped[1], db)):
        ask.expect(name, got, g * factor, 1e-9, _wrong_clips(g, truth, c))


def _wrong_clips(g: np.ndarray, norm: float, c: float) -> dict[str, np.ndarray]:
    own = g * (c / max(float(np.linalg.norm(g)), c))
    with np.errstate(all="ignore"):
        stretched = g * (c / np.float64(norm))
    wrong = {
        "by 0/0: gradients of 0 stay 0": np.full_like(g, np.nan),
        "when a small gradient is stretched to c: it is min(1, c/‖g‖)": stretched,
        "when it is not clipped": g,
        "when the factor is 1/‖g‖, without c": g / max(norm, 1.0),
    }
    if g.size == 1:
        return wrong | {"when it is clipped by itself: there is one norm for all": own}
    by_value = {"when it is clipped by value: the direction must stay": np.clip(g, -c, c)}
    return wrong | {"when each array is clipped by its own norm": own} | by_value


EXERCISES = [momentum_step, epoch_gradient, adamw_step, warmup_linear, clip_by_norm]
