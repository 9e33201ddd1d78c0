"""Outputs and gradients of the fused nodes equal what PyTorch computes, as recorded."""

import json
from pathlib import Path

import numpy as np
import pytest

from tinygrad_llm import Tensor, grad
from tinygrad_llm import functional as F

CASES = json.loads(
    (Path(__file__).parent / "fixtures" / "torch_fused.json").read_text(encoding="utf8")
)["cases"]

TOLERANCES = {np.float64: 1e-10, np.float32: 1e-5}
"""Of the largest element."""


def name_of(case):
    constants = {k: v for k, v in case["arguments"].items() if not isinstance(v, list)}
    shapes = [np.shape(x) for x in case["inputs"].values()]
    return f"{case['function']}-{constants}-{shapes}"


def agree(found, expected, tolerance):
    expected = np.array(expected)
    assert found.shape == expected.shape
    error = np.abs(found.numpy() - expected).max() / max(np.abs(expected).max(), 1.0)
    assert error < tolerance


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_equal_to_pytorch(case, dtype):
    xs = {k: Tensor(np.array(x, dtype), requires_grad=True) for k, x in case["inputs"].items()}
    arguments = dict(case["arguments"])
    if "mask" in arguments:
        arguments["mask"] = np.array(arguments["mask"])
    ys = getattr(F, case["function"])(**xs, **arguments)
    ys = ys if isinstance(ys, tuple) else (ys,)
    vs = [np.array(v, dtype) for v in case["cotangents"]]
    gradients = grad(ys, list(xs.values()), vs)
    for found, expected in zip(ys, case["values"], strict=True):
        assert found.dtype == dtype
        agree(found, expected, TOLERANCES[dtype])
    for found, expected in zip(gradients, case["gradients"].values(), strict=True):
        assert found.dtype == dtype
        agree(found, expected, TOLERANCES[dtype])
