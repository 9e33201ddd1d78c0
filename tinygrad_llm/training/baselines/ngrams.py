"""The smoothed n-gram language model: the figure below which a causal model has to come."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import numpy as np


class WittenBell:
    """A language model that counts n-grams, interpolated by Witten and Bell's rule.

        P(w | h) = (c(hw) + T(h) P(w | h')) / (c(h) + T(h))

    where h are the order - 1 tokens before w, h' the same without its first, c counts how often a
    token followed h in the training text, and T(h) how many different tokens did. For an h that
    nothing followed, P(w | h) is P(w | h'). The last P, of no context shortened once more, is 1/V.
    So every token has a probability above 0, and those of all V tokens have the sum 1.

    Source: Witten & Bell 1991, "The Zero-Frequency Problem", method C; in this form Chen & Goodman
    1998, "An Empirical Study of Smoothing Techniques for Language Modeling", section 2.4.

    order: of the longest n-gram, at least 1: 1 counts single tokens, 2 pairs.
    Raises TypeError for an order that is no integer, ValueError for one below 1.
    """

    def __init__(self, order: int):
        if operator.index(order) < 1:
            raise ValueError(f"WittenBell: order is at least 1, not {order}")
        self.order = operator.index(order)
        self.vocab_size = 0
        self._levels: list[_Level] = []

    def fit(self, ids: Any, vocab_size: int | None = None) -> WittenBell:
        """Count a text and return self.

        ids: (N,) integers, N >= 1; documents are best joined with a token between that ends them.
        vocab_size: V; without it the largest id + 1.
        Raises TypeError for ids that are no integers; ValueError for another shape, no ids, and ids
        outside 0 to V - 1.
        """
        ids = _vector(ids)
        if not ids.size:
            raise ValueError("WittenBell: there are no ids to count; give a text")
        size = int(ids.max()) + 1 if vocab_size is None else operator.index(vocab_size)
        _check_ids(ids, size)
        self.vocab_size, self._levels = size, []
        context = np.zeros(len(ids), np.int64)  # before each token; the empty one is number 0
        contexts = 1
        for length in range(min(self.order, len(ids))):  # no n-gram is longer than the text
            level, grams = _count(context, ids[length:], size, contexts)
            self._levels.append(level)
            context, contexts = grams[:-1], len(level.keys)
        return self

    def logprobs(self, ids: Any) -> np.ndarray:
        """log P of each token after those before it, in nats: (N,) -> (N,) float64.

        The first tokens have a shorter context than the others, the very first none.
        Raises RuntimeError before `fit`, else what that raises for ids.
        """
        ids = _vector(ids)
        self._check_fitted()
        _check_ids(ids, self.vocab_size)
        p = np.full(len(ids), 1.0 / self.vocab_size)
        context = np.zeros(len(ids), np.int64)
        for length, level in enumerate(self._levels):
            # Token i has a context of this length only from i = length on.
            grams = level.find(context, ids[length:], self.vocab_size)
            p[length:] = level.mixed(p[length:], context, grams)
            context = grams[:-1]
        return np.log(p)

    def nats(self, ids: Any) -> float:
        """The mean of −log P over all tokens, N >= 1, in nats; its exponential is the perplexity.

        Raises as `logprobs` does, and ValueError for no ids.
        """
        found = self.logprobs(ids)
        if not found.size:
            raise ValueError("WittenBell: no ids have no mean; give at least one")
        return float(-found.mean())

    def probabilities(self, context: Any) -> np.ndarray:
        """P of every token after a context: (n,) integers -> (V,) float64 with sum 1.

        Of a long context the last order - 1 tokens count. Raises as `logprobs` does.
        """
        context = _vector(context)
        self._check_fitted()
        _check_ids(context, self.vocab_size)
        every = np.arange(self.vocab_size)
        p = np.full(self.vocab_size, 1.0 / self.vocab_size)
        for length, level in enumerate(self._levels[: len(context) + 1]):
            number = np.full_like(every, self._number(context[len(context) - length :]))
            p = level.mixed(p, number, level.find(number, every, self.vocab_size))
        return p

    def _number(self, gram: np.ndarray) -> int:
        """Which of the n-grams of its length this is; -1 for one that was never seen."""
        number = np.zeros(1, np.int64)
        for level, id in zip(self._levels, gram):
            number = level.find(number, np.array([id]), self.vocab_size)
        return int(number[0])

    def _check_fitted(self) -> None:
        """Refuse to answer before anything was counted."""
        if not self._levels:
            raise RuntimeError("WittenBell: nothing is counted yet; call fit(ids) first")


class _Level(NamedTuple):
    """The n-grams of one length: a context, by its number among those one shorter, and a token.

    keys: context * V + token of each n-gram, sorted; its place here is its number. counts: how
    often it stands in the text. total, kinds: of each context, all tokens that followed it and the
    different ones among them.
    """

    keys: np.ndarray
    counts: np.ndarray
    total: np.ndarray
    kinds: np.ndarray

    def find(self, context: np.ndarray, ids: np.ndarray, size: int) -> np.ndarray:
        """The numbers of n-grams, -1 where one, or its context, was never seen."""
        keys = context * size + ids  # below 0 where the context is -1, and so not found
        place = np.searchsorted(self.keys, keys).clip(0, len(self.keys) - 1)
        return np.where(self.keys[place] == keys, place, -1)

    def mixed(self, shorter: np.ndarray, context: np.ndarray, grams: np.ndarray) -> np.ndarray:
        """P by the rule, where `shorter` is P(w | h')."""
        known = context >= 0
        total, kinds = (np.where(known, each[context], 0) for each in (self.total, self.kinds))
        count = np.where(grams >= 0, self.counts[grams], 0)
        followed = np.maximum(total + kinds, 1)
        return np.where(total > 0, (count + kinds * shorter) / followed, shorter)


def _count(
    context: np.ndarray, ids: np.ndarray, size: int, contexts: int
) -> tuple[_Level, np.ndarray]:
    """The n-grams that tokens make with the contexts before them, and the number of each."""
    keys, grams, counts = np.unique(context * size + ids, return_inverse=True, return_counts=True)
    owner = keys // size
    total = np.bincount(owner, weights=counts, minlength=contexts)  # exact up to 2**53
    kinds = np.bincount(owner, minlength=contexts)
    return _Level(keys, counts, total, kinds), grams


def _vector(ids: Any) -> np.ndarray:
    """ids as int64."""
    array = np.asarray(ids)
    if array.ndim != 1:
        raise ValueError(f"WittenBell: ids have shape {array.shape}; give a vector")
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"WittenBell: ids are {array.dtype}; give integers, a tokenizer's ids")
    return array.astype(np.int64)


def _check_ids(ids: np.ndarray, size: int) -> None:
    """Refuse ids outside the vocabulary."""
    if ids.size and (ids.min() < 0 or ids.max() >= size):
        wrong = int(ids.min() if ids.min() < 0 else ids.max())
        raise ValueError(
            f"WittenBell: id {wrong} is outside the vocabulary's 0 to {size - 1}; "
            "give fit(ids, vocab_size) the size of the tokenizer"
        )
