"""Several models as one: the mean of their probabilities, and what it is worth (F67)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_llm.models.outputs import IGNORED, class_labels

SUMS = 1e-3
"""By how much a row of probabilities may miss 1; float16 rounds a row of many classes so far."""


def mean_probabilities(outputs: Sequence[Any], from_logits: bool = True) -> np.ndarray:
    """Of several models' outputs, (N, C) each, the mean probabilities (N, C) in float64 (F67).

    from_logits: whether they are logits, of which the softmax is taken first, or probabilities. Not
    the logits are averaged: a model whose logits are twice as large would count twice.
    That is the chance of a class when one of the models is drawn and asked; its negative
    log-likelihood is at most the mean of theirs (Jensen: −log is convex).

    Raises ValueError for no outputs, other or different shapes, numbers that are not finite, and
    for what are no probabilities; TypeError for what are no floating point arrays.
    """
    members = [np.asarray(each) for each in outputs]
    _check(members)
    full = [each.astype(np.float64) for each in members]
    return np.mean([_softmax(each) if from_logits else _checked(each) for each in full], axis=0)


def negative_log_likelihood(probabilities: Any, labels: Any) -> float:
    """The mean of −log p of the true class: probabilities (N, C), labels (N,), −100 where none
    counts. inf where a true class was said to be impossible.

    Raises ValueError for other shapes, for what are no probabilities, and where no label counts;
    TypeError for labels that are no integers; IndexError for a class that does not exist.
    """
    array = np.asarray(probabilities)
    _check([array])
    full = _checked(array.astype(np.float64))
    labels = class_labels("labels", labels, full.shape[:1], full.shape[1])
    counts = labels != IGNORED
    if not counts.any():
        raise ValueError(f"negative_log_likelihood: none of {len(labels)} labels counts")
    with np.errstate(divide="ignore"):  # −log 0 is inf, and so is the mean
        return float(-np.log(full[counts, labels[counts]]).mean())


def _check(members: list[np.ndarray]) -> None:
    """Refuse what are not finite floats (N, C) of one shape."""
    if not members:
        raise ValueError("mean_probabilities: there are no outputs: give those of each model")
    shape = members[0].shape
    for each in members:
        if each.dtype.kind != "f":
            raise TypeError(f"an ensemble: outputs are {each.dtype}: give NumPy arrays of floats")
        if each.shape != shape or each.ndim != 2 or not each.size:
            found = ", ".join(str(each.shape) for each in members[:4])
            raise ValueError(f"an ensemble: outputs are {found}: give (N, C) of each model")
        if not np.isfinite(each).all():
            raise ValueError("an ensemble: outputs are not finite: find the model that diverged")


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _checked(probabilities: np.ndarray) -> np.ndarray:
    """Probabilities as they are. Raises ValueError for what are none."""
    sums = probabilities.sum(axis=1)
    if probabilities.min() < 0.0 or np.abs(sums - 1.0).max() > SUMS:
        raise ValueError(
            f"an ensemble: rows of probabilities are at least 0 and sum to 1, not {sums[0]:.4g}: "
            "of logits take mean_probabilities(…, from_logits=True)"
        )
    return probabilities
