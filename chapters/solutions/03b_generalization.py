"""Answers to the exercises of chapter 03b; try yourself first."""

import numpy as np


def min_max(train, test):
    """Both by the training part's own least and greatest value of each column (F53).

    A column that is constant in training has no range: divide by 1, which makes it 0 there.
    """
    low = train.min(axis=0)
    span = train.max(axis=0) - low
    constant = span == 0.0
    span = np.where(constant, 1.0, span)
    return tuple(np.where(constant, 0.0, (part - low) / span) for part in (train, test))


def soft_threshold(w, t):
    """What is left of w after taking off what lies within ±t (F64)."""
    return w - np.clip(w, -t, t)


def precision_recall_f1(true, predicted, cls):
    """F1 from the counts, so that only one 0/0 is left to look at: 2TP/(2TP + FP + FN)."""
    hits = np.sum((true == cls) & (predicted == cls))
    called, there = np.sum(predicted == cls), np.sum(true == cls)
    return hits / max(called, 1), hits / max(there, 1), 2 * hits / max(called + there, 1)


def accumulate(gradients, counts):
    """Undo each mean by its count, add, and divide once by the count of all (F66)."""
    return counts @ gradients / counts.sum()


def early_stop(losses, patience):
    """Walk along the losses; the count of failures starts again at each new lowest."""
    best, worse = 0, 0
    for epoch in range(1, len(losses)):
        if losses[epoch] < losses[best]:
            best, worse = epoch, 0
        else:
            worse += 1
        if worse == patience:
            return epoch, best
    return len(losses) - 1, best
