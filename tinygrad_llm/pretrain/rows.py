"""Documents as rows for a masked model: sentences as ids, the words in them, and single texts."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from tinygrad_llm.data.corpora import words as corpus_words
from tinygrad_llm.data.pretraining import word_ids
from tinygrad_llm.pretrain.texts import Document
from tinygrad_llm.tokenizers import Tokenizer
from tinygrad_llm.tokenizers.words import Segmenter


class Encoded(NamedTuple):
    """Documents as lists of sentences, those as token ids without special tokens; and, where whole
    words are wanted, which word of its document each token is of."""

    ids: list[list[list[int]]]
    words: list[list[list[int]]] | None


def encode(documents: Iterable[Document], tokenizer: Tokenizer, whole_word: bool) -> Encoded:
    """Documents and sentences without a token are left out."""
    ids, words = [], []
    for document in documents:
        texts = [stripped for each in document.sentences if (stripped := each.strip())]
        if not texts:
            continue
        batch = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=whole_word)
        rows = batch["input_ids"]
        numbers = _numbered(texts, batch["offset_mapping"]) if whole_word else rows
        kept = [place for place, row in enumerate(rows) if row]
        if kept:
            ids.append([rows[place] for place in kept])
            words.append([numbers[place] for place in kept])
    return Encoded(ids, words if whole_word else None)


def _numbered(texts: list[str], offsets: Sequence[Any]) -> list[list[int]]:
    """The word of each token, counted through all texts, so that none goes on in the next."""
    numbers, first = [], 0
    for text, spans in zip(texts, offsets):
        cut = _segmenter().best_path(text)
        found = word_ids([_without_space(text, *span) for span in spans], cut)
        numbers.append([word + first if word >= 0 else -1 for word in found])
        first += len(cut)
    return numbers


def _without_space(text: str, start: int, end: int) -> tuple[int, int]:
    """A span that begins with its word, where a token has the space before it with it."""
    inside = text[start:end]
    return (start + len(inside) - len(inside.lstrip()), end) if inside.strip() else (start, end)


@lru_cache(maxsize=1)
def _segmenter() -> Segmenter:
    """With the dictionary of the Chinese corpus; it takes a run of Latin letters for a word."""
    return Segmenter(corpus_words())


class SingleTexts:
    """A dataset of [CLS] text [SEP]: runs of whole sentences of one document that fill a row.

    Source: Liu et al. 2019, "RoBERTa", section 4.2, "DOC-SENTENCES". A sentence longer than a row
    is cut into rows. Row i is a dict of input_ids, int64 (n,), n <= max_length, and, where whole
    words are wanted, word_ids, -1 at the two special tokens.
    Raises ValueError for max_length < 3 and for no sentence at all.
    """

    def __init__(self, encoded: Encoded, cls_token_id: int, sep_token_id: int, max_length: int):
        if operator.index(max_length) < 3:
            raise ValueError(f"SingleTexts: max_length {max_length} has no room; give at least 3")
        self._specials, room = (cls_token_id, sep_token_id), max_length - 2
        self._ids = _joined(encoded.ids)
        self._words = None if encoded.words is None else _joined(encoded.words)
        self._spans, start = list[tuple[int, int]](), 0
        for document in encoded.ids:
            for length in _filled([len(sentence) for sentence in document], room):
                self._spans.append((start, start + length))
                start += length
        if not self._spans:
            raise ValueError("SingleTexts: there is no sentence with tokens; give texts")

    def __len__(self) -> int:
        return len(self._spans)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        """Row `index`. Raises IndexError beyond the end."""
        place, (cls, sep) = slice(*self._spans[operator.index(index)]), self._specials
        row = {"input_ids": np.concatenate([[cls], self._ids[place], [sep]])}
        if self._words is not None:
            row["word_ids"] = np.concatenate([[-1], self._words[place], [-1]])
        return row


def _joined(documents: list[list[list[int]]]) -> np.ndarray:
    return np.array([*chain.from_iterable(chain.from_iterable(documents))], np.int64)


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
