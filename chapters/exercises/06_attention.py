"""Property tests for the exercises of chapter 06."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from chapters.checks import Ask, exercise
from tinygrad_llm.formulas.attention import masked_attention
from tinygrad_llm.formulas.blocks import EPSILON, layer_norm
from tinygrad_llm.formulas.neuron import softmax
from tinygrad_llm.formulas.numeric import numeric_gradients

NUMBERS = [0.0, 1.0, -1.0, 2.0, 0.5]
LARGE = [0.0, 1.0, -1.0, 2.0, 30.0]
"""A product of two of them, 900, is more than exp can take."""

VALUES = [1.0, 2.0, -1.0, 3.0]


def table(numbers: list[Any], *shape: int) -> st.SearchStrategy:
    """Arrays of this shape whose elements are some of the numbers."""
    return arrays(np.asarray(numbers).dtype, shape, elements=st.sampled_from(numbers))


@st.composite
def questions(draw: st.DrawFn) -> tuple[np.ndarray, ...]:
    """Q (T, d), K (S, d), V (S, E) and seen (T, S)."""
    T, S, width, E = (draw(st.integers(1, most)) for most in (2, 3, 3, 2))
    Q, K = draw(table(LARGE, T, width)), draw(table(LARGE, S, width))
    return Q, K, draw(table(VALUES, S, E)), draw(table([True, False], T, S))


@exercise("attention(Q, K, V, seen)", asked=questions())
def attention(ask: Ask, asked: tuple[np.ndarray, ...]) -> None:
    """It must be the mean of the values that may be seen, by the softmax of their scores."""
    output = ask(*asked)
    ask.expect("the output", output, masked_attention(*asked), 1e-9, _wrong_attention(*asked))


def _wrong_attention(Q: Any, K: Any, V: Any, seen: Any) -> dict[str, np.ndarray]:
    raw = Q @ K.T
    S = raw / np.sqrt(K.shape[1])
    masked = np.where(seen, S, -np.inf)
    with np.errstate(all="ignore"):
        grown = np.exp(masked)
        safe, bare = softmax(masked) @ V, grown / grown.sum(axis=1, keepdims=True) @ V
    blind = ~seen.any(axis=1, keepdims=True)
    kept = masked_attention(Q, K, V, seen)
    lost = {
        "by 0/0: a query that may see nothing gets 0": safe,
        "when exp overflows: subtract the largest score of the row first": bare,
        "when exp overflows, and nan_to_num makes 0 of it: subtract the row's largest score": (
            np.nan_to_num(bare)
        ),
    }
    return (
        lost
        | _wrong_sums(S, seen, V)
        | {
            "when a query that may see nothing hears the plain mean": np.where(
                blind, V.mean(axis=0), kept
            ),
            "when a query that may see nothing sees everything": np.where(
                blind, softmax(S) @ V, kept
            ),
            "without the mask": softmax(S) @ V,
            "when the mask is turned round: seen is True where a key may be seen": (
                masked_attention(Q, K, V, ~seen)
            ),
            "when the weights are multiplied by the mask: it belongs before the softmax": (
                (softmax(S) * seen) @ V
            ),
            "when the scores are multiplied by the mask: e⁰ is 1": softmax(S * seen) @ V,
            "without √d_k": masked_attention(Q * np.sqrt(K.shape[1]), K, V, seen),
            "with d_k for √d_k": masked_attention(Q / np.sqrt(K.shape[1]), K, V, seen),
            "down the columns: the softmax goes along a row, over the keys": (
                np.nan_to_num(_down(masked)) @ V
            ),
        }
    )


def _wrong_sums(S: Any, seen: Any, V: Any) -> dict[str, np.ndarray]:
    """Sums of weights that no longer say what they must."""
    masked, wrong = np.where(seen, S, -np.inf), {}
    early, late = (
        np.where(seen, np.exp(S - each.max(axis=1, keepdims=True)), 0.0) for each in (S, masked)
    )
    before = "when the row's largest score is taken before the mask"
    for tiny in (0.0, 1e-12, 1e-10, 1e-9, 1e-8, 1e-6):
        added = f", and {tiny:g} is added to the sum" if tiny else ""
        ways = {f"when {tiny:g} is added to the sum": late, f"{before}{added}: mask first": early}
        for name, grown in ways.items():
            wrong[name] = np.nan_to_num(grown / (grown.sum(axis=1, keepdims=True) + tiny)) @ V
    return wrong


def _down(scores: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return softmax(scores.T).T


@st.composite
def padded(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    """ids (B, T), each text filled up on its right with the padding, and the padding's id, which
    may be smaller or larger than those of words."""
    texts, length = draw(st.integers(1, 2)), draw(st.integers(2, 4))
    pad = draw(st.sampled_from([0, 2, 4]))
    ids = draw(table([1, 3], texts, length))
    for row in ids:
        row[length - draw(st.integers(0, length)) :] = pad
    return ids, pad


@exercise("decoder_mask(ids, pad)", batch=padded())
def decoder_mask(ask: Ask, batch: tuple[np.ndarray, int]) -> None:
    """True for a token that is not later and no padding, one pair of places after the other."""
    ids, pad = batch
    got = ask(*batch)
    length = ids.shape[1]
    truth = np.zeros((len(ids), length, length), dtype=bool)
    for b, i, j in np.ndindex(truth.shape):
        truth[b, i, j] = j <= i and ids[b, j] != pad
    past, real = np.tri(length, dtype=bool), ids != pad
    mistakes = {
        "without the causal mask": np.broadcast_to(real[:, None, :], truth.shape),
        "without the padding": np.broadcast_to(past, truth.shape),
        "when it is turned round: True is for what may be seen": ~truth,
        "when padding may not ask: what counts is token j, the one that is seen": (
            past & real[:, :, None]
        ),
        "when later tokens are seen in place of earlier ones": past.T & real[:, None, :],
        "when a token does not see itself": np.tri(length, k=-1, dtype=bool) & real[:, None, :],
        "with or: a token must pass both": past | real[:, None, :],
        "of ids > pad: the padding's id need not be the smallest": past & (ids > pad)[:, None, :],
        "of ids < pad: the padding's id need not be the largest": past & (ids < pad)[:, None, :],
    }
    ask.expect("the mask", got, truth, 1e-9, mistakes)
    if np.asarray(got).dtype != bool:
        ask.fail(f"the mask has dtype {np.asarray(got).dtype}, expected bool")


@st.composite
def states(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    """x (B, T, D), its elements numbered from 0, and a number of heads that divides D."""
    texts, tokens, heads, width = (draw(st.integers(1, most)) for most in (2, 3, 3, 2))
    shape = (texts, tokens, heads * width)
    return np.arange(float(np.prod(shape))).reshape(shape), heads


@exercise("split_heads(x, heads)", state=states())
def split_heads(ask: Ask, state: tuple[np.ndarray, int]) -> None:
    """Head h must have the h-th part of the features of every token."""
    x, heads = state
    texts, tokens, features = x.shape
    width = features // heads
    truth = np.stack(np.split(x, heads, axis=2), axis=1)
    fits = (texts, heads, tokens, width)
    strided = np.stack([x[..., h::heads] for h in range(heads)], axis=1)
    mistakes = {
        "when the sequence is split: swap axes after the reshape": x.reshape(fits),
        "with every h-th feature: a head has features that lie side by side": strided,
        "without the swap of axes: heads come before tokens": x.reshape(
            texts, tokens, heads, width
        ),
        "with heads before texts: (B, heads, T, D/heads)": truth.swapaxes(0, 1),
    }
    ask.expect("the result", ask(x, heads), truth, 1e-9, mistakes)


@exercise(
    "sinusoidal(length, width)",
    length=st.integers(1, 4),
    width=st.integers(1, 3).map(lambda half: 2 * half),
)
def sinusoidal(ask: Ask, length: int, width: int) -> None:
    """Each number of the table by itself, as G09 has it."""
    truth = _sines(length, width, lambda i: 2.0 * i / width)
    angles = np.array([[p / 10000.0 ** (2 * i / width) for i in range(width // 2)]
                       for p in range(length)])  # fmt: skip
    sines, cosines = np.sin(angles), np.cos(angles)
    swapped = np.stack([cosines, sines], axis=-1).reshape(length, width)
    mistakes = {
        "when sines and cosines lie in two halves: they take turns": np.concatenate(
            [sines, cosines], axis=1
        ),
        "when cosines come first: column 0 is a sine": swapped,
        "with i/width: the exponent of the pair i is 2i/width": _sines(
            length, width, lambda i: i / width
        ),
        "with 4i/width: i counts pairs, and columns are 2i": _sines(
            length, width, lambda i: 4.0 * i / width
        ),
        "when places count from 1": _sines(length + 1, width, lambda i: 2.0 * i / width)[1:],
        "when each column has a rate of its own: a sine and its cosine share one": _each(
            length, width
        ),
        "when the angle is multiplied by 10000^…: the later pairs turn slower": _sines(
            length, width, lambda i: -2.0 * i / width
        ),
    }
    got = ask(length, width)
    if getattr(got, "dtype", None) == np.float32:
        ask.fail("the table is float32, which rounds at the 8th digit: expected float64")
    ask.expect("the table", got, truth, 1e-9, mistakes)


def _sines(length: int, width: int, exponent: Any) -> np.ndarray:
    made = np.empty((length, width))
    for p, column in np.ndindex(made.shape):
        angle = p / 10000.0 ** exponent(column // 2)
        made[p, column] = np.cos(angle) if column % 2 else np.sin(angle)
    return made


def _each(length: int, width: int) -> np.ndarray:
    angles = np.arange(length)[:, None] / 10000.0 ** (np.arange(width) / width)
    return np.where(np.arange(width) % 2, np.cos(angles), np.sin(angles))


@st.composite
def normed(draw: st.DrawFn) -> tuple[np.ndarray, ...]:
    """x (N, D) with no row of equal numbers, gamma (D,) and g (N, D)."""
    rows, width = draw(st.integers(1, 2)), draw(st.integers(3, 4))
    x = draw(table(NUMBERS, rows, width)) + np.arange(width) * 0.25
    uneven = np.ptp(x, axis=1) == 0.0
    x[uneven, 0] += 1.0
    return x, draw(table([1.0, 2.0, -0.5], width)), draw(table(NUMBERS, rows, width))


@exercise("layer_norm_backward(x, gamma, g)", given=normed())
def layer_norm_backward(ask: Ask, given: tuple[np.ndarray, ...]) -> None:
    """The slopes, by differences, of the layer norm itself."""
    x, gamma, g = given
    dx, dgamma, dbeta = ask.parts(ask(*given), "dx", "dgamma", "dbeta")
    found = numeric_gradients(lambda *p: (g * layer_norm(*p)).sum(), x, gamma, np.zeros(gamma.size))
    truth = np.split(found.round(9) + 0.0, [x.size, x.size + gamma.size])
    centred = x - x.mean(axis=1, keepdims=True)
    variance = (centred**2).mean(axis=1, keepdims=True)
    s = np.sqrt(variance + EPSILON)
    hat, others = centred / s, _other_deviations(variance, x.shape[1])
    wrong = {name: _back(gamma * g, centred / each, each) for name, each in others.items()}
    wrong |= _wrong_norms(gamma * g, hat, s, g, gamma)
    ask.expect("dx", dx, truth[0].reshape(x.shape), 1e-5, wrong)
    mistakes = {name: (g * centred / each).sum(axis=0) for name, each in others.items()} | {
        "of x: it is Σ g·x̂": (g * x).sum(axis=0),
        "of x less its mean: it is Σ g·x̂": (g * centred).sum(axis=0),
        "of γ·g: that is for dx": (gamma * g * hat).sum(axis=0),
        "with a mean over the rows: γ is shared, and uses add up": (g * hat).mean(axis=0),
        "along the wrong axis: sum over the rows": (g * hat).sum(axis=1),
        "without the sum over the rows": g * hat,
    }
    ask.expect("dgamma", dgamma, truth[1], 1e-5, mistakes)
    mistakes = {
        "of γ·g: β is added after γ": (gamma * g).sum(axis=0),
        "with a mean over the rows: β is shared, and uses add up": g.mean(axis=0),
        "along the wrong axis: sum over the rows": g.sum(axis=1),
        "without the sum over the rows": g,
    }
    ask.expect("dbeta", dbeta, truth[2], 1e-5, mistakes)


def _other_deviations(variance: Any, width: int) -> dict[str, np.ndarray]:
    """What is often divided by in place of √(variance + ε)."""
    return {
        "without ε": np.sqrt(variance),
        "with ε outside the root: it is added to the variance": np.sqrt(variance) + EPSILON,
        "with ε = 1e-6: here it is 1e-5": np.sqrt(variance + 1e-6),
        "with D − 1 in the variance: a layer norm divides by D": np.sqrt(
            variance * width / (width - 1) + EPSILON
        ),
    }


def _back(ghat: np.ndarray, normed: np.ndarray, s: Any) -> np.ndarray:
    """dx, from ĝ and x̂; s: what x̂ was divided by."""
    along = (ghat * normed).mean(axis=1, keepdims=True)
    return (ghat - ghat.mean(axis=1, keepdims=True) - normed * along) / s


def _wrong_norms(scaled: Any, hat: Any, s: Any, g: Any, gamma: Any) -> dict[str, np.ndarray]:
    shift = scaled.mean(axis=1, keepdims=True)
    along = (scaled * hat).mean(axis=1, keepdims=True)
    width = scaled.shape[1]
    return {
        "when mean and s are taken for constants": scaled / s,
        "without the mean of ĝ": (scaled - hat * along) / s,
        "without the part along x̂": (scaled - shift) / s,
        "without γ": _back(g, hat, s),
        "when γ is multiplied on at the end: it belongs into ĝ": gamma * _back(g, hat, s),
        "without the division by s": _back(scaled, hat, 1.0),
        "with a division by s²": _back(scaled, hat, s**2),
        "with sums in place of means": (scaled - width * (shift + hat * along)) / s,
        "with a plus before the part along x̂": (scaled - shift + hat * along) / s,
    }


EXERCISES = [attention, decoder_mask, split_heads, sinusoidal, layer_norm_backward]
