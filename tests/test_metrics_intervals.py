"""Intervals of shares: at their ends what was seen is just credible."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tinygrad_llm.metrics import wilson_interval


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
