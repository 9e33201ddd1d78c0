"""Tests of the grading of chapter 08's exercises: the usual mistakes are found and named."""

from __future__ import annotations

import re
from itertools import chain

import numpy as np
import pytest

from tests.grading_tools import exercises, failure, grade, solutions

NAME = "08_gpt"
EXERCISES = exercises(NAME)
SOLUTIONS = solutions(NAME)


@pytest.mark.parametrize("name", EXERCISES)
def test_the_solution_passes(name):
    grade(EXERCISES[name], getattr(SOLUTIONS, name))


def cut(row, T):
    return np.array(row[: len(row) // T * T], dtype=int).reshape(-1, T)


def joined(documents, end, before=False):
    parts = [[end, *each] if before else [*each, end] for each in documents]
    return [token for part in parts for token in part]


def padded(documents, T, end):
    row = joined(documents, end)
    return cut(row + [end] * (-len(row) % T), T)


def appending(documents, T, end):
    for each in documents:
        each.append(end)
    return cut([token for each in documents for token in each], T)


PACK = [
    (lambda docs, T, end: cut([*chain(*docs)], T), "comes out without the ends"),
    (lambda docs, T, end: cut(joined(docs, end, before=True), T), "with end before each document"),
    (lambda docs, T, end: cut(joined(docs, end)[:-1], T), "without the last block"),
    (lambda docs, T, end: cut([*chain(*docs), end], T), "with one end for all"),
    (
        lambda docs, T, end: np.concatenate([cut([*each, end], T) for each in docs]),
        "when each document is cut by itself",
    ),
    (padded, "with the last tokens, which fill no block"),
    (lambda docs, T, end: SOLUTIONS.pack(docs, T, end)[:-1], r"last block|has shape \(0, \d\)"),
    (
        lambda docs, T, end: np.lib.stride_tricks.sliding_window_view(joined(docs, end), T),
        "when blocks overlap",
    ),
    (
        lambda docs, T, end: SOLUTIONS.pack(docs, T, end).reshape(T, -1).T,
        "in columns",
    ),
    (appending, "it changes its input"),
]


def log_softmax(z):
    z = z - z.max(axis=-1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


def told(logits, ids):
    return -np.take_along_axis(log_softmax(logits), ids[..., None], axis=-1)[..., 0]


def following(logits, ids):
    return told(logits[:, :-1], ids[:, 1:])


def by_rows(logits, ids, counted):
    each = zip(following(logits, ids), counted[:, 1:])
    return np.mean([row[real].mean() for row, real in each])


def naive(logits, ids, counted):
    p = np.exp(logits[:, :-1])
    p = p / p.sum(axis=-1, keepdims=True)
    picked = np.take_along_axis(p, ids[:, 1:, None], axis=-1)[..., 0]
    return -np.log(picked[counted[:, 1:]]).mean()


LOSS = [
    (lambda z, ids, m: told(z, ids)[m].mean(), "comes out without the shift: place t"),
    (lambda z, ids, m: told(z, ids)[:, 1:][m[:, 1:]].mean(), "without the shift, and without"),
    (lambda z, ids, m: told(z[:, 1:], ids[:, :-1])[m[:, :-1]].mean(), "the shift the other way"),
    (lambda z, ids, m: following(z, ids).mean(), "with the padding: it does not count"),
    (lambda z, ids, m: (following(z, ids) * m[:, 1:]).mean(), "with the padding in the count"),
    (by_rows, "when the rows' means are averaged"),
    (
        lambda z, ids, m: (following(z, ids) * m[:, 1:]).sum() / m.sum(),
        "when the first tokens are counted",
    ),
    (lambda z, ids, m: following(z, ids)[m[:, :-1]].mean(), "taken at the place|the padding"),
    (lambda z, ids, m: following(z, ids)[m[:, 1:]].sum(), "of the sum: take the mean"),
    (lambda z, ids, m: -SOLUTIONS.shifted_loss(z, ids, m), "with the wrong sign"),
    (lambda z, ids, m: np.exp(SOLUTIONS.shifted_loss(z, ids, m)), "of the perplexity"),
    (naive, r"when e\^1000 overflows"),
    (lambda z, ids, m: SOLUTIONS.shifted_loss(z, ids, m) + 1e-3, r"the loss is \S+, expected \S+$"),
]


def parts(ids, V):
    """c (V, V), and as columns c(h) and k(h); P(w)."""
    c = np.zeros((V, V))
    np.add.at(c, (ids[:-1], ids[1:]), 1.0)
    alone = np.bincount(ids, minlength=V)
    few = (alone > 0).sum()
    p = (alone + few / V) / (len(ids) + few)
    return c, c.sum(1, keepdims=True), (c > 0).sum(1, keepdims=True), p


def rule(c, total, k, p):
    return np.where(total > 0, (c + k * p) / np.maximum(total + k, 1e-300), p + 0.0 * c)


def unsmoothed(ids, V):
    c, total, _, _ = parts(ids, V)
    return c / total


def not_a_number(ids, V):
    c, total, k, p = parts(ids, V)
    return (c + k * p) / (total + k)


def filled_with(value):
    """bigram with something else than P(w) after an h that nothing follows."""

    def answer(ids, V):
        c, total, k, p = parts(ids, V)
        return np.where(total > 0, rule(c, total, k, p), value(V))

    return answer


def with_parts(change):
    """bigram with parts changed: change(c, total, k, p, ids, V) -> the four."""
    return lambda ids, V: rule(*change(*parts(ids, V), ids, V))


BIGRAM = [
    (unsmoothed, "comes out without smoothing"),
    (not_a_number, "comes out with 0/0 where nothing follows"),
    (filled_with(lambda V: 0.0), "with zeros where nothing follows"),
    (filled_with(lambda V: 1.0 / V), "with 1/V where nothing follows"),
    (with_parts(lambda c, t, k, p, ids, V: (c, t, k, 1.0 / V)), "with 1/V in the place"),
    (
        with_parts(lambda c, t, k, p, ids, V: (c, t, k, np.bincount(ids, minlength=V) / len(ids))),
        r"with P\(w\) = c\(w\)/N",
    ),
    (with_parts(lambda c, t, k, p, ids, V: (c, t, V, p)), r"with V in the place of k\(h\)"),
    (
        with_parts(lambda c, t, k, p, ids, V: (c, t, (c > 0).sum(0)[:, None], p)),
        "with the kinds before h",
    ),
    (lambda ids, V: (parts(ids, V)[0] + 1) / (parts(ids, V)[1] + V), "add-one|V in the place of k"),
    (
        with_parts(lambda c, t, k, p, ids, V: (c, np.bincount(ids, minlength=V)[:, None], k, p)),
        r"when c\(h\) counts the last token",
    ),
    (lambda ids, V: SOLUTIONS.bigram(ids, V).T, "with the axes exchanged"),
    (lambda ids, V: np.tile(parts(ids, V)[3], (V, 1)), r"of P\(w\) alone"),
    (
        lambda ids, V: SOLUTIONS.bigram(ids, V) * np.bincount(ids, minlength=V)[:, None] / len(ids),
        "of the joint",
    ),
]


def softmax(z):
    grown = np.exp(z - z.max())
    return grown / grown.sum()


def keeping(chosen):
    """top_p with other tokens kept: chosen(sorted sums, p) -> how many."""

    def answer(logits, p):
        share = softmax(logits)
        order = np.argsort(-share)
        kept = np.zeros(len(share))
        places = order[: chosen(np.cumsum(share[order]), p)]
        kept[places] = share[places]
        return kept / max(kept.sum(), 1e-300)

    return answer


def undivided(logits, p):
    return np.where(SOLUTIONS.top_p(logits, p) > 0, softmax(logits), 0.0)


def least(logits, p):
    share = softmax(logits)
    count = (SOLUTIONS.top_p(logits, p) > 0).sum()
    kept = np.where(np.argsort(np.argsort(share)) < count, share, 0.0)
    return kept / kept.sum()


def at_least_p(logits, p):
    share = softmax(logits)
    kept = np.where(share >= p, share, 0.0)
    return kept / max(kept.sum(), 1e-300)


def overflowing(logits, p):
    share = np.exp(logits) / np.exp(logits).sum()
    return SOLUTIONS.top_p(np.log(share), p)


TOP_P = [
    (keeping(lambda sums, p: int((sums <= p).sum())), "without the token that crosses p"),
    (keeping(lambda sums, p: int((sums < p - 1e-9).sum()) + 2), "with one token too many|nothing"),
    (undivided, "when they are not divided by their sum"),
    (lambda z, p: np.sort(SOLUTIONS.top_p(z, p))[::-1], "in the order of probability"),
    (least, "when the least probable ones stay"),
    (at_least_p, "of all tokens with a probability of p or more|without the token that crosses"),
    (lambda z, p: softmax(z), "of all tokens: nothing is cut off|with one token too many"),
    (lambda z, p: softmax(SOLUTIONS.top_p(z, p)), "of a second softmax"),
    (overflowing, r"when e\^1000 overflows"),
    (lambda z, p: SOLUTIONS.top_p(z, p) + 1e-3, r"expected np.array\(.*\)$"),
]

WRONG = [
    (name, answer, complaint)
    for name, answers in [
        ("pack", PACK),
        ("shifted_loss", LOSS),
        ("bigram", BIGRAM),
        ("top_p", TOP_P),
    ]
    for answer, complaint in answers
]


@pytest.mark.parametrize("name, answer, complaint", WRONG)
def test_a_wrong_answer_is_found_and_named(name, answer, complaint):
    found = failure(EXERCISES[name], answer)
    assert re.search(complaint, found.complaint), found.complaint
    assert found.call.startswith(f"{name}(") and len(found.call) < 250, found.call
