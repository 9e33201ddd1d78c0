"""Intervals of shares, at whose ends what was seen is just credible, and of means over seeds."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tinygrad_llm.metrics import mean_over_rows, mean_over_seeds, wilson_interval


@given(st.integers(1, 10_000), st.floats(0, 1), st.floats(0.01, 0.999))
@example(5, 0.0, 0.95)
@example(5, 1.0, 0.95)
def test_at_the_ends_of_the_interval_the_share_seen_is_just_credible(total, share, confidence):
    right = round(share * total)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    found = wilson_interval(right, total, confidence)
    assert 0 <= found.low <= right / total <= found.high <= 1
    for p in found:
        assert abs(right / total - p) == pytest.approx(z * math.sqrt(p * (1 - p) / total), abs=1e-7)
    if right > 0:
        assert found.low > 0


def test_wilson_interval_by_hand():
    assert wilson_interval(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)


@pytest.mark.parametrize("wrong", [(1, 0), (-1, 3), (4, 3), (1, 3, 1.0), (1, 3, 0.0)])
def test_wilson_interval_refuses_what_is_no_share(wrong):
    with pytest.raises(ValueError, match="wilson_interval"):
        wilson_interval(*wrong)


def test_a_mean_over_rows_covers_other_seeds_and_other_rows():
    right = np.array([[1.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0]])
    found = mean_over_rows(right)
    by_row = np.std([1.0, 0.5, 0.0, 1.0], ddof=1) / 2
    by_seed = np.std([0.75, 0.5], ddof=1) / np.sqrt(2) * 12.71
    assert found.mean == 0.625 and found.half == pytest.approx(np.hypot(1.96 * by_row, by_seed))
    assert found.low == found.mean - found.half
    alone = mean_over_rows(right[:1])
    assert alone.half == pytest.approx(1.96 * np.std(right[0], ddof=1) / 2)


def test_a_mean_over_seeds_has_students_interval():
    found = mean_over_seeds(np.array([1.0, 2.0, 3.0]))
    assert found.mean == 2.0 and found.half == pytest.approx(4.30 / np.sqrt(3))
    assert mean_over_seeds(np.arange(20.0)).half == pytest.approx(
        2.093 * np.std(np.arange(20), ddof=1) / np.sqrt(20), rel=0.01
    )


def test_means_refuse_what_has_no_interval():
    for wrong in ([1.0, 2.0], [[1.0]], np.zeros((0, 3))):
        with pytest.raises(ValueError, match="mean_over_rows"):
            mean_over_rows(np.array(wrong))
    for wrong in ([1.0], [[1.0, 2.0]]):
        with pytest.raises(ValueError, match="mean_over_seeds"):
            mean_over_seeds(np.array(wrong))
