"""How sure one can be of a share that was measured."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple


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
