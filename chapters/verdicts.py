"""Claims of a chapter, the bands that were measured for them, and the verdicts."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from chapters.catalogue import HERE
from chapters.text import paragraph, show

BANDS = HERE / "bands.json"
"""Written by `python -m chapters.measure` alone."""

RULE = (
    "A band is the lowest to the highest value over the seeds, widened on each side by the whole "
    "distance between the two. On a log scale the distance is counted in decades and is at least "
    "one: rounding differs from processor to processor by that much. On a linear scale it is at "
    "least a millionth of the highest value, for a count at least one; a count is not below 0, and "
    "a share not outside 0 … 1. The error of a gradient has a log scale, and its band ends at the "
    "course's own limit for it, 1e-6."
)

LIMIT = 1e-6
"""The largest error at which the course calls a gradient right."""

SLACK = 1e-12
"""Of an end of a band, the share by which a value may pass it: two machines round differently."""

Scale = Literal["log", "linear", "count", "share", "gradient"]
_POSSIBLE = {"count": (0.0, math.inf), "share": (0.0, 1.0)}
"""Where values of a scale lie by their nature."""

Bar = tuple[str, float]
"""What a claim must beat: the name of a baseline, and its value in the same run."""


class Claim(NamedTuple):
    """One statement of a chapter, by a number; `below` or `above` is the baseline that it beats."""

    key: str
    text: str
    value: float
    scale: Scale
    below: Bar | None
    above: Bar | None


class Verdict(NamedTuple):
    """What became of a claim; `band` is None where none was measured."""

    claim: Claim
    band: tuple[float, float] | None
    reasons: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.reasons

    def lines(self) -> list[str]:
        """The claim with PASS or FAIL; then value, band, baseline, and what is wrong."""
        claim = self.claim
        bars = [(word, bar) for word in ("below", "above") if (bar := getattr(claim, word))]
        limits = [float(each) for each in (*(self.band or ()), *(bar[1] for _, bar in bars))]
        value, *shown = _apart(claim.value, limits, so=not self.passed)
        band = f" in {shown.pop(0)} … {shown.pop(0)}" if self.band else ", no band"
        beats = [f"{word} {limit} ({bar[0]})" for (word, bar), limit in zip(bars, shown)]
        line = ", ".join([value + band, *beats])
        why = [f"FAIL because {reason}" for reason in self.reasons]
        head = f"{'PASS' if self.passed else 'FAIL'}  {claim.text}"
        return [head, *(paragraph(each, " " * 6) for each in (line, *why))]


def _apart(value: float, limits: list[float], so: bool) -> list[str]:
    """The value and its limits as text; if `so`, with digits enough to tell it from each."""
    others, digits = [limit for limit in limits if limit != value], 3
    while so and digits < 17 and any(f"{x:.{digits}g}" == f"{value:.{digits}g}" for x in others):
        digits += 1
    return [show(x) if digits == 3 else f"{x:.{digits}g}" for x in (value, *limits)]


def judge(claim: Claim, band: tuple[float, float] | None) -> Verdict:
    """Hold a claim against its band, within rounding, and its baseline; a NaN fails both."""
    reasons = []
    if band is None:
        reasons.append("no band was measured: run python -m chapters.measure")
    elif not _within(claim.value, *band):
        reasons.append("the value lies outside its band")
    if claim.below is not None and not claim.value < claim.below[1]:
        reasons.append(f"it does not beat {claim.below[0]}")
    if claim.above is not None and not claim.value > claim.above[1]:
        reasons.append(f"it does not beat {claim.above[0]}")
    return Verdict(claim, band, tuple(reasons))


def _within(value: float, low: float, high: float) -> bool:
    """An end that is 0 has no slack: a value that must be exactly 0 stays so."""
    return low - SLACK * abs(low) <= value <= high + SLACK * abs(high)


def judge_all(claims: Sequence[Claim], bands: dict[str, tuple[float, float]]) -> list[Verdict]:
    """A verdict for each claim, and a failed one for each band whose claim was not made."""
    verdicts = [judge(claim, bands.get(claim.key)) for claim in claims]
    for key in bands.keys() - {claim.key for claim in claims}:
        lost = Claim(key, f"{key}: has a band, but was not claimed", math.nan, "log", None, None)
        verdicts.append(Verdict(lost, bands[key], ("the chapter has lost this claim",)))
    return verdicts


def band_of(values: Sequence[float], scale: Scale) -> tuple[float, float]:
    """The band of these values over seeds, by `RULE`.

    Raises ValueError for values that are not finite, or not positive on a log scale, and for the
    error of a gradient that is above `LIMIT`.
    """
    if not all(math.isfinite(v) for v in values):
        raise ValueError(f"no band from values that are not finite: {list(values)}")
    low, high = min(values), max(values)
    if scale in ("linear", "count", "share"):
        widening = max(high - low, 1.0 if scale == "count" else 1e-6 * abs(high))
        least, most = _POSSIBLE.get(scale, (-math.inf, math.inf))
        return max(low - widening, least), min(high + widening, most)
    if low <= 0:
        raise ValueError(f"a log scale takes no value that is not positive: {list(values)}")
    factor = max(high / low, 10.0)
    if scale == "log":
        return low / factor, high * factor
    if high > LIMIT:
        raise ValueError(f"the error of a gradient is above {LIMIT:g}: {list(values)}")
    return low / factor, min(high * factor, LIMIT)


def read_bands(number: str, mode: str) -> dict[str, tuple[float, float]]:
    """Key -> (low, high) of one chapter in one mode; empty where nothing was measured."""
    measured = read(BANDS).get("chapters", {}).get(number, {}).get(mode, {})
    return {key: (c["low"], c["high"]) for key, c in measured.get("claims", {}).items()}


def seeds_of(number: str, mode: str) -> int:
    """Over how many seeds the bands of a chapter were measured in one mode; 0 before that."""
    return len(read(BANDS).get("chapters", {}).get(number, {}).get(mode, {}).get("seeds", ()))


def read(path: Path) -> dict[str, Any]:
    """The whole file of bands; empty when there is none yet."""
    return json.loads(path.read_text("utf-8")) if path.exists() else {}
