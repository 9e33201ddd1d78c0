"""Tests of the layers that norm rows: values, residuals, and widths that do not fit."""

from __future__ import annotations

import numpy as np
import pytest

from tests.engine.common import drawn, leaf, same_bits
from tinygrad_llm import Tensor, nn
from tinygrad_llm import functional as F

NORMS = [(nn.LayerNorm, F.layer_norm), (nn.RMSNorm, F.rms_norm)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("layer", "function"), NORMS)
def test_with_and_without_a_residual(layer, function, dtype):
    x, r = leaf(drawn(2, 5, 8), dtype), leaf(drawn(2, 5, 8, seed=1), dtype)
    norm = layer(8, 0.1).astype(dtype)
    expected = function(x + r, *norm.parameters(), eps=norm.eps)
    y, s = norm(x, r)
    assert same_bits(y, expected) and same_bits(s, x + r)
    assert same_bits(norm(x), function(x, *norm.parameters(), eps=norm.eps))


def test_rows_have_mean_0_and_variance_1_after_layer_norm():
    rows = nn.LayerNorm(8)(Tensor(3 + 5 * drawn(4, 8).astype("float32"))).data
    np.testing.assert_allclose(rows.mean(axis=-1), 0.0, atol=1e-6)
    np.testing.assert_allclose(rows.var(axis=-1), 1.0, rtol=1e-5)


def test_rows_have_mean_square_1_after_rms_norm():
    rows = nn.RMSNorm(8)(Tensor(3 + 5 * drawn(4, 8).astype("float32"))).data
    np.testing.assert_allclose((rows**2).mean(axis=-1), 1.0, rtol=1e-5)


def test_what_they_say_of_themselves():
    assert [n for n, _ in nn.LayerNorm(8, bias=False).named_parameters()] == ["weight"]
    assert repr(nn.LayerNorm(8, bias=False)) == "LayerNorm(8, eps=1e-05, bias=False)"
    assert repr(nn.RMSNorm(8, 1e-3)) == "RMSNorm(8, eps=0.001)"


def test_widths_that_do_not_fit():
    with pytest.raises(ValueError, match="LayerNorm: width 0 is below 1"):
        nn.LayerNorm(0)
    with pytest.raises(ValueError, match=r"layer_norm: weight \(8,\) for x \(2, 7\)"):
        nn.LayerNorm(8)(np.ones((2, 7), np.float32))
