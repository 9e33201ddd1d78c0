"""Tests of the formulas of gradient descent: F51, F70."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tinygrad_llm.formulas import FORMS


@pytest.mark.formula("F51")
def test_f51_gradient_is_taken_where_the_step_starts(hold):
    hold("F51")
    start, ends = np.array([2.0, 3.0]), {}
    for name in ("printed", "corrected"):
        theta = getattr(FORMS["F51"], name)(lambda t: 2.0 * t, start, 0.1, 100)
        ends[name] = theta @ theta
    assert math.isclose(ends["printed"], 13 * 19**2)
    assert ends["corrected"] < 1e-17


@pytest.mark.formula("F70")
@pytest.mark.parametrize("curvature", [0.01, 1.0, 300.0])
def test_f70_steps_above_two_over_the_curvature_diverge(hold, curvature):
    hold("F70")
    ends = [
        abs(FORMS["F70"].corrected(lambda t: curvature * t, np.ones(1), rate / curvature, 100)[0])
        for rate in (2.1, 1.9)
    ]
    assert math.isclose(ends[0], 1.1**100, rel_tol=1e-9)
    assert math.isclose(ends[1], 0.9**100, rel_tol=1e-9)
