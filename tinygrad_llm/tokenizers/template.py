"""What is put around one text and around a pair: [CLS] A [SEP] B [SEP]."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tinygrad_llm.tokenizers.encoding import Encoding, joined, outside

Entry = tuple[str, int]
"""A token, or $A or $B for the first or second text, and its type id."""

_TEXTS = ("$A", "$B")


class Template:
    """The places of special tokens around one text and around two (Devlin et al. 2019, figure 2).

    Args:
        single: for one text, such as ("[CLS]", "$A", "[SEP]"): the text is $A.
        pair: for two, such as ("[CLS]", "$A", "[SEP]", "$B:1", "[SEP]:1"): the second is $B. What
            stands after a colon is the type id, 0 where it is left out.

    Raises:
        TypeError: single or pair is one string, or holds something else.
        ValueError: single has not $A once and no $B, or pair has not each of them once.
    """

    def __init__(self, single: Sequence[str], pair: Sequence[str]):
        for name, given in (("single", single), ("pair", pair)):
            if isinstance(given, str) or not all(isinstance(entry, str) for entry in given):
                raise TypeError(f'template: {name} must be a list such as ["[CLS]", "$A"]')
        self.single = tuple(map(_entry, single))
        self.pair = tuple(map(_entry, pair))
        for name, entries, texts in (
            ("single", self.single, ["$A"]),
            ("pair", self.pair, ["$A", "$B"]),
        ):
            if sorted(token for token, _ in entries if token in _TEXTS) != texts:
                raise ValueError(f"template: {name} must have {' and '.join(texts)}, each once")

    @classmethod
    def around(cls, first: str, last: str) -> Template:
        """BERT's: `first` at the start, `last` after each text."""
        # With its type, since a name may end with a colon and a digit itself.
        start, end = f"{first}:0", f"{last}:0"
        return cls((start, "$A", end), (start, "$A", end, "$B:1", f"{last}:1"))

    @classmethod
    def plain(cls) -> Template:
        """Nothing around the texts."""
        return cls(("$A",), ("$A", "$B:1"))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and (
            (self.single, self.pair) == (other.single, other.pair)
        )

    def __hash__(self) -> int:
        return hash((self.single, self.pair))

    def __repr__(self) -> str:
        return f"Template({_written(self.single)}, {_written(self.pair)})"

    def special_tokens(self) -> list[str]:
        """The tokens that it puts in, each once."""
        names = [token for token, _ in self.single + self.pair if token not in _TEXTS]
        return list(dict.fromkeys(names))

    def count(self, pair: bool) -> int:
        """How many tokens it puts around one text, or around a pair."""
        entries = self.pair if pair else self.single
        return sum(token not in _TEXTS for token, _ in entries)

    def fill(
        self, texts: Sequence[Encoding], ids: Callable[[str], int], add_special_tokens: bool
    ) -> Encoding:
        """One text or two in their places, with their type ids, among the special tokens."""
        parts = []
        for token, type_id in self.single if len(texts) == 1 else self.pair:
            if token in _TEXTS:
                text = texts[_TEXTS.index(token)]
                text.type_ids = [type_id] * len(text)
                parts.append(text)
            elif add_special_tokens:
                parts.append(outside(ids(token), token, type_id))
        return joined(parts)


def _entry(text: str) -> Entry:
    token, colon, number = text.rpartition(":")
    return (token, int(number)) if colon and token and number.isdecimal() else (text, 0)


def _written(entries: Iterable[Entry]) -> str:
    return f"({' '.join(f'{token}:{type_id}' for token, type_id in entries)})"
