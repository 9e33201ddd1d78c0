"""Documents as rows for a masked model: sentences as ids, the words in them, texts and pairs."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import regex

from tinygrad_llm.data.corpora import words as corpus_words
from tinygrad_llm.data.pretraining import NextSentencePairs, word_ids
from tinygrad_llm.data.pretraining.masking import IGNORED, role_id
from tinygrad_llm.data.pretraining.pairs import joined
from tinygrad_llm.pretrain.texts import Document
from tinygrad_llm.tokenizers import Tokenizer
from tinygrad_llm.tokenizers.words import Segmenter

_PIECES = regex.compile(r"(\p{Han}+)|(?:(?!\p{Han})[\w\p{M}])+|\s+|.", regex.DOTALL)
"""A run of Chinese characters, which has words in it; any other word; what is between them."""


class Encoded(NamedTuple):
    """Documents as lists of sentences, those as token ids without special tokens; where whole words
    are wanted, which word of its document each token is of; how many were left out; and of all,
    these too, the share of tokens that the tokenizer does not know."""

    ids: list[list[list[int]]]
    words: list[list[Any]] | None
    left_out: int = 0
    unknown: float = 0.0


class Specials(NamedTuple):
    """What rows need to know of a tokenizer: two of its special tokens, and all of them."""

    cls: int
    sep: int
    all: Sequence[int]


def specials_of(tokenizer: Tokenizer) -> Specials:
    """Raises ValueError for a tokenizer without [CLS] or [SEP]."""
    cls, sep = (role_id(tokenizer, f"{role}_token", "MaskedTask") for role in ("cls", "sep"))
    return Specials(cls, sep, tokenizer.all_special_ids)


def encode(documents: Iterable[Document], tokenizer: Tokenizer, whole_word: bool) -> Encoded:
    """Sentences without a token are left out, and documents without one that can be hidden: nothing
    is in them, or nothing that the tokenizer knows."""
    ids, words, left_out, special = [], [], 0, set(tokenizer.all_special_ids)
    tokens, unknown = 0, 0
    for document in documents:
        texts = [stripped for each in document.sentences if (stripped := each.strip())]
        batch: Any = {"input_ids": []}
        if texts:
            batch = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=whole_word)
        rows = batch["input_ids"]
        tokens += sum(map(len, rows))
        unknown += sum(row.count(tokenizer.unk_token_id) for row in rows)
        if all(special.issuperset(row) for row in rows):
            left_out += 1
            continue
        numbers = _numbered(texts, batch["offset_mapping"]) if whole_word else rows
        kept = [place for place, row in enumerate(rows) if row]
        ids.append([rows[place] for place in kept])
        words.append([numbers[place] for place in kept])
    return Encoded(ids, words if whole_word else None, left_out, unknown / max(tokens, 1))


def _numbered(texts: list[str], offsets: Sequence[Any]) -> list[np.ndarray]:
    """The word of each token, counted through all texts, so that none goes on in the next."""
    numbers, first = [], 0
    for text, spans in zip(texts, offsets):
        cut = cut_words(text)
        found = word_ids([_without_space(text, *span) for span in spans], cut)
        numbers.append(np.array([word + first if word >= 0 else -1 for word in found], np.int32))
        first += len(cut)
    return numbers


def cut_words(text: str) -> list[str]:
    """The words of a text and what is between them; joined they are the text.

    Runs of Chinese characters are cut by the dictionary of the package's own Chinese texts, held
    out ones included; in other scripts a run of letters, digits and marks is a word, also where
    there are no spaces between words, as in Thai.
    """
    return [
        word
        for match in _PIECES.finditer(text)
        for word in (_segmenter().best_path(match[0]) if match[1] else [match[0]])
    ]


def _without_space(text: str, start: int, end: int) -> tuple[int, int]:
    """A span that begins with its word, where a token has the space before it with it."""
    inside = text[start:end]
    return (start + len(inside) - len(inside.lstrip()), end) if inside.strip() else (start, end)


@lru_cache(maxsize=1)
def _segmenter() -> Segmenter:
    return Segmenter(corpus_words())


class SingleTexts:
    """A dataset of [CLS] text [SEP]: runs of whole sentences of one document that fill a row.

    Source: Liu et al. 2019, "RoBERTa", section 4.2, "DOC-SENTENCES". A sentence longer than a row
    is cut into rows. Row i is a dict of input_ids, int64 (n,), n <= max_length, and, where whole
    words are wanted, word_ids, -1 at the two special tokens. Rows with special tokens alone, in
    which nothing could be hidden, are left out.
    left_out: how many. tokens: those of the documents; used: how many of them stand in a row.
    Raises ValueError for max_length < 3 and where there is no row.
    """

    def __init__(self, encoded: Encoded, specials: Specials, max_length: int):
        if operator.index(max_length) < 3:
            raise ValueError(f"SingleTexts: max_length {max_length} has no room; give at least 3")
        self._specials, self.tokens = specials, joined(encoded.ids)
        self._words = None if encoded.words is None else joined(encoded.words)
        lengths = [
            length
            for document in encoded.ids
            for length in _filled([len(sentence) for sentence in document], max_length - 2)
        ]
        ends = np.cumsum([0, *lengths])
        spans = np.stack([ends[:-1], ends[1:]], axis=1)
        self._spans = spans[_ordinary(self.tokens, spans, specials) > 0]
        self.left_out = len(spans) - len(self._spans)
        self.used = int((self._spans[:, 1] - self._spans[:, 0]).sum())
        if not len(self):
            raise ValueError("SingleTexts: there is no token that can be hidden; give texts")

    def __len__(self) -> int:
        return len(self._spans)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Row `index`. Raises IndexError beyond the end."""
        place = slice(*self._spans[operator.index(index)].tolist())
        cls, sep = self._specials.cls, self._specials.sep
        row: dict[str, Any] = {"input_ids": np.concatenate([[cls], self.tokens[place], [sep]])}
        if self._words is not None:
            row["word_ids"] = np.concatenate([[-1], self._words[place], [-1]])
        return row


class PairsAndTexts:
    """A dataset of the rows of a NextSentencePairs and, of documents that can make no pair as they
    have one sentence, those of SingleTexts: they have no second text and the next_sentence_label
    -100, so that words are learnt from them and nothing else.

    Pairs with special tokens alone, in which nothing could be hidden, are left out.
    rounds: how often all documents are gone through. alone: whether there are single texts.
    labels: those of the pairs, which are the first rows. left_out, tokens, used: as in SingleTexts.
    Raises ValueError as NextSentencePairs does, and where there is no row.
    """

    def __init__(
        self,
        encoded: Encoded,
        specials: Specials,
        max_length: int,
        seed: int,
        rounds: int,
        alone: bool,
    ):
        cls, sep = specials.cls, specials.sep
        self._pairs = NextSentencePairs(
            encoded.ids, cls, sep, max_length, seed, rounds, word_ids=encoded.words
        )
        self.tokens = self._pairs.tokens
        self._kept = np.flatnonzero(_ordinary(self.tokens, self._pairs.spans, specials))
        self.labels = self._pairs.labels[self._kept]
        self.left_out = len(self._pairs) - len(self._kept)
        self.used = _covered(self._pairs.spans[self._kept], len(self.tokens))
        self._rounds = rounds
        self._texts: SingleTexts | None = None
        single = _of_one_sentence(encoded)
        if alone and single.ids:
            self._texts = SingleTexts(single, specials, max_length)
            self.left_out += self._texts.left_out * rounds
            self.used += self._texts.used
        if not len(self):
            raise ValueError("PairsAndTexts: no pair has a token that can be hidden; give texts")

    def __len__(self) -> int:
        return len(self._kept) + self._rounds * (0 if self._texts is None else len(self._texts))

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Row `index`. Raises IndexError beyond the end."""
        place = range(len(self))[operator.index(index)]
        if self._texts is None or place < len(self._kept):
            return self._pairs[int(self._kept[place])]
        row = self._texts[(place - len(self._kept)) % len(self._texts)]
        types = np.zeros_like(row["input_ids"])
        return {**row, "token_type_ids": types, "next_sentence_label": IGNORED}


def _of_one_sentence(encoded: Encoded) -> Encoded:
    """The documents that can make no pair."""
    places = [place for place, document in enumerate(encoded.ids) if len(document) == 1]
    words = None if encoded.words is None else [encoded.words[place] for place in places]
    return Encoded([encoded.ids[place] for place in places], words)


def _ordinary(tokens: np.ndarray, spans: np.ndarray, specials: Specials) -> np.ndarray:
    """How many tokens of each row can be hidden: spans (N, 2 or 4), beginnings and ends."""
    before = np.cumsum([0, *~np.isin(tokens, specials.all)])
    return before[spans[:, 1::2]].sum(axis=1) - before[spans[:, ::2]].sum(axis=1)


def _covered(spans: np.ndarray, size: int) -> int:
    """How many of `size` tokens stand in a row at least."""
    begun, ended = (np.bincount(spans[:, i::2].ravel(), minlength=size + 1) for i in (0, 1))
    return int((np.cumsum(begun - ended) > 0).sum())


def _filled(lengths: list[int], room: int) -> list[int]:
    """How many tokens each row has."""
    rows, open_row = list[int](), 0
    for length in lengths:
        if open_row and open_row + length > room:
            rows.append(open_row)
            open_row = 0
        open_row += length
        while open_row > room:
            rows.append(room)
            open_row -= room
    return rows + [open_row] * (open_row > 0)
