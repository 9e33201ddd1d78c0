"""Masked tokens guessed from their left neighbour alone: what a masked model has to beat."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np


class LeftNeighbour:
    """A table of the token that most often follows each token; else the most frequent token.

    The second serves where the left neighbour is hidden itself, was never seen before another
    token, or is not there. Of equally frequent tokens the one with the smallest id is taken.

    special_ids: never guessed; a tokenizer's `all_special_ids`. They may be a left neighbour, as
    [CLS] is, where the texts have them.
    """

    def __init__(self, special_ids: Iterable[int] = ()):
        self._special = np.array(sorted(special_ids), np.int64)
        self.most_frequent: int | None = None
        self._after = np.zeros(0, np.int64)

    def fit(self, texts: Iterable[Sequence[int] | np.ndarray]) -> LeftNeighbour:
        """Count texts in which nothing is hidden, and return self.

        texts: token ids, (n,) integers each; no token is the neighbour of one in another text.
        Raises TypeError for ids that are no integers, ValueError for negative ones, for another
        shape, and for texts with special tokens alone.
        """
        rows = [_checked(text) for text in texts]
        ids = np.concatenate(rows) if rows else np.zeros(0, np.int64)
        ordinary = ~np.isin(ids, self._special)
        if not ordinary.any():
            raise ValueError("LeftNeighbour: the texts have no token to count; give texts")
        self.most_frequent = int(np.bincount(ids[ordinary]).argmax())
        follows = ordinary.copy()
        lengths = [len(row) for row in rows if len(row)]
        follows[np.cumsum([0, *lengths[:-1]])] = False
        places = np.flatnonzero(follows)
        self._after = _most_frequent_after(ids[places - 1], ids[places], self.most_frequent)
        return self

    def guess(self, input_ids: np.ndarray) -> np.ndarray:
        """A guess for every place: (B, T) integers, as a model sees them -> (B, T) int64.

        Raises RuntimeError before `fit`, ValueError for another shape and negative ids.
        """
        if self.most_frequent is None:
            raise RuntimeError("LeftNeighbour: nothing is counted yet; call fit(texts) first")
        ids = np.asarray(input_ids)
        if ids.ndim != 2 or (ids.size and ids.min() < 0):
            raise ValueError(
                f"LeftNeighbour: input_ids have shape {ids.shape}; give (B, T) ids from 0 on"
            )
        guesses = np.full(ids.shape, self.most_frequent, np.int64)
        known = ids[:, :-1] < len(self._after)
        guesses[:, 1:][known] = self._after[ids[:, :-1][known]]
        return guesses


def _checked(text: Any) -> np.ndarray:
    """A text as int64."""
    ids = np.asarray(text)
    if ids.ndim != 1 or (ids.size and (ids.dtype.kind in "iu") and ids.min() < 0):
        raise ValueError(
            f"LeftNeighbour: a text has shape {ids.shape}; give a vector of ids from 0 on"
        )
    if ids.size and ids.dtype.kind not in "iu":
        raise TypeError(f"LeftNeighbour: a text has {ids.dtype}; give integers, a tokenizer's ids")
    return ids.astype(np.int64, copy=False)


def _most_frequent_after(left: np.ndarray, right: np.ndarray, otherwise: int) -> np.ndarray:
    """For each id up to the largest on the left, the one that most often stands on its right."""
    if not left.size:
        return np.zeros(0, np.int64)
    size = int(right.max()) + 1
    pairs, counts = np.unique(left * size + right, return_counts=True)
    before, after = np.divmod(pairs, size)
    order = np.lexsort((after, -counts, before))
    first, where = np.unique(before[order], return_index=True)
    table = np.full(int(left.max()) + 1, otherwise, np.int64)
    table[first] = after[order][where]
    return table
