"""Checks that the settings of whole runs have in common; each error names the setting."""

from __future__ import annotations

import math
from typing import Any

MOST = 2**31 - 1
"""The largest whole number that a setting may be."""

LARGEST = 1e300
"""Numbers are below it: no whole number that is no float, either."""


def one_of(name: str, value: Any, known: tuple[str, ...]) -> None:
    """Raise ValueError for what is none of these texts."""
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{name} is {value!r}; give one of {', '.join(known)}")


def whole(name: str, value: Any, least: int) -> None:
    """Raise TypeError or ValueError for what is no integer from `least` to `MOST`."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}; give a whole number from {least}")
    if value < least:
        raise ValueError(f"{name} is {value!r:.40}; give a whole number from {least}")
    if value > MOST:
        raise ValueError(f"{name} is above {MOST}; give a whole number from {least} to {MOST}")


def number(name: str, value: Any, low: float, high: float, low_too: bool = True) -> None:
    """Raise TypeError or ValueError for what is no number from low (or above it) to below high."""
    said = f"a number {'from' if low_too else 'above'} {low:g}"
    said += f" and below {high:g}" if high < math.inf else ""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}; give {said}")
    if not (low <= value < min(high, LARGEST)) or (value == low and not low_too):
        raise ValueError(f"{name} is {value!r:.40}; give {said}")


def switch(name: str, value: Any) -> None:
    """Raise TypeError for what is neither True nor False."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}; give True or False")


def device(value: Any) -> None:
    """Raise ValueError for what is no name of a device."""
    kind, _, place = str(value).partition(":")
    if kind not in ("cpu", "cuda") or (place and (kind == "cpu" or not place.isdecimal())):
        raise ValueError(f"device is {value!r}; give 'cpu', 'cuda' or 'cuda:<number>'")
