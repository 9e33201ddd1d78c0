"""Unicode's canonical composition (NFC), with the place of every character in the original.

Source: Unicode Standard Annex 15, Unicode Normalization Forms.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from itertools import groupby, pairwise

from tinygrad_llm.tokenizers.encoding import Span

_LAST = 0x1FFFF
"""What is composed stands before this: beyond are ideographs, which stay alone, and nothing."""


_LONG = 64
"""Characters; Python orders the marks of n of them in a time that grows with the square of n."""


def compose(text: str) -> tuple[str, list[Span] | None]:
    """The text in NFC and, for each of its characters, the span [start, end) of characters of
    `text` that it comes from: None where the text is in NFC already.

    What is composed together, or put into another order, shares the span of all of it.
    """
    if unicodedata.is_normalized("NFC", text):
        return text, None
    parts: list[str] = []
    spans: list[Span] = []
    for start, end in pairwise([*_beginnings(text), len(text)]):
        part = text[start:end]
        part = unicodedata.normalize("NFC", part if len(part) < _LONG else _in_order(part))
        parts.append(part)
        spans += [(start, end)] * len(part)
    return "".join(parts), spans


def _in_order(text: str) -> str:
    """The text decomposed, with its marks in canonical order."""
    decomposed = "".join(unicodedata.normalize("NFD", character) for character in text)
    runs = groupby(decomposed, key=lambda character: unicodedata.combining(character) > 0)
    return "".join(
        c for marks, run in runs for c in (sorted(run, key=unicodedata.combining) if marks else run)
    )


def _beginnings(text: str) -> list[int]:
    """Where a character stands that neither joins what is before it nor changes places with it."""
    joining = _joining()
    return [
        i
        for i, character in enumerate(text)
        if not i or not (unicodedata.combining(character) or character in joining)
    ]


@cache
def _joining() -> frozenset[str]:
    """Characters of combining class 0 that may be composed with the one before: vowels and finals
    of hangul, and second halves of canonical decompositions."""
    hangul = {chr(code) for code in (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))}
    return frozenset(hangul | {c for code in range(_LAST + 1) for c in _second(chr(code))})


def _second(character: str) -> str:
    """What follows the first character of a canonical decomposition; compatibility ones, which
    name their kind in <...>, are not composed."""
    decomposition = unicodedata.decomposition(character)
    if decomposition.startswith("<"):
        return ""
    return "".join(chr(int(code, 16)) for code in decomposition.split()[1:])
