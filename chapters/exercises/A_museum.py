"""Property tests for the exercises of chapter A."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from chapters.checks import Ask, exercise

IGNORED = -100
NUMBERS = [0.0, 1.0, -1.0, 2.0, 3.0]


@st.composite
def masked(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """x (B, T, D) and mask (B, T) of ones and zeros, as floats."""
    texts, length, width = (draw(st.integers(1, most)) for most in (2, 3, 2))
    x = draw(arrays(np.float64, (texts, length, width), elements=st.sampled_from(NUMBERS)))
    return x, draw(arrays(np.float64, (texts, length), elements=st.sampled_from([1.0, 0.0])))


@exercise("masked_mean(x, mask)", batch=masked())
def masked_mean(ask: Ask, batch: tuple[np.ndarray, np.ndarray]) -> None:
    """Text by text, the mean of the rows that the mask leaves."""
    x, mask = batch
    truth = np.zeros((len(x), x.shape[2]))
    for mean, rows, keep in zip(truth, x, mask):
        if keep.any():
            mean += rows[keep > 0.0].mean(axis=0)
    kept = x * mask[..., None]
    with np.errstate(all="ignore"):
        bare = kept.sum(axis=1) / mask.sum(axis=1, keepdims=True)
    counted = max(mask.sum(), 1.0)
    mistakes = {
        "by 0/0: a text without words gets zeros": bare,
        "when the mean is over all places: divide by the number of words": kept.mean(axis=1),
        "without the mask": x.mean(axis=1),
        "without the division": kept.sum(axis=1),
        "when the mask is turned round: 1 is for words": (x * (1.0 - mask)[..., None]).mean(axis=1),
        "when the divisor is the number of words of the batch": kept.sum(axis=1) / counted,
    }
    ask.expect("the result", ask(x, mask), truth, 1e-9, mistakes)


@st.composite
def padded(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    """ids (B, T), each text filled up on its right with the padding, and the padding's id."""
    texts, length, pad = draw(st.integers(1, 2)), draw(st.integers(1, 4)), draw(st.integers(0, 1))
    ids = draw(arrays(np.int64, (texts, length), elements=st.sampled_from([2, 3, 4])))
    for row in ids:
        row[length - draw(st.integers(0, length)) :] = pad
    return ids, pad


@exercise("next_labels(ids, pad)", batch=padded())
def next_labels(ask: Ask, batch: tuple[np.ndarray, int]) -> None:
    """Place by place, the word after it."""
    ids, pad = batch
    truth = np.full(ids.shape, IGNORED)
    for b, t in np.ndindex(ids.shape):
        if t + 1 < ids.shape[1] and ids[b, t + 1] != pad:
            truth[b, t] = ids[b, t + 1]
    rolled = np.roll(ids, -1, axis=1)
    back = np.concatenate([np.full((len(ids), 1), IGNORED), ids[:, :-1]], axis=1)
    shifted = np.where(np.arange(ids.shape[1]) < ids.shape[1] - 1, rolled, IGNORED)
    mistakes = {
        "when labels are not shifted": np.where(ids == pad, IGNORED, ids),
        "when labels are the ids themselves": ids,
        "when the first word comes round to the end": np.where(rolled == pad, IGNORED, rolled),
        "when padding is foretold: it is −100": shifted,
        "when labels are shifted the other way": np.where(ids == pad, IGNORED, back),
        "with 0 for what does not count: 0 can be a word": np.where(truth == IGNORED, 0, truth),
        "with the padding's id for what does not count": np.where(truth == IGNORED, pad, truth),
    }
    _whole(ask, ask(ids, pad), truth, mistakes)


@st.composite
def chosen(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    """Padded ids, booleans of the same shape, and the padding's id."""
    ids, pad = draw(padded())
    return ids, draw(arrays(np.bool_, ids.shape)), pad


@exercise("masked_labels(ids, selected, pad)", batch=chosen())
def masked_labels(ask: Ask, batch: tuple[np.ndarray, np.ndarray, int]) -> None:
    """Place by place, the word where it is asked for."""
    ids, selected, pad = batch
    truth = np.full(ids.shape, IGNORED)
    for place in np.ndindex(ids.shape):
        if selected[place] and ids[place] != pad:
            truth[place] = ids[place]
    mistakes = {
        "when padding that is selected counts": np.where(selected, ids, IGNORED),
        "when all words count": np.where(ids == pad, IGNORED, ids),
        "when all places count": ids,
        "when it is turned round: selected places count": np.where(selected, IGNORED, ids),
        "with 0 for what does not count: 0 can be a word": np.where(truth == IGNORED, 0, truth),
        "with the padding's id for what does not count": np.where(truth == IGNORED, pad, truth),
    }
    _whole(ask, ask(ids, selected, pad), truth, mistakes)


def _whole(ask: Ask, got: object, truth: np.ndarray, mistakes: dict[str, np.ndarray]) -> None:
    """The labels must be these, and integers."""
    ask.expect("the array of labels", got, truth, 1e-9, mistakes)
    kind = np.asarray(got).dtype
    if kind.kind not in "iu":
        ask.fail(f"the labels have dtype {kind}, expected integers")


@st.composite
def slopes(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    """Slopes (N, classes), rows of zeros among them, labels (N,), and the number of classes."""
    rows, classes = draw(st.integers(1, 4)), draw(st.integers(2, 3))
    labels = draw(arrays(np.int64, (rows,), elements=st.integers(0, classes - 1)))
    found = draw(arrays(np.float64, (rows, classes), elements=st.sampled_from([0.0, 1.0, -1.0])))
    found[draw(arrays(np.bool_, (rows,)))] = 0.0
    return found, labels, classes


@exercise("untrained(slopes, labels, classes)", batch=slopes())
def untrained(ask: Ask, batch: tuple[np.ndarray, np.ndarray, int]) -> None:
    """Class by class, whether it has rows and none of them a slope."""
    found, labels, classes = batch
    got = ask(found, labels, classes)
    if not isinstance(got, (list, tuple, np.ndarray)):
        ask.fail(f"it returns {type(got).__name__}, expected a list of classes")
    truth = [c for c in range(classes) if np.any(labels == c) and not found[labels == c].any()]
    mistakes = {
        "when classes without rows are listed too": _listed(
            found, labels, classes, lambda of: not of.any()
        ),
        "when slopes are summed, so that 1 and −1 are nothing": _listed(
            found, labels, classes, lambda of: len(of) > 0 and of.sum() == 0.0
        ),
        "when one row without slopes is enough": _listed(
            found, labels, classes, lambda of: bool((~of.any(axis=1)).any())
        ),
        "when it lists the classes that are trained": _listed(
            found, labels, classes, lambda of: bool(of.any())
        ),
        "when it looks at the columns of the slopes, not at the rows of the class": [
            c for c in range(classes) if not found[:, c].any()
        ],
    }
    ask.expect("the list", list(got), truth, 1e-9, mistakes)


def _listed(found: np.ndarray, labels: np.ndarray, classes: int, silent) -> list[int]:
    """The classes whose rows satisfy `silent`."""
    return [c for c in range(classes) if silent(found[labels == c])]


EXERCISES = [masked_mean, next_labels, masked_labels, untrained]
