"""A text cut at its added tokens, and what stands between them into tokens of the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tinygrad_llm.tokenizers.added import AddedToken, Finder
from tinygrad_llm.tokenizers.encoding import Columns, Span

Normalized = tuple[str, "list[Span] | None"]
"""A normalized text, and for each of its characters the span that it comes from; None where each
comes from the one at its place."""


class Cutter:
    """Finds added tokens in a text as it is written, then those with `normalized` in what is left
    after normalization, and has the rest cut by the model.

    normalize: what is done to a text. pieces: the tokens of a normalized text without added ones,
    whose words are counted from 0.
    """

    def __init__(
        self,
        added_tokens: Iterable[AddedToken],
        normalize: Callable[[str], Normalized],
        pieces: Callable[[str], Columns],
    ):
        self._normalize = normalize
        self._pieces = pieces
        written: dict[str, AddedToken] = {}
        normalized: dict[str, AddedToken] = {}
        for token in added_tokens:
            if token.normalized:
                normalized[normalize(token.content)[0]] = token
            else:
                written[token.content] = token
        normalized.pop("", None)  # Nothing is left of it that could be found.
        self._written = Finder(written)
        self._normalized = Finder(normalized) if normalized else None

    def columns(self, text: str) -> Columns:
        """The tokens of the text, with their places in it."""
        return _cut(text, self._written, self._between)

    def _between(self, text: str) -> Columns:
        """The tokens of a section in which nothing is found as it is written."""
        normalized, spans = self._normalize(text)
        if self._normalized is None:
            return self._pieces(normalized).traced(spans)
        return _cut(normalized, self._normalized, self._pieces).traced(spans)


def _cut(text: str, finder: Finder, rest: Callable[[str], Columns]) -> Columns:
    """The tokens that are found, and those of what stands between them."""
    whole = Columns.empty()
    for start, end, added in finder.sections(text):
        if not added and end - start == len(text):
            return rest(text)
        one = Columns([added.id], [0], [end - start], [0]) if added else rest(text[start:end])
        _append(whole, one, start)
    return whole


def _append(whole: Columns, part: Columns, at: int) -> None:
    """Put the tokens of the part of a text that begins at `at` behind those before it."""
    word = whole.words[-1] + 1 if whole.words else 0
    for column, more, shift in zip(whole, part, (0, at, at, word)):
        column += [number + shift for number in more] if shift else more
