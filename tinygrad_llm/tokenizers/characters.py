"""The tokenizer by characters, and its training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tinygrad_llm.tokenizers.added import with_special
from tinygrad_llm.tokenizers.base import Tokenizer
from tinygrad_llm.tokenizers.bytemap import to_utf8
from tinygrad_llm.tokenizers.checks import check_training
from tinygrad_llm.tokenizers.encoding import Columns


class CharTokenizer(Tokenizer):
    """One character (code point), one token.

    vocab: character -> id, special tokens among them; common: as for `Tokenizer`.

    A character that the vocabulary has not is unk_token, or a ValueError where there is none.
    """

    kind = "char"

    def __init__(self, vocab: Mapping[str, int], **common: Any):
        super().__init__(vocab, **common)
        self._characters = {token: id for token, id in self.vocab.items() if len(token) == 1}

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        vocab_size: int | None = None,
        special_tokens: Sequence[str] = ("[PAD]", "[UNK]"),
        min_frequency: int = 1,
        progress: bool = False,
        **common: Any,
    ) -> CharTokenizer:
        """The most frequent characters of the texts, numbered by code point after the special
        tokens; of characters that are equally frequent the smaller ones.

        >>> tokenizer = CharTokenizer.train(["to be", "or not"])
        >>> tokenizer.encode("bet"), tokenizer.decode([3, 4, 8])
        ([3, 4, 8], 'bet')

        vocab_size: special tokens included; the vocabulary is smaller where the texts have fewer
            characters, and None takes all. min_frequency: rarer characters are left out.
        special_tokens: found in a text as they are written. progress: show a bar that counts texts.
        common: as for `Tokenizer`.

        Raises what `check_training` does; ValueError where no text has a character, and where
        vocab_size leaves no room for a character.
        """
        check_training(
            texts, 1 if vocab_size is None else vocab_size, special_tokens, min_frequency
        )
        room = _room(vocab_size, len(special_tokens))
        counts = _count_characters(texts, progress)
        often = sorted((-n, c) for c, n in counts.items() if n >= min_frequency)[:room]
        tokens = [*special_tokens, *sorted(c for _, c in often)]
        vocab = {token: id for id, token in enumerate(dict.fromkeys(tokens))}
        return cls(vocab, **with_special(common, special_tokens, vocab))

    def _pieces(self, text: str) -> Columns:
        known, unknown = self._characters, self.unk_token_id
        ids = [known.get(character, unknown) for character in text]
        if None in ids:
            place = ids.index(None)
            raise ValueError(
                f"character {text[place]!r} at position {place} is not in the vocabulary, and "
                "there is no unk_token; give one in special_tokens"
            )
        n = len(text)
        return Columns(ids, list(range(n)), list(range(1, n + 1)), list(range(n)))

    def _join(self, ids: list[int], tokens: list[str]) -> str:
        return "".join(tokens)


def _room(vocab_size: int | None, special: int) -> int | None:
    """How many characters there can be beside the special tokens; None for any number."""
    if vocab_size is None:
        return None
    if vocab_size <= special:
        raise ValueError(
            f"vocab_size {vocab_size} leaves no room for a character beside {special} special "
            f"tokens; give {special + 1} or more"
        )
    return vocab_size - special


def _count_characters(texts: Iterable[str], progress: bool) -> Counter[str]:
    from tqdm import tqdm

    counts: Counter[str] = Counter()
    for text in tqdm(texts, disable=not progress, desc="texts"):
        to_utf8(text)
        counts.update(text)
    if not counts:
        raise ValueError("the corpus is empty: no text has a character")
    return counts
