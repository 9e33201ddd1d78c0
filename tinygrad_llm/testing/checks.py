"""check_op: everything that is checked, by value, of one op's derivatives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np

from tinygrad_llm.autograd import grad
from tinygrad_llm.tensor import Tensor
from tinygrad_llm.testing.gradcheck import gradcheck
from tinygrad_llm.testing.numeric import GradientError
from tinygrad_llm.testing.one_call import OneCall, equal, tensors
from tinygrad_llm.testing.samples import EXACT, SAMPLES, Call, Exact, Sample
from tinygrad_llm.testing.samples.registry import differentiable, run
from tinygrad_llm.testing.strict_cupy import installed

FULL = 4
"""Composites are measured along random directions: what is wrong at one element shows there too."""

ULP = float(np.finfo(np.float64).eps)


def check_op(name: str, *, order: int = 2, draws: int | None = None, seed: int = 0) -> float:
    """Check all that a wrong derivative of the op could get wrong; the worst relative error.

    order: 1 or 2. draws: calls of each sample, as many as see all its examples when None.
    Raises GradientError at the first wrong value; another exception, such as a shape that does not
    fit, only when no other call shows a wrong value. ValueError for an op without samples.
    """
    if name not in SAMPLES:
        raise ValueError(f"check_op: no sample of {name!r}: write one in testing/samples")
    if order not in (1, 2):
        raise ValueError(f"check_op: order {order}: give 1 or 2, and use gradcheck beyond")
    worst, crash = 0.0, None
    for check in _checks(name, order, draws, seed):
        try:
            worst = max(worst, check())
        except GradientError:
            raise
        except Exception as error:  # a crash has to wait: another call may show a wrong value
            crash = crash or error
    if crash is not None:
        raise crash
    return worst


def _checks(name: str, order: int, draws: int | None, seed: int) -> Iterator[Callable[[], float]]:
    for sample in SAMPLES[name]:
        for call in sample.calls(draws, seed):
            yield partial(check_call, sample, call, order, seed)
    for case in EXACT.get(name, []):
        yield partial(check_exact, case)


def check_call(
    sample: Sample, call: Call, order: int = 2, seed: int = 0, precision: bool = True
) -> float:
    """Check one call of a sample; the worst relative error. Raises GradientError.

    precision: hold float32 to the op's bound, which is for numbers of size near 1.
    """
    if sample.composite:
        with installed() if sample.device else nullcontext():
            return _check_composite(sample, call, order, seed)
    check = OneCall(sample, call, seed)
    worst = check.run(order, precision)
    if order == 2 and check.caches():
        worst = max(worst, _check_composite(sample, call, order, seed, _times_its_inputs))
    return worst


def _check_composite(
    sample: Sample,
    call: Call,
    order: int,
    seed: int,
    finish: Callable[[list[Tensor], tuple[Any, ...]], tuple[Any, ...]] = lambda xs, ys: ys,
) -> float:
    """By central differences: more than one op is at work."""
    places = differentiable(sample, call)

    def function(*xs: Tensor) -> tuple[Any, ...]:
        inputs = tensors(call.arrays, ())
        for i, x in zip(places, xs):
            inputs[i] = x
        return finish(list(xs), run(sample, call, inputs))

    xs = [Tensor(call.arrays[i], requires_grad=True) for i in places]
    return gradcheck(function, xs, order, full=FULL, seed=seed, name=repr(sample))


def _times_its_inputs(xs: list[Tensor], ys: tuple[Any, ...]) -> tuple[Any, ...]:
    """f(x)·s(x) with a weighted sum s: an intermediate of f that is cut off from the tape shows."""
    s: Any = 0.0
    for x in xs:
        s = s + (x * np.cos(np.arange(1.0, x.size + 1)).reshape(x.shape)).sum()
    return tuple([y * s for y in ys if y.dtype.kind == "f"])


def check_exact(case: Exact) -> float:
    """Check a case whose gradients are known, raw and under create_graph. Raises GradientError."""
    with np.errstate(divide="ignore"):  # ln 0 = −∞ is meant there
        _check_exact(case)
    return 0.0


def _check_exact(case: Exact) -> None:
    wrt = [i for i, g in enumerate(case.gradients) if g is not None]
    for create_graph in (False, True):
        inputs = tensors(case.arrays, wrt)
        xs = [inputs[i] for i in wrt]
        y = case.function(*inputs)
        if case.value is not None:
            equal(repr(case), "value", 0, np.asarray(case.value), y.data, 4 * ULP)
        v = Tensor(case.cotangent, requires_grad=True)
        found = grad(y, xs, v, create_graph=create_graph)
        for i, g in zip(wrt, found):
            equal(repr(case), f"input {i}", 1, case.gradients[i], g.data, 4 * ULP)
    if all(np.isfinite(case.gradients[i]).all() for i in wrt):
        _check_linear(case, y, xs, v, found)


def _check_linear(
    case: Exact, y: Tensor, xs: list[Tensor], v: Tensor, found: tuple[Tensor, ...]
) -> None:
    """The gradients are linear in v: ⟨w, h⟩ = ⟨∂⟨w, h⟩/∂v, v⟩; and no NaN comes at order 2."""
    rng = np.random.default_rng(0)
    tolerance = 1e-12 if y.dtype == np.float64 else 8 * float(np.finfo(y.dtype).eps)
    ws = [Tensor(rng.standard_normal(h.shape)) for h in found]
    second = grad(found, [v, *xs], ws, allow_unused=True)
    whole = sum(np.vdot(w.data, h.data) for w, h in zip(ws, found))
    back = 0.0 if second[0] is None else np.vdot(second[0].data, v.data)
    equal(repr(case), "cotangent 0", 2, np.asarray(whole), np.asarray(back), tolerance)
    for i, s in enumerate(second[1:]):
        if s is not None and not np.isfinite(s.data).all():
            raise GradientError(f"{case!r}: not finite", f"input {i}", 2)
        if s is not None and case.constant:
            equal(repr(case), f"input {i}", 2, np.zeros(s.shape), s.data)
