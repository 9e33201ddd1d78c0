"""What is said of rows against what is true of them: measures, and how sure one can be of each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from tinygrad_llm import metrics
from tinygrad_llm.metrics import Interval, wilson_interval

MODEL, BAG, MAJORITY, MEAN = "this model", "bag of words", "the most frequent class", "the mean"
"""The rows of a table; the baselines are given to a Result under these names."""

DRAWS = 1000
"""Of the bootstrap."""


@dataclass(frozen=True)
class Result:
    """What is true of N >= 1 rows, and what was said of them.

    labels, predicted: classes (N,), integers from 0 on, or numbers (N,), which become float64.
    names: of the classes; () for numbers. baselines: by BAG, MAJORITY or MEAN what each says of the
    same rows, (N,).
    Raises TypeError for classes that are no integers; ValueError for no rows, other shapes, a class
    without a name and numbers that are not finite.
    """

    labels: np.ndarray
    predicted: np.ndarray
    names: tuple[str, ...] = ()
    baselines: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given = {"labels": self.labels, "predicted": self.predicted, **self.baselines}
        for name, values in given.items():
            _check(name, values, self.labels.shape, len(self.names))
        if not self.names:  # squares of float32 may be beyond it
            full = {name: values.astype(np.float64) for name, values in given.items()}
            for name in ("labels", "predicted"):
                object.__setattr__(self, name, full.pop(name))
            object.__setattr__(self, "baselines", full)

    @property
    def said(self) -> dict[str, np.ndarray]:
        """What was said (N,), by who said it; this model first."""
        return {MODEL: self.predicted, **self.baselines}


class Figure(NamedTuple):
    """A measure, and its 95 % interval; None where these rows tell of none."""

    value: float
    interval: Interval | None


def predictions(task: str, logits: Any, names: Sequence[str] = ()) -> np.ndarray:
    """The classes (N,) int64 of logits (N, C), or numbers (N,) float64 of outputs (N,) or (N, 1).

    Raises ValueError for another task than "classification" and "regression", and other shapes.
    """
    logits = np.asarray(logits)
    expected = {"classification": (len(names),), "regression": (1,)}
    if task not in expected:
        raise ValueError(f"task is {task!r}; give 'classification' or 'regression'")
    if task == "regression" and logits.ndim == 1:
        logits = logits[:, None]
    if logits.ndim != 2 or logits.shape[1:] != expected[task]:
        wanted = f"(N, {expected[task][0]})"
        raise ValueError(f"logits are {logits.shape}; a {task} has {wanted} of its classes")
    return logits.argmax(axis=1) if task == "classification" else logits[:, 0].astype(np.float64)


def scores(task: str, labels: Any, logits: Any, names: Sequence[str] = ()) -> dict[str, float]:
    """For a Trainer: compute_metrics=lambda logits, labels: scores(task, labels, logits, names).

    Of classes, labels (N,) and logits (N, C): "accuracy", and "macro_precision", "macro_recall" and
    "macro_f1", the means over the classes that the labels have (F57–F60); of one that is never
    predicted the precision is 0. Of numbers: "mse", "mae", and Pearson's "r", nan where one side is
    constant. Raises ValueError as `predictions` and `Result`, TypeError as `Result`.
    """
    said, true = predictions(task, logits, names), np.asarray(labels)
    if task == "regression":
        both = Result(true.reshape(-1), said)
        return {name: measure(both.labels, said) for name, measure in OF_NUMBERS.items()}
    Result(true, said, tuple(names))
    means = metrics.precision_recall_fscore_support(
        true, said, labels=np.unique(true), average="macro"
    )
    macro = dict(zip(("macro_precision", "macro_recall", "macro_f1"), means))
    return {"accuracy": _accuracy(true, said), **macro}


def figures(result: Result) -> dict[str, dict[str, Figure]]:
    """By who said it, this model first, and by measure: "accuracy" and "macro F1", or "mse", "mae"
    and "r".

    The interval of an accuracy is Wilson's, of all else the middle 95 % of DRAWS bootstrap samples:
    rows drawn again from these, of each class as many as there are. Where few rows are of a class
    it is too narrow. Source: Efron & Tibshirani 1993, "An Introduction to the Bootstrap".
    """
    return {who: _figures(result, said) for who, said in result.said.items()}


def differences(result: Result) -> dict[str, Figure]:
    """By measure, this model less the bag of words; {} where none is among the baselines.

    The intervals are of pairs, as both said something of the same rows: of accuracies
    `paired_interval`, of all else the bootstrap of `figures`, which draws rows for both at once.
    """
    bag = result.baselines.get(BAG)
    return {} if bag is None else _figures(result, result.predicted, bag)


def paired_interval(first: Any, second: Any) -> Interval:
    """Where the difference of two shares lies, by two answers to each of N questions.

    first, second: booleans (N,), whether each was right. 95 %, and of some width even where both
    are always right, as Wilson's intervals are, which it is made of.
    Source: Newcombe 1998, "Improved confidence intervals for the difference between binomial
    proportions based on paired data", method 10.
    """
    first, second = np.asarray(first), np.asarray(second)
    n, hits, others = len(first), int(first.sum()), int(second.sum())
    p, q = hits / n, others / n
    a, b = wilson_interval(hits, n), wilson_interval(others, n)
    phi = _correlation(first, second)
    squares = (
        x * x - 2 * phi * x * y + y * y
        for x, y in ((p - a.low, b.high - q), (a.high - p, q - b.low))
    )
    below, above = (math.sqrt(max(square, 0.0)) for square in squares)
    return Interval(p - q - below, p - q + above)


def _check(name: str, values: np.ndarray, shape: tuple[int, ...], classes: int) -> None:
    """Refuse what are no classes, or no numbers, one for each row."""
    if values.ndim != 1 or values.shape != shape or not values.size:
        raise ValueError(
            f"{name} {values.shape} for labels {shape}; give one each of 1 row or more"
        )
    if not classes:
        if not np.isfinite(values).all():
            raise ValueError(f"{name} are not all finite: find the row, or the model that diverged")
    elif values.dtype.kind not in "iu":
        raise TypeError(f"{name} are {values.dtype}; give classes as integers")
    elif values.min() < 0 or values.max() >= classes:
        bad = int(values.min() if values.min() < 0 else values.max())
        raise ValueError(f"{name}: class {bad} has no name; there are {classes}, from 0 on")


def _accuracy(true: np.ndarray, said: np.ndarray) -> float:
    return float(np.mean(true == said))


def _macro_f1(true: np.ndarray, said: np.ndarray) -> float:
    """As `scores` has it, F60, but fast, for a thousand samples."""
    size = int(max(true.max(), said.max())) + 1
    hits, rows, named = (
        np.bincount(each, minlength=size) for each in (true[true == said], true, said)
    )
    there = rows > 0
    return float(np.mean(2 * hits[there] / (rows + named)[there]))


def _mse(true: np.ndarray, said: np.ndarray) -> float:
    return float(np.mean((said - true) ** 2))


def _mae(true: np.ndarray, said: np.ndarray) -> float:
    return float(np.mean(np.abs(said - true)))


def _pearson(true: np.ndarray, said: np.ndarray) -> float:
    """The correlation; nan where one of them is constant."""
    if np.ptp(true) == 0.0 or np.ptp(said) == 0.0:
        return math.nan
    return float(np.corrcoef(true, said)[0, 1])


Measure = Callable[[np.ndarray, np.ndarray], float]

OF_CLASSES: dict[str, Measure] = {"accuracy": _accuracy, "macro F1": _macro_f1}
OF_NUMBERS: dict[str, Measure] = {"mse": _mse, "mae": _mae, "r": _pearson}


def measures_of(result: Result) -> dict[str, Measure]:
    """Those of its kind, by name: of classes, or of numbers."""
    return OF_CLASSES if result.names else OF_NUMBERS


def _figures(result: Result, said: np.ndarray, less: np.ndarray | None = None) -> dict[str, Figure]:
    """The measures of what was said, or of it less those of something else."""
    true, found = result.labels, {}
    for name, measure in measures_of(result).items():

        def value(rows: Any, measure: Measure = measure) -> float:
            other = 0.0 if less is None else measure(true[rows], less[rows])
            return measure(true[rows], said[rows]) - other

        if name != "accuracy":
            interval = _bootstrapped(result, value)
        elif less is None:
            interval = wilson_interval(int((said == true).sum()), len(true))
        else:
            interval = paired_interval(said == true, less == true)
        found[name] = Figure(value(slice(None)), interval)
    return found


def _bootstrapped(result: Result, value: Callable[[np.ndarray], float]) -> Interval | None:
    """The middle 95 % of a value over samples of the rows; None where all samples agree, as such
    rows tell nothing of others, and where one of them has no value."""
    found = np.array([value(rows) for rows in _samples(result)])
    if not np.isfinite(found).all() or np.ptp(found) == 0.0:
        return None
    return Interval(*(float(end) for end in np.percentile(found, (2.5, 97.5))))


def _samples(result: Result) -> Iterator[np.ndarray]:
    """DRAWS times N rows, drawn from those of the same class; the same ones at each call."""
    rng = np.random.default_rng(0)
    groups = result.labels if result.names else np.zeros(len(result.labels), np.int64)
    order = np.argsort(groups, kind="stable")
    sizes = np.bincount(groups)
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    highs = np.repeat(sizes, sizes)
    for _ in range(DRAWS):
        yield order[starts + rng.integers(highs)]


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """φ of two answers, where it is positive with Newcombe's correction for few rows."""
    n, a, b = len(first), int(first.sum()), int(second.sum())
    both = int((first & second).sum())
    excess: float = both * n - a * b  # both right · both wrong − the one · the other alone
    if excess > 0:
        excess = max(excess - n / 2, 0.0)
    spread = a * (n - a) * b * (n - b)
    return excess / math.sqrt(spread) if spread else 0.0
