"""What the tests of pretraining data share: exact binomial bounds, and small tokenizers."""

from __future__ import annotations

from functools import lru_cache
from math import log, log1p

import numpy as np

from tinygrad_llm.tokenizers import WordPieceTokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PAD, UNK, CLS, SEP, MASK = range(5)


def tokenizer(words: int = 95, pieces: int = 0) -> WordPieceTokenizer:
    """With the five special tokens as 0 to 4, then words w0, w1 … and pieces ##p0, ##p1 …"""
    names = [*SPECIAL, *(f"w{i}" for i in range(words)), *(f"##p{i}" for i in range(pieces))]
    return WordPieceTokenizer({name: id for id, name in enumerate(names)})


def tail(count: int, trials: int, p: float) -> float:
    """The probability of what is as far from the mean or further on the same side: an exact sum."""
    if not 0.0 < p < 1.0:
        return float(count == round(trials * p))
    low, high = (0, count) if count <= trials * p else (count, trials)
    k, factorials = np.arange(low, high + 1), _log_factorials(trials)
    ways = factorials[-1] - factorials[k] - factorials[trials - k]
    return float(np.exp(ways + k * log(p) + (trials - k) * log1p(-p)).sum())


@lru_cache(maxsize=8)
def _log_factorials(most: int) -> np.ndarray:
    """log n! for n from 0 to `most`."""
    return np.concatenate([[0.0], np.log(np.arange(1, most + 1)).cumsum()])


def check_rate(count: int, trials: int, p: float, among: int = 1) -> None:
    """So many successes are what a probability of p makes; among: how many rates are checked."""
    assert tail(int(count), int(trials), p) > 5e-4 / among, (count, trials, p)


def lists(batch: dict) -> dict:
    return {name: np.asarray(value).tolist() for name, value in batch.items()}
