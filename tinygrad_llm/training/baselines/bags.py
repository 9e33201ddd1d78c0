"""Texts told apart by which words they have, not by their order: what fine-tuning has to beat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import regex

from tinygrad_llm.data import one_hot
from tinygrad_llm.training.baselines.linear import Linear, fit_classes, fit_numbers, log_softmax
from tinygrad_llm.training.baselines.sparse import SparseRows

FEWEST, MOST = 2, 50_000
"""Texts that a term is in, at least; terms, at most."""

PENALTIES = 10.0 ** np.arange(-6.0, -1.0)
"""Of ½λ‖W‖², for rows of length 1."""

_UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}]"

_CHARACTER = regex.compile(_UNSPACED)

_WORD = regex.compile(rf"(?V1){_UNSPACED}|[[\p{{L}}\p{{M}}\p{{N}}]--{_UNSPACED}]+")


def terms(text: str) -> list[str]:
    """The words of a text in small letters, and the pairs of neighbouring ones, as often as they
    are there.

    A word is a run of letters, marks and digits. Chinese and Japanese have no spaces between words,
    and Korean words take endings: there each character is a word. A text in which at least half of
    the words are such characters is cut into all its characters, Latin letters, punctuation and
    spaces too: in headlines they tell much. A run of spaces is one, and none at an end counts.
    """
    small = text.lower()
    words = _WORD.findall(small)
    by_character = 2 * len(_CHARACTER.findall(small)) >= len(words) > 0
    if by_character:
        words = list(" ".join(small.split()))
    between = "" if by_character else " "
    return words + [between.join(pair) for pair in pairwise(words)]


class TfIdf:
    """How much each term tells of a text: TF-IDF, in rows of length 1.

        x_t = c_t (ln((1 + N)/(1 + n_t)) + 1),  divided by the root of the sum of all x_t²

    where the text has the term c_t times and n_t of the N texts that were learnt from have it: the
    form of scikit-learn's TfidfVectorizer. Sources: Spärck Jones 1972, "A statistical
    interpretation of term specificity and its application in retrieval"; Salton & Buckley 1988,
    "Term-weighting approaches in automatic text retrieval".

    texts: to learn from. Of their terms those in at least FEWEST of them count, at most MOST, the
    ones in most texts first, else by the alphabet. `columns` has the column of each, `idf` (D,)
    float64 the factors.
    """

    def __init__(self, texts: Sequence[str]):
        count = Counter(term for text in texts for term in set(terms(text)))
        known = [term for term, n in count.items() if n >= FEWEST]
        known = sorted(known, key=lambda term: (-count[term], term))[:MOST]
        self.columns = {term: column for column, term in enumerate(known)}
        n = np.array([count[term] for term in known], np.float64)
        self.idf = np.log((1 + len(texts)) / (1 + n)) + 1

    def rows(self, texts: Sequence[str]) -> SparseRows:
        """M texts -> (M, D); the row of a text without a known term is empty."""
        rows, columns, counts, size = list[int](), list[int](), list[int](), 0
        for size, text in enumerate(texts, start=1):
            found = Counter(self.columns[term] for term in terms(text) if term in self.columns)
            rows += [size - 1] * len(found)
            columns += found.keys()
            counts += found.values()
        row, column = np.array(rows, np.int64), np.array(columns, np.int64)
        values = np.array(counts, np.float64) * self.idf[column]
        lengths = np.sqrt(np.bincount(row, values**2, size))
        return SparseRows(row, column, values / lengths[row], (size, len(self.columns)))


class BagOfWords:
    """Logistic regression on the TF-IDF of words and pairs of neighbouring words.

    Made by `fit`. `features` is its TfIdf, `linear` its weights and their penalty, and `prior` (C,)
    the shares of the classes in the texts that it has learnt from.
    """

    def __init__(self, features: TfIdf, linear: Linear, prior: np.ndarray):
        self.features, self.linear, self.prior = features, linear, prior

    @classmethod
    def fit(
        cls, texts: Sequence[str], classes: Sequence[int] | np.ndarray, count: int, seed: int = 0
    ) -> BagOfWords:
        """Learn classes (N,), integers from 0 to count − 1, of N texts.

        A fifth of the texts, drawn by the seed, chooses the penalty (of up to 200 texts every
        fifth, in turn). The same texts in another order give the same bits. A class that no text
        has comes to be improbable; where all texts have one, it is the answer.
        Raises ValueError for no texts, for another number of classes than of texts and for a class
        outside; TypeError for what is no text, and for classes that are no integers.
        """
        texts, ids = _ordered(texts, one_hot(classes, count).argmax(axis=1))
        features = TfIdf(texts)
        linear = fit_classes(features.rows(texts), ids, count, PENALTIES, seed)
        return cls(features, linear, np.bincount(ids, minlength=count) / len(ids))

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """Those of the classes, (N, C) float64. Of a text without a known term, such as an empty
        one, they are the shares of the classes in the texts that were learnt from."""
        rows = self.features.rows(_checked(texts))
        p = np.exp(log_softmax(self.linear.scores(rows)))
        return np.where(rows.filled()[:, None], p, self.prior)

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """The most probable class of each text, (N,) int64; of several the smallest."""
        return self.probabilities(texts).argmax(axis=1)


class BagOfWordsRegression:
    """Ridge regression on the same features: numbers in place of classes. Made by `fit`; `mean` is
    that of the numbers that it has learnt."""

    def __init__(self, features: TfIdf, linear: Linear, mean: float):
        self.features, self.linear, self.mean = features, linear, mean

    @classmethod
    def fit(
        cls, texts: Sequence[str], numbers: Sequence[float] | np.ndarray, seed: int = 0
    ) -> BagOfWordsRegression:
        """Learn numbers (N,) of N texts, as `BagOfWords.fit` learns classes.

        Raises ValueError for no texts, for another number of numbers than of texts and for NaN and
        infinity; TypeError for what is no text.
        """
        texts, ordered = _ordered(texts, np.asarray(numbers, np.float64))
        if not np.isfinite(ordered).all():
            raise ValueError("bag of words: a number is NaN or infinite; drop its row")
        features = TfIdf(texts)
        linear = fit_numbers(features.rows(texts), ordered, PENALTIES, seed)
        return cls(features, linear, float(ordered.mean()))

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """The number of each text, (N,) float64; without a known term it is `mean`."""
        rows = self.features.rows(_checked(texts))
        return np.where(rows.filled(), self.linear.scores(rows)[:, 0], self.mean)


def majority(classes: Sequence[int] | np.ndarray) -> int:
    """The most frequent of classes (N,), integers from 0 on, N >= 1; of several the smallest.

    Raises TypeError for classes that are no integers, else ValueError for what is none of this.
    """
    ids = np.asarray(classes)
    if ids.size and ids.dtype.kind not in "iu":
        raise TypeError(f"majority: classes are {ids.dtype}; give integers")
    if ids.ndim != 1 or not ids.size or ids.min() < 0:
        raise ValueError("majority: classes are no vector of integers from 0 on; give at least one")
    return int(np.bincount(ids).argmax())


def _checked(texts: Sequence[str]) -> list[str]:
    """The texts as a list."""
    if isinstance(texts, str):
        raise TypeError("bag of words: takes a list of texts, not one text; give [text]")
    texts = list(texts)
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            kind = type(text).__name__
            raise TypeError(f"bag of words: row {row} is of type {kind}; give a text")
    return texts


def _ordered(texts: Sequence[str], targets: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Texts and their targets (N,) by the alphabet, so that nothing hangs on the order of a file;
    equal rows may change places."""
    texts = _checked(texts)
    if not texts or targets.shape != (len(texts),):
        raise ValueError(
            f"bag of words: {len(texts)} texts, but targets of shape {targets.shape}; "
            "give one for each text, and at least one text"
        )
    order = sorted(range(len(texts)), key=lambda row: (texts[row], targets[row]))
    return [texts[row] for row in order], targets[order]
