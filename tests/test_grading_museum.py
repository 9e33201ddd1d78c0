"""Tests of the grading of chapter A's exercises: the usual mistakes are found and named."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.grading_tools import exercises, failure, grade, solutions

NAME = "A_museum"
EXERCISES = exercises(NAME)
SOLUTIONS = solutions(NAME)


@pytest.mark.parametrize("name", EXERCISES)
def test_the_solution_passes(name):
    grade(EXERCISES[name], getattr(SOLUTIONS, name))


def kept(x, mask):
    return (x * mask[..., None]).sum(axis=1)


def in_place(x, mask):
    x *= mask[..., None]
    return x.sum(axis=1) / np.maximum(mask.sum(axis=1, keepdims=True), 1.0)


def shifted(ids, pad):
    return np.concatenate([ids[:, 1:], np.full((len(ids), 1), -100)], axis=1)


def spoken(labels, other):
    return np.where(labels == -100, other, labels)


WRONG = [
    ("masked_mean", lambda x, m: kept(x, m) / m.sum(axis=1, keepdims=True), "by 0/0"),
    ("masked_mean", lambda x, m: (x * m[..., None]).mean(axis=1), "the mean is over all places"),
    ("masked_mean", lambda x, m: x.mean(axis=1), "without the mask|over all places"),
    ("masked_mean", kept, "without the division"),
    ("masked_mean", lambda x, m: kept(x, m) / max(m.sum(), 1.0), "words of the batch|over all"),
    ("masked_mean", in_place, "it changes its input"),
    ("next_labels", lambda ids, pad: ids, "not shifted|the ids themselves"),
    ("next_labels", lambda ids, pad: np.where(ids == pad, -100, ids), "not shifted"),
    ("next_labels", lambda ids, pad: np.roll(ids, -1, axis=1), "comes round|not shifted"),
    ("next_labels", shifted, "padding is foretold"),
    ("next_labels", lambda *a: spoken(SOLUTIONS.next_labels(*a), 0), "with 0|with the padding"),
    ("next_labels", lambda *a: spoken(SOLUTIONS.next_labels(*a), a[1]), "padding's id|with 0"),
    ("next_labels", lambda *a: 1.0 * SOLUTIONS.next_labels(*a), "dtype float64, expected integers"),
    ("masked_labels", lambda ids, s, pad: np.where(s, ids, -100), "padding that is selected"),
    ("masked_labels", lambda ids, s, pad: np.where(ids == pad, -100, ids), "all words count"),
    ("masked_labels", lambda ids, s, pad: ids, "(all|selected|words|places).* counts?"),
    ("masked_labels", lambda ids, s, pad: np.where(s, -100, ids), "turned round|words count"),
    ("masked_labels", lambda *a: spoken(SOLUTIONS.masked_labels(*a), 0), "with 0|padding's id"),
    ("untrained", lambda g, y, n: [c for c in range(n) if not g[y == c].any()], "without rows"),
    (
        "untrained",
        lambda g, y, n: [c for c in range(n) if (y == c).any() and g[y == c].sum() == 0.0],
        "slopes are summed",
    ),
    (
        "untrained",
        lambda g, y, n: [c for c in range(n) if not g[y == c].any(axis=1).all()],
        "one row without slopes",
    ),
    ("untrained", lambda g, y, n: [c for c in range(n) if g[y == c].any()], "that are trained"),
    ("untrained", lambda g, y, n: 0, "expected a list of classes"),
]


@pytest.mark.parametrize("name, answer, complaint", WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(name, answer, complaint):
    found = failure(EXERCISES[name], answer)
    assert re.search(complaint, found.complaint), found.complaint
