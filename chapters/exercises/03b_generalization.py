"""Property tests for the exercises of chapter 03b."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from chapters.checks import Ask, exercise

NUMBERS = [0.0, 2.0, -1.0, 1.0, 0.5, 5.0]
WEIGHTS = [0.0, 0.25, -0.25, 0.5, -0.5, 2.0, -3.0]


def table(numbers: list[float], *shape: int) -> st.SearchStrategy:
    """Arrays of this shape whose elements are some of the numbers."""
    return arrays(np.float64, shape, elements=st.sampled_from(numbers))


def _that_fit(found: tuple, wrong: dict[str, tuple]) -> dict[str, tuple]:
    """Those of the mistakes that explain every part of an answer, so that no hint misleads."""
    return {
        mistake: parts
        for mistake, parts in wrong.items()
        if all(_alike(got, part) for got, part in zip(found, parts))
    }


def _alike(got: Any, part: Any) -> bool:
    try:
        return np.allclose(np.asarray(got, dtype=float), part, equal_nan=True)
    except (TypeError, ValueError):  # of another kind or shape
        return False


@st.composite
def parts(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """train (N, D) and test (M, D)."""
    rows, others, columns = (
        draw(st.integers(2, 3)),
        draw(st.integers(1, 3)),
        draw(st.integers(1, 2)),
    )
    return draw(table(NUMBERS, rows, columns)), draw(table(NUMBERS, others, columns))


@exercise("min_max(train, test)", drawn=parts())
def min_max(ask: Ask, drawn: tuple[np.ndarray, np.ndarray]) -> None:
    """Column by column: the least training value must become 0, the greatest 1, all else lie on the
    line through the two; a column that is constant in training becomes 0."""
    train, test = drawn
    found = ask.parts(ask(train, test), "train", "test")
    wrong = _that_fit(found, _wrong_scalings(train, test))
    for i, name in enumerate(("train", "test")):
        columns = [_on_the_line(train[:, j], drawn[i][:, j]) for j in range(train.shape[1])]
        mistakes = {mistake: both[i] for mistake, both in wrong.items()}
        ask.expect(name, found[i], np.stack(columns, axis=1), 1e-9, mistakes)


def _on_the_line(known: np.ndarray, asked: np.ndarray) -> list[float]:
    """Each asked value as an exact fraction of the way from the least known value to the greatest.

    In fractions, one value after the other, as no answer by NumPy would be written.
    """
    low, high = Fraction(min(known)), Fraction(max(known))
    if low == high:
        return [0.0 for _ in asked]
    return [float((Fraction(value) - low) / (high - low)) for value in asked]


def _wrong_scalings(train: np.ndarray, test: np.ndarray) -> dict[str, tuple[Any, Any]]:
    """What is done wrong → the two parts that then come out."""

    def scaled(x: np.ndarray, by: np.ndarray, axis: int | None = 0) -> np.ndarray:
        low, high = by.min(axis=axis, keepdims=True), by.max(axis=axis, keepdims=True)
        return np.where(high == low, 0.0, (x - low) / np.where(high == low, 1.0, high - low))

    every = np.concatenate([train, test])
    low, span = train.min(axis=0), np.ptp(train, axis=0)
    right = scaled(train, train), scaled(test, train)
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    deviation = np.where(deviation == 0.0, 1.0, deviation)
    kept = np.where(span == 0.0, 1.0, span)
    return {  # first what is wrong about the test part alone
        "when the test part is cut to 0 … 1: a greater value stays greater": (
            right[0],
            right[1].clip(0.0, 1.0),
        ),
        "when the test part is scaled by its own statistics": (right[0], scaled(test, test)),
        "when one range serves all columns: take each column's own, axis=0": (
            scaled(train, train, None),
            scaled(test, train, None),
        ),
        "when the statistics are those of all rows: the test part has no say": (
            scaled(train, every),
            scaled(test, every),
        ),
        "by 0/0: a column that is constant in training becomes 0": (
            (train - low) / span,
            (test - low) / span,
        ),
        "when a constant column is shifted, not set to 0": (
            (train - low) / kept,
            (test - low) / kept,
        ),
        "when each row is scaled by itself: the columns are axis 0": (
            scaled(train, train, 1),
            scaled(test, test, 1),
        ),
        "of mean and standard deviation: that is standardization": (
            (train - mean) / deviation,
            (test - mean) / deviation,
        ),
    }


@st.composite
def weights(draw: st.DrawFn) -> tuple[np.ndarray, float]:
    """w of any shape, and a threshold that some of it may meet exactly."""
    shape = draw(st.sampled_from([(1,), (2,), (3,), (2, 2)]))
    return draw(table(WEIGHTS, *shape)), draw(st.sampled_from([0.25, 0.5, 1.0]))


@exercise("soft_threshold(w, t)", drawn=weights())
def soft_threshold(ask: Ask, drawn: tuple[np.ndarray, float]) -> None:
    """It must be the v that makes ½(v − w)² + t|v| least, elementwise."""
    w, t = drawn
    found, truth = ask(w, t), _least(w, t)
    ask.expect("the result", found, truth, 1e-9, _wrong_thresholds(w, t))


def _least(w: np.ndarray, t: float) -> np.ndarray:
    """The best v of a grid that holds every minimum: all weights and thresholds are quarters."""
    grid = np.arange(-16, 17) / 4.0
    cost = 0.5 * (grid - w[..., None]) ** 2 + t * np.abs(grid)
    return grid[cost.argmin(axis=-1)]


def _wrong_thresholds(w: np.ndarray, t: float) -> dict[str, Any]:
    size = np.abs(w)
    return {
        "when a weight is held within ±t: that is the part to take off": np.clip(w, -t, t),
        "when a weight is thrown across 0: what is smaller than t becomes 0": w - t * np.sign(w),
        "of a hard threshold: what stays must be t smaller": np.where(size > t, w, 0.0),
        "without the sign of w": np.maximum(size - t, 0.0),
        "when negative weights are lost": np.maximum(w - t, 0.0),
        "when only negative weights are kept": np.minimum(w + t, 0.0),
        "of a shift away from 0": np.sign(w) * (size + t),
        "of a share of w: that is weight decay": w * (1.0 - t),
    }


@st.composite
def guesses(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    """True and predicted classes (N,), and the class that is asked about, present or not."""
    rows = draw(st.integers(1, 6))
    classes = arrays(np.int64, rows, elements=st.integers(0, 2), fill=st.nothing())
    return draw(classes), draw(classes), draw(st.integers(0, 2))


@exercise("precision_recall_f1(true, predicted, cls)", drawn=guesses())
def precision_recall_f1(ask: Ask, drawn: tuple[np.ndarray, np.ndarray, int]) -> None:
    """Counted row by row, by F58 to F60; 0/0 is 0."""
    true, predicted, cls = drawn
    found = ask.parts(ask(true, predicted, cls), "precision", "recall", "F1")
    pairs = list(zip((true == cls).tolist(), (predicted == cls).tolist()))
    tp, fp, fn = (pairs.count(kind) for kind in ((True, True), (False, True), (True, False)))
    precision, recall = _share(tp, tp + fp), _share(tp, tp + fn)
    f1 = _share(2 * precision * recall, precision + recall)
    right = np.mean(true == predicted)
    in_class = pairs.count((True, True)) + pairs.count((False, False))
    both = {
        "of the accuracy over all classes": right,
        "of the accuracy of class against rest": in_class / len(pairs),
    }
    precision_mistakes = {
        "by 0/0: the precision of a class that is never predicted is 0": _bare(tp, tp + fp),
        "when 0/0 is 1": 1.0 if tp + fp == 0 else precision,
        "for the recall: divide by what was predicted, not by what is there": recall,
    }
    recall_mistakes = {
        "by 0/0: the recall of a class that is not there is 0": _bare(tp, tp + fn),
        "when 0/0 is 1": 1.0 if tp + fn == 0 else recall,
        "for the precision: divide by what is there, not by what was predicted": precision,
    }
    f1_mistakes = {
        "by 0/0: where precision and recall are 0, F1 is 0": _bare(
            2 * precision * recall, precision + recall
        ),
        "of the arithmetic mean: F1 is the harmonic one": (precision + recall) / 2,
        "of the geometric mean: F1 is the harmonic one": (precision * recall) ** 0.5,
        "without the factor 2": f1 / 2,
        "of the product": precision * recall,
    }
    ask.expect("precision", found[0], precision, 1e-9, precision_mistakes | both)
    ask.expect("recall", found[1], recall, 1e-9, recall_mistakes | both)
    ask.expect("F1", found[2], f1, 1e-9, f1_mistakes | both)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _bare(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


@st.composite
def micro_batches(draw: st.DrawFn) -> tuple[list[np.ndarray], ...]:
    """The gradients of single samples, cut into micro-batches (count, D)."""
    columns, batches = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    counts = [draw(st.integers(1, 4)) for _ in range(batches)]
    return ([draw(table(NUMBERS, count, columns)) for count in counts],)


@exercise("accumulate(gradients, counts)", drawn=micro_batches())
def accumulate(ask: Ask, drawn: tuple[list[np.ndarray], ...]) -> None:
    """It must be the mean of the gradients of all samples, taken at once."""
    samples = drawn[0]
    counts = np.array([len(each) for each in samples])
    gradients = np.array([each.mean(axis=0) for each in samples])  # (K, D)
    truth = np.concatenate(samples).mean(axis=0)
    weighted = counts @ gradients
    mistakes = {
        "of the plain sum: up to K times as long": gradients.sum(axis=0),
        "of the plain mean: right only where all counts are equal": gradients.mean(axis=0),
        "without the division by the count of all": weighted,
        "when it is divided by K, not by the count of all": weighted / len(counts),
        "when each is divided by its count: it was a mean already": (
            (gradients / counts[:, None]).sum(axis=0)
        ),
        "when it is averaged over the parameters too": truth.mean(),
        "of one axis too many: the counts weigh the rows": weighted[None] / counts.sum(),
    }
    ask.expect("the gradient", ask(gradients, counts), truth, 1e-9, mistakes)


@st.composite
def courses(draw: st.DrawFn) -> tuple[list[float], int]:
    """Validation losses by epoch, with ties, and a patience."""
    loss = st.sampled_from([1.0, 2.0, 0.5, 0.25, 0.75, 3.0, 1.5])
    all_different = st.lists(loss, min_size=1, max_size=7, unique=True)
    return draw(all_different | st.lists(loss, min_size=1, max_size=7)), draw(st.integers(1, 3))


@exercise("early_stop(losses, patience)", drawn=courses())
def early_stop(ask: Ask, drawn: tuple[list[float], int]) -> None:
    """The first epoch whose last `patience` losses are all no lower than the lowest before them."""
    losses, patience = drawn
    stop, best = ask.parts(ask(losses, patience), "stop", "best")
    truth = _stop(losses, patience)
    wrong = {name: rule(losses, patience) for name, rule in WRONG_RULES.items()}
    wrong = _that_fit((stop, best), wrong)
    mistakes = ({name: value[i] for name, value in wrong.items()} for i in range(2))
    ask.expect("stop", stop, truth[0], 1e-9, next(mistakes))
    ask.expect("best", best, truth[1], 1e-9, next(mistakes))


def _stop(losses: list[float], patience: int) -> tuple[int, int]:
    """By looking at each epoch afresh, with no counter."""
    for stop in range(patience, len(losses)):
        earlier, last = losses[: stop - patience + 1], losses[stop - patience + 1 : stop + 1]
        if min(last) >= min(earlier):
            return stop, earlier.index(min(earlier))
    return len(losses) - 1, losses.index(min(losses))


def _by_counter(
    losses: list[float],
    patience: int,
    against_last: bool = False,
    ties: bool = False,
    restart: bool = True,
) -> tuple[int, int]:
    """A counter of failures, with a part of the rule that can be wrong."""
    best, worse = 0, 0
    for epoch in range(1, len(losses)):
        bar = losses[epoch - 1] if against_last else losses[best]
        if losses[epoch] < bar or (ties and losses[epoch] == bar):
            best, worse = epoch, worse * (not restart)
        else:
            worse += 1
        if worse >= patience:
            return epoch, best
    return len(losses) - 1, best


WRONG_RULES = {
    "when each loss is held against the one before it: the lowest so far is the bar": (
        lambda losses, p: _by_counter(losses, p, against_last=True)
    ),
    "with one epoch of patience too many": lambda losses, p: _by_counter(losses, p + 1),
    "with one epoch of patience too few": lambda losses, p: _stop(losses, max(p - 1, 1)),
    "when an equal loss counts as better": lambda losses, p: _by_counter(losses, p, ties=True),
    "when failures add up over the run: a new lowest starts the count again": (
        lambda losses, p: _by_counter(losses, p, restart=False)
    ),
    "when the stop is given as best: the weights of the lowest loss are wanted": (
        lambda losses, p: (_stop(losses, p)[0],) * 2
    ),
    "when the lowest of all losses is taken: after the stop nobody looks": (
        lambda losses, p: (_stop(losses, p)[0], losses.index(min(losses)))
    ),
    "when stop and best are exchanged": lambda losses, p: _stop(losses, p)[::-1],
    "when epochs count from 1: here they count from 0": (
        lambda losses, p: tuple(each + 1 for each in _stop(losses, p))
    ),
    "when the run never stops": lambda losses, p: (len(losses) - 1, losses.index(min(losses))),
}
"""What is done wrong → the rule that does it."""


EXERCISES = [min_max, soft_threshold, precision_recall_f1, accumulate, early_stop]
