"""A model over a whole dataset without learning: mean loss, accuracy, predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from tinygrad_llm.backend import to_host
from tinygrad_llm.nn import Module, evaluating
from tinygrad_llm.training.batches import IGNORED, Batch, Part, Result, labels_of, parts_of

Metrics = dict[str, float]
ComputeMetrics = Callable[[np.ndarray, np.ndarray], Metrics]
"""compute_metrics(predictions (N, ...), labels (N, ...)) -> numbers by name."""

BatchMetrics = Callable[[Batch, Any], dict[str, tuple[float, int]]]
"""batch_metrics(batch, the model's answer) -> for each name a sum, and how many are in it."""


class Predictions(NamedTuple):
    """What a model said about a dataset: (N, ...) and the labels (N, ...), in the data's order."""

    predictions: np.ndarray
    labels: np.ndarray | None
    metrics: Metrics


def evaluate(
    model: Module,
    batches: Iterable[Batch],
    forward: Callable[[Batch], Result],
    compute_metrics: ComputeMetrics | None,
    keep: bool = False,
    batch_metrics: BatchMetrics | None = None,
) -> Predictions:
    """The mean loss over all targets, as {"loss": …}, where there are labels (of a joint loss the
    sum of such means, each over the targets of its own part); the accuracy where outputs are scores
    of classes; with `compute_metrics` what that says, which needs all outputs at once; with
    `batch_metrics` the means of what that gives, batch by batch, where no array outlives its batch.
    keep: outputs in any case.
    """
    means, losses, right, judged = _Means(), _Means(), 0, 0
    outputs: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    with evaluating(model):
        for batch in batches:
            result = forward(batch)
            if result.loss is not None:
                losses.add(_sums(parts_of(result, batch)))
            truth = labels_of(batch)
            hits, counted = _hits(result, truth)
            right, judged = right + hits, judged + counted
            if batch_metrics is not None:
                means.add(batch_metrics(batch, result.answer))
            if (keep or compute_metrics) and result.outputs is not None:
                outputs.append(result.outputs.numpy().copy())
                labels += [] if truth is None else [to_host(truth)]
    metrics = {"loss": sum(losses.values().values())} if losses.values() else {}
    if judged:
        metrics["accuracy"] = right / judged
    said = _joined(outputs) if outputs else np.zeros(0)
    true = _joined(labels) if labels else None
    if compute_metrics is not None and true is not None:
        if not outputs:
            raise TypeError("compute_metrics needs outputs: compute_loss must give (loss, outputs)")
        metrics |= _numbers(compute_metrics(said, true))
    return Predictions(said, true, metrics | means.values())


def _sums(parts: list[Part]) -> dict[str, tuple[float, int]]:
    return {f"part {i}": (loss.item() * count, count) for i, (loss, count) in enumerate(parts)}


class _Means:
    """Sums and counts by name, added up over batches."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def add(self, found: Any) -> None:
        """Those of one batch. Raises TypeError for what is no dict of pairs."""
        for name, pair in _pairs(found).items():
            total, count = pair
            self._sums[name] = self._sums.get(name, 0.0) + float(total)
            self._counts[name] = self._counts.get(name, 0) + int(count)

    def values(self) -> Metrics:
        """The mean by name, where anything was counted."""
        return {name: self._sums[name] / count for name, count in self._counts.items() if count}


def _pairs(found: Any) -> dict[str, tuple[float, int]]:
    pairs = isinstance(found, dict) and all(
        isinstance(each, tuple) and len(each) == 2 for each in found.values()
    )
    if not pairs:
        raise TypeError(
            "batch_metrics gives a dict of pairs (sum, count), as {'accuracy': (right, asked)}; "
            f"not {found!r}"
        )
    return found


def _numbers(found: Any) -> Metrics:
    if not isinstance(found, dict):
        raise TypeError(f"compute_metrics gives a dict of numbers, not {type(found).__name__}")
    return {str(name): float(value) for name, value in found.items()}


def _hits(result: Result, labels: Any) -> tuple[int, int]:
    """(right, judged) where outputs are scores (..., classes) and labels whole numbers (...).

    Where the model has counted its targets itself, the score at a place may be for another place's
    label; then only labels of whole rows are judged.
    """
    if labels is None or labels.dtype.kind not in "iu":
        return 0, 0
    if result.targets is not None and labels.ndim > 1:
        return 0, 0
    outputs = result.outputs
    if outputs is None or outputs.shape[:-1] != labels.shape or outputs.shape[-1] < 2:
        return 0, 0
    labels, said = to_host(labels), to_host(outputs.data.argmax(axis=-1))
    judged = labels != IGNORED
    return int(((said == labels) & judged).sum()), int(judged.sum())


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """Batches one after the other; where they were padded to different lengths, a list of rows."""
    if len({part.shape[1:] for part in parts}) == 1:
        return np.concatenate(parts)
    rows = [row for part in parts for row in part]
    together = np.empty(len(rows), dtype=object)
    for i, row in enumerate(rows):
        together[i] = row
    return together
