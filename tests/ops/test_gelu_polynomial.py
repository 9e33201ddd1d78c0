"""The polynomial of the faster GELU is what its script fits, and as near to Φ as it says."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from tests.fixtures.make_gelu_polynomial import error, fit
from tinygrad_llm.backend.cpu.gelu import FAR, PHI


def test_the_numbers_are_those_that_the_script_fits():
    np.testing.assert_allclose(PHI, fit(), rtol=1e-9)


def test_it_is_as_near_as_it_says():
    x = np.linspace(-FAR, FAR, 70_001)
    assert np.abs(error(np.array(PHI), x)).max() < 3e-8


def test_beyond_its_range_nothing_is_left_in_float32():
    assert 0.5 * math.erfc(FAR / math.sqrt(2.0)) < 2.0**-24


def test_no_polynomial_of_this_degree_is_much_nearer():
    """Errors of one size and changing sign at eight places bound those of every other one."""
    errors = error(np.array(PHI), np.linspace(0.0, FAR, 20_001))
    peaks = errors[1:-1][(np.diff(errors)[:-1] * np.diff(errors)[1:]) < 0]
    largest = np.abs(errors).max()
    tops = [e for e in (*peaks, errors[-1]) if abs(e) > 0.98 * largest]
    assert len(tops) >= 8 and all(a * b < 0 for a, b in pairwise(tops))
