"""Tests of the formulas of embeddings: G04."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_llm import Tensor, grad
from tinygrad_llm import functional as F
from tinygrad_llm.formulas import FORMS


@pytest.mark.formula("G04")
def test_g04_a_repeated_id_adds_up(hold):
    hold("G04")
    ids, cotangent = np.array([2, 0, 2]), np.array([[1.0], [10.0], [100.0]])
    assert FORMS["G04"].corrected(ids, cotangent, 3).ravel().tolist() == [10.0, 0.0, 101.0]
    assert FORMS["G04"].mistake(ids, cotangent, 3).ravel().tolist() == [10.0, 0.0, 100.0]


@pytest.mark.formula("G04")
def test_g04_is_what_the_engine_computes():
    rng = np.random.default_rng(4)
    ids, cotangent = rng.integers(0, 7, (5, 11)), rng.standard_normal((5, 11, 3))
    table = Tensor(rng.standard_normal((9, 3)), requires_grad=True)
    found = grad(F.embedding(ids, table), table, cotangent).data
    expected = FORMS["G04"].corrected(ids.ravel(), cotangent.reshape(55, 3), 9)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
    assert not found[7:].any()
