"""Property tests for the exercises of chapter 11."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from chapters.checks import Ask, Source, assume_told_apart, exercise, show
from tinygrad_llm.formulas import numeric_gradient

NUMBERS = [0.0, 1.0, -1.0, 2.0, 0.5, 3.0]
LOGITS = [0.0, 1.0, -1.0, 2.0, 0.5, -0.3, 1.6, 3.1, 1000.0]


def table_of(numbers: list[float], *shape: int) -> st.SearchStrategy:
    """Arrays of this shape whose elements are some of the numbers."""
    return arrays(np.float64, shape, elements=st.sampled_from(numbers), fill=st.nothing())


def _slope(fn: Callable[[np.ndarray], float], at: np.ndarray) -> np.ndarray:
    """The gradient by central differences, without the digits that are rounding."""
    return numeric_gradient(fn, at).round(9) + 0.0  # −0 + 0 = 0


@st.composite
def corpora(draw: st.DrawFn) -> tuple[np.ndarray, list[str], np.ndarray]:
    """labels (N,), texts, equal ones of one class, and the rows in an order."""
    sizes = draw(st.lists(st.integers(1, 8), min_size=1, max_size=2))
    names = "abcdefghijklmnop"[: sum(sizes)]
    label_of = dict(zip(names, np.repeat(np.arange(len(sizes)), sizes).tolist()))
    texts = [*names, *draw(st.lists(st.sampled_from(names), max_size=3))]
    labels = np.array([label_of[text] for text in texts])
    return labels, texts, np.array(draw(st.permutations(range(len(texts)))))


@exercise("three_parts(labels, texts, order)", corpus=corpora())
def three_parts(ask: Ask, corpus: tuple[np.ndarray, list[str], np.ndarray]) -> None:
    """A quarter of the different texts of each class, twice; a text is in one part."""
    labels, texts, order = corpus
    rows = np.arange(len(texts))
    truth = _parts(labels, texts, order)
    first = np.array([text not in texts[:row] for row, text in enumerate(texts)])
    mistakes = {
        "when equal texts are torn apart: all rows of a text go together": _parts(
            labels, [*map(str, rows)], order
        ),
        "when one row of a text goes to its part, and the others to training": truth * first,
        "when the rows of a class are counted: n is of its different texts": _parts(
            labels, texts, order, repeats=True
        ),
        "when the classes are not parted one by one": _parts(0 * labels, texts, order),
        "with n/4 rounded up": _parts(labels, texts, order, up=3),
        "by the rows as they stand: go through them in the order given": _parts(
            labels, texts, rows
        ),
        "when order[i] is read as the place of row i: it is the row at place i": _parts(
            labels, texts, np.argsort(order)
        ),
        "when the order is gone through from its end": _parts(labels, texts, order[::-1]),
        "with test and validation exchanged: test is 2": np.array([0, 2, 1])[truth],
        "with training and test exchanged: training is 0": 2 - truth,
        "along the order: element i is of row i": truth[order],
        "when nothing is held out for the test": np.where(truth == 2, 0, truth),
    }
    assume_told_apart(truth, mistakes)
    ask.expect("the array of parts", ask(*corpus), truth, 1e-9, mistakes)


def _parts(
    labels: np.ndarray, texts: Sequence[str], order: np.ndarray, up: int = 0, repeats: bool = False
) -> np.ndarray:
    """The rule; up: 3 rounds quarters up. repeats: n counts a text as often as it is there."""
    part_of: dict[str, int] = {}
    for label in set(labels.tolist()):
        rows = [texts[row] for row in order if labels[row] == label]
        met = list(dict.fromkeys(rows))
        few = (len(rows if repeats else met) + up) // 4
        part_of |= {text: max(2 - at // few, 0) if few else 0 for at, text in enumerate(met)}
    return np.array([part_of[text] for text in texts])


@st.composite
def masked(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """g (B, D), and mask (B, T) of ones and zeros, as floats."""
    texts, width, length = draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 4))
    return draw(table_of(NUMBERS, texts, width)), draw(table_of([1.0, 0.0], texts, length))


@exercise("mean_gradient(g, mask)", batch=masked())
def mean_gradient(ask: Ask, batch: tuple[np.ndarray, np.ndarray]) -> None:
    """It must be the slope of Σ g·mean, the mean over the words of each text alone."""
    g, mask = batch
    places = mask.shape[1]
    states = np.zeros((*mask.shape, g.shape[1]))

    def projected(x: np.ndarray) -> float:
        means = [of[keep > 0.0].mean(axis=0) if keep.any() else 0.0 for of, keep in zip(x, mask)]
        return sum(float((each * mean).sum()) for each, mean in zip(g, means))

    truth = _slope(projected, states)
    words, everywhere = np.maximum(mask.sum(axis=1), 1.0)[:, None, None], states + g[:, None]
    kept = everywhere * mask[..., None]
    with np.errstate(all="ignore"):
        bare = kept / mask.sum(axis=1)[:, None, None]
    mistakes = {
        "by 0/0: a text without words gets zeros": bare,
        "when the padding gets a share: the mean does not depend on it": everywhere / words,
        "when it is divided by all places: by the number of words": kept / places,
        "without the mask": everywhere / places,
        "without the division: each word has one part in n of its mean": kept,
        "with neither mask nor division": everywhere,
        "when the mask is turned round: 1 is for words": (everywhere - kept) / places,
        "when the divisor is the number of words of the batch": kept / max(mask.sum(), 1.0),
        "with the last two axes exchanged": truth.swapaxes(1, 2),
        "of the mean itself: its gradient has the shape of the states": g,
    }
    assume_told_apart(truth, mistakes)
    ask.expect("the gradient", ask(g, mask), truth, 1e-6, mistakes)


@st.composite
def layers(draw: st.DrawFn) -> tuple[Any, ...]:
    """X (N, D), W (D, K), A (D, r), B (r, K), perhaps 0 as at the start, s, and G (N, K)."""
    n, d, k, r = (draw(st.integers(1, 2)) for _ in range(4))
    X, W, A = (draw(table_of(NUMBERS, *shape)) for shape in ((n, d), (d, k), (d, r)))
    B = draw(st.just(np.zeros((r, k))) | table_of(NUMBERS, r, k))
    return X, W, A, B, draw(st.sampled_from([2.0, 4.0, 0.5, 1.0])), draw(table_of(NUMBERS, n, k))


@exercise("lora_gradients(X, W, A, B, s, G)", layer=layers())
def lora_gradients(ask: Ask, layer: tuple[Any, ...]) -> None:
    """It must be the slope of L = Σ G·(XW + s(XA)B) in X, in A and in B (G17)."""
    X, W, A, B, s, G = layer

    def loss(X: np.ndarray, A: np.ndarray, B: np.ndarray) -> float:
        return (G * (X @ W + s * (X @ A @ B))).sum()

    truths = {
        "Y": X @ W + s * (X @ A @ B),
        "dX": _slope(lambda X: loss(X, A, B), X),
        "dA": _slope(lambda A: loss(X, A, B), A),
        "dB": _slope(lambda B: loss(X, A, B), B),
    }
    wrong = _wrong_layers(*layer)
    for name, truth in truths.items():
        assume_told_apart(truth, wrong[name])
    for name, got in zip(truths, ask.parts(ask(*layer), *truths)):
        ask.expect(name, got, truths[name], 1e-6, wrong[name])
    if not any(_equal(truths[name], each) for name in truths for each in wrong[name].values()):
        _check_memory(ask)  # not before the results are right


def _equal(truth: np.ndarray, other: np.ndarray) -> bool:
    return truth.shape == other.shape and np.allclose(truth, other)


def _wrong_layers(X, W, A, B, s, G) -> dict[str, dict[str, np.ndarray]]:
    """Of each result: what is done wrong → what then comes out."""
    update, frozen = X @ A @ B, G @ W.T
    dX, dA, dB = G @ B.T @ A.T, X.T @ G @ B.T, (X @ A).T @ G
    rows = len(X)
    wrong: dict[str, dict[str, np.ndarray]] = {
        "Y": {
            "when s is left out": X @ W + update,
            "when XW is left out: the update comes on top": s * update,
            "when the update is left out": X @ W,
            "when XW is scaled too": s * (X @ W + update),
            "when it is divided by s": X @ W + update / s,
        },
        "dX": {
            "when s is left out on the way back": frozen + dX,
            "with s twice": frozen + s * s * dX,
            "when GWᵀ is left out: W is frozen, but X reaches Y through it": s * dX,
            "when the way through A and B is left out": frozen,
            "when GWᵀ is scaled too": s * (frozen + dX),
        },
        "dA": {
            "when s is left out on the way back": dA,
            "with s twice": s * s * dA,
            "when the rows are averaged: the 1/N of a mean is in G already": s * dA / rows,
            "when it is left 0, as if B were": 0.0 * dA,
        },
        "dB": {
            "when s is left out on the way back": dB,
            "with s twice": s * s * dB,
            "when the rows are averaged: the 1/N of a mean is in G already": s * dB / rows,
            "when it is left 0: B = 0 stops the gradient of A, not its own": 0.0 * dB,
        },
    }
    if W.shape[0] == W.shape[1]:
        wrong["dX"]["of G @ W: it must be W.T"] = G @ W + s * dX
    if A.shape[0] == A.shape[1]:
        wrong["dA"]["when it is transposed: it has the shape of A"] = s * dA.T
    if B.shape[0] == B.shape[1]:
        wrong["dB"]["when it is transposed: it has the shape of B"] = s * dB.T
    return wrong


WIDE = ["(1, 64)", "(64, 64)", "(64, 1)", "(1, 64)", "(1, 64)"]
"""Shapes of X, W, A, B and G at which any array of W's size stands out."""


def _check_memory(ask: Ask) -> None:
    """AB and XᵀG have as many elements as W; to do without them is what thin matrices are for."""
    X, W, A, B, G = (Source(f"np.ones({shape})") for shape in WIDE)
    inputs = [X, W, A, B, 2.0, G]
    given = [each.value() if isinstance(each, Source) else each for each in inputs]
    call = f"{ask.name}({', '.join(map(show, inputs))})"
    most = ask.run(call, lambda: _peak(lambda: ask.answer(*given)))
    if most >= given[1].nbytes:
        ask.fail(
            f"it takes {most:,} bytes on its way, and W has {given[1].nbytes:,}: make no array of "
            "W's size, neither AB nor XᵀG nor a copy of W; XA and GBᵀ have only r columns"
        )


def _peak(thunk: Callable[[], Any]) -> int:
    """The most bytes that are held at once while it runs, above those of before."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        thunk()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@st.composite
def members(draw: st.DrawFn) -> np.ndarray:
    """Logits (M, N, C), some of them huge."""
    models, rows, classes = (
        draw(st.integers(1, 3)),
        draw(st.integers(1, 2)),
        draw(st.integers(2, 3)),
    )
    return draw(table_of(LOGITS, models, rows, classes))


@exercise("average(logits)", logits=members())
def average(ask: Ask, logits: np.ndarray) -> None:
    """The mean over the models of each one's softmax (F67)."""
    each = _softmax(logits)
    truth = each.mean(axis=0)
    votes = each.argmax(axis=2)[:, :, None] == np.arange(each.shape[2])
    with np.errstate(all="ignore"):
        undivided = np.exp(logits)
        naive = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
        powers = np.exp(logits - logits.max())
        one_largest = powers / powers.sum(axis=2, keepdims=True)
    mistakes = {
        "of the mean logits: average the probabilities": _softmax(logits.mean(axis=0)),
        "of the summed logits, or of the product: average the probabilities": _softmax(
            logits.sum(axis=0)
        ),
        "when e^1000 overflows: subtract each row's largest logit first": naive.mean(axis=0),
        "when one number is subtracted from all: each row has its own largest": (
            one_largest.mean(axis=0)
        ),
        "of e^z as it is: a row's probabilities sum to 1, so divide by its sum": (
            undivided.mean(axis=0)
        ),
        "of the sum: divide by the number of models": each.sum(axis=0),
        "of the largest of the probabilities": each.max(axis=0),
        "of votes: each model gives its probabilities": votes.mean(axis=0),
        "of the first model alone": each[0],
        "of the last model alone": each[-1],
        "of each model for itself: axis 0 is averaged": each,
        "when the mean is over the rows: axis 0 is the models": each.mean(axis=1),
        "when the softmax is over the models: axis 2 is the classes": _softmax(logits, 0).mean(
            axis=0
        ),
        "when the softmax is over the rows: axis 2 is the classes": _softmax(logits, 1).mean(
            axis=0
        ),
        "of the mean logits, without a softmax": logits.mean(axis=0),
    }
    assume_told_apart(truth, mistakes)
    ask.expect("the array of probabilities", ask(logits), truth, 1e-6, mistakes)


def _softmax(logits: np.ndarray, axis: int = -1) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


@st.composite
def confusions(draw: st.DrawFn) -> np.ndarray:
    """A table (C, C) of counts; each class has a true row."""
    classes = draw(st.integers(2, 3))
    table = draw(
        arrays(np.int64, (classes, classes), elements=st.integers(0, 4), fill=st.nothing())
    )
    assume(table.any(axis=1).all())
    return table


@exercise("report(table)", table=confusions())
def report(ask: Ask, table: np.ndarray) -> None:
    """Class by class by F58 to F60, 0/0 is 0; and the mean of F1 over all classes."""
    hits, there, called = np.diag(table), table.sum(axis=1), table.sum(axis=0)
    f1 = 2 * hits / (there + called)
    precision = hits / np.maximum(called, 1)
    truths = {"precision": precision, "recall": hits / there, "F1": f1, "macro F1": f1.mean()}
    wrong = _wrong_classes(table, *truths.values()) | {
        "macro F1": _wrong_means(table, *truths.values())
    }
    for name, truth in truths.items():
        assume_told_apart(truth, wrong[name])
    for name, got in zip(truths, ask.parts(ask(table), *truths)):
        ask.expect(name, got, truths[name], 1e-6, wrong[name])


def _wrong_classes(table, precision, recall, f1, macro) -> dict[str, dict[str, Any]]:
    """Of precision, recall and F1: what is done wrong → what then comes out."""
    hits, there, called, rows = np.diag(table), table.sum(axis=1), table.sum(axis=0), table.sum()
    bare = _bare_precision(table)
    both = {
        "of the accuracy of class against rest": (rows - there - called + 2 * hits) / rows,
        "when the divisor is all rows": hits / rows,
    }
    return {
        "precision": {
            "by 0/0: the precision of a class that is never predicted is 0": bare,
            "when 0/0 is 1": np.where(called, precision, 1.0),
            "for the recall: a column is what was predicted": recall,
            "without the classes that are never predicted: each has its place": (
                precision[called > 0]
            ),
            **both,
        },
        "recall": {
            "for the precision: a row is what is there": precision,
            **both,
        },
        "F1": {
            "by 0/0: where precision and recall are 0, F1 is 0": _bare_f1(table, recall),
            "of the arithmetic mean: F1 is the harmonic one": (precision + recall) / 2,
            "of the geometric mean: F1 is the harmonic one": np.sqrt(precision * recall),
            "without the factor 2": f1 / 2,
            "of the product": precision * recall,
        },
    }


def _wrong_means(table, precision, recall, f1, macro) -> dict[str, float]:
    """Of the macro F1: what is done wrong → what then comes out."""
    hits, there = np.diag(table), table.sum(axis=1)
    P, R = precision.mean(), recall.mean()
    found = f1[f1 > 0].mean() if f1.any() else 0.0
    return {
        "of the accuracy, which is the micro average": hits.sum() / table.sum(),
        "when classes weigh by their rows: all weigh the same": (f1 * there).sum() / table.sum(),
        "of the means of precision and recall: average the F1 of the classes": (
            2 * P * R / (P + R) if P + R else 0.0
        ),
        "by 0/0: where precision and recall are 0, F1 is 0": _bare_f1(table, recall).mean(),
        "when a class of which nothing is found is left out: it counts as 0": found,
        "of the sum: take the mean": f1.sum(),
        "of the mean precision": P,
        "of the mean recall": R,
    }


def _bare_precision(table: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.diag(table) / table.sum(axis=0)


def _bare_f1(table: np.ndarray, recall: np.ndarray) -> np.ndarray:
    precision = _bare_precision(table)
    with np.errstate(all="ignore"):
        return 2 * precision * recall / (precision + recall)


EXERCISES = [three_parts, mean_gradient, lora_gradients, average, report]
