"""How sure one can be of a share, or of a mean over seeds, that was measured."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

_T_975 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)
"""The 97.5 % points of Student's t with 1 … 10 degrees of freedom."""


class Interval(NamedTuple):
    """A share lies between these two."""

    low: float
    high: float


class Mean(NamedTuple):
    """A mean, and half the width of its 95 % interval."""

    mean: float
    half: float

    @property
    def low(self) -> float:
        """Where the interval begins."""
        return self.mean - self.half


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


def mean_over_rows(scores: np.ndarray) -> Mean:
    """The mean of scores (S, N) of S seeds on the same N rows, and how sure one can be of it.

    scores: such as 1.0 where an answer is right, or, for a comparison in pairs, those of one method
        less those of another. The interval covers other rows and other seeds: its half is the root
        of the sum of the squares of both, that of seeds by Student's t; with one seed it covers
        other rows alone.
    Raises ValueError for scores that are not (S, N), or of fewer than two rows.
    """
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 2 or scores.shape[0] < 1 or scores.shape[1] < 2:
        raise ValueError(f"mean_over_rows: scores {scores.shape}; give (seeds, rows), rows >= 2")
    seeds, rows = scores.shape
    by_row = 1.96 * float(scores.mean(axis=0).std(ddof=1)) / math.sqrt(rows)
    by_seed = mean_over_seeds(scores.mean(axis=1)).half if seeds > 1 else 0.0
    return Mean(float(scores.mean()), math.hypot(by_row, by_seed))


def mean_over_seeds(values: np.ndarray) -> Mean:
    """The mean of one number a seed (S,), and its interval by Student's t.

    Raises ValueError for fewer than two seeds.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"mean_over_seeds: values {values.shape}; give (S,) with S >= 2")
    freedom = len(values) - 1
    t = _T_975[freedom - 1] if freedom <= len(_T_975) else 1.96 + 2.4 / freedom
    return Mean(float(values.mean()), t * float(values.std(ddof=1)) / math.sqrt(len(values)))
