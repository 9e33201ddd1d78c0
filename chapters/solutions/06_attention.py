"""Answers to the exercises of chapter 06; try yourself first."""

import numpy as np


def attention(Q, K, V, seen):
    """−∞ before the softmax; a row without any key has 0 for its sum, and divides by 1."""
    scores = np.where(seen, Q @ K.T / np.sqrt(K.shape[1]), -np.inf)
    top = scores.max(axis=1, keepdims=True)
    weights = np.exp(scores - np.where(np.isfinite(top), top, 0.0))
    total = weights.sum(axis=1, keepdims=True)
    return weights / np.where(total == 0.0, 1.0, total) @ V


def decoder_mask(ids, pad):
    """A token passes both masks or is not seen: (1, T, T) and (B, 1, T)."""
    length = ids.shape[1]
    past = np.tri(length, dtype=bool)
    return past & (ids != pad)[:, None, :]


def split_heads(x, heads):
    """The features are split where they lie; then the axis of heads goes before the tokens."""
    texts, tokens, width = x.shape
    return x.reshape(texts, tokens, heads, width // heads).swapaxes(1, 2)


def sinusoidal(length, width):
    """Sines at the even columns, cosines at the odd ones; a pair has one rate."""
    angles = np.arange(length)[:, None] * 10000.0 ** (-np.arange(0, width, 2) / width)
    table = np.empty((length, width))
    table[:, 0::2], table[:, 1::2] = np.sin(angles), np.cos(angles)
    return table


def layer_norm_backward(x, gamma, g):
    """Take from ĝ what points along (1, …, 1) and along x̂; γ and β collect over the rows."""
    centred = x - x.mean(axis=1, keepdims=True)
    s = np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
    normed, scaled = centred / s, gamma * g
    along = (scaled * normed).mean(axis=1, keepdims=True)
    dx = (scaled - scaled.mean(axis=1, keepdims=True) - normed * along) / s
    return dx, (g * normed).sum(axis=0), g.sum(axis=0)
