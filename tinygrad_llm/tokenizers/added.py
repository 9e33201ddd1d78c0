"""Tokens that are found in a text as they are written, before anything else is done to it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import regex


class AddedToken(NamedTuple):
    """A token that is never cut, such as "[MASK]"; found in the text in exactly this case.

    content, id: what is written, and its number.
    special: left out by `decode(..., skip_special_tokens=True)`.
    lstrip, rstrip: white space before or after it is taken into the token.
    single_word: only where no letter, mark, digit or underscore touches it.
    normalized: looked for in the normalized text, not in the original.
    """

    content: str
    id: int
    special: bool = True
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False
    normalized: bool = False


Section = tuple[int, int, "AddedToken | None"]
"""Start and end (exclusive) in a text, and the token that stands there; None for ordinary text."""

_WORD_CHARACTER = regex.compile(r"[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]")
"""Unicode's, as in Technical Standard 18, annex C: with marks, without "½"; Python's differ."""

WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
"""Unicode's White_Space; what Python strips has U+001C to U+001F besides."""


class Finder:
    """Finds tokens in texts, from the left and the longest that fits; the keys are what is looked
    for."""

    def __init__(self, tokens: dict[str, AddedToken]):
        self._tokens = tokens
        longest_first = sorted(tokens, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if tokens else None

    def sections(self, text: str) -> Iterator[Section]:
        """The text in sections: tokens, and what stands between them; none of them empty."""
        end = 0
        for start, stop, token in self._found(text):
            start = max(start, end)
            if end < start:
                yield end, start, None
            if start < stop:
                yield start, stop, token
            end = max(end, stop)
        if end < len(text):
            yield end, len(text), None

    def _found(self, text: str) -> Iterator[tuple[int, int, AddedToken]]:
        for match in self._pattern.finditer(text) if self._pattern else ():
            token = self._tokens[match.group()]
            start, stop = match.span()
            if token.single_word and _touched(text, start, stop):
                continue
            if token.lstrip:
                while start and text[start - 1] in WHITE_SPACE:
                    start -= 1
            if token.rstrip:
                while stop < len(text) and text[stop] in WHITE_SPACE:
                    stop += 1
            yield start, stop, token


def _touched(text: str, start: int, stop: int) -> bool:
    """Whether a word character stands right before or after."""
    before, after = text[max(start - 1, 0) : start], text[stop : stop + 1]
    return bool(_WORD_CHARACTER.match(before) or _WORD_CHARACTER.match(after))


def check_added(tokens: Iterable[AddedToken], vocab: dict[str, int]) -> None:
    """ValueError where an added token has no text, or its id or its text is another's."""
    owners = {id: piece for piece, id in vocab.items()}
    for token in tokens:
        if not token.content:
            raise ValueError(f"the added token with the id {token.id} is empty; give it a text")
        owner = owners.setdefault(token.id, token.content)
        if owner != token.content:
            raise ValueError(f"{owner!r} and {token.content!r} have the same id, {token.id}")
        if vocab.get(token.content, token.id) != token.id:
            raise ValueError(
                f"{token.content!r} has the ids {vocab[token.content]} and {token.id}; keep one"
            )
