"""Values and gradients equal PyTorch's recorded ones: losses, and the rules at kinks and ties."""

import json
from pathlib import Path

import numpy as np
import pytest

from tinygrad_llm import Tensor, grad
from tinygrad_llm import functional as F

FIGURES = json.loads(
    (Path(__file__).parent / "fixtures" / "torch_figures.json").read_text(encoding="utf8")
)["cases"]


@pytest.mark.parametrize("case", FIGURES, ids=lambda c: f"{c['function']}-{c['arguments']}")
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_equal_to_pytorch(case):
    xs = [Tensor(np.array(x, dtype=np.float64), requires_grad=True) for x in case["inputs"]]
    y = getattr(F, case["function"])(*xs, **case["arguments"])
    gradients = grad(y, xs, np.array(case["cotangent"]), allow_unused=True)
    np.testing.assert_allclose(y.numpy(), case["value"], rtol=1e-12, atol=1e-14)
    for ours, theirs in zip(gradients, case["gradients"]):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-12, atol=1e-14)
