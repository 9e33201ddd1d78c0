"""How many columns a text takes in a terminal, and how it is cut or filled up to so many."""

from __future__ import annotations

import unicodedata
from itertools import accumulate

_NO_COLUMN = ("Mn", "Me", "Cf")
"""Categories of marks that stand on the letter before them, and of characters without a shape."""


def width(text: str) -> int:
    """Columns that a text takes: two for a wide character, as in Chinese, none for a mark such as
    a combining accent."""
    return sum(map(_columns, text))


def clip(text: str, columns: int) -> str:
    """The text in at most so many columns, 1 or more; an ellipsis shows that it was cut."""
    ends = list(accumulate(map(_columns, text)))
    if not ends or ends[-1] <= columns:
        return text
    return text[: sum(end < columns for end in ends)] + "…"


def ljust(text: str, columns: int) -> str:
    """The text, and spaces after it up to so many columns."""
    return text + " " * (columns - width(text))


def rjust(text: str, columns: int) -> str:
    """The text, and spaces before it up to so many columns."""
    return " " * (columns - width(text)) + text


def _columns(character: str) -> int:
    if unicodedata.category(character) in _NO_COLUMN:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
