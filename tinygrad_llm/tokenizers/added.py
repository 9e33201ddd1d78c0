"""Tokens that are found in a text before it is cut: their flags, and where they stand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import regex

from tinygrad_llm.tokenizers.checks import check_token, shown

UNNUMBERED = -1
"""The id of an added token that gets its number from a vocabulary."""


class AddedToken(NamedTuple):
    """A token that is never cut, such as "[MASK]"; found in the text in exactly this case.

    content, id: what is written, and its number; `Tokenizer.add_tokens` numbers one without.
    special: left out by `decode(..., skip_special_tokens=True)`. True where nothing is said, unlike
        Hugging Face's.
    lstrip, rstrip: white space before or after it is taken into the token.
    single_word: only where no letter, mark, digit or underscore touches it.
    normalized: looked for in the normalized text, not in the original.
    """

    content: str
    id: int = UNNUMBERED
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
        self._lengths: dict[str, list[int]] = {}
        for length, first in sorted({(len(text), text[0]) for text in tokens}, reverse=True):
            self._lengths.setdefault(first, []).append(length)
        firsts = "".join(map(re.escape, self._lengths))
        self._first = re.compile(f"[{firsts}]" if tokens else r"(?!)")

    def sections(self, text: str) -> Iterator[Section]:
        """The text in sections: tokens, and what stands between them; none of them empty."""
        end = 0
        for start, stop, token in self._found(text):
            # One that stands in white space which another has taken is nothing by itself.
            if stop <= end or (token.single_word and _touched(text, start, stop)):
                continue
            if token.lstrip:
                while start > end and text[start - 1] in WHITE_SPACE:
                    start -= 1
            if token.rstrip:
                while stop < len(text) and text[stop] in WHITE_SPACE:
                    stop += 1
            if end < start:
                yield end, start, None
            yield max(start, end), stop, token
            end = stop
        if end < len(text):
            yield end, len(text), None

    def _found(self, text: str) -> Iterator[tuple[int, int, AddedToken]]:
        """Where tokens stand; many take no longer than few, as they would in one expression."""
        match = self._first.search(text)
        while match:
            start = stop = match.start()
            for length in self._lengths[text[start]]:
                piece = text[start : start + length]
                if piece in self._tokens:
                    stop = start + len(piece)
                    yield start, stop, self._tokens[piece]
                    break
            match = self._first.search(text, max(stop, start + 1))


def _touched(text: str, start: int, stop: int) -> bool:
    """Whether a word character stands right before or after."""
    before, after = text[max(start - 1, 0) : start], text[stop : stop + 1]
    return bool(_WORD_CHARACTER.match(before) or _WORD_CHARACTER.match(after))


def check_added(tokens: Iterable[AddedToken], vocab: dict[str, int]) -> None:
    """TypeError where one is no added token; ValueError where one has no text, or its id or its
    text is another's."""
    ids = dict(vocab)
    owners = {id: piece for piece, id in vocab.items()}
    for token in tokens:
        if not isinstance(token, AddedToken):
            raise TypeError(f"added_tokens has {shown(token)}; give AddedToken(text, id)")
        check_token(token.content, token.id)
        owner = owners.setdefault(token.id, token.content)
        if owner != token.content:
            raise ValueError(
                f"{shown(owner)} and {shown(token.content)} have the same id, {token.id}"
            )
        if ids.setdefault(token.content, token.id) != token.id:
            raise ValueError(
                f"{shown(token.content)} has the ids {ids[token.content]} and {token.id}; keep one"
            )


def number(tokens: Any, special: bool, vocab: Mapping[str, int]) -> list[AddedToken]:
    """Added tokens from one or several strings and added tokens, each once: with their ids in the
    vocabulary, or the next ones. Raises what `Tokenizer.add_tokens` does."""
    if isinstance(tokens, (str, AddedToken)):
        tokens = [tokens]
    if not isinstance(tokens, Iterable) or isinstance(tokens, (bytes, Mapping)):
        raise TypeError(f"tokens is {shown(tokens)}; give a string, an AddedToken, or a list")
    found: dict[str, AddedToken] = {}
    free = max(vocab.values(), default=-1) + 1
    for given in tokens:
        token = _as_added(given, special)
        number = vocab.get(token.content, free)
        if token.content in found:
            number = found[token.content].id
        elif number == free:
            free += 1
        if token.id not in (UNNUMBERED, number):
            raise ValueError(
                f"{shown(token.content)} has the id {token.id}, but would get {number}; leave the "
                "id out"
            )
        found[token.content] = token._replace(id=number)
    return list(found.values())


def _as_added(token: Any, special: bool) -> AddedToken:
    """Ordinary tokens that are given as strings are looked for in normalized text, special ones as
    they are written."""
    if isinstance(token, str):
        token = AddedToken(token, special=special, normalized=not special)
    if not isinstance(token, AddedToken):
        raise TypeError(f"tokens has {shown(token)}; give strings or AddedTokens")
    check_token(token.content, 0)
    return token._replace(special=True) if special else token


def with_special(
    common: Mapping[str, Any], special_tokens: Sequence[str], vocab: Mapping[str, int]
) -> dict[str, Any]:
    """The arguments for a trained tokenizer whose special tokens are all found, with a role or
    without."""
    given = common.get("added_tokens", ())
    named = {token.content for token in given}
    more = [AddedToken(token, vocab[token]) for token in special_tokens if token not in named]
    return {**common, "added_tokens": [*given, *more]}
