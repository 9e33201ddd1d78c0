"""Tests of the grading of chapter 07's exercises: the usual mistakes are found and named."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.grading_tools import exercises, failure, grade, solutions

NAME = "07_the_transformer"
EXERCISES = exercises(NAME)
SOLUTIONS = solutions(NAME)


@pytest.mark.parametrize("name", EXERCISES)
def test_the_solution_passes(name):
    grade(EXERCISES[name], getattr(SOLUTIONS, name))


def filled(labels, pad):
    return np.where(labels == -100, pad, labels)


def with_first(labels, start):
    return np.concatenate([np.full((len(labels), 1), start), labels], axis=1)


def in_place_shift(labels, start, pad):
    labels[labels == -100] = pad
    return with_first(labels[:, :-1], start)


SHIFT = [
    (lambda y, start, pad: filled(y, pad), "comes out without the shift"),
    (lambda y, start, pad: np.roll(filled(y, pad), 1, axis=1), "when the last label comes to the"),
    (lambda y, start, pad: with_first(y[:, :-1], start), "comes out with −100 in it"),
    (lambda y, start, pad: with_first(filled(y, pad), start), "comes out with a place too many"),
    (
        lambda y, start, pad: np.concatenate(
            [filled(y, pad)[:, 1:], np.full((len(y), 1), pad)], axis=1
        ),
        "comes out (to the left|without the shift)|what the decoder reads is",
    ),
    (lambda y, start, pad: filled(y, pad)[:, :-1], "comes out of the labels alone"),
    (in_place_shift, "it changes its input"),
    (
        lambda y, start, pad: np.where(y == -100, pad, with_first(y[:, :-1], start)),
        "comes out when pad goes where −100 stood before the shift",
    ),
]

MASK = [
    (
        lambda ids, pad, T: SOLUTIONS.cross_mask(ids, pad, T) & np.tri(T, ids.shape[1], dtype=bool),
        "comes out when it is causal",
    ),
    (lambda ids, pad, T: ~SOLUTIONS.cross_mask(ids, pad, T), "comes out the other way round"),
    (lambda ids, pad, T: np.ones((len(ids), T, ids.shape[1])), "comes out when padding may be"),
    (lambda ids, pad, T: np.repeat((ids > pad)[:, None], T, axis=1), "comes out of ids > pad"),
    (lambda ids, pad, T: SOLUTIONS.cross_mask(ids, pad, T).astype(int), "int64, expected bool"),
    (lambda ids, pad, T: ~SOLUTIONS.cross_mask(ids, pad, T), r"is np.array\(\[\[\[False, "),
    (
        lambda ids, pad, T: SOLUTIONS.cross_mask(ids, pad, T).swapaxes(1, 2),
        "comes out with the axes of places and words exchanged",
    ),
    (lambda ids, pad, T: ids != pad, "comes out with one row for each text"),
    (lambda ids, pad, T: SOLUTIONS.cross_mask(ids, 0, T), "when 0 is taken for the padding"),
]


norm = SOLUTIONS.layer_norm


def pre_norm(x, attend, feed):
    x = x + attend(norm(x))
    return x + feed(norm(x))


def by_columns(x, attend, feed):
    return SOLUTIONS.post_norm_block(x.T, lambda y: attend(y.T).T, feed).T


def unbiased(x, attend, feed):
    def with_n_less_one(y):
        return (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, ddof=1, keepdims=True) + 1e-5)

    x = with_n_less_one(x + attend(x))
    return with_n_less_one(x + feed(x))


def with_norm(other):
    """post_norm_block with another norm."""

    def answer(x, attend, feed):
        x = other(x + attend(x))
        return other(x + feed(x))

    return answer


def centred(x):
    return x - x.mean(-1, keepdims=True)


def std(x):
    return x.std(-1, keepdims=True)


def first_norm(x, attend):
    return norm(x + attend(x))


BLOCK = [
    (lambda x, attend, feed: norm(feed(norm(attend(x)))), "without the residual sums"),
    (lambda x, attend, feed: norm(norm(attend(x)) + feed(norm(attend(x)))), "without the first re"),
    (lambda x, attend, feed: norm(feed(first_norm(x, attend))), "without the second residual sum"),
    (lambda x, attend, feed: norm(x + feed(first_norm(x, attend))), "goes into the second sum"),
    (lambda x, attend, feed: norm(first_norm(x, attend) + feed(x)), "when x, not x₁, goes into"),
    (
        lambda x, attend, feed: norm(x + attend(x) + feed(x)),
        "when (both sublayers read x|x, not x₁)",
    ),
    (pre_norm, "that is pre-norm"),
    (lambda x, attend, feed: x + attend(x) + feed(x + attend(x)), "comes out without the norms"),
    (
        lambda x, attend, feed: norm(x + attend(x) + feed(x + attend(x))),
        "without the first norm|when both sublayers read x|when x, not x₁",
    ),
    (
        lambda x, attend, feed: first_norm(x, attend) + feed(first_norm(x, attend)),
        "comes out without the second norm",
    ),
    (by_columns, "when a norm goes over the words"),
    (unbiased, "with n − 1 in the variance"),
    (with_norm(lambda x: centred(x) / std(x)), "comes out without ε"),
    (with_norm(lambda x: centred(x) / (std(x) + 1e-12)), "comes out without ε"),
    (with_norm(lambda x: centred(x) / (std(x) + 1e-5)), "comes out with ε outside the root"),
    (with_norm(lambda x: centred(x) / np.sqrt(std(x) ** 2 + 1e-6)), "comes out with ε = 1e-6"),
    (with_norm(lambda x: centred(x) / np.sqrt(std(x) ** 2 + 3e-6)), r"expected np.array\(.*\)$"),
    (with_norm(lambda x: (x - x.mean()) / np.sqrt(x.var() + 1e-5)), "with one mean for the whole"),
    (lambda x, attend, feed: x, "the output is .*, expected"),
]


def writing(ids_of):
    """greedy with what it returns, or how it goes on, wrong."""

    def answer(step, start, end, most):
        ids = [start]
        for _ in range(most):
            ids.append(int(np.argmax(step(ids))))
            if ids_of == "goes on":
                continue
            if ids[-1] == end:
                break
        if ids_of == "start too":
            return ids
        return [i for i in ids[1:] if i != end] if ids_of == "no end" else ids[1:]

    return answer


def forgetful(step, start, end, most):
    ids = [start]
    for _ in range(most):
        ids.append(int(np.argmax(step(ids[-1:]))))
        if ids[-1] == end:
            break
    return ids[1:]


def stops_at_start(step, start, end, most):
    return [] if start == end else SOLUTIONS.greedy(step, start, end, most)


def looks_for_end_anywhere(step, start, end, most):
    ids = [start]
    for _ in range(most):
        ids.append(int(np.argmax(step(ids))))
        if end in ids:
            break
    return ids[1:]


def takes_the_last(step, start, end, most):
    ids = [start]
    for _ in range(most):
        scores = step(ids)
        ids.append(int(np.flatnonzero(scores == scores.max())[-1]))
        if ids[-1] == end:
            break
    return ids[1:]


def without_most(step, start, end, most):
    return SOLUTIONS.greedy(step, start, end, 99)


GREEDY = [
    (writing("start too"), "comes out with start at the front"),
    (writing("no end"), "comes out without the end"),
    (writing("goes on"), "comes out when it goes on after the end"),
    (forgetful, r"the list of new ids is \[\d.*\], expected \[\d"),
    (stops_at_start, "comes out when start is taken for the end"),
    (looks_for_end_anywhere, "comes out when start counts as an end"),
    (takes_the_last, "comes out with the last of equal scores"),
    (without_most, "comes out when it writes more than `most`"),
    (
        lambda step, start, end, most: SOLUTIONS.greedy(step, start, end, most + 1),
        "comes out when it writes more than `most`",
    ),
]


def parted(order, scores, log_probs):
    every = (scores[:, None] + log_probs).ravel()
    return every[order], order // log_probs.shape[1], order % log_probs.shape[1]


def each_alone(scores, log_probs):
    best = log_probs.argmax(axis=1)
    rows = np.arange(len(scores))
    return (scores[:, None] + log_probs)[rows, best], rows, best


def without_sum(scores, log_probs):
    return SOLUTIONS.beam_step(np.zeros_like(scores), log_probs)


def worst(scores, log_probs):
    return parted(
        np.argsort((scores[:, None] + log_probs).ravel())[: len(scores)], scores, log_probs
    )


def rising(scores, log_probs):
    return tuple(each[::-1] for each in SOLUTIONS.beam_step(scores, log_probs))


def by_width(scores, log_probs):
    best, parents, ids = SOLUTIONS.beam_step(scores, log_probs)
    place = parents * log_probs.shape[1] + ids
    return best, place // len(scores), place % len(scores)


def exchanged(scores, log_probs):
    best, parents, ids = SOLUTIONS.beam_step(scores, log_probs)
    return best, ids, parents


BEAM = [
    (each_alone, "when each beam goes on by its own best id"),
    (without_sum, "comes out of the new log-probabilities alone"),
    (worst, "comes out of the worst"),
    (rising, "comes out in rising order"),
    (by_width, "when (the place is divided by K|each beam goes on)"),
    (exchanged, "the array parents is .*(with parents and ids exchanged|when each beam goes on)"),
    (lambda scores, log_probs: scores, r"expected \(scores, parents, ids\)"),
]

WRONG = [
    (name, answer, complaint)
    for name, answers in [
        ("shift_right", SHIFT),
        ("cross_mask", MASK),
        ("post_norm_block", BLOCK),
        ("greedy", GREEDY),
        ("beam_step", BEAM),
    ]
    for answer, complaint in answers
]


@pytest.mark.parametrize("name, answer, complaint", WRONG)
def test_a_wrong_answer_is_found_and_named(name, answer, complaint):
    found = failure(EXERCISES[name], answer)
    assert re.search(complaint, found.complaint), found.complaint
    assert found.call.startswith(f"{name}(") and len(found.call) < 250, found.call
