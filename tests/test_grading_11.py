"""Tests of the grading of chapter 11's exercises: the usual mistakes are found and named."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.grading_tools import exercises, failure, grade, solutions

NAME = "11_fine_tuning"
EXERCISES = exercises(NAME)
SOLUTIONS = solutions(NAME)


@pytest.mark.parametrize("name", EXERCISES)
def test_the_solution_passes(name):
    grade(EXERCISES[name], getattr(SOLUTIONS, name))


# The same in other words


def parts_in_one_walk(labels, texts, order):
    """As a list, with a count of each class."""
    different = [len({t for t, other in zip(texts, labels) if other == label}) for label in labels]
    part_of, met = {}, dict.fromkeys(labels.tolist(), 0)
    for row in order:
        if texts[row] not in part_of:
            quarter, at = different[row] // 4, met[int(labels[row])]
            part_of[texts[row]] = 2 if at < quarter else 1 if at < 2 * quarter else 0
            met[int(labels[row])] += 1
    return [part_of[text] for text in texts]


def mean_gradient_in_loops(g, mask):
    gradient = np.zeros((*mask.shape, g.shape[1]), np.float32)
    for b, t in np.argwhere(mask > 0):
        gradient[b, t] = g[b] / mask[b].sum()
    return gradient


def lora_by_einsum(X, W, A, B, s, G):
    Y = np.einsum("nd,dk->nk", X, W) + s * np.einsum("nr,rk->nk", X @ A, B)
    back = s * np.einsum("nk,rk->nr", G, B)
    dX = np.einsum("nk,dk->nd", G, W) + np.einsum("nr,dr->nd", back, A)
    dB = s * np.einsum("nd,dr,nk->rk", X, A, G, optimize=["einsum_path", (0, 1), (0, 1)])
    return Y, dX, np.einsum("nd,nr->dr", X, back), dB


def lora_in_loops(X, W, A, B, s, G):
    """Each sum by itself, in float32."""
    X, W, A, B, G = (each.astype(np.float32) for each in (X, W, A, B, G))
    Y, dX, dA, dB = (np.zeros_like(each) for each in (G, X, A, B))
    for x, g, y, dx in zip(X, G, Y, dX):
        y += x @ W
        dx += W @ g
        for r in range(len(B)):
            low, back = x @ A[:, r], g @ B[r]
            y += s * low * B[r]
            dx += s * back * A[:, r]
            dA[:, r] += s * back * x
            dB[r] += s * low * g
    return Y, dX, dA, dB


def average_by_logarithms(logits):
    """log-sum-exp, model by model, in float32."""
    total = 0.0
    for z in logits.astype(np.float32):
        z = z - z.max(axis=1, keepdims=True)
        total = total + np.exp(z - np.log(np.exp(z).sum(axis=1, keepdims=True)))
    return total / len(logits)


def report_in_loops(table):
    rows = []
    for c in range(len(table)):
        hits, called = table[c, c], table[:, c].sum()
        precision = hits / called if called else 0.0
        recall = hits / table[c].sum()
        f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
        rows.append((precision, recall, f1))
    precision, recall, f1 = zip(*rows)
    return list(precision), list(recall), list(f1), sum(f1) / len(f1)


RIGHT = [
    ("three_parts", parts_in_one_walk),
    ("mean_gradient", mean_gradient_in_loops),
    ("lora_gradients", lora_by_einsum),
    ("lora_gradients", lora_in_loops),
    ("average", average_by_logarithms),
    ("report", report_in_loops),
]


@pytest.mark.parametrize("name, answer", RIGHT)
def test_the_same_in_other_words_passes(name, answer):
    grade(EXERCISES[name], answer)


# What is wrong


def parting(rule=lambda n: n // 4, of=lambda texts: texts, one_class=False, rows=False):
    """three_parts by another rule for n, other texts, in one class, or with rows counted."""

    def answer(labels, texts, order):
        texts, labels = of(texts), labels * (not one_class)
        part_of = {}
        for label in set(labels.tolist()):
            met = [texts[row] for row in order if labels[row] == label]
            few = rule(len(met) if rows else len(set(met)))
            for at, text in enumerate(dict.fromkeys(met)):
                part_of[text] = 2 if at < few else 1 if at < 2 * few else 0
        return np.array([part_of[text] for text in texts])

    return answer


def one_row_each(labels, texts, order):
    parts = SOLUTIONS.three_parts(labels, texts, order)
    seen = [text in texts[:row] for row, text in enumerate(texts)]
    return np.where(seen, 0, parts)


def parted(change):
    """What three_parts gives, changed: change(parts, order)."""
    return lambda labels, texts, order: change(SOLUTIONS.three_parts(labels, texts, order), order)


def ordered(change):
    """three_parts with another order."""
    return lambda labels, texts, order: SOLUTIONS.three_parts(labels, texts, change(order))


def shuffling(labels, texts, order):
    order.sort()
    return SOLUTIONS.three_parts(labels, texts, order)


PARTS = [
    (parting(of=lambda texts: [*range(len(texts))]), "when equal texts are torn apart"),
    (one_row_each, "when one row of a text goes to its part"),
    (parting(rows=True), "when the rows of a class are counted"),
    (parting(one_class=True), "when the classes are not parted one by one"),
    (parting(rule=lambda n: -(-n // 4)), "with n/4 rounded up"),
    (parting(rule=lambda n: round(n / 4)), "the array of parts is"),
    (parting(rule=lambda n: max(n // 4, 1)), "the array of parts is"),
    (ordered(lambda order: np.arange(len(order))), "by the rows as they stand"),
    (ordered(np.argsort), r"when order\[i\] is read as the place of row i"),
    (ordered(lambda order: order[::-1]), "when the order is gone through from its end"),
    (parted(lambda parts, order: np.array([0, 2, 1])[parts]), "with test and validation exchanged"),
    (parted(lambda parts, order: 2 - parts), "with training and test exchanged"),
    (parted(lambda parts, order: parts[order]), "along the order: element i is of row i"),
    (parted(lambda parts, order: parts % 2), "when nothing is held out for the test"),
    (shuffling, "it changes its input"),
    (parted(lambda parts, order: [np.flatnonzero(parts == p) for p in range(3)]), "a list"),
]


def spread(weight):
    """mean_gradient with other weights of the places: weight(mask) -> (B, T) or what fits it."""
    return lambda g, mask: (weight(mask) + 0.0 * mask)[..., None] * g[:, None]


def words(mask):
    return np.maximum(mask.sum(axis=1, keepdims=True), 1.0)


MEAN = [
    (spread(lambda m: m / m.sum(axis=1, keepdims=True)), "by 0/0: a text without words"),
    (spread(lambda m: 1.0 / words(m)), "when the padding gets a share"),
    (spread(lambda m: m / m.shape[1]), "when it is divided by all places"),
    (spread(lambda m: 1.0 / m.shape[1]), "without the mask"),
    (spread(lambda m: m), "without the division"),
    (spread(lambda m: 1.0), "with neither mask nor division"),
    (spread(lambda m: (1.0 - m) / m.shape[1]), "when the mask is turned round"),
    (spread(lambda m: (1.0 - m) / words(1.0 - m)), "the gradient is"),
    (spread(lambda m: m / max(m.sum(), 1.0)), "when the divisor is the number of words of the"),
    (
        lambda g, mask: SOLUTIONS.mean_gradient(g, mask).swapaxes(1, 2),
        "with the last two axes exchanged",
    ),
    (lambda g, mask: g, r"has shape \(1, 1\), expected \(1, 1, 1\).* of the mean itself"),
]


def gradients(**changed):
    """lora_gradients with some of its results made otherwise, of X, W, A, B, s and G."""

    def answer(*layer):
        right = dict(zip(("Y", "dX", "dA", "dB"), SOLUTIONS.lora_gradients(*layer)))
        return tuple(changed[name](*layer) if name in changed else right[name] for name in right)

    return answer


def unscaled(X, W, A, B, s, G):
    """s on the way forth and not on the way back."""
    return X @ W + s * X @ A @ B, *SOLUTIONS.lora_gradients(X, W, A, B, 1.0, G)[1:]


def dense(X, W, A, B, s, G):
    """Through the merged weight and its gradient."""
    merged, dW = W + s * (A @ B), X.T @ G
    return X @ merged, G @ merged.T, s * dW @ B.T, s * A.T @ dW


def dense_forward_alone(X, W, A, B, s, G):
    return X @ (W + s * (A @ B)), *SOLUTIONS.lora_gradients(X, W, A, B, s, G)[1:]


LORA = [
    (gradients(Y=lambda X, W, A, B, s, G: X @ W + X @ A @ B), "Y is .* when s is left out"),
    (gradients(Y=lambda X, W, A, B, s, G: s * X @ A @ B), "when XW is left out"),
    (gradients(Y=lambda X, W, A, B, s, G: X @ W), "when the update is left out"),
    (gradients(Y=lambda X, W, A, B, s, G: s * (X @ W + X @ A @ B)), "when XW is scaled too"),
    (gradients(Y=lambda X, W, A, B, s, G: X @ W + X @ A @ B / s), "when it is divided by s"),
    (unscaled, "d[XAB] is .* when s is left out on the way back"),
    (
        gradients(dX=lambda X, W, A, B, s, G: G @ W.T + G @ B.T @ A.T),
        "dX is .* when s is left out on the way back",
    ),
    (gradients(dX=lambda X, W, A, B, s, G: s * G @ B.T @ A.T), "when GWᵀ is left out"),
    (gradients(dX=lambda X, W, A, B, s, G: G @ W.T), "when the way through A and B is left out"),
    (
        gradients(dX=lambda X, W, A, B, s, G: s * (G @ W.T + G @ B.T @ A.T)),
        "when GWᵀ is scaled too",
    ),
    (
        gradients(dX=lambda X, W, A, B, s, G: G @ W + s * G @ B.T @ A.T),
        "(of G @ W: it must be W.T|is a transpose missing)",
    ),
    (
        gradients(dA=lambda X, W, A, B, s, G: X.T @ G @ B.T),
        "dA is .* when s is left out on the way back",
    ),
    (gradients(dA=lambda X, W, A, B, s, G: s * s * X.T @ G @ B.T), "dA is .* with s twice"),
    (
        gradients(dA=lambda X, W, A, B, s, G: s * X.T @ G @ B.T / len(X)),
        "dA is .* when the rows are averaged",
    ),
    (gradients(dA=lambda X, W, A, B, s, G: 0.0 * A), "dA is .* when it is left 0, as if B were"),
    (
        gradients(dA=lambda X, W, A, B, s, G: s * (X.T @ G @ B.T).T),
        "dA (is .* when it is transposed|has shape)",
    ),
    (
        gradients(dB=lambda X, W, A, B, s, G: (X @ A).T @ G),
        "dB is .* when s is left out on the way back",
    ),
    (gradients(dB=lambda X, W, A, B, s, G: s * s * (X @ A).T @ G), "dB is .* with s twice"),
    (
        gradients(dB=lambda X, W, A, B, s, G: s * (X @ A).T @ G / len(X)),
        "dB is .* when the rows are averaged",
    ),
    (gradients(dB=lambda X, W, A, B, s, G: 0.0 * B), "dB is .* when it is left 0: B = 0"),
    (
        gradients(dB=lambda X, W, A, B, s, G: s * G.T @ X @ A),
        "dB (is .* when it is transposed|has shape)",
    ),
    (dense, r"and W has 32,768: make no array of W's size, neither AB"),
    (dense_forward_alone, r"make no array of W's size, neither AB"),
    (lambda *layer: SOLUTIONS.lora_gradients(*layer)[1:], r"expected \(Y, dX, dA, dB\)"),
]


def softmax(z, axis=-1):
    grown = np.exp(z - z.max(axis=axis, keepdims=True))
    return grown / grown.sum(axis=axis, keepdims=True)


def overflowing(z):
    return (np.exp(z) / np.exp(z).sum(axis=2, keepdims=True)).mean(axis=0)


def one_largest(z):
    return overflowing(z - z.max())


def product(z):
    together = softmax(z).prod(axis=0)
    return together / together.sum(axis=1, keepdims=True)


AVERAGE = [
    (lambda z: softmax(z.mean(axis=0)), "of the mean logits: average the probabilities"),
    (lambda z: softmax(z.sum(axis=0)), "of the summed logits, or of the product"),
    (product, r"of the summed logits, or of the product|the array of probabilities is"),
    (overflowing, r"when e\^1000 overflows"),
    (one_largest, "when one number is subtracted from all"),
    (lambda z: softmax(z).sum(axis=0), "of the sum: divide by the number of models"),
    (lambda z: softmax(z).max(axis=0), "of the largest of the probabilities"),
    (lambda z: np.eye(z.shape[2])[z.argmax(axis=2)].mean(axis=0), "of votes"),
    (lambda z: np.exp(z).mean(axis=0), r"of e\^z as it is|when e\^1000 overflows"),
    (lambda z: softmax(z)[0], "of the first model alone"),
    (lambda z: softmax(z)[-1], "of the last model alone"),
    (softmax, "of each model for itself"),
    (lambda z: softmax(z).mean(axis=1), "when the mean is over the rows"),
    (lambda z: softmax(z, 0).mean(axis=0), "when the softmax is over the models"),
    (lambda z: softmax(z, 1).mean(axis=0), "when the softmax is over the rows"),
    (lambda z: z.mean(axis=0), "of the mean logits, without a softmax"),
    (lambda z: softmax(z / 2.0).mean(axis=0), r"the array of probabilities is .*\)$"),
]


def reporting(**changed):
    """report with some of its results made otherwise, of the table, P, R and F1."""
    names = ("precision", "recall", "f1", "macro")

    def answer(table):
        right = dict(zip(names, SOLUTIONS.report(table)))
        given = table, right["precision"], right["recall"], right["f1"]
        return tuple(changed[n](*given) if n in changed else right[n] for n in names)

    return answer


def harmonic(p, r):
    return 2 * p * r / (p + r) if p + r else 0.0


def bare(table):
    return np.diag(table) / table.sum(axis=0)


REPORT = [
    (reporting(precision=lambda t, p, r, f: bare(t)), "precision is .* by 0/0: the precision"),
    (reporting(precision=lambda t, p, r, f: np.where(t.any(axis=0), p, 1.0)), "when 0/0 is 1"),
    (lambda t: SOLUTIONS.report(t.T), "for the (recall|precision)|precision is"),
    (reporting(precision=lambda t, p, r, f: r), "for the recall: a column is"),
    (reporting(recall=lambda t, p, r, f: p), "for the precision: a row is"),
    (
        reporting(precision=lambda t, p, r, f: p[t.any(axis=0)]),
        "without the classes that are never predicted",
    ),
    (reporting(recall=lambda t, p, r, f: np.diag(t) / t.sum()), "when the divisor is all rows"),
    (
        reporting(recall=lambda t, p, r, f: 1 - (t.sum(0) + t.sum(1) - 2 * np.diag(t)) / t.sum()),
        "of the accuracy of class against rest",
    ),
    (
        reporting(f1=lambda t, p, r, f: 2 * bare(t) * r / (bare(t) + r)),
        "F1 is .* by 0/0: where precision and recall are 0",
    ),
    (reporting(f1=lambda t, p, r, f: (p + r) / 2), "of the arithmetic mean"),
    (reporting(f1=lambda t, p, r, f: np.sqrt(p * r)), "of the geometric mean"),
    (reporting(f1=lambda t, p, r, f: f / 2), "without the factor 2"),
    (reporting(f1=lambda t, p, r, f: p * r), "of the product"),
    (
        reporting(macro=lambda t, p, r, f: np.trace(t) / t.sum()),
        "of the accuracy, which is the micro average",
    ),
    (reporting(macro=lambda t, p, r, f: np.average(f, weights=t.sum(1))), "when classes weigh by"),
    (
        reporting(macro=lambda t, p, r, f: harmonic(p.mean(), r.mean())),
        "of the means of precision and recall",
    ),
    (reporting(macro=lambda t, p, r, f: (f / (f > 0)).mean()), "macro F1 is nan.* by 0/0"),
    (
        reporting(macro=lambda t, p, r, f: f[t.any(axis=0)].mean()),
        "when a class of which nothing is found is left out",
    ),
    (reporting(macro=lambda t, p, r, f: f.sum()), "of the sum: take the mean"),
    (reporting(macro=lambda t, p, r, f: p.mean()), "of the mean precision"),
    (reporting(macro=lambda t, p, r, f: r.mean()), "of the mean recall"),
    (lambda t: SOLUTIONS.report(t)[:3], r"expected \(precision, recall, F1, macro F1\)"),
]

WRONG = [
    (name, answer, complaint)
    for name, answers in [
        ("three_parts", PARTS),
        ("mean_gradient", MEAN),
        ("lora_gradients", LORA),
        ("average", AVERAGE),
        ("report", REPORT),
    ]
    for answer, complaint in answers
]


@pytest.mark.parametrize("name, answer, complaint", WRONG)
def test_a_wrong_answer_is_found_and_named(name, answer, complaint):
    found = failure(EXERCISES[name], answer)
    assert re.search(complaint, found.complaint), found.complaint
    assert found.call.startswith(f"{name}(") and len(found.call) < 250, found.call
