"""What became of one text, or of a pair: its tokens in columns of one length."""

from __future__ import annotations

from dataclasses import dataclass, field

Span = tuple[int, int]

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

    def __add__(self, other: Encoding) -> Encoding:
        """Both, one after the other, without their further windows."""
        return Encoding(*(a + b for a, b in zip(self.columns(), other.columns())))

    def columns(self) -> list[list]:
        """The lists, in the order of COLUMNS."""
        return [getattr(self, name) for name in COLUMNS]

    def part(self, start: int, stop: int) -> Encoding:
        """The tokens start to stop (exclusive)."""
        return Encoding(*(column[start:stop] for column in self.columns()))

    def char_to_token(self, position: int, sequence: int = 0) -> int | None:
        """The first token that covers a character of the text (0) or of the second text (1); None
        where none does, as at a space."""
        for place, (start, end) in enumerate(self.offsets):
            if self.sequence_ids[place] == sequence and start <= position < end:
                return place
        return None


def outside(id: int, token: str, type_id: int, attention: int = 1) -> Encoding:
    """One token that stands in no text: of a template, or padding (attention 0)."""
    return Encoding([id], [token], [(0, 0)], [type_id], [attention], [1], [None], [None])
