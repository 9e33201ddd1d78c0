"""Every sample on a device, by the strict stand-in for CuPy: the same bits as on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tinygrad_llm import Tensor, grad
from tinygrad_llm.backend import random
from tinygrad_llm.testing.samples import Call, Exact, Sample, all_exact, all_samples
from tinygrad_llm.testing.samples.registry import differentiable, run
from tinygrad_llm.testing.strict_cupy import installed


def moved(arrays: Sequence[Any], wrt: Sequence[int], device: str) -> list[Any]:
    inputs = [Tensor(x, device=device) if isinstance(x, np.ndarray) else x for x in arrays]
    for i in wrt:
        inputs[i].requires_grad = True
    return inputs


def all_derivatives(sample: Sample, call: Call, device: str) -> list[np.ndarray | None]:
    """Outputs, first gradients raw and taped, and second ones, in the inputs and cotangents."""
    random.manual_seed(0)
    rng = np.random.default_rng(0)
    wrt = differentiable(sample, call)
    inputs = moved(call.arrays, wrt, device)
    xs = [inputs[i] for i in wrt]
    ys = [y for y in run(sample, call, inputs) if y.dtype.kind == "f"]
    vs = [Tensor(rng.standard_normal(y.shape), requires_grad=True, device=y.device) for y in ys]
    raw = grad(ys, xs, vs, retain_graph=True)
    taped = grad(ys, xs, vs, create_graph=True)
    ws = [Tensor(rng.standard_normal(g.shape), device=g.device) for g in taped]
    second = grad(taped, [*xs, *vs], ws, allow_unused=True)
    assert {g.device for g in (*raw, *taped)} == {"cpu" if device == "cpu" else "cuda:0"}
    return [None if t is None else t.numpy() for t in (*ys, *raw, *taped, *second)]


@pytest.mark.parametrize("sample", all_samples(), ids=repr)
def test_the_same_bits(sample: Sample) -> None:
    # Where a sample itself moves data, the other device has other nodes, and sums another order;
    # so does a product, where an operand has other strides there.
    reordered = sample.device or sample.op in ("matmul", "einsum", "linearcrossentropy")
    tolerance = {"rtol": 1e-14, "atol": 1e-15} if reordered else {"rtol": 0.0}
    with installed():
        for call in sample.calls():
            here, there = (all_derivatives(sample, call, d) for d in ("cpu", "cuda"))
            for a, b in zip(here, there):
                assert (a is None) == (b is None)
                if a is not None:
                    np.testing.assert_allclose(b, a, **tolerance)


@pytest.mark.parametrize("case", all_exact(), ids=repr)
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_kinks_and_ties(case: Exact) -> None:
    wrt = [i for i, g in enumerate(case.gradients) if g is not None]
    with installed():
        for create_graph in (False, True):
            inputs = moved(case.arrays, wrt, "cuda")
            y = case.function(*inputs)
            v = Tensor(case.cotangent, device="cuda")
            found = grad(y, [inputs[i] for i in wrt], v, create_graph=create_graph)
            for i, g in zip(wrt, found):
                np.testing.assert_allclose(g.numpy(), case.gradients[i], rtol=1e-15)
