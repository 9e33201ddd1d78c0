"""Property tests for the exercises of chapter 07."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from chapters.checks import Ask, Source, exercise

SCORES = [0.0, -0.5, -1.0, -2.0, -4.0]
IGNORED = -100
EPSILON = 1e-5


def table(numbers: list[float], *shape: int) -> st.SearchStrategy:
    """Arrays of this shape whose elements are some of the numbers."""
    return arrays(np.float64, shape, elements=st.sampled_from(numbers))


@st.composite
def batches(draw: st.DrawFn) -> tuple[Any, ...]:
    """labels (B, T) with −100 at the end of shorter texts, start and pad."""
    length = draw(st.integers(2, 4))
    start, pad = draw(st.sampled_from([(1, 0), (0, 3), (5, 5)]))
    rows = []
    for _ in range(draw(st.integers(1, 2))):
        kept = draw(st.integers(1, length))
        text = draw(st.lists(st.integers(6, 9), min_size=kept, max_size=kept))
        rows.append(text + [IGNORED] * (length - kept))
    return np.array(rows), start, pad


@exercise("shift_right(labels, start, pad)", batch=batches())
def shift_right(ask: Ask, batch: tuple[Any, ...]) -> None:
    """It must be start and all labels but the last, with pad where −100 stood."""
    labels, start, pad = batch
    first = np.full((len(labels), 1), start)
    shifted = np.concatenate([first, labels[:, :-1]], axis=1)
    truth = np.where(shifted == IGNORED, pad, shifted)
    filled = np.where(labels == IGNORED, pad, labels)
    rolled = np.concatenate([filled[:, -1:], filled[:, :-1]], axis=1)
    mistakes = {
        "without the shift: each place reads what it is to write": filled,
        "when the last label comes to the front: start belongs there": rolled,
        "with −100 in it: no embedding has that row; it must be pad": shifted,
        "with a place too many: the last label is read by nobody": np.concatenate(
            [first, filled], axis=1
        ),
        "to the left: place t reads what comes before it": np.concatenate(
            [filled[:, 1:], np.full((len(labels), 1), pad)], axis=1
        ),
        "of the labels alone: start is what the first place reads": filled[:, :-1],
        "when pad goes where −100 stood before the shift: shift first": np.where(
            labels == IGNORED, pad, shifted
        ),
    }
    ask.expect("what the decoder reads", ask(labels, start, pad), truth, 1e-9, mistakes)


@st.composite
def sources(draw: st.DrawFn) -> tuple[np.ndarray, int, int]:
    """ids (B, S), each beginning with the word 1, pad, and the number T of places of the target."""
    shape, pad = (draw(st.integers(1, 2)), draw(st.integers(2, 3))), draw(st.sampled_from([0, 2]))
    ids = draw(arrays(np.int64, shape, elements=st.integers(0, 3)))
    ids[:, 0] = 1
    return ids, pad, draw(st.integers(1, 3))


@exercise("cross_mask(ids, pad, T)", source=sources())
def cross_mask(ask: Ask, source: tuple[np.ndarray, int, int]) -> None:
    """(B, T, S): every place of the target may see every word of its source, and no padding."""
    ids, pad, T = source
    words = ids != pad
    truth = np.repeat(words[:, None, :], T, axis=1)
    zeros = {} if pad == 0 else {"when 0 is taken for the padding: it is the given id": ids != 0}
    zeros["of ids > pad: the padding's id need not be the smallest"] = ids > pad
    mistakes = {name: np.repeat(each[:, None, :], T, axis=1) for name, each in zeros.items()} | {
        "when padding may be seen": np.ones_like(truth),
        "the other way round: True is where it may look": ~truth,
        "when it is causal: the source is there as a whole": np.tri(T, ids.shape[1]) * truth,
        "with the axes of places and words exchanged": truth.swapaxes(1, 2),
        "with one row for each text: each of the T places has one": words,
    }
    got = ask(ids, pad, T)
    ask.expect("the mask", got, truth, 1e-9, mistakes)
    if np.asarray(got).dtype != bool:
        ask.fail(f"the mask has dtype {np.asarray(got).dtype}, expected bool")


@st.composite
def blocks(draw: st.DrawFn) -> tuple[Any, ...]:
    """x (T, 3), and two sublayers as expressions: one that mixes words, one that does not."""
    x = draw(table([0.0, 1.0, -1.0, 2.0, 5.0], draw(st.integers(2, 3)), 3))
    a, b = draw(st.sampled_from([2.0, -1.0])), draw(st.sampled_from([3.0, -2.0]))
    # A norm makes the same of all rows of two numbers, whatever was forgotten before it.
    assume(any(len({*row}) == 3 for row in x + a * x[::-1]))
    attend, feed = f"lambda x: {a} * x[::-1]", f"lambda x: np.maximum(0.0, {b} * x)"
    return x, Source(attend), Source(feed)


@exercise("post_norm_block(x, attend, feed)", block=blocks())
def post_norm_block(ask: Ask, block: tuple[Any, ...]) -> None:
    """LN(x + attend(x)), and of that, x₁, LN(x₁ + feed(x₁))."""
    x, attend, feed = block[0], block[1].value(), block[2].value()
    middle = _norm(x + attend(x))
    before = x + attend(_norm(x))
    norms = {name: _second(n(x + attend(x)), feed, n) for name, n in OTHER_NORMS.items()}
    mistakes = norms | {
        "without the residual sums": _norm(feed(_norm(attend(x)))),
        "without the first residual sum": _second(_norm(attend(x)), feed),
        "without the second residual sum": _norm(feed(middle)),
        "when x, not x₁, goes into the second sum": _norm(x + feed(middle)),
        "when x, not x₁, goes into feed": _norm(middle + feed(x)),
        "when both sublayers read x: the second reads x₁": _norm(x + attend(x) + feed(x)),
        "with the norms before the sublayers: that is pre-norm": before + feed(_norm(before)),
        "without the norms": x + attend(x) + feed(x + attend(x)),
        "without the first norm": _second(x + attend(x), feed),
        "without the second norm": middle + feed(middle),
    }
    ask.expect("the output", ask(*block), _second(middle, feed), 1e-6, mistakes)


def _second(x: np.ndarray, feed: Any, norm: Any = None) -> np.ndarray:
    return (norm or _norm)(x + feed(x))


def _norm(x: np.ndarray, **how: Any) -> np.ndarray:
    """Each row less its mean, over its deviation; `how` says what is done otherwise."""
    how = {"axis": -1, "ddof": 0, "inside": EPSILON, "outside": 0.0} | how
    over = {"axis": how["axis"], "keepdims": True}
    deviation = np.sqrt(x.var(ddof=how["ddof"], **over) + how["inside"]) + how["outside"]
    return (x - x.mean(**over)) / deviation


OTHER_NORMS = {
    "without ε: add 1e-5 to the variance": partial(_norm, inside=0.0),
    "with ε outside the root: it is added to the variance": partial(
        _norm, inside=0.0, outside=EPSILON
    ),
    "with ε = 1e-6: here it is 1e-5": partial(_norm, inside=1e-6),
    "with n − 1 in the variance: a layer norm divides by n": partial(_norm, ddof=1),
    "when a norm goes over the words: each word has its own mean": partial(_norm, axis=0),
    "with one mean for the whole array: each word has its own": partial(_norm, axis=None),
}
"""Norms that are often taken for a layer norm."""


@st.composite
def writers(draw: st.DrawFn) -> tuple[Any, ...]:
    """step as an expression of the ids so far, start, end and most; scores depend on the last id
    and on how many there are. After `most` of them the end is the best, so that all ends."""
    signs, most = draw(st.integers(2, 3)), draw(st.integers(1, 3))
    start, end = draw(st.integers(0, signs - 1)), draw(st.integers(0, signs - 1))
    scores = draw(table(SCORES, most + 1, signs, signs))
    if start == end:  # two ids are written before the end, so that each mistake shows as itself
        scores[:2, :, end] = -8.0
    scores[most] = np.where(np.arange(signs) == end, 0.0, -1.0)
    place = f"min(len(ids), {most + 1}) - 1, ids[-1]"
    return Source(f"lambda ids: np.array({scores.tolist()})[{place}]"), start, end, most


@exercise("greedy(step, start, end, most)", writer=writers())
def greedy(ask: Ask, writer: tuple[Any, ...]) -> None:
    """The most probable id at each step, up to end, which is kept, or `most` of them."""
    step, start, end, most = writer
    scores = step.value()
    truth = _written(scores, start, end, most)
    free = _written(scores, start, end, len(truth) + most + 1)
    mistakes = {
        "when start is taken for the end: they may be the same id": [] if start == end else truth,
        "when start counts as an end: look at what was written last": (
            truth[:1] if start == end else truth
        ),
        "when it writes more than `most`": free,
        "when it goes on after the end": _written(scores, start, None, most),
        "without the end: it is written too": [i for i in truth if i != end],
        "with start at the front: return what was written": [start, *truth],
        "with the last of equal scores: take the first": _written(
            lambda ids: scores(ids)[::-1], start, end, most, turned=True
        ),
    }
    ask.expect("the list of new ids", ask(step, start, end, most), truth, 1e-9, mistakes)


def _written(step: Any, start: int, end: int | None, most: int, turned: bool = False) -> list[int]:
    """The best id at each step, up to the end or `most`; turned: the last score is that of 0."""
    ids = [start]
    while len(ids) <= most and (len(ids) == 1 or ids[-1] != end):
        scores = step(ids)
        best = int(np.argmax(scores))
        ids.append(len(scores) - 1 - best if turned else best)
    return ids[1:]


@st.composite
def beams(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """scores (K,) of the beams and log-probabilities (K, V) of each one's next id, no two sums
    alike."""
    width, signs = draw(st.integers(2, 3)), draw(st.integers(3, 4))
    values = draw(st.permutations(range(width * signs)))
    scores = draw(table(SCORES, width))
    return scores, -0.13 * np.array(values).reshape(width, signs) - 0.01


@exercise("beam_step(scores, log_probs)", step=beams())
def beam_step(ask: Ask, step: tuple[np.ndarray, np.ndarray]) -> None:
    """The K best of all K·V continuations, best first: scores, parents, ids."""
    scores, log_probs = step
    width, signs = log_probs.shape
    every = scores[:, None] + log_probs
    order = np.argsort(-every.ravel(), kind="stable")[:width]
    parts = ask.parts(ask(scores, log_probs), "scores", "parents", "ids")
    rows = np.arange(width)
    own = log_probs.argmax(axis=1)
    alone = np.argsort(-log_probs.ravel(), kind="stable")[:width]
    wrong = {
        "when each beam goes on by its own best id: all continuations compete": (
            every[rows, own],
            rows,
            own,
        ),
        "of the new log-probabilities alone: a text's score is the sum": (
            log_probs.ravel()[alone],
            alone // signs,
            alone % signs,
        ),
        "of the worst: best first": (
            np.sort(every.ravel())[:width],
            np.argsort(every.ravel())[:width] // signs,
            np.argsort(every.ravel())[:width] % signs,
        ),
        "in rising order: best first": (
            every.ravel()[order[::-1]],
            order[::-1] // signs,
            order[::-1] % signs,
        ),
        "when the place is divided by K: a row has V ids": (
            every.ravel()[order],
            order // width,
            order % width,
        ),
        "with parents and ids exchanged": (every.ravel()[order], order % signs, order // signs),
    }
    truth = every.ravel()[order], order // signs, order % signs
    for i, name in enumerate(("scores", "parents", "ids")):
        mistakes = {mistake: values[i] for mistake, values in wrong.items()}
        ask.expect(f"the array {name}", parts[i], truth[i], 1e-9, mistakes)


EXERCISES = [shift_right, cross_mask, post_norm_block, greedy, beam_step]
