"""Tests of Tensor.touched: a write that the tape does not see is said to it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.engine.common import leaf
from tinygrad_llm import Tensor


@pytest.mark.parametrize("through", ["itself", "a view"])
def test_a_backward_that_needs_what_was_overwritten_raises(through):
    w, x = leaf([2.0]), Tensor(np.array([3.0]))
    y = (w * x).sum()
    x.data[...] = 5.0
    (x if through == "itself" else x.detach()).touched()
    with pytest.raises(RuntimeError, match="changed in place since"):
        y.backward()
