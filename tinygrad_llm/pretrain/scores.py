"""How many best guesses of a language model are right, and how sure one can be of that share."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from tinygrad_llm.backend import put, to_host
from tinygrad_llm.models import LanguageModelOutput

MOST_SCORES = 2**22
"""Of the vocabulary, at one time: 16 MiB in float32."""


class Interval(NamedTuple):
    """A share lies between these two."""

    low: float
    high: float


def wilson_interval(right: int, total: int, confidence: float = 0.95) -> Interval:
    """Where a share lies of which `right` of `total` independent trials were seen.

    Source: Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference".
    Hidden words of one text are not quite independent: their interval is a little wider.
    Raises ValueError unless 0 <= right <= total, total >= 1 and confidence is above 0 and below 1.
    """
    if total < 1 or not 0 <= right <= total:
        raise ValueError(f"wilson_interval: {right} right of {total}; give 0 <= right <= total")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"wilson_interval: confidence is above 0 and below 1, not {confidence}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, weight = right / total, z * z / total
    middle = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(share * (1 - share) / total + weight / (4 * total))
    # The share seen is inside, whatever is rounded.
    return Interval(max(0.0, min(middle - half, share)), min(1.0, max(middle + half, share)))


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
