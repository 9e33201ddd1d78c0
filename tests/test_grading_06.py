"""Tests of the grading of chapter 06's exercises: the usual mistakes are found and named."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.grading_tools import exercises, failure, grade, solutions
from tinygrad_llm.formulas.neuron import softmax

NAME = "06_attention"
EXERCISES = exercises(NAME)
SOLUTIONS = solutions(NAME)


@pytest.mark.parametrize("name", EXERCISES)
def test_the_solution_passes(name):
    grade(EXERCISES[name], getattr(SOLUTIONS, name))


def scores(Q, K, seen=True):
    return np.where(seen, Q @ K.T / np.sqrt(K.shape[1]), -np.inf)


def overflowing(Q, K, V, seen):
    grown = np.exp(scores(Q, K, seen))
    total = grown.sum(axis=1, keepdims=True)
    return grown / np.where(total == 0, 1.0, total) @ V


def hidden_overflow(Q, K, V, seen):
    grown = np.exp(scores(Q, K, seen))
    return np.nan_to_num(grown / grown.sum(axis=1, keepdims=True)) @ V


def early_maximum(tiny):
    """attention with the row's maximum taken before the mask, and `tiny` in the sum."""

    def answer(Q, K, V, seen):
        raw = scores(Q, K)
        grown = np.exp(raw - raw.max(axis=1, keepdims=True)) * seen
        return np.nan_to_num(grown / (grown.sum(axis=1, keepdims=True) + tiny)) @ V

    return answer


def with_more_in_the_sum(Q, K, V, seen):
    top = np.where(seen, scores(Q, K), -1e300).max(axis=1, keepdims=True)
    grown = np.exp(scores(Q, K, seen) - top)
    return grown / (grown.sum(axis=1, keepdims=True) + 1e-6) @ V


def in_place(Q, K, V, seen):
    Q /= np.sqrt(K.shape[1])
    return SOLUTIONS.attention(Q * np.sqrt(K.shape[1]), K, V, seen)


def right(change):
    """The solution, with its inputs changed first."""
    return lambda *asked: SOLUTIONS.attention(*change(*asked))


ATTENTION = [
    (lambda Q, K, V, seen: softmax(scores(Q, K, seen)) @ V, "comes out by 0/0"),
    (overflowing, "comes out when exp overflows: "),
    (hidden_overflow, "comes out when exp overflows, and nan_to_num makes 0 of it"),
    (early_maximum(0.0), "comes out when the row's largest score is taken before the mask: "),
    (early_maximum(1e-9), "when the row's largest score is taken before the mask"),
    (with_more_in_the_sum, "comes out when 1e-06 is added to the sum"),
    (
        lambda Q, K, V, seen: softmax(np.where(seen, scores(Q, K), -1e30)) @ V,
        "when a query that may see nothing hears the plain mean",
    ),
    (
        lambda Q, K, V, seen: softmax(scores(Q, K, seen | ~seen.any(1, keepdims=True))) @ V,
        "when a query that may see nothing (sees everything|hears the plain mean)",
    ),
    (lambda Q, K, V, seen: softmax(scores(Q, K)) @ V, "without the mask|see nothing"),
    (right(lambda Q, K, V, seen: (Q, K, V, ~seen)), "turned round|without the mask|see nothing"),
    (
        lambda Q, K, V, seen: (softmax(scores(Q, K)) * seen) @ V,
        "when the weights are multiplied by the mask",
    ),
    (
        lambda Q, K, V, seen: np.where(
            seen.any(1, keepdims=True), softmax(scores(Q, K) * seen) @ V, 0.0
        ),
        "when the scores are multiplied by the mask|without the mask",
    ),
    (right(lambda Q, K, V, seen: (Q * np.sqrt(K.shape[1]), K, V, seen)), "without √d_k"),
    (right(lambda Q, K, V, seen: (Q / np.sqrt(K.shape[1]), K, V, seen)), "with d_k for √d_k"),
    (
        lambda Q, K, V, seen: np.nan_to_num(softmax(scores(Q, K, seen).T).T) @ V,
        "comes out down the columns",
    ),
    (lambda Q, K, V, seen: SOLUTIONS.attention(Q, K, V, seen).T, "has shape|expected"),
    (in_place, "it changes its input"),
]

MASK = [
    (lambda ids, pad: past(ids) | (ids != 9)[:, None, :], "without the"),
    (lambda ids, pad: np.broadcast_to((ids != pad)[:, None, :], shape(ids)), "without the causal"),
    (lambda ids, pad: np.broadcast_to(past(ids), shape(ids)), "without the padding"),
    (lambda ids, pad: ~SOLUTIONS.decoder_mask(ids, pad), "when it is turned round"),
    (lambda ids, pad: past(ids).T & (ids != pad)[:, None, :], "when later tokens are seen"),
    (
        lambda ids, pad: past(ids, -1) & (ids != pad)[:, None, :],
        "when a token does not see itself",
    ),
    (
        lambda ids, pad: past(ids) & (ids != pad)[:, :, None],
        "when padding may not ask: what counts",
    ),
    (
        lambda ids, pad: SOLUTIONS.decoder_mask(ids, pad) & (ids != pad)[:, :, None],
        "when padding may not ask: what counts",
    ),
    (lambda ids, pad: past(ids) | (ids != pad)[:, None, :], "without|with or"),
    (lambda ids, pad: SOLUTIONS.decoder_mask(ids, pad).astype(int), "dtype int64, expected bool"),
    (lambda ids, pad: SOLUTIONS.decoder_mask(ids, pad)[0], "has shape"),
    (lambda ids, pad: SOLUTIONS.decoder_mask(ids, 0), "without the padding"),
    (lambda ids, pad: past(ids) & (ids > pad)[:, None, :], "comes out of ids > pad"),
    (lambda ids, pad: past(ids) & (ids < pad)[:, None, :], "comes out of ids < pad"),
    (lambda ids, pad: ~SOLUTIONS.decoder_mask(ids, pad), r"is np.array\(.*True.*False"),
]


def past(ids, k=0):
    return np.tri(ids.shape[1], k=k, dtype=bool)


def shape(ids):
    return (*ids.shape, ids.shape[1])


def cut(x, heads):
    """The shape of the result with heads before tokens."""
    return x.shape[0], heads, x.shape[1], x.shape[2] // heads


HEADS = [
    (lambda x, heads: x.reshape(cut(x, heads)), "when the sequence is split"),
    (
        lambda x, heads: np.stack([x[..., h::heads] for h in range(heads)], axis=1),
        "with every h-th feature",
    ),
    (lambda x, heads: x.reshape(*x.shape[:2], heads, -1), "without the swap of axes"),
    (lambda x, heads: x.swapaxes(1, 2).reshape(cut(x, heads)), "the result is"),
    (lambda x, heads: SOLUTIONS.split_heads(x, heads)[:, ::-1], "the result is"),
    (lambda x, heads: np.array(np.split(x, heads, axis=2)), "comes out with heads before texts"),
]


def table(length, width, exponent=lambda i, width: 2 * i / width, first=0):
    """The table with another exponent for pair i, or another first place."""
    places = np.arange(first, first + length)[:, None]
    angles = places / 10000.0 ** exponent(np.arange(width // 2), width)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(length, width)


def halves(length, width):
    right = SOLUTIONS.sinusoidal(length, width)
    return np.concatenate([right[:, ::2], right[:, 1::2]], axis=1)


def cosines_first(length, width):
    return (
        SOLUTIONS.sinusoidal(length, width).reshape(length, -1, 2)[..., ::-1].reshape(length, width)
    )


def each_its_rate(length, width):
    columns = np.arange(width)
    angles = np.arange(length)[:, None] / 10000.0 ** (columns / width)
    return np.where(columns % 2 == 0, np.sin(angles), np.cos(angles))


SINES = [
    (halves, "when sines and cosines lie in two halves"),
    (cosines_first, "when cosines come first"),
    (lambda n, d: table(n, d, lambda i, width: i / width), "with i/width"),
    (lambda n, d: table(n, d, lambda i, width: 4 * i / width), "with 4i/width"),
    (lambda n, d: table(n, d, first=1), "when places count from 1"),
    (each_its_rate, "when each column has a rate of its own"),
    (lambda n, d: table(n, d, lambda i, width: -2 * i / width), "when the angle is multiplied"),
    (lambda n, d: SOLUTIONS.sinusoidal(n, d).T, "has shape"),
    (lambda n, d: np.float32(SOLUTIONS.sinusoidal(n, d)), "float32.*: expected float64"),
]


def normed(dx=None, dgamma=None, dbeta=None):
    """layer_norm_backward with one of its three answers wrong."""

    def answer(x, gamma, g):
        parts = list(SOLUTIONS.layer_norm_backward(x, gamma, g))
        centred = x - x.mean(axis=1, keepdims=True)
        s = np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
        for i, wrong in enumerate((dx, dgamma, dbeta)):
            if wrong is not None:
                parts[i] = wrong(gamma * g, centred / s, s, g, gamma)
        return tuple(parts)

    return answer


def with_deviation(deviation):
    """layer_norm_backward with another deviation for s, of the centred rows."""

    def answer(x, gamma, g):
        centred = x - mean(x)
        s = deviation(centred)
        hat = centred / s
        return whole(gamma * g, hat) / s, (g * hat).sum(axis=0), g.sum(axis=0)

    return answer


def mean(a):
    return a.mean(axis=1, keepdims=True)


def whole(a, hat):
    return a - mean(a) - hat * mean(a * hat)


NORM = [
    (normed(dx=lambda a, hat, s, g, gamma: a / s), "dx is .* mean and s are taken for constants"),
    (
        normed(dx=lambda a, hat, s, g, gamma: (a - hat * mean(a * hat)) / s),
        "without the mean of ĝ|taken for constants",
    ),
    (normed(dx=lambda a, hat, s, g, gamma: (a - mean(a)) / s), "without the part along x̂"),
    (normed(dx=lambda a, hat, s, g, gamma: whole(g, hat) / s), "without γ"),
    (
        normed(dx=lambda a, hat, s, g, gamma: gamma * whole(g, hat) / s),
        "when γ is multiplied on at the end|without γ",
    ),
    (normed(dx=lambda a, hat, s, g, gamma: whole(a, hat)), "without the division by s"),
    (normed(dx=lambda a, hat, s, g, gamma: whole(a, hat) / s**2), "with a division by s²"),
    (
        normed(
            dx=lambda a, hat, s, g, gamma: (
                (a - a.sum(1, keepdims=True) - hat * (a * hat).sum(1, keepdims=True)) / s
            )
        ),
        "with sums in place of means",
    ),
    (
        normed(dx=lambda a, hat, s, g, gamma: (a - mean(a) + hat * mean(a * hat)) / s),
        "with a plus before the part along x̂",
    ),
    (normed(dgamma=lambda a, hat, s, g, gamma: (g * hat * s).sum(0)), "dgamma .* of x less its"),
    (normed(dgamma=lambda a, hat, s, g, gamma: (a * hat).sum(0)), "dgamma is .* of γ·g"),
    (normed(dgamma=lambda a, hat, s, g, gamma: (g * hat).mean(0)), "dgamma is .* mean over"),
    (normed(dgamma=lambda a, hat, s, g, gamma: (g * hat).sum(1)), "dgamma .*(axis|shape)"),
    (normed(dgamma=lambda a, hat, s, g, gamma: g * hat), "dgamma .* without the sum"),
    (normed(dbeta=lambda a, hat, s, g, gamma: a.sum(0)), "dbeta is .* of γ·g"),
    (normed(dbeta=lambda a, hat, s, g, gamma: g.mean(0)), "dbeta is .* mean over"),
    (normed(dbeta=lambda a, hat, s, g, gamma: g.sum(1)), "dbeta .*(axis|shape)"),
    (normed(dbeta=lambda a, hat, s, g, gamma: g), "dbeta .* without the sum"),
    (with_deviation(lambda c: np.sqrt(mean(c * c))), "comes out without ε"),
    (with_deviation(lambda c: np.sqrt(mean(c * c)) + 1e-5), "with ε outside the root"),
    (with_deviation(lambda c: np.sqrt(mean(c * c) + 1e-6)), "with ε = 1e-6"),
    (
        with_deviation(lambda c: np.sqrt((c * c).sum(1, keepdims=True) / (c.shape[1] - 1) + 1e-5)),
        "with D − 1 in the variance",
    ),
    (lambda x, gamma, g: g, r"returns ndarray, expected \(dx, dgamma, dbeta\)"),
]

WRONG = [
    (name, answer, complaint)
    for name, answers in [
        ("attention", ATTENTION),
        ("decoder_mask", MASK),
        ("split_heads", HEADS),
        ("sinusoidal", SINES),
        ("layer_norm_backward", NORM),
    ]
    for answer, complaint in answers
]


@pytest.mark.parametrize("name, answer, complaint", WRONG)
def test_a_wrong_answer_is_found_and_named(name, answer, complaint):
    found = failure(EXERCISES[name], answer)
    assert re.search(complaint, found.complaint), found.complaint
    assert found.call.startswith(f"{name}(") and len(found.call) < 250, found.call


def test_of_x_in_place_of_its_normed_form_is_named():
    def answer(x, gamma, g):
        dx, _, dbeta = SOLUTIONS.layer_norm_backward(x, gamma, g)
        return dx, (g * x).sum(axis=0), dbeta

    assert (
        "comes out of x: it is Σ g·x̂" in failure(EXERCISES["layer_norm_backward"], answer).complaint
    )
