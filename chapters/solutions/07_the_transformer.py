"""Answers to the exercises of chapter 07; try yourself first."""

import numpy as np


def shift_right(labels, start, pad):
    """Place t reads the label of place t − 1; the loss never looks at what stands at −100."""
    first = np.full((len(labels), 1), start)
    shifted = np.concatenate([first, labels[:, :-1]], axis=1)
    return np.where(shifted == -100, pad, shifted)


def cross_mask(ids, pad, T):
    """The same row for each of the T places; the source is not causal."""
    return np.repeat((ids != pad)[:, None, :], T, axis=1)


def layer_norm(x):
    """Each row by its own mean and variance; ε keeps a row of equal numbers at 0."""
    x = x - x.mean(axis=-1, keepdims=True)
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + 1e-5)


def post_norm_block(x, attend, feed):
    """Each sublayer in its sum, each sum in its norm."""
    x = layer_norm(x + attend(x))
    return layer_norm(x + feed(x))


def greedy(step, start, end, most):
    """step reads all that was written, start included; only what is new is returned."""
    ids = [start]
    for _ in range(most):
        ids.append(int(np.argmax(step(ids))))
        if ids[-1] == end:
            break
    return ids[1:]


def beam_step(scores, log_probs):
    """All K·V continuations in one row: place p is that of beam p // V with id p % V."""
    width, signs = log_probs.shape
    every = (scores[:, None] + log_probs).ravel()
    best = np.argsort(-every)[:width]
    return every[best], best // signs, best % signs
