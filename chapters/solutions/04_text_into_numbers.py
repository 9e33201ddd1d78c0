"""Answers to the exercises of chapter 04; try yourself first."""

from collections import Counter
from itertools import pairwise

import numpy as np


def merge_step(words):
    """Count with weights; of the most frequent pairs take the smallest; join from the left."""
    counts = Counter()
    for word, times in words.items():
        for pair in pairwise(word):
            counts[pair] += times
    best = min(counts, key=lambda pair: (-counts[pair], pair))
    return best, {_join(word, best): times for word, times in words.items()}


def _join(word, pair):
    symbols = []
    for symbol in word:
        if symbols and (symbols[-1], symbol) == pair:
            symbols[-1] += symbol
        else:
            symbols.append(symbol)
    return tuple(symbols)


def longest_match(word, vocabulary):
    """From each place the longest piece that fits; none, and the word is unknown as a whole."""
    pieces, start = [], 0
    while start < len(word):
        mark = "##" if start else ""
        for end in range(len(word), start, -1):
            if mark + word[start:end] in vocabulary:
                break
        else:
            return ["[UNK]"]
        pieces.append(mark + word[start:end])
        start = end
    return pieces


def decode(tokens, byte_of):
    """All bytes first, and only then characters: a character may lie in several tokens."""
    data = bytes(byte_of[character] for token in tokens for character in token)
    return data.decode("utf-8", errors="replace")


def pad(rows, pad_id):
    """The mask comes from the lengths, not from the ids: pad_id may stand in a row."""
    lengths = np.array([len(row) for row in rows])
    mask = np.arange(lengths.max()) < lengths[:, None]  # (B, T)
    ids = np.full(mask.shape, pad_id)
    ids[mask] = np.concatenate(rows)
    return ids, mask.astype(int)


def best_cut(text, costs):
    """best[end] is the smallest cost of text[:end], and start[end] where its last word begins."""
    best, starts = [0.0], [0]
    for end in range(1, len(text) + 1):
        ways = [(best[i] + costs[text[i:end]], i) for i in range(end) if text[i:end] in costs]
        cost, start = min(ways)
        best.append(cost)
        starts.append(start)
    words, end = [], len(text)
    while end:
        words.append(text[starts[end] : end])
        end = starts[end]
    return words[::-1]
