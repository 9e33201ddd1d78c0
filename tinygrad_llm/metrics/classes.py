"""How well predicted classes agree with the true ones.

Names, arguments and results are those of `sklearn.metrics`; but whole floats are taken as the
integers that they are, so that a report says 1 and not 1.0. Class c has TP rows that are rightly
called c, FP that are wrongly called c, and FN that are c and called something else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_llm._text import rjust, width
from tinygrad_llm.backend import to_host
from tinygrad_llm.tensor import Tensor

Labels = Any
"""(N,) labels, all whole numbers (or booleans) or all strings: a list, an array or a Tensor."""

AVERAGES = (None, "binary", "micro", "macro", "weighted")

MEASURES = ("precision", "recall", "f1-score", "support")
"""The columns of a report."""

Row = tuple[str, tuple]
"""Of a report: the class or average, and its scores and number of rows."""


def accuracy_score(y_true: Labels, y_pred: Labels) -> float:
    """The share of rows whose class is the predicted one, from 0 to 1  (F57, F80).

    Where one class is rare it says little: who never finds the 5 % that are ill is right in 95 %.
    Raises ValueError for no rows, unequal lengths and other shapes than (N,), as logits (N, C) have
    (F69: take their argmax), TypeError for labels that are neither whole numbers nor strings.
    """
    true, predicted = _pair(y_true, y_pred)
    return float(np.mean(true == predicted))


def confusion_matrix(
    y_true: Labels,
    y_pred: Labels,
    *,
    labels: Labels | None = None,
    normalize: str | None = None,
) -> np.ndarray:
    """How often class i was taken for class j: counts[i, j], (C, C) int64.

    labels: the classes in their order; all that are met, sorted, when None. A row with a class
        that is not among them is left out.
    normalize: "true" for shares of the row, "pred" of the column, "all" of the whole, as float64;
        an empty row or column is 0.
    Raises as `accuracy_score` does, and ValueError where none of `labels` is true anywhere.
    """
    if normalize not in (None, "true", "pred", "all"):
        raise ValueError(f"normalize is 'true', 'pred', 'all' or None, not {normalize!r}")
    true, predicted = _pair(y_true, y_pred)
    names = _classes(true, predicted, labels)
    rows, columns = _places(true, names), _places(predicted, names)
    if (rows < 0).all():
        raise ValueError(f"none of the labels {names.tolist()} is in y_true: name one that is")
    kept = (rows >= 0) & (columns >= 0)
    cells = rows[kept] * len(names) + columns[kept]
    counts = np.bincount(cells, minlength=len(names) ** 2).reshape(len(names), len(names))
    if normalize is None:
        return counts
    whole = counts.sum(axis={"true": 1, "pred": 0, "all": None}[normalize], keepdims=True)
    return counts / np.maximum(whole, 1)


def precision_recall_fscore_support(
    y_true: Labels,
    y_pred: Labels,
    *,
    beta: float = 1.0,
    labels: Labels | None = None,
    pos_label: int | str = 1,
    average: str | None = None,
    zero_division: float = 0.0,
) -> tuple[Any, Any, Any, np.ndarray | None]:
    """Precision, recall, F score and the number of true rows, by class or averaged  (F58–F60).

        precision = TP / (TP + FP)      of those called c, how many are
        recall    = TP / (TP + FN)      of those that are c, how many are found
        F_β       = (1 + β²) TP / ((1 + β²) TP + β² FN + FP);  F_1 = 2PR / (P + R)

    average: None gives arrays (C,) in the order of `labels` (all classes that are met, sorted, when
            None); the others give three floats, and None for the number of rows.
        "macro": the mean over the classes, each the same. "weighted": each by its true rows.
        "micro": TP, FP and FN are summed over the classes first; over all classes this is accuracy.
        "binary": of the class `pos_label` alone; there must be two classes at most.
    zero_division: 0.0, 1.0 or nan, the value of 0/0: precision of a class that is never predicted,
        recall of one that is never true, F of one that is neither. Averages leave nan out.
    Raises as `accuracy_score` does, and ValueError for unknown settings.
    """
    _check_settings(average, zero_division, beta)
    true, predicted = _pair(y_true, y_pred)
    names = _classes(true, predicted, labels)
    if average == "binary":
        names = _positive(_classes(true, predicted, None), pos_label)
    count = _count(true, predicted, names)
    if average == "micro":
        count = _Count(*(np.array([each.sum()]) for each in count))
    precision, recall, f = _scores(count, beta, zero_division)
    if average is None:
        return precision, recall, f, count.true
    weights = count.true if average == "weighted" else None
    return _mean(precision, weights), _mean(recall, weights), _mean(f, weights), None


def precision_score(
    y_true: Labels,
    y_pred: Labels,
    *,
    labels: Labels | None = None,
    pos_label: int | str = 1,
    average: str | None = "binary",
    zero_division: float = 0.0,
) -> Any:
    """TP / (TP + FP): of those called c, how many are  (F58).

    Settings, results and errors as in `precision_recall_fscore_support`.
    """
    return _one_score(0, y_true, y_pred, labels, pos_label, average, zero_division)


def recall_score(
    y_true: Labels,
    y_pred: Labels,
    *,
    labels: Labels | None = None,
    pos_label: int | str = 1,
    average: str | None = "binary",
    zero_division: float = 0.0,
) -> Any:
    """TP / (TP + FN): of those that are c, how many are found  (F59).

    Settings, results and errors as in `precision_recall_fscore_support`.
    """
    return _one_score(1, y_true, y_pred, labels, pos_label, average, zero_division)


def f1_score(
    y_true: Labels,
    y_pred: Labels,
    *,
    labels: Labels | None = None,
    pos_label: int | str = 1,
    average: str | None = "binary",
    zero_division: float = 0.0,
) -> Any:
    """2 TP / (2 TP + FP + FN) = 2PR / (P + R), the harmonic mean of precision and recall  (F60).

    Settings, results and errors as in `precision_recall_fscore_support`.
    """
    return _one_score(2, y_true, y_pred, labels, pos_label, average, zero_division)


def classification_report(
    y_true: Labels,
    y_pred: Labels,
    *,
    labels: Labels | None = None,
    target_names: Sequence[str] | None = None,
    digits: int = 2,
    output_dict: bool = False,
    zero_division: float = 0.0,
) -> Any:
    """Precision, recall, F1 and number of rows of every class, and their averages, as a text.

    target_names: what the classes are called, in the order of `labels`. digits: after the point.
    output_dict: in place of the text {class: {"precision", "recall", "f1-score", "support"}, …},
        the averages among the classes, and "accuracy" as one number.
    "micro avg" stands in place of "accuracy" where `labels` leaves out a class that is met.
    The text is scikit-learn's but for two things: wide characters, as Chinese ones are, count as
    two columns, and a number of rows is always an integer (there it is 3.0 if no row is right).
    Raises as `precision_recall_fscore_support` does, and ValueError for a name too many or too few.
    """
    true, predicted = _pair(y_true, y_pred)
    classes = _classes(true, predicted, labels)
    names = [str(each) for each in (classes if target_names is None else target_names)]
    if len(names) != len(classes):
        raise ValueError(
            f"{len(names)} target_names for {len(classes)} classes {classes.tolist()}: "
            "give one of each, or say with labels which classes there are"
        )
    by_class: tuple = precision_recall_fscore_support(
        true, predicted, labels=classes, zero_division=zero_division
    )
    rows = list(zip(names, zip(*by_class)))
    means = _averages(true, predicted, classes, zero_division)
    return _as_dict(rows, means) if output_dict else _as_text(rows, means, digits)


def _one_score(place: int, y_true: Labels, y_pred: Labels, *settings: Any) -> Any:
    """Precision (place 0), recall (1) or F1 (2) alone, with the settings that all three have."""
    names = ("labels", "pos_label", "average", "zero_division")
    return precision_recall_fscore_support(y_true, y_pred, **dict(zip(names, settings)))[place]


class _Count(NamedTuple):
    """Of each class (C,) int64: TP, TP + FP and TP + FN."""

    hits: np.ndarray
    predicted: np.ndarray
    true: np.ndarray


def _count(true: np.ndarray, predicted: np.ndarray, names: np.ndarray) -> _Count:
    """The counts of the classes `names`; a class of a row that is not among them is an error of it,
    while `confusion_matrix` leaves such a row out."""
    rows, columns = _places(true, names), _places(predicted, names)
    found = (rows[rows == columns], columns, rows)
    return _Count(*(np.bincount(each[each >= 0], minlength=len(names)) for each in found))


def _scores(count: _Count, beta: float, zero_division: float) -> tuple[np.ndarray, ...]:
    precision = _divide(count.hits, count.predicted, zero_division)
    recall = _divide(count.hits, count.true, zero_division)
    if math.isinf(beta):
        return precision, recall, recall
    square = float(beta) ** 2
    whole = square * count.true + count.predicted
    return precision, recall, _divide((1 + square) * count.hits, whole, zero_division)


def _divide(part: np.ndarray, whole: np.ndarray, zero_division: float) -> np.ndarray:
    return np.where(whole == 0, zero_division, part / np.where(whole == 0, 1, whole))


def _mean(scores: np.ndarray, weights: np.ndarray | None) -> float:
    """The mean over those that are a number; where all weights are 0, they all count the same."""
    known = ~np.isnan(scores)
    if not known.any():
        return math.nan
    if weights is None or not weights[known].any():
        return float(np.mean(scores[known]))
    return float(np.average(scores[known], weights=weights[known]))


def _check_settings(average: str | None, zero_division: float, beta: float) -> None:
    if average not in AVERAGES:
        raise ValueError(f"average is one of {AVERAGES}, not {average!r}")
    if not isinstance(zero_division, (int, float)) or not (
        zero_division in (0, 1) or math.isnan(zero_division)
    ):
        raise ValueError(f"zero_division is 0.0, 1.0 or nan, not {zero_division!r}")
    if not beta >= 0:
        raise ValueError(f"beta is 0 or more, not {beta!r}")


def _positive(met: np.ndarray, pos_label: int | str) -> np.ndarray:
    """The one class that is scored under average="binary"."""
    if len(met) > 2:
        raise ValueError(
            f"average='binary' needs two classes, not {len(met)}: say average='macro', 'micro', "
            "'weighted' or None"
        )
    same_kind = isinstance(pos_label, str) == (met.dtype.kind == "U")
    if not same_kind or (len(met) == 2 and pos_label not in met.tolist()):
        raise ValueError(f"pos_label={pos_label!r} is not among the labels {met.tolist()}")
    return np.array([pos_label])


def _pair(y_true: Labels, y_pred: Labels) -> tuple[np.ndarray, np.ndarray]:
    """Both as (N,) arrays of one kind of labels."""
    true, predicted = _labels(y_true, "y_true"), _labels(y_pred, "y_pred")
    if len(true) != len(predicted):
        raise ValueError(
            f"y_true has {len(true)} labels and y_pred {len(predicted)}: give one of each a row"
        )
    _check_kinds(true, predicted, "y_pred")
    return true, predicted


def _check_kinds(true: np.ndarray, other: np.ndarray, name: str) -> None:
    kinds = ["strings" if each.dtype.kind == "U" else "numbers" for each in (true, other)]
    if kinds[0] != kinds[1]:
        raise TypeError(f"y_true holds {kinds[0]}, {name} {kinds[1]}: give one kind of labels")


def _classes(true: np.ndarray, predicted: np.ndarray, labels: Labels | None) -> np.ndarray:
    """The classes (C,) in order: `labels`, or all that are met."""
    if labels is None:
        return np.unique(np.concatenate([true, predicted]))
    names = _labels(labels, "labels")
    _check_kinds(true, names, "labels")
    found, counts = np.unique(names, return_counts=True)
    if counts.max() > 1:
        raise ValueError(f"labels: {found[counts.argmax()].item()!r} stands there twice")
    return names


def _places(values: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Where each value stands in `names`; −1 for one that does not."""
    order = np.argsort(names, kind="stable")
    places = np.minimum(np.searchsorted(names[order], values), len(names) - 1)
    return np.where(names[order][places] == values, order[places], -1)


def _labels(values: Labels, name: str) -> np.ndarray:
    """`values` as an array (N,) of int64, booleans or strings, N > 0."""
    array = _array(values, name)
    if array.size == 0:
        raise ValueError(f"{name} is empty: give at least one label")
    if array.ndim == 2 and array.dtype.kind in "iubf":
        raise ValueError(
            f"{name} has shape {array.shape}, where one class a row is needed: of logits (N, C) "
            "take .argmax(axis=-1), of labels of tokens (B, T) .reshape(-1)"
        )
    if array.ndim != 1:
        raise ValueError(f"{name} has shape {array.shape}: give one label a row, (N,)")
    if array.dtype.kind == "f" and _is_whole(array):
        return array.astype(np.int64)
    if array.dtype.kind not in "iubU":
        raise TypeError(
            f"{name}: labels are integers or strings, not {array.dtype}; "
            "of probabilities take the class first"
        )
    return array.astype(np.int64) if array.dtype.kind in "iu" else array


def _is_whole(array: np.ndarray) -> bool:
    """Whether all are whole and so small that no two integers are one float."""
    return bool(np.all((np.abs(array) <= 2**53) & (np.rint(array) == array)))


def _array(values: Labels, name: str) -> np.ndarray:
    if isinstance(values, Tensor):
        return values.numpy()
    if isinstance(values, (list, tuple)):
        values = [each.numpy() if isinstance(each, Tensor) else each for each in values]
        if len({isinstance(each, str) for each in values}) > 1:
            raise TypeError(f"{name}: strings and numbers are mixed: give one kind of labels")
    try:
        array = to_host(values)
    except ValueError as error:
        raise ValueError(f"{name}: the rows are not of equal lengths: give one label") from error
    is_text = array.dtype.kind == "O" and all(isinstance(each, str) for each in array.flat)
    return array.astype(str) if is_text else array


def _averages(
    true: np.ndarray, predicted: np.ndarray, classes: np.ndarray, zero_division: float
) -> list[Row]:
    """The last rows of a report."""
    rows: list[Row] = []
    for average in ("micro", "macro", "weighted"):
        scores = precision_recall_fscore_support(
            true, predicted, labels=classes, average=average, zero_division=zero_division
        )
        rows.append((f"{average} avg", (*scores[:3], np.isin(true, classes).sum())))
    if np.isin(_classes(true, predicted, None), classes).all():
        rows[0] = ("accuracy", rows[0][1])
    return rows


def _as_dict(rows: list[Row], means: list[Row]) -> dict[str, Any]:
    report: dict[str, Any] = {
        name: dict(zip(MEASURES, map(float, scores))) for name, scores in rows + means
    }
    if means[0][0] == "accuracy":
        report["accuracy"] = report["accuracy"]["precision"]
    return report


def _as_text(rows: list[Row], means: list[Row], digits: int) -> str:
    first = max(len("weighted avg"), digits, *(width(name) for name, _ in rows))

    def line(name: str, cells: Sequence[str]) -> str:
        return f"{rjust(name, first)} " + "".join(f" {cell:>9}" for cell in cells)

    def cells(scores: Sequence[float]) -> list[str]:
        return [f"{score:.{digits}f}" for score in scores[:3]] + [str(scores[3])]

    classes, averages = ([line(name, cells(scores)) for name, scores in p] for p in (rows, means))
    if means[0][0] == "accuracy":
        averages[0] = line("accuracy", ["", "", *cells(means[0][1])[2:]])
    return "\n".join([line("", MEASURES), "", *classes, "", *averages, ""])
