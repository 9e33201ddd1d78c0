"""Counting right guesses some rows at a time."""

from __future__ import annotations

import numpy as np
import pytest

from tests.models.common import gpt2, ids
from tinygrad_llm.pretrain import scores


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
