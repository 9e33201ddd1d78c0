"""Tests of the grading of chapter 09's exercises: the usual mistakes are found and named."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.grading_tools import exercises, failure, grade, solutions

NAME = "09_bert"
EXERCISES = exercises(NAME)
SOLUTIONS = solutions(NAME)


@pytest.mark.parametrize("name", EXERCISES)
def test_the_solution_passes(name):
    grade(EXERCISES[name], getattr(SOLUTIONS, name))


def hiding(shown, labels=None):
    """hide with one of the two arrays made otherwise; each is given all inputs and `selected`."""

    def answer(ids, may, choose, fate, drawn, mask):
        selected = may & (choose < 0.15)
        right = SOLUTIONS.hide(ids, may, choose, fate, drawn, mask)
        how = ids, may, choose, fate, drawn, mask, selected
        return (shown(*how) if shown else right[0]), (labels(*how) if labels else right[1])

    return answer


def everything(ids, may, choose, fate, drawn, mask):
    return SOLUTIONS.hide(ids, np.ones_like(may), choose, fate, drawn, mask)


def in_place(ids, may, choose, fate, drawn, mask):
    labels = np.where(may & (choose < 0.15), ids, -100)
    ids[may & (choose < 0.15)] = mask
    return ids, labels


def up_to(ids, may, choose, fate, drawn, mask):
    return SOLUTIONS.hide(ids, may, choose - 1e-9, fate - 1e-9, drawn, mask)


HIDE = [
    (
        hiding(lambda ids, may, c, f, d, m, s: np.where(s, m, ids)),
        "when all selected tokens become",
    ),
    (everything, "when special tokens and padding are hidden"),
    (
        hiding(lambda ids, may, c, f, d, m, s: np.where(s, np.where(f < 0.8, m, d), ids)),
        "when the 10 % with fate ≥ 0.9 are replaced too",
    ),
    (
        hiding(lambda ids, may, c, f, d, m, s: np.where(s & (f < 0.8), m, ids)),
        "when the drawn tokens are left out",
    ),
    (up_to, "with ≤ in the place of <"),
    (
        hiding(
            lambda ids, may, c, f, d, m, s: np.where(
                s, np.where(f < 0.8, m, np.where(f < 0.9, ids, d)), ids
            )
        ),
        "(with the fates exchanged|when the drawn tokens are left out)",
    ),
    (
        hiding(
            lambda ids, may, c, f, d, m, s: np.where(
                s, np.where(f < 0.8, m, np.where(f <= 0.9, d, ids)), ids
            )
        ),
        "(with ≤ 0.9 in the place|with fate ≥ 0.9 are replaced too|with ≤ in the place)",
    ),
    (
        hiding(
            lambda ids, may, c, f, d, m, s: np.where(
                s, np.where(f < 0.8, m, np.where(f < 0.95, d, ids)), ids
            )
        ),
        "(with ≤ 0.9 in the place|with fate ≥ 0.9 are replaced too|with ≤ in the place)",
    ),
    (
        hiding(
            lambda ids, may, c, f, d, m, s: np.where(
                s, np.where(f <= 0.8, m, np.where(f < 0.9, d, ids)), ids
            )
        ),
        "(with ≤ 0.8 in the place|all selected tokens become|with ≤ in the place)",
    ),
    (hiding(lambda ids, *_: ids), "with nothing hidden"),
    (in_place, "it changes its input"),
    (hiding(None, lambda ids, *_: ids), "when the answer is asked for everywhere"),
    (hiding(None, lambda ids, *_: np.where(_[-1], ids, 0)), "with 0 where nothing is asked"),
    (
        hiding(
            None,
            lambda ids, may, c, f, d, m, s: np.where(
                s, np.where(f < 0.8, m, np.where(f < 0.9, d, ids)), -100
            ),
        ),
        "when labels are what is shown",
    ),
    (
        hiding(None, lambda ids, may, c, f, d, m, s: np.where(s & (f < 0.9), ids, -100)),
        "when the tokens left as they were are not asked for",
    ),
    (
        hiding(None, lambda ids, may, c, f, d, m, s: np.where(s & (f < 0.8), ids, -100)),
        "(when only .MASK. is asked for|left as they were)",
    ),
    (
        hiding(None, lambda ids, may, c, f, d, m, s: np.where(c < 0.15, ids, -100)),
        "when special tokens and padding are asked for",
    ),
    (lambda *how: SOLUTIONS.hide(*how)[0], r"expected \(shown, labels\)"),
]


def drawn_of(pool):
    """second with the random sentence from another pool, which is given text_of, places, first."""

    def answer(text_of, first, follows, drawn):
        if follows:
            return first + 1
        places = pool(text_of, np.arange(len(text_of)), first)
        return int(places[int(len(places) * drawn)]) if len(places) else 0

    return answer


def pool_of(text_of, first):
    follower = np.diff(text_of, prepend=-1) == 0
    return np.flatnonzero((text_of != text_of[first]) & follower)


def among_the_others(text_of, first, follows, drawn):
    others = pool_of(text_of, first)
    return first + 1 if follows else int(len(others) * drawn)


def rounded(text_of, first, follows, drawn):
    others = pool_of(text_of, first)
    at = min(round(len(others) * drawn), len(others) - 1)
    return first + 1 if follows else int(others[at])


SECOND = [
    (drawn_of(lambda text_of, places, first: places), "when B is drawn of all sentences: some"),
    (
        drawn_of(lambda text_of, places, first: places[places != first]),
        "when B is drawn of all sentences",
    ),
    (
        drawn_of(lambda text_of, places, first: places[(places < first) | (places > first + 1)]),
        "when B is drawn of all sentences",
    ),
    (
        drawn_of(lambda text_of, places, first: places[text_of == text_of[first]]),
        "when B is drawn of (A's own text|all sentences)",
    ),
    (
        drawn_of(lambda text_of, places, first: places[text_of != text_of[first]]),
        "when B is drawn of all sentences of other texts: leave out the first ones",
    ),
    (
        drawn_of(
            lambda text_of, places, first: places[
                (text_of > text_of[first]) & (np.diff(text_of, prepend=-1) == 0)
            ]
        ),
        "(the texts after A's alone|expected)",
    ),
    (
        lambda text_of, first, follows, drawn: SOLUTIONS.second(text_of, first, not follows, drawn),
        "(when follows is taken the other way round|when B is drawn of)",
    ),
    (
        lambda text_of, first, follows, drawn: (
            first if follows else SOLUTIONS.second(text_of, first, follows, drawn)
        ),
        "when A itself is taken",
    ),
    (among_the_others, "(as a place among the others|when B is drawn)"),
    (rounded, "(when the drawn place is rounded|when B is drawn)"),
]


nll = SOLUTIONS.nll


def joined(combine):
    """joint_loss with the losses of words and of pairs put together otherwise."""

    def answer(Z, labels, z, pair_labels):
        asked = labels != -100
        return combine(nll(Z[asked], labels[asked]), nll(z, pair_labels), labels)

    return answer


def overflowing(Z, labels, z, pair_labels):
    def plain(scores, classes):
        p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        return -np.log(p[np.arange(len(classes)), classes])

    asked = labels != -100
    return plain(Z[asked], labels[asked]).mean() + plain(z, pair_labels).mean()


def pairs_without_0(Z, labels, z, pair_labels):
    asked, ones = labels != -100, pair_labels > 0
    pairs = nll(z[ones], pair_labels[ones]).mean() if ones.any() else 0.0
    return nll(Z[asked], labels[asked]).mean() + pairs


def words_without_0(Z, labels, z, pair_labels):
    asked = labels > 0
    words = nll(Z[asked], labels[asked]).mean() if asked.any() else 0.0
    return words + nll(z, pair_labels).mean()


def ignored_as_0(Z, labels, z, pair_labels):
    words = nll(Z.reshape(-1, Z.shape[2]), np.maximum(labels, 0).ravel())
    return words.mean() + nll(z, pair_labels).mean()


def row_by_row(Z, labels, z, pair_labels):
    rows = [nll(x[y != -100], y[y != -100]).mean() for x, y in zip(Z, labels) if (y != -100).any()]
    return np.mean(rows) + nll(z, pair_labels).mean()


JOINT = [
    (joined(lambda w, p, y: w.mean()), "of the words alone"),
    (joined(lambda w, p, y: p.mean()), "of the pairs alone"),
    (joined(lambda w, p, y: np.concatenate([w, p]).mean()), "with one mean over all targets"),
    (joined(lambda w, p, y: w.sum() / y.size + p.mean()), "when words are divided by all places"),
    (joined(lambda w, p, y: w.sum() + p.sum()), "with (sums in place of means|a sum over)"),
    (joined(lambda w, p, y: w.sum() + p.mean()), "with (a sum over the words|sums)"),
    (joined(lambda w, p, y: w.mean() + p.sum()), "with (a sum over the pairs|sums)"),
    (joined(lambda w, p, y: (w.mean() + p.mean()) / 2), "with (the mean of the two|one mean)"),
    (joined(lambda w, p, y: -w.mean() - p.mean()), "with the sign the other way"),
    (pairs_without_0, "(when the label 0 of pairs is left out|of the words alone)"),
    (words_without_0, "(when the label 0 of words is left out|of the pairs alone)"),
    (ignored_as_0, "when −100 counts as the word 0"),
    (row_by_row, "with a mean of rows"),
    (overflowing, "the loss is (nan|inf)"),
    (
        lambda Z, labels, z, pair_labels: SOLUTIONS.joint_loss(Z, labels, z, 1 - pair_labels),
        "with the labels of the pairs exchanged",
    ),
]


def special(tokens):
    return np.array([token in ("[CLS]", "[SEP]", "[PAD]") for token in tokens])


def going_on(tokens):
    return np.array([token.startswith("##") for token in tokens])


def by_one_number(reduce):
    """whole_words by some number of all pieces of a word."""

    def answer(tokens, choose):
        number = np.cumsum(~going_on(tokens))
        low = [reduce((choose < 0.15)[number == n]) for n in number]
        return np.array(low) & ~special(tokens)

    return answer


def first_text_alone(tokens, choose):
    selected = SOLUTIONS.whole_words(tokens, choose)
    selected[tokens.index("[SEP]") :] = False
    return selected


def carried_over(tokens, choose):
    """A word's number is kept until another word begins, [SEP] or not."""
    start = np.maximum.accumulate(np.where(going_on(tokens), 0, np.arange(len(tokens))))
    return (choose < 0.15)[start] & ~special(tokens)


WHOLE = [
    (lambda tokens, choose: (choose < 0.15) & ~special(tokens), "piece by piece"),
    (
        lambda tokens, choose: (choose < 0.15)[
            np.maximum.accumulate(np.where(going_on(tokens), 0, np.arange(len(tokens))))
        ],
        "when special tokens may be hidden",
    ),
    (
        lambda tokens, choose: (choose < 0.15) & ~special(tokens) & ~going_on(tokens),
        "(of the first pieces alone|a piece after .CLS. or .SEP. is never selected)",
    ),
    (by_one_number(np.any), "(one low number in a word is enough|piece by piece|reaches across)"),
    (by_one_number(np.all), "(when all numbers of a word must be low|piece by piece|last piece)"),
    (
        by_one_number(lambda low: low[-1]),
        "(by the number at the last piece|one low number|piece by|must be low)",
    ),
    (
        lambda tokens, choose: SOLUTIONS.whole_words(tokens, choose - 1e-9),
        "with ≤ in the place of <",
    ),
    (first_text_alone, "of the first text alone"),
    (carried_over, "when a word reaches across"),
    (
        lambda tokens, choose: (
            SOLUTIONS.whole_words(tokens, choose)
            & ~(going_on(tokens) & np.append(False, special(tokens)[:-1]))
        ),
        "when a piece after .CLS. or .SEP. is never selected",
    ),
    (
        lambda tokens, choose: ~SOLUTIONS.whole_words(tokens, choose) & ~special(tokens),
        "the other way round",
    ),
    (
        lambda tokens, choose: SOLUTIONS.whole_words(tokens, choose).astype(int),
        "int64, expected bool",
    ),
]

WRONG = [
    (name, answer, complaint)
    for name, answers in [
        ("hide", HIDE),
        ("second", SECOND),
        ("joint_loss", JOINT),
        ("whole_words", WHOLE),
    ]
    for answer, complaint in answers
]


@pytest.mark.parametrize("name, answer, complaint", WRONG)
def test_a_wrong_answer_is_found_and_named(name, answer, complaint):
    found = failure(EXERCISES[name], answer)
    assert re.search(complaint, found.complaint), found.complaint
    assert found.call.startswith(f"{name}(") and len(found.call) < 250, found.call
