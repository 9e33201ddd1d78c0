"""Next sentence prediction: pairs of texts, of which half follow each other in a document.

Source: Devlin et al. 2019, "BERT", sections 3.1 and A.2 (F72). As there, a text is a run of
sentences, and a pair fills the length that a row has.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, pairwise
from typing import Any, NamedTuple

import numpy as np

from tinygrad_llm.backend import Stream

IS_NEXT, RANDOM = 0, 1
"""The two labels, with the numbers that Hugging Face's models have for them."""

Sentences = Sequence[Sequence[int]]
"""A document: for each sentence its token ids, without special tokens."""


class NextSentencePairs:
    """A dataset of pairs [CLS] A [SEP] B [SEP]: B follows A, or is from another document  (F72).

    A and B are runs of whole sentences. Sentences of a document are taken until they have as many
    tokens as a row has room for (with short_probability until a smaller number, drawn), at least
    two; A is the first few, the cut is drawn. Then B is the rest (label 0, is next) or begins at a
    random sentence elsewhere and goes on until it is as long as that rest (label 1, random); the
    rest is then used again. Of every two pairs in their order one has label 0, so that the labels
    are exact halves. What is longer than a row loses tokens at either end, the longer of A and B
    first.

    So that nothing but the text tells the label: every sentence of other documents is as likely to
    begin B as the next one, but a document's first, which never follows anything.

    documents: lists of sentences as token ids. cls_token_id, sep_token_id: the tokenizer's.
    max_length: T, the most tokens of a row, its three special tokens included.
    seed: the same seed gives the same pairs. rounds: how often the documents are gone through, with
        other cuts and other random texts each time.
    short_probability: of a pair that is made shorter.
    word_ids: for each sentence which word each token is of; rows then have "word_ids", -1 at
        special tokens, as a MaskedLanguageCollator with whole_word_mask takes them.

    Row i is a dict of input_ids and token_type_ids (0 up to the first [SEP], 1 after it), int64
    (n,), n <= T, and next_sentence_label, an int; `labels` has all of these, (N,), and `spans`
    (N, 4) where A and B begin and end in `tokens`, the documents joined. The rows stay the same,
    whenever they are read: with a DataLoader that shuffles and a MaskedLanguageCollator they make a
    run that resumes. A sentence that is left alone at a document's end starts no pair.

    Raises ValueError for fewer than two documents with two sentences or more, an empty sentence,
    max_length < 5, rounds < 1, a short_probability outside [0, 1], and word_ids of another form
    than the documents; TypeError for ids that are no integers.
    """

    def __init__(
        self,
        documents: Sequence[Sentences],
        cls_token_id: int,
        sep_token_id: int,
        max_length: int = 128,
        seed: int = 0,
        rounds: int = 1,
        short_probability: float = 0.1,
        word_ids: Sequence[Sentences] | None = None,
    ):
        _check_settings(max_length, rounds, short_probability)
        text = _Text(documents)
        self.max_length = operator.index(max_length)
        self._specials = (operator.index(cls_token_id), operator.index(sep_token_id))
        self.tokens = text.tokens
        self._words = None if word_ids is None else _checked_words(word_ids, documents)
        generator = Stream("sentence pairs", operator.index(seed)).next().generator()
        maker = _Maker(text, self.max_length - 3, short_probability, generator)
        made = (pair for _ in range(rounds) for pair in maker.pairs())
        pairs = np.fromiter(made, np.dtype((np.int64, len(_Pair._fields))))
        self.spans, self.labels = pairs[:, :4], pairs[:, 4]

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Pair `index`. Raises IndexError beyond the end."""
        a_start, a_end, b_start, b_end = self.spans[operator.index(index)].tolist()
        (cls, sep), a, b = self._specials, slice(a_start, a_end), slice(b_start, b_end)
        first = a_end - a_start + 2  # with [CLS] and [SEP]
        row: dict[str, Any] = {
            "input_ids": np.concatenate([[cls], self.tokens[a], [sep], self.tokens[b], [sep]]),
            "token_type_ids": np.repeat([0, 1], [first, b_end - b_start + 1]),
            "next_sentence_label": int(self.labels[index]),
        }
        if self._words is not None:
            row["word_ids"] = np.concatenate([[-1], self._words[a], [-1], self._words[b], [-1]])
        return row


class _Pair(NamedTuple):
    """Where A and B stand among all tokens, and the label."""

    a_start: int
    a_end: int
    b_start: int
    b_end: int
    label: int


class _Text:
    """All documents as one row of tokens, and where sentences and documents begin."""

    def __init__(self, documents: Sequence[Sentences]):
        lengths = [_checked_length(s, d) for d, document in enumerate(documents) for s in document]
        self.tokens = joined(documents)
        self.starts = [0, *accumulate(lengths)]
        """Of each sentence, and the end of the last."""
        sizes = [len(document) for document in documents if len(document) > 1]
        if len(sizes) < 2:
            raise ValueError(
                f"NextSentencePairs: {len(sizes)} of {len(documents)} documents have two sentences "
                "or more, and random texts must be from another document than A; give at least two "
                "such documents (a long text can be parted into its chapters)"
            )
        bounds = [0, *accumulate(len(document) for document in documents)]
        self.documents = [(a, b) for a, b in pairwise(bounds) if b - a > 1]
        """The sentences [first, last) of each document that can make pairs."""
        self.followers = np.array([0, *accumulate(size - 1 for size in sizes)])
        """How many sentences of the documents before each one follow another; and of all."""

    def length(self, first: int, last: int) -> int:
        """The tokens of the sentences [first, last)."""
        return self.starts[last] - self.starts[first]


class _Maker:
    """Goes through a text and makes pairs, with all chance from one generator."""

    def __init__(self, text: _Text, room: int, short: float, generator: np.random.Generator):
        self.text, self.room, self.short, self.generator = text, room, short, generator
        self._owed: int | None = None

    def pairs(self) -> Iterator[_Pair]:
        """Those of all documents, once."""
        for document, (first, last) in enumerate(self.text.documents):
            while last - first > 1:
                wanted = self._wanted()
                end = self._filled(first, last, wanted, 2)
                cut = int(self.generator.integers(first + 1, end))
                label = self._label()
                if label == IS_NEXT:
                    b, rest = (cut, end), end
                else:
                    most = min(wanted, self.text.length(first, end))
                    b, rest = self._elsewhere(document, most - self.text.length(first, cut)), cut
                yield self._trimmed((first, cut), b, label)
                first = rest

    def _wanted(self) -> int:
        """How many tokens the next pair shall have."""
        short = self.generator.random() < self.short
        return int(self.generator.integers(2, self.room + 1)) if short else self.room

    def _filled(self, first: int, last: int, wanted: int, least: int) -> int:
        """Where a run of sentences ends that has the wanted tokens, or that many sentences."""
        end = min(first + least, last)
        while end < last and self.text.length(first, end) < wanted:
            end += 1
        return end

    def _label(self) -> int:
        """Drawn for every second pair; the other one has what is left."""
        if self._owed is None:
            label = int(self.generator.integers(2))
            self._owed = 1 - label
            return label
        label, self._owed = self._owed, None
        return label

    def _elsewhere(self, document: int, wanted: int) -> tuple[int, int]:
        """Sentences of another document, as many as have the wanted tokens, where it has them."""
        before, after = self.text.followers[document : document + 2].tolist()
        place = int(self.generator.integers(self.text.followers[-1] - (after - before)))
        place += after - before if place >= before else 0
        other = int(np.searchsorted(self.text.followers, place, side="right")) - 1
        first, last = self.text.documents[other]
        start = first + 1 + place - int(self.text.followers[other])
        return start, self._filled(start, last, wanted, 1)

    def _trimmed(self, a: tuple[int, int], b: tuple[int, int], label: int) -> _Pair:
        """A pair that fits into a row: token by token the longer text gives one up, at its front
        or its back, each as likely."""
        starts, room = self.text.starts, self.room
        (a_start, a_end), (b_start, b_end) = ((starts[i], starts[j]) for i, j in (a, b))
        in_a, in_b = a_end - a_start, b_end - b_start
        if in_a + in_b > room:
            kept = min(in_a, max(-(-room // 2), room - in_b))
            a_start, a_end = self._cut(a_start, a_end, in_a - kept)
            b_start, b_end = self._cut(b_start, b_end, in_b - (room - kept))
        return _Pair(a_start, a_end, b_start, b_end, label)

    def _cut(self, start: int, end: int, tokens: int) -> tuple[int, int]:
        """A span that has lost so many tokens."""
        front = int(self.generator.binomial(tokens, 0.5))
        return start + front, end - (tokens - front)


def _check_settings(max_length: int, rounds: int, short_probability: float) -> None:
    """Refuse settings with which there would be no pairs."""
    if operator.index(max_length) < 5:
        raise ValueError(
            f"NextSentencePairs: max_length {max_length} has no room for three special tokens and "
            "a token of each text; give at least 5"
        )
    if operator.index(rounds) < 1:
        raise ValueError(f"NextSentencePairs: rounds is at least 1, not {rounds}")
    if not 0.0 <= short_probability <= 1.0:
        raise ValueError(
            f"NextSentencePairs: short_probability is from 0 to 1, not {short_probability}"
        )


def _checked_length(sentence: Any, document: int) -> int:
    """How many tokens a sentence has."""
    if isinstance(sentence, (str, bytes)) or not hasattr(sentence, "__len__"):
        raise TypeError(
            f"NextSentencePairs: a sentence of document {document} is a "
            f"{type(sentence).__name__}, not a list of token ids; a document is a list of sentences"
        )
    if not len(sentence):
        raise ValueError(
            f"NextSentencePairs: document {document} has an empty sentence; leave it out"
        )
    if np.asarray(sentence).dtype.kind not in "iu":
        raise TypeError(
            f"NextSentencePairs: a sentence of document {document} has no integers; give token ids"
        )
    return len(sentence)


def _checked_words(word_ids: Sequence[Sentences], documents: Sequence[Sentences]) -> np.ndarray:
    """The word of each token of all documents."""
    here, there = (
        [[len(s) for s in document] for document in each] for each in (word_ids, documents)
    )
    if here != there:
        raise ValueError(
            "NextSentencePairs: word_ids have another form than the documents; give a number for "
            "each token of each sentence"
        )
    return joined(word_ids)


def joined(documents: Sequence[Sentences]) -> np.ndarray:
    """The numbers of all sentences of all documents, (N,) int64."""
    return np.fromiter(chain.from_iterable(chain.from_iterable(documents)), np.int64)
