"""What became of one text, or of a pair: its tokens in columns of one length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter
from typing import NamedTuple

Span = tuple[int, int]


class Columns(NamedTuple):
    """The tokens of a text, in lists of T entries each, as a model cuts it.

    ids: numbers in the vocabulary.
    starts, ends: the spans [start, end) of characters of the text that the tokens come from.
    words: which word of the text a token is of, counted from 0.
    """

    ids: list[int]
    starts: list[int]
    ends: list[int]
    words: list[int]

    @classmethod
    def empty(cls) -> Columns:
        """No tokens."""
        return cls([], [], [], [])

    def traced(self, spans: Sequence[Span] | None) -> Columns:
        """The same tokens with their places in another text: spans of its characters, one for each
        character of this text; None where both texts have the same places."""
        if spans is None:
            return self
        starts = [spans[start][0] for start in self.starts]
        # A space that was put before the text ends at 0, where it begins.
        ends = [spans[end - 1][1] if end else 0 for end in self.ends]
        return Columns(self.ids, starts, ends, self.words)


COLUMNS = (
    "ids",
    "tokens",
    "offsets",
    "type_ids",
    "attention_mask",
    "special_tokens_mask",
    "word_ids",
    "sequence_ids",
)
"""The lists of an Encoding that have an entry for each token."""


@dataclass
class Encoding:
    """The tokens of one text or of a pair, in lists of T entries each.

    ids, tokens: numbers in the vocabulary, and what is written there.
    offsets: the span [start, end) of characters of the original text that a token comes from (of
        the word, where the text was given in words); (0, 0) for tokens that stand in no text.
    type_ids: 0 for the first text and 1 for the second, as the template has it.
    attention_mask: 1, and 0 for padding.
    special_tokens_mask: 1 for what the template and padding put in.
    word_ids: which word of its text a token is of, None for tokens that stand in no text.
    sequence_ids: 0 for the first text, 1 for the second, None for tokens that stand in neither.
    overflowing: the further windows of a text that was too long, where they were asked for.
    """

    ids: list[int] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    offsets: list[Span] = field(default_factory=list)
    type_ids: list[int] = field(default_factory=list)
    attention_mask: list[int] = field(default_factory=list)
    special_tokens_mask: list[int] = field(default_factory=list)
    word_ids: list[int | None] = field(default_factory=list)
    sequence_ids: list[int | None] = field(default_factory=list)
    overflowing: list[Encoding] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    def columns(self) -> list[list]:
        """The lists, in the order of COLUMNS."""
        return list(_columns_of(self))

    def part(self, start: int, stop: int) -> Encoding:
        """The tokens start to stop (exclusive)."""
        return Encoding(*(column[start:stop] for column in self.columns()))

    def char_to_token(self, position: int, sequence_index: int = 0) -> int | None:
        """The first token that covers a character of the text (0) or of the second text (1); None
        where none does, as at a space."""
        for place, (start, end) in enumerate(self.offsets):
            if self.sequence_ids[place] == sequence_index and start <= position < end:
                return place
        return None

    def word_to_tokens(self, word: int, sequence_index: int = 0) -> Span | None:
        """The tokens [start, end) of a word of the text (0) or of the second text (1); None where
        there is no such word."""
        of_word = zip(self.word_ids, self.sequence_ids)
        places = [i for i, found in enumerate(of_word) if found == (word, sequence_index)]
        return (places[0], places[-1] + 1) if places else None

    def token_to_chars(self, token: int) -> Span | None:
        """The characters [start, end) of its text that the token at this place comes from; None for
        one that stands in no text, and where there is no such place."""
        if not 0 <= token < len(self) or self.sequence_ids[token] is None:
            return None
        return self.offsets[token]


def outside(id: int, token: str, type_id: int, attention: int = 1) -> Encoding:
    """One token that stands in no text: of a template, or padding (attention 0)."""
    return Encoding([id], [token], [(0, 0)], [type_id], [attention], [1], [None], [None])


_columns_of = attrgetter(*COLUMNS)


def joined(parts: Sequence[Encoding]) -> Encoding:
    """The parts one after the other, without their further windows; a single one as it is."""
    if len(parts) == 1:
        return parts[0]
    each = zip(*map(_columns_of, parts))
    return Encoding(*(list(chain.from_iterable(columns)) for columns in each))
