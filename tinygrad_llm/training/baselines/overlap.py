"""Next sentences told by the words that two texts share: what a pretrained model has to beat."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad_llm.data.pretraining.pairs import IS_NEXT, RANDOM


class WordOverlap:
    """Says that B follows A where they share enough tokens, of which rare ones count more.

    The score of a pair is the cosine of its texts as sets of weighted tokens:

        Σ w(t)² over the t in both / √(Σ w(t)² over A · Σ w(t)² over B),  w(t) = log((N+1)/(n(t)+1))

    where n(t) of the N texts (A and B) of the training pairs have the token t (Spärck Jones 1972,
    "A statistical interpretation of term specificity and its application in retrieval"). From the
    threshold on, the label is 0, is next; the threshold is that with the most right training pairs.

    special_ids: tokens that do not count; a tokenizer's `all_special_ids`.
    Rows are dicts of input_ids and token_type_ids, (n,) integers, 0 in A and 1 in B, and for `fit`
    next_sentence_label: those of a NextSentencePairs, unmasked.
    """

    def __init__(self, special_ids: Iterable[int] = ()):
        self._special = np.array(sorted(special_ids), np.int64)
        self._squares = np.zeros(0)
        self._of_unseen = 0.0
        self.threshold: float | None = None

    def fit(self, rows: Iterable[Mapping[str, Any]]) -> WordOverlap:
        """Learn weights and threshold from training pairs, and return self.

        Raises ValueError for no rows, and for labels other than 0 and 1.
        """
        pairs, labels = self._read(rows)
        texts = [text for pair in pairs for text in pair]
        weight = np.log((len(texts) + 1) / (np.bincount(np.concatenate(texts)) + 1))
        self._squares, self._of_unseen = weight**2, float(np.log(len(texts) + 1)) ** 2
        self.threshold = _best_threshold(self._scores(pairs), labels == IS_NEXT)
        return self

    def scores(self, rows: Iterable[Mapping[str, Any]]) -> np.ndarray:
        """The score of each pair, from 0 to 1, (N,) float64. Raises RuntimeError before `fit`."""
        self._fitted()
        return self._scores([self._texts(row) for row in rows])

    def predict(self, rows: Iterable[Mapping[str, Any]]) -> np.ndarray:
        """The label of each pair, 0 or 1, (N,) int64. Raises RuntimeError before `fit`."""
        return np.where(self.scores(rows) >= self._fitted(), IS_NEXT, RANDOM)

    def _read(self, rows: Iterable[Mapping[str, Any]]) -> tuple[list, np.ndarray]:
        """The texts of all pairs, and the labels."""
        pairs, labels = [], []
        for row in rows:
            pairs.append(self._texts(row))
            labels.append(row["next_sentence_label"])
        if not pairs:
            raise ValueError("WordOverlap: there are no rows; give pairs with labels")
        array = np.array(labels)
        if not np.isin(array, (IS_NEXT, RANDOM)).all():
            raise ValueError("WordOverlap: a next_sentence_label is neither 0 (is next) nor 1")
        return pairs, array

    def _texts(self, row: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """The different tokens of A and those of B that count."""
        ids, types = np.asarray(row["input_ids"]), np.asarray(row["token_type_ids"])
        if ids.ndim != 1 or ids.shape != types.shape:
            raise ValueError(
                f"WordOverlap: a row has input_ids {ids.shape} and token_type_ids {types.shape}; "
                "give rows of a dataset, one by one, and no batch"
            )
        a, b = (np.setdiff1d(ids[types == kind], self._special) for kind in (0, 1))
        return a, b

    def _scores(self, pairs: list) -> np.ndarray:
        """The score of each pair of texts."""
        return np.array([self._score(a, b) for a, b in pairs])

    def _score(self, a: np.ndarray, b: np.ndarray) -> float:
        """The cosine of two texts; 0 where one has no token that counts."""
        size = np.sqrt(self._sum(a) * self._sum(b))
        return float(self._sum(np.intersect1d(a, b, assume_unique=True)) / size) if size else 0.0

    def _sum(self, ids: np.ndarray) -> float:
        """The sum of squared weights."""
        seen = ids[ids < len(self._squares)]
        return float(self._squares[seen].sum() + self._of_unseen * (len(ids) - len(seen)))

    def _fitted(self) -> float:
        """The threshold, once it is learnt."""
        if self.threshold is None:
            raise RuntimeError("WordOverlap: nothing is learnt yet; call fit(rows) first")
        return self.threshold


def _best_threshold(scores: np.ndarray, follows: np.ndarray) -> float:
    """The score from which saying "is next" is right most often; the lowest of equally good ones.

    Between two scores it is their mean; above all of them infinity.
    """
    order = np.argsort(scores, kind="stable")
    sorted_scores, is_next = scores[order], follows[order]
    # Right if the first k are called random: the random ones of them, and the others that follow.
    right = np.cumsum([int(follows.sum()), *np.where(is_next, -1, 1)])
    ends = np.concatenate([[-np.inf], sorted_scores, [np.inf]])
    right[~(ends[1:] > ends[:-1])] = -1  # equal scores are on one side
    best = int(right.argmax())
    return float((ends[best] + ends[best + 1]) / 2)
