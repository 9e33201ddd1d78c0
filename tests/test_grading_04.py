"""Tests of the grading of chapter 04's exercises: the usual mistakes are found, with a small
input, and named."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from tests.grading_tools import exercises, failure, grade, solutions

NAME = "04_text_into_numbers"
EXERCISES = exercises(NAME)
SOLUTIONS = solutions(NAME)


@pytest.mark.parametrize("name", EXERCISES)
def test_the_solution_passes(name):
    grade(EXERCISES[name], getattr(SOLUTIONS, name))


def joined(word, pair, most=9):
    symbols = []
    for symbol in word:
        if symbols and (symbols[-1], symbol) == pair and most:
            symbols[-1] += symbol
            most -= 1
        else:
            symbols.append(symbol)
    return tuple(symbols)


def from_the_end(word, pair):
    turned = joined([s[::-1] for s in word[::-1]], (pair[1], pair[0]))
    return tuple(symbol[::-1] for symbol in turned[::-1])


def merging(weigh=True, choose=min, join=joined):
    """merge_step with a part that can be wrong."""

    def answer(words):
        counts = Counter()
        for word, n in words.items():
            counts.update(
                {pair: n * k if weigh else k for pair, k in Counter(pairwise(word)).items()}
            )
        top = max(counts.values())
        pair = choose(pair for pair, n in counts.items() if n == top)
        return pair, {join(word, pair): n for word, n in words.items()}

    return answer


def rarest(words):
    pair = min(pair for word in words for pair in pairwise(word))
    return pair[::-1], words


def merge_in_place(words):
    pair, made = SOLUTIONS.merge_step(words)
    words.clear()
    return pair, made


def first_seen(pairs):
    return next(iter(pairs))


MERGE = [
    (merging(weigh=False), "the pair is .* comes out when each word counts once"),
    (merging(choose=max), "comes out when the largest of equally frequent pairs"),
    (merging(choose=first_seen), "comes out when the first seen of equally frequent pairs"),
    (
        merging(weigh=False, choose=first_seen),
        "comes out when (each word counts once|the first seen of equally frequent pairs)",
    ),
    (merging(join=lambda word, pair: joined(word, pair, 1)), "only the first place in a word"),
    (merging(join=from_the_end), "the dict is .* comes out when joins begin at the end"),
    (merging(join=lambda word, pair: word), "comes out when the pair stays in two symbols"),
    (lambda words: SOLUTIONS.merge_step(words)[0], "it returns 2 values|the pair is a str"),
    (rarest, "the (pair|dict) is"),
    (merge_in_place, "it changes its input"),
]


def matching(unknown=lambda pieces: ["[UNK]"], mark="##", shortest=False):
    """longest_match with a part that can be wrong."""

    def answer(word, vocabulary):
        pieces, start = [], 0
        while start < len(word):
            ends = range(start + 1, len(word) + 1) if shortest else range(len(word), start, -1)
            fits = [e for e in ends if (mark if start else "") + word[start:e] in vocabulary]
            if not fits:
                return unknown(pieces)
            pieces.append((mark if start else "") + word[start : fits[0]])
            start = fits[0]
        return pieces

    return answer


def without_marks(word, vocabulary):
    return [piece.removeprefix("##") for piece in SOLUTIONS.longest_match(word, vocabulary)]


MATCH = [
    (matching(lambda pieces: [*pieces, "[UNK]"]), "comes out when only what does not fit is"),
    (matching(lambda pieces: pieces), "comes out when the pieces before the trouble are kept"),
    (matching(shortest=True), "comes out of the shortest piece that fits"),
    (without_marks, "comes out when the ## are left off"),
    (matching(mark=""), "the result is"),
    (lambda word, vocabulary: tuple(SOLUTIONS.longest_match(word, vocabulary)), "is a tuple"),
    (lambda word, vocabulary: "[UNK]", "the result is a str"),
]


def decoding(errors):
    def answer(tokens, byte_of):
        return bytes(byte_of[c] for token in tokens for c in token).decode("utf-8", errors=errors)

    return answer


def each_token(tokens, byte_of):
    return "".join(SOLUTIONS.decode([token], byte_of) for token in tokens)


def each_broken_byte(tokens, byte_of):
    kept = decoding("surrogateescape")(tokens, byte_of)
    return re.sub("[\udc80-\udcff]", "\ufffd", kept)


DECODE = [
    (each_token, "comes out when each token is read by itself"),
    (decoding("strict"), "it raises UnicodeDecodeError"),
    (
        each_broken_byte,
        r"as bytes.decode\(errors=\"replace\"\) gives it.* comes out when each broken byte",
    ),
    (decoding("ignore"), "comes out when broken bytes are left out"),
    (lambda tokens, byte_of: "".join(tokens), "comes out when the tokens are only joined"),
    (
        lambda tokens, byte_of: "".join(chr(byte_of[c]) for token in tokens for c in token),
        "comes out when each byte is taken for a character",
    ),
    (lambda tokens, byte_of: "".join(tokens).encode(), "the text is a bytes"),
]


def padding(mask=None, fill=None, turn=1):
    """pad with a part that can be wrong."""

    def answer(rows, pad_id):
        ids, right = SOLUTIONS.pad([row[::turn] for row in rows], pad_id if fill is None else fill)
        ids, right = ids[:, ::turn], right[:, ::turn]
        return ids, right if mask is None else mask(ids, right, pad_id)

    return answer


PAD = [
    (padding(lambda ids, right, pad_id: ids != pad_id), "mask is .* each pad_id is taken for"),
    (padding(lambda ids, right, pad_id: 1 - right), "mask is .* when 0 and 1 are exchanged"),
    (padding(lambda ids, right, pad_id: ids != 0), "comes out when each 0 is taken for padding"),
    (padding(lambda ids, right, pad_id: np.ones_like(ids)), "comes out when all tokens count"),
    (padding(fill=0), "ids is .* comes out when 0 is filled in, not pad_id"),
    (padding(turn=-1), "comes out when the padding stands at the left"),
    (
        lambda rows, pad_id: tuple(
            a[:, : min(map(len, rows))] for a in SOLUTIONS.pad(rows, pad_id)
        ),
        "comes out when rows are cut to the shortest",
    ),
    (
        lambda rows, pad_id: tuple(a.astype(float) for a in SOLUTIONS.pad(rows, pad_id)),
        r"ids is of dtype float64, expected an array of integers: \[\[\d",
    ),
    (
        lambda rows, pad_id: tuple(a.tolist() for a in SOLUTIONS.pad(rows, pad_id)),
        "ids is a list, expected an array of integers",
    ),
    (padding(mask=lambda ids, right, pad_id: right / 1.0), "mask is of dtype float64"),
    (lambda rows, pad_id: SOLUTIONS.pad(rows, pad_id)[0], r"expected \(ids, mask\)"),
]


def longest(text, costs):
    words, start = [], 0
    while start < len(text):
        end = max(e for e in range(start + 1, len(text) + 1) if text[start:e] in costs)
        words.append(text[start:end])
        start = end
    return words


def longest_from_the_right(text, costs):
    turned = longest(text[::-1], {word[::-1]: cost for word, cost in costs.items()})
    return [word[::-1] for word in turned[::-1]]


CUT = [
    (longest, r"costs \d+, and .* costs \d+.* comes out (of the longest word|of the fewest)"),
    (longest_from_the_right, "comes out of the (longest word|fewest)"),
    (
        lambda text, costs: SOLUTIONS.best_cut(text, dict.fromkeys(costs, 1)),
        "comes out of the (fewest words|longest word)",
    ),
    (lambda text, costs: list(text), "comes out of every character by itself"),
    (
        lambda text, costs: SOLUTIONS.best_cut(text, {w: 99 - c for w, c in costs.items()}),
        "costs",
    ),
    (lambda text, costs: [text], "which is no cut of|of the (fewest|longest|dearest)"),
    (lambda text, costs: "/".join(SOLUTIONS.best_cut(text, costs)), "the result is a str"),
]


def test_a_mask_of_truth_values_passes():
    grade(EXERCISES["pad"], padding(mask=lambda ids, right, pad_id: right == 1))


WRONG = [
    (name, answer, complaint)
    for name, answers in [
        ("merge_step", MERGE),
        ("longest_match", MATCH),
        ("decode", DECODE),
        ("pad", PAD),
        ("best_cut", CUT),
    ]
    for answer, complaint in answers
]


@pytest.mark.parametrize("name, answer, complaint", WRONG)
def test_a_wrong_answer_is_found_and_named(name, answer, complaint):
    found = failure(EXERCISES[name], answer)
    assert re.search(complaint, found.complaint), found.complaint
    assert found.call.startswith(f"{name}(") and len(found.call) < 200, found.call
