"""How many best guesses of a language model are right."""

from __future__ import annotations

import numpy as np

from tinygrad_llm.backend import put, to_host
from tinygrad_llm.models import LanguageModelOutput

MOST_SCORES = 2**22
"""Of the vocabulary, at one time: 16 MiB in float32."""


def right_guesses(
    answer: LanguageModelOutput, asked: np.ndarray, truth: np.ndarray, vocabulary: int
) -> int:
    """At how many of the places that are asked the most probable token is the true one.

    asked: (B, T) bool. truth: (B, T) integers; what it has at other places does not matter.
    vocabulary: V, the scores of a place.
    Scores are computed at these places alone, some rows at a time, so that a large vocabulary takes
    no more than MOST_SCORES numbers (or those of one row).
    """
    device, right = answer.last_hidden_state.device, 0
    for rows in _some_rows(asked, vocabulary):
        here = np.zeros_like(asked)
        here[rows] = asked[rows]
        guesses = to_host(answer.logits_at(put(here, device)).data.argmax(axis=-1))
        right += int((guesses == truth[here]).sum())
    return right


def _some_rows(asked: np.ndarray, vocabulary: int) -> list[np.ndarray]:
    """The rows with places that are asked, in groups with not too many scores."""
    counts = asked.sum(axis=1)
    group = (np.cumsum(counts) - counts) * vocabulary // MOST_SCORES
    rows = np.flatnonzero(counts)
    return [rows[group[rows] == number] for number in np.unique(group[rows])]
