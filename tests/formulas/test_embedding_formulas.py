"""Tests of the formulas of embeddings: G04."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_llm.formulas import FORMS


@pytest.mark.formula("G04")
def test_g04_a_repeated_id_adds_up(hold):
    hold("G04")
    ids, cotangent = np.array([2, 0, 2]), np.array([[1.0], [10.0], [100.0]])
    assert FORMS["G04"].corrected(ids, cotangent, 3).ravel().tolist() == [10.0, 0.0, 101.0]
    assert FORMS["G04"].mistake(ids, cotangent, 3).ravel().tolist() == [10.0, 0.0, 100.0]
