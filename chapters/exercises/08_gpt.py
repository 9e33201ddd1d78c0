"""Property tests for the exercises of chapter 08."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from chapters.checks import Ask, assume_told_apart, exercise

LOGITS = [0.0, 1.0, -1.0, 2.0, 0.7, -0.3, 1.6, 3.1, -2.2]


@st.composite
def shelves(draw: st.DrawFn) -> tuple[list[list[int]], int, int]:
    """Documents of ids from 1 on, T, and the id that ends one; at least one block."""
    lengths = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    stops = np.cumsum(lengths)
    T, end = draw(st.integers(2, 4)), draw(st.sampled_from([0, 99]))
    assume(stops[-1] + len(lengths) >= T)
    return [[*range(b - n + 1, b + 1)] for n, b in zip(lengths, stops.tolist())], T, end


def cut(row: list[int], T: int) -> np.ndarray:
    """The full blocks of a row."""
    return np.array(row[: len(row) // T * T], dtype=int).reshape(-1, T)


@exercise("pack(documents, T, end)", shelf=shelves())
def pack(ask: Ask, shelf: tuple[list[list[int]], int, int]) -> None:
    """All documents in one row, end behind each, cut into blocks."""
    documents, T, end = shelf
    row = [token for document in documents for token in [*document, end]]
    ahead = [token for document in documents for token in [end, *document]]
    bare = [token for document in documents for token in document]
    filled = row + [end] * (-len(row) % T)
    apart = [cut([*document, end], T) for document in documents]
    mistakes = {
        "without the ends": cut(bare, T),
        "with end before each document: it stands behind": cut(ahead, T),
        "with one end for all: each document has its own": cut([*bare, end], T),
        "when each document is cut by itself: a block may go on in the next": np.concatenate(apart),
        "with the last tokens, which fill no block": cut(filled, T),
        "without the last block: the end of the last document fills it": cut(row[:-1], T),
        "when blocks overlap: each begins where the one before ends": np.array(
            [row[i : i + T] for i in range(len(row) - T + 1)]
        ),
        "in columns: a block is a row": cut(row, T).reshape(T, -1).T,
    }
    assume_told_apart(cut(row, T), mistakes)
    ask.expect("the array of blocks", ask(documents, T, end), cut(row, T), 1e-9, mistakes)


@st.composite
def answers(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """logits (B, T, 2), ids (B, T) and counted (B, T): padding stands at the end of a row."""
    B, T = draw(st.integers(1, 2)), draw(st.integers(2, 4))
    logits = draw(arrays(np.float64, (B, T, 2), elements=st.sampled_from(LOGITS)))
    ids = draw(arrays(np.int64, (B, T), elements=st.integers(0, 1)))
    lengths = [draw(st.integers(2, T)) for _ in range(B)]
    logits += draw(st.sampled_from([0.0, 1000.0]))
    return logits, ids, np.arange(T) < np.array(lengths)[:, None]


@exercise("shifted_loss(logits, ids, counted)", answer=answers())
def shifted_loss(ask: Ask, answer: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    """The mean of −log P(token t + 1) by the logits at place t, over the tokens that count."""
    logits, ids, counted = answer
    z = logits - logits.max(axis=-1, keepdims=True)
    every = np.log(np.exp(z).sum(axis=-1, keepdims=True)) - z
    told = np.take_along_axis(every[:, :-1], ids[:, 1:, None], axis=-1)[..., 0]
    real = counted[:, 1:]
    copied = np.take_along_axis(every, ids[..., None], axis=-1)[..., 0]
    back = np.take_along_axis(every[:, 1:], ids[:, :-1, None], axis=-1)[..., 0]
    with np.errstate(all="ignore"):
        steep = np.exp(logits)
        naive = -np.log(steep / steep.sum(axis=-1, keepdims=True))[:, :-1]
        naive = np.take_along_axis(naive, ids[:, 1:, None], axis=-1)[..., 0][real].mean()
    mean = told[real].mean()
    mistakes = {
        "without the shift: place t foretells token t + 1": copied[counted].mean(),
        "without the shift, and without the first token": copied[:, 1:][real].mean(),
        "with the shift the other way: place t foretells token t + 1": back[counted[:, :-1]].mean(),
        "with the padding: it does not count": told.mean(),
        "with the padding in the count, though not in the sum": (told * real).mean(),
        "when the rows' means are averaged: all tokens weigh the same": np.mean(
            [t[r].mean() for t, r in zip(told, real)]
        ),
        "when the first tokens are counted: nobody foretold them": (told * real).sum()
        / counted.sum(),
        "when `counted` is taken at the place that reads: take it at the token foretold": told[
            counted[:, :-1]
        ].mean(),
        "of the sum: take the mean": told[real].sum(),
        "with the wrong sign: −log P is not negative": -mean,
        "of the perplexity: leave out the exponential": np.exp(np.minimum(mean, 700.0)),
        "when e^1000 overflows: subtract the largest logit first": naive,
    }
    assume_told_apart(mean, mistakes)
    ask.expect("the loss", ask(logits, ids, counted), mean, 1e-9, mistakes)


@st.composite
def counts(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    """ids (N,), N from 2 to 6, and V, above all of them."""
    ids = draw(arrays(np.int64, st.integers(2, 6), elements=st.integers(0, 2)))
    return ids, draw(st.integers(int(ids.max()) + 1, 4))


@exercise("bigram(ids, V)", text=counts())
def bigram(ask: Ask, text: tuple[np.ndarray, int]) -> None:
    """(c(hw) + k(h)·P(w)) / (c(h) + k(h)), P(w) by the same rule over 1/V."""
    ids, V = text
    alone, c = np.bincount(ids, minlength=V), np.zeros((V, V))
    np.add.at(c, (ids[:-1], ids[1:]), 1.0)
    few = (alone > 0).sum()
    p = (alone + few / V) / (len(ids) + few)
    total, k = c.sum(axis=1, keepdims=True), (c > 0).sum(axis=1, keepdims=True)
    before = (c > 0).sum(axis=0)  # kinds before each token, in place of behind it
    seen = alone[:, None]

    def mixed(total: Any, kinds: Any, lower: Any) -> np.ndarray:
        share = (c + kinds * lower) / np.maximum(total + kinds, 1e-300)
        return np.where(total > 0, share, lower + 0.0 * c)

    with np.errstate(all="ignore"):
        plain, bare = c / total, (c + k * p) / (total + k)
    truth = mixed(total, k, p)
    mistakes = {
        "without smoothing: k(h)·P(w) is missing": plain,
        "with 0/0 where nothing follows h: there it is P(w)": bare,
        "with zeros where nothing follows h: there it is P(w)": np.where(total > 0, truth, 0.0),
        "with 1/V where nothing follows h: there it is P(w)": np.where(total > 0, truth, 1.0 / V),
        "with 1/V in the place of P(w)": mixed(total, k, 1.0 / V),
        "with P(w) = c(w)/N: it is smoothed by the same rule": mixed(total, k, alone / len(ids)),
        "with V in the place of k(h): count the kinds seen after h": mixed(total, V, p),
        "with the kinds before h: count those after it": mixed(total, before[:, None], p),
        "with add-one smoothing": (c + 1.0) / (total + V),
        "when c(h) counts the last token: nothing follows it": mixed(seen, k, p),
        "with the axes exchanged: a row for each h": truth.T,
        "of P(w) alone": p + 0.0 * c,
        "of the joint P(h, w): each row has the sum 1": truth * alone[:, None] / len(ids),
    }
    assume_told_apart(truth, mistakes)
    ask.expect("P(w | h)", ask(ids, V), truth, 1e-9, mistakes)


@st.composite
def rankings(draw: st.DrawFn) -> tuple[np.ndarray, float]:
    """logits (4,) in any order, perhaps far from 0, and p that no sum of them comes near."""
    shares = draw(st.sampled_from([(0.5, 0.25, 0.15, 0.1), (0.7, 0.2, 0.07, 0.03)]))
    far = draw(st.sampled_from([0.0, 1000.0]))
    p = draw(st.sampled_from([0.3, 0.6, 0.8, 0.95, 1.0]))
    return np.log(draw(st.permutations(shares))) + far, p


@exercise("top_p(logits, p)", ranking=rankings())
def top_p(ask: Ask, ranking: tuple[np.ndarray, float]) -> None:
    """The fewest most probable tokens with the sum p or more, divided by their sum."""
    logits, p = ranking
    share = np.exp(logits - logits.max())
    share = share / share.sum()
    order = np.argsort(-share)
    sums = np.cumsum(share[order])
    count = min(int((sums < p - 1e-9).sum()) + 1, len(share))

    def kept(places: np.ndarray, divided: bool = True) -> np.ndarray:
        chosen = np.zeros(len(share))
        chosen[places] = share[places]
        return chosen / max(chosen.sum(), 1e-300) if divided else chosen

    truth = kept(order[:count])
    with np.errstate(all="ignore"):
        naive = np.exp(logits) / np.exp(logits).sum()
        cubed = np.exp(truth) / np.exp(truth).sum()
    mistakes = {
        "without the token that crosses p: it stays": kept(order[: count - 1]),
        "with one token too many": kept(order[: count + 1]),
        "when they are not divided by their sum": kept(order[:count], divided=False),
        "in the order of probability: each stays at its place": truth[order],
        "when the least probable ones stay": kept(order[::-1][:count]),
        "of all tokens with a probability of p or more": kept(np.flatnonzero(share >= p)),
        "of all tokens: nothing is cut off": share,
        "of a second softmax: divide by the sum": cubed,
        "when e^1000 overflows: subtract the largest logit first": naive * np.nan,
    }
    assume_told_apart(truth, mistakes)
    ask.expect("the probabilities", ask(logits, p), truth, 1e-9, mistakes)


EXERCISES = [pack, shifted_loss, bigram, top_p]
