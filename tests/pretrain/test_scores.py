"""Intervals of shares, and counting right guesses some rows at a time."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.models.common import gpt2, ids
from tinygrad_llm.pretrain import scores, wilson_interval


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


@pytest.mark.parametrize("most", [1, 40, 2**22])
def test_right_guesses_are_those_of_all_logits(most, monkeypatch):
    monkeypatch.setattr(scores, "MOST_SCORES", most)
    words = ids(6, 9)
    asked = np.random.default_rng(0).random((6, 9)) < 0.5
    asked[2] = False
    answer = gpt2()(words)
    truth = answer.logits.numpy().argmax(-1)
    truth[::2] = words[::2]
    expected = (truth == answer.logits.numpy().argmax(-1))[asked].sum()
    assert 0 < expected < asked.sum()
    assert scores.right_guesses(answer, asked, truth, 13) == expected
    assert scores.right_guesses(answer, asked & False, truth, 13) == 0
