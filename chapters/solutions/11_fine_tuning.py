"""Answers to the exercises of chapter 11; try yourself first."""

import numpy as np


def three_parts(labels, texts, order):
    """Class by class over its different texts; a row goes where its text goes."""
    parts = np.zeros(len(texts), dtype=int)
    for label in set(labels.tolist()):
        met = list(dict.fromkeys(texts[row] for row in order if labels[row] == label))
        few = len(met) // 4
        part_of = dict.fromkeys(met[:few], 2) | dict.fromkeys(met[few : 2 * few], 1)
        for row in np.flatnonzero(labels == label):
            parts[row] = part_of.get(texts[row], 0)
    return parts


def mean_gradient(g, mask):
    """Each of n words has the weight 1/n in its text's mean, and so of the gradient."""
    words = np.maximum(mask.sum(axis=1, keepdims=True), 1.0)  # a text without words: 0/1
    return (mask / words)[:, :, None] * g[:, None, :]


def lora_gradients(X, W, A, B, s, G):
    """All that is made is as wide as X, as Y or as the rank (G17)."""
    low, back = s * (X @ A), s * (G @ B.T)  # (N, r)
    return X @ W + low @ B, G @ W.T + back @ A.T, X.T @ back, low.T @ G


def average(logits):
    """A softmax of each model first, then the mean over the models (F67)."""
    powers = np.exp(logits - logits.max(axis=2, keepdims=True))
    return (powers / powers.sum(axis=2, keepdims=True)).mean(axis=0)


def report(table):
    """By the counts, as in chapter 03b: only a class never predicted makes a 0/0."""
    hits, there, called = np.diag(table), table.sum(axis=1), table.sum(axis=0)
    f1 = 2 * hits / (there + called)
    return hits / np.maximum(called, 1), hits / there, f1, f1.mean()
