"""Answers to the exercises of chapter 09; try yourself first."""

import numpy as np


def hide(ids, may, choose, fate, drawn, mask):
    """Three fates for the selected tokens; the labels know the selected ones alone."""
    selected = may & (choose < 0.15)
    changed = np.where(fate < 0.8, mask, np.where(fate < 0.9, drawn, ids))
    return np.where(selected, changed, ids), np.where(selected, ids, -100)


def second(text_of, first, follows, drawn):
    """A random B is from another text, and follows something there, as every other B does."""
    if follows:
        return first + 1
    follower = np.append(False, text_of[1:] == text_of[:-1])
    others = np.flatnonzero((text_of != text_of[first]) & follower)
    return int(others[int(len(others) * drawn)])


def nll(scores, classes):
    """−log softmax of the right class, for scores (N, K); the largest score is subtracted."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    log_total = np.log(np.exp(shifted).sum(axis=1))
    return log_total - shifted[np.arange(len(classes)), classes]


def joint_loss(Z, labels, z, pair_labels):
    """Two means: one over the hidden words, one over the pairs."""
    asked = labels != -100
    return nll(Z[asked], labels[asked]).mean() + nll(z, pair_labels).mean()


def whole_words(tokens, choose):
    """A piece that continues a word takes over what was said of the piece before it."""
    selected = np.zeros(len(tokens), dtype=bool)
    inside = False  # whether the token before this one was a piece of a word
    for i, token in enumerate(tokens):
        goes_on = inside and token.startswith("##")
        inside = token not in ("[CLS]", "[SEP]", "[PAD]")
        selected[i] = inside and (selected[i - 1] if goes_on else choose[i] < 0.15)
    return selected
