"""Tests of the grading of chapter 03b's exercises: the usual mistakes are found, with a small
input, and named."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.grading_tools import exercises, failure, grade, solutions

NAME = "03b_generalization"
EXERCISES = exercises(NAME)
SOLUTIONS = solutions(NAME)


@pytest.mark.parametrize("name", EXERCISES)
def test_the_solution_passes(name):
    grade(EXERCISES[name], getattr(SOLUTIONS, name))


def scale(x, by, axis=0):
    low, high = by.min(axis=axis, keepdims=True), by.max(axis=axis, keepdims=True)
    return np.where(high == low, 0.0, (x - low) / np.where(high == low, 1.0, high - low))


def of_all_rows(train, test):
    every = np.concatenate([train, test])
    return scale(train, every), scale(test, every)


def divided_by_nothing(train, test):
    low, high = train.min(axis=0), train.max(axis=0)
    return (train - low) / (high - low), (test - low) / (high - low)


def shifted(train, test):
    low, span = train.min(axis=0), np.ptp(train, axis=0)
    span = np.where(span == 0.0, 1.0, span)
    return (train - low) / span, (test - low) / span


def standardized(train, test):
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    deviation = np.where(deviation == 0.0, 1.0, deviation)
    return (train - mean) / deviation, (test - mean) / deviation


def in_place_scaling(train, test):
    train -= train.min(axis=0)
    return SOLUTIONS.min_max(train, test)


MIN_MAX = [
    (divided_by_nothing, "comes out by 0/0: a column that is constant in training becomes 0"),
    (shifted, "comes out when a constant column is shifted, not set to 0"),
    (of_all_rows, "comes out when the statistics are those of all rows"),
    (
        lambda train, test: (scale(train, train), scale(test, test)),
        "test is .* comes out when the test part is scaled by its own statistics",
    ),
    (
        lambda train, test: (scale(train, train, None), scale(test, train, None)),
        "comes out when one range serves all columns",
    ),
    (
        lambda train, test: (scale(train, train, 1), scale(test, test, 1)),
        "comes out when (each row is scaled by itself|one range serves all columns)",
    ),
    (
        lambda train, test: tuple(x.clip(0, 1) for x in SOLUTIONS.min_max(train, test)),
        "test is .* comes out when the test part is cut to 0 … 1",
    ),
    (standardized, "comes out (of mean and standard deviation|when a constant column is shifted)"),
    (in_place_scaling, "it changes its input"),
    (lambda train, test: scale(train, train), r"it returns ndarray, expected \(train, test\)"),
]


def in_place_threshold(w, t):
    w -= np.clip(w, -t, t)
    return w


THRESHOLD = [
    (lambda w, t: w - t * np.sign(w), "comes out when a weight is thrown across 0"),
    (lambda w, t: np.where(np.abs(w) > t, w, 0.0), "comes out of a hard threshold"),
    (lambda w, t: np.maximum(np.abs(w) - t, 0.0), "comes out without the sign of w"),
    (lambda w, t: np.maximum(w - t, 0.0), "comes out when negative weights are lost"),
    (lambda w, t: np.minimum(w + t, 0.0), "comes out when only negative weights are kept"),
    (lambda w, t: np.clip(w, -t, t), "comes out when a weight is held within ±t"),
    (lambda w, t: np.sign(w) * (np.abs(w) + t), "comes out of a shift away from 0"),
    (lambda w, t: w * (1 - t), "comes out of a share of w: that is weight decay"),
    (in_place_threshold, "it changes its input"),
    (lambda w, t: None, "it returns None"),
]


def counts(true, predicted, cls):
    hits = np.sum((true == cls) & (predicted == cls))
    return hits, np.sum(predicted == cls), np.sum(true == cls)


def scores(f1=None, turn=False, empty=0.0, bare=False):
    """precision_recall_f1 with a part that can be wrong."""

    def share(part, whole):
        return part / whole if whole or bare else empty

    def answer(true, predicted, cls):
        hits, called, there = counts(true, predicted, cls)
        p, r = share(hits, called), share(hits, there)
        last = SOLUTIONS.precision_recall_f1(true, predicted, cls)[2] if f1 is None else f1(p, r)
        return (r, p, last) if turn else (p, r, last)

    return answer


def accuracy(true, predicted, cls):
    return (np.mean(true == predicted),) * 3


def of_the_class(true, predicted, cls):
    return (np.mean((true == cls) == (predicted == cls)),) * 3


SCORES = [
    (scores(turn=True), "precision is .* comes out for the recall|recall is .* for the precision"),
    (scores(bare=True), "comes out by 0/0: the (precision|recall) of a class that is"),
    (scores(empty=1.0), "(precision|recall) is .* comes out when 0/0 is 1"),
    (
        scores(f1=lambda p, r: np.float64(2 * p * r) / (p + r)),
        "F1 is nan, .* comes out by 0/0: where precision and recall are 0, F1 is 0",
    ),
    (scores(f1=lambda p, r: (p + r) / 2), "F1 is .* comes out of the arithmetic mean"),
    (scores(f1=lambda p, r: (p * r) ** 0.5), "F1 is .* comes out of the geometric mean"),
    (
        scores(f1=lambda p, r: p * r / (p + r) if p + r else 0.0),
        "F1 is .* comes out without the factor 2",
    ),
    (scores(f1=lambda p, r: p * r), "F1 is .* comes out (of the product|without the factor 2)"),
    (accuracy, "comes out (of the accuracy|when 0/0 is 1)"),
    (of_the_class, "comes out (of the accuracy|when 0/0 is 1)"),
    (lambda true, predicted, cls: (0.0, 0.0), r"2 values, expected \(precision, recall, F1\)"),
]


def in_place_accumulation(gradients, counts):
    gradients *= counts[:, None]
    return gradients.sum(axis=0) / counts.sum()


ACCUMULATE = [
    (lambda g, n: g.sum(axis=0), "comes out of the plain sum: up to K times as long"),
    (lambda g, n: g.mean(axis=0), "comes out of the plain mean: right only where all counts"),
    (lambda g, n: n @ g, "comes out without the division by the count of all"),
    (lambda g, n: n @ g / len(n), "comes out (when it is divided by K|without the division)"),
    (lambda g, n: (g / n[:, None]).sum(axis=0), "each is divided by its count"),
    (lambda g, n: (n @ g / n.sum()).mean(), "comes out when it is averaged over the parameters"),
    (lambda g, n: n[None] @ g / n.sum(), "comes out of one axis too many"),
    (in_place_accumulation, "it changes its input"),
]


def stopping(bar=min, ties=False, restart=True, patience=lambda p: p):
    """early_stop with a part that can be wrong."""

    def answer(losses, given):
        best, worse = 0, 0
        for epoch in range(1, len(losses)):
            beaten = bar(losses[:epoch])
            if losses[epoch] < beaten or (ties and losses[epoch] == beaten):
                best, worse = epoch, worse if not restart else 0
            else:
                worse += 1
            if worse >= patience(given):
                return epoch, best
        return len(losses) - 1, best

    return answer


right = SOLUTIONS.early_stop
STOP = [
    (stopping(patience=lambda p: p + 1), "comes out with one epoch of patience too many"),
    (stopping(patience=lambda p: p - 1 or 1), "comes out with one epoch of patience too few"),
    (stopping(bar=lambda before: before[-1]), "comes out when each loss is held against the one"),
    (stopping(ties=True), "comes out when an equal loss counts as better"),
    (stopping(restart=False), "comes out when failures add up over the run"),
    (
        lambda losses, p: (right(losses, p)[0], losses.index(min(losses))),
        "best is .* comes out when the lowest of all losses is taken",
    ),
    (lambda losses, p: right(losses, p)[::-1], "when stop and best are exchanged"),
    (lambda losses, p: (right(losses, p)[0],) * 2, "best is .* when the stop is given as best"),
    (lambda losses, p: tuple(e + 1 for e in right(losses, p)), "when epochs count from 1"),
    (
        lambda losses, p: (len(losses) - 1, losses.index(min(losses))),
        "comes out when the run never stops|one epoch of patience too many",
    ),
    (lambda losses, p: right(losses, p)[0], r"it returns int, expected \(stop, best\)"),
]

WRONG = [
    (name, answer, complaint)
    for name, answers in [
        ("min_max", MIN_MAX),
        ("soft_threshold", THRESHOLD),
        ("precision_recall_f1", SCORES),
        ("accumulate", ACCUMULATE),
        ("early_stop", STOP),
    ]
    for answer, complaint in answers
]


@pytest.mark.parametrize("name, answer, complaint", WRONG)
def test_a_wrong_answer_is_found_and_named(name, answer, complaint):
    found = failure(EXERCISES[name], answer)
    assert re.search(complaint, found.complaint), found.complaint
    assert found.call.startswith(f"{name}(") and len(found.call) < 200, found.call
