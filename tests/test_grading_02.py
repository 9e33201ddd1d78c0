"""Tests of the grading of chapter 02's exercises: the usual mistakes are found, with a small input,
and named."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.grading_tools import exercises, failure, grade, solutions
from tinygrad_llm import Tensor, ones, zeros
from tinygrad_llm.nn import Module, Parameter

NAME = "02_a_network_by_hand"
EXERCISES = exercises(NAME)
SOLUTIONS = solutions(NAME)


@pytest.mark.parametrize("name", EXERCISES)
def test_the_solution_passes(name):
    grade(EXERCISES[name], getattr(SOLUTIONS, name))


def linear(dX=None, dW=None, db=None):
    """linear_backward with one gradient or another wrong."""

    def answer(X, W, delta):
        right = SOLUTIONS.linear_backward(X, W, delta)
        wrong = [None if f is None else f(X, W, delta) for f in (dX, dW, db)]
        return tuple(r if w is None else w for r, w in zip(right, wrong))

    return answer


def in_place_linear(X, W, delta):
    delta /= len(X)
    return delta @ W.T, X.T @ delta, delta.sum(axis=0)


LINEAR = [
    (
        linear(dX=lambda X, W, delta: delta @ W if W.shape[0] == W.shape[1] else None),
        "dX is .*, expected .* comes out of delta @ W: it must be W.T",
    ),
    (
        linear(dX=lambda X, W, delta: delta @ W),
        r"delta @ W\b|sizes .* is a transpose missing",
    ),
    (
        linear(dW=lambda X, W, delta: X @ delta if X.shape[0] == X.shape[1] else None),
        "dW is .*, expected .* comes out of X @ delta: it must be X.T",
    ),
    (
        linear(dW=lambda X, W, delta: delta.T @ X),
        "dW .* comes out with a weight of .out, in., as PyTorch has it",
    ),
    (
        linear(dW=lambda X, W, delta: X.T @ delta / len(X)),
        "dW is .* comes out when the rows are averaged: the 1/N of a mean is in delta already",
    ),
    (
        linear(db=lambda X, W, delta: delta),
        r"db has shape \(1, 1\), expected \(1,\). That is what comes out of delta itself",
    ),
    (
        linear(db=lambda X, W, delta: delta.sum(axis=0, keepdims=True)),
        r"db has shape \(1, 1\), expected \(1,\)",
    ),
    (
        linear(db=lambda X, W, delta: delta.mean(axis=0)),
        "db is .* comes out when the rows are averaged: each row's share adds up",
    ),
    (
        linear(db=lambda X, W, delta: delta.sum(axis=1)),
        "db .* when the sum runs over the outputs: it must be axis 0",
    ),
    (linear(db=lambda X, W, delta: delta.sum()), r"db has shape \(\), .* when everything is summ"),
    (in_place_linear, r"it changes its input: np.array\(\[\[.*\]\]\) has become"),
    (lambda X, W, delta: (delta @ W.T, X.T @ delta), r"2 values, expected \(dX, dW, db\)"),
    (lambda X, W, delta: [delta @ W.T], r"it returns list, expected \(dX, dW, db\)"),
    (lambda X, W, delta: (delta @ W.T, X.T @ delta, None), "db is None"),
]


def network(X, T, W1, b1, W2, b2, rows=len, slope=lambda z: 1 - np.tanh(z) ** 2, turn=np.transpose):
    """network_gradients with a part that can be wrong."""
    z = X @ W1 + b1
    a = np.tanh(z)
    delta = (a @ W2 + b2 - T) / rows(X)
    hidden = delta @ turn(W2) * slope(z)
    return X.T @ hidden, hidden.sum(axis=0), a.T @ delta, delta.sum(axis=0)


def with_part(**parts):
    return lambda *inputs: network(*inputs, **parts)


def without_transpose_where_it_fits(W):
    return W if W.shape[0] == W.shape[1] else W.T


def averaged_biases(X, T, W1, b1, W2, b2):
    dW1, db1, dW2, db2 = network(X, T, W1, b1, W2, b2)
    return dW1, db1 / len(X), dW2, db2 / len(X)


def unsummed_biases(X, T, W1, b1, W2, b2):
    dW1, _, dW2, db2 = network(X, T, W1, b1, W2, b2)
    a = np.tanh(X @ W1 + b1)
    return dW1, (a @ W2 + b2 - T) / len(X) @ W2.T * (1 - a**2), dW2, db2


def of_all_elements(X, T, W1, b1, W2, b2):
    return network(X, T, W1, b1, W2, b2, rows=lambda X: T.size)


def shifted_in_place(X, T, W1, b1, W2, b2):
    right = network(X, T, W1, b1, W2, b2)
    W1 -= 0.1 * right[0]
    return right


NETWORK = [
    (with_part(rows=lambda X: 1), "d.. is .* comes out without the 1/N"),
    (with_part(rows=lambda X: len(X) ** 2), "d.. is .* comes out with 1/N twice"),
    (with_part(rows=lambda X: len(X) / 2), "d.. is .* comes out without the ½"),
    (of_all_elements, "d.. is .* comes out of a mean over the outputs too"),
    (with_part(slope=np.ones_like), "d.. is .* comes out without tanh′ = 1 − a²"),
    (with_part(slope=lambda z: 1 - z**2), "d.. is .* comes out with 1 − z²"),
    (with_part(turn=without_transpose_where_it_fits), "d.. is .* comes out of delta @ W2"),
    (with_part(rows=lambda X: -len(X)), "d.. is .* comes out with T − Y instead of Y − T"),
    (averaged_biases, "db. is .* comes out with 1/N twice"),
    (unsummed_biases, "db1 has shape .1, 1., .* comes out when the bias is not summed"),
    (shifted_in_place, "it changes its input"),
]


def cross_entropy(softmax=None, rows=None, mask=True, sign=1.0, target=1.0):
    """cross_entropy_gradient with a part that can be wrong."""

    def stable(z):
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def answer(logits, labels):
        counted = (labels != -100)[:, None]
        onehot = (np.arange(logits.shape[1]) == labels[:, None]) * target
        n = counted.sum() if rows is None else rows(logits, counted)
        each = sign * ((softmax or stable)(logits) - onehot)
        return (np.where(counted, each, 0.0) if mask else each) / (n if n else 1)

    return answer


def naive(z):
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


def over_the_rows(z):
    e = np.exp(z - z.max(axis=0))
    return e / e.sum(axis=0)


def divided_by_none(logits, labels):
    gradient = cross_entropy()(logits, labels)
    return gradient * (labels != -100).any() / (labels != -100).any()


def picked(logits, labels):
    p = cross_entropy(target=0.0, rows=lambda z, counted: 1)(logits, np.zeros(len(labels)))
    p[np.arange(len(labels)), labels] -= 1
    return p / len(labels)


def from_the_end(logits, labels):
    return picked(logits, labels % logits.shape[1])


def in_place_cross_entropy(logits, labels):
    gradient = cross_entropy()(logits, labels)
    logits -= logits.max(axis=1, keepdims=True)
    return gradient


CROSS_ENTROPY = [
    (cross_entropy(softmax=naive), r"is np.array\(\[\[nan\]\]\), expected .* subtract each row's"),
    (divided_by_none, "comes out by 0/0: with no row that counts the gradient is 0"),
    (cross_entropy(rows=lambda z, counted: len(z)), "when the mean counts rows with label −100"),
    (cross_entropy(mask=False), "comes out when rows with label −100 get a gradient"),
    (
        cross_entropy(mask=False, rows=lambda z, counted: len(z)),
        "comes out when rows with label −100 (count like any other|get a gradient)",
    ),
    (picked, "IndexError: index -100 is out of bounds"),
    (from_the_end, "when label −100 is read as a class|−100 (get a gradient|count like any other)"),
    (cross_entropy(rows=lambda z, counted: 1), "comes out without the 1/N"),
    (cross_entropy(rows=lambda z, counted: counted.sum() ** 2), "comes out with 1/N twice"),
    (cross_entropy(sign=-1.0), "comes out with the sign turned"),
    (cross_entropy(target=0.0), "comes out without the − 1 at the label"),
    (cross_entropy(softmax=over_the_rows), "comes out when softmax runs over the rows"),
    (in_place_cross_entropy, "it changes its input"),
]


def adam(step, m=lambda m, first: m, v=lambda v, second: v, sign=1, square=2):
    """adam_step with the rule `step(m, v, first, second)` and what is returned as m and v."""

    def answer(w, g, old_m, old_v, t):
        new_m, new_v = 0.9 * old_m + 0.1 * g, 0.999 * old_v + 0.001 * g**square
        first, second = 1 - 0.9**t, 1 - 0.999**t
        change = sign * 0.001 * step(new_m, new_v, first, second)
        return w - change, m(new_m, first), v(new_v, second)

    return answer


def right(m, v, first, second):
    return m / first / (np.sqrt(v / second) + 1e-8)


def in_place_adam(w, g, m, v, t):
    m *= 0.9
    m += 0.1 * g
    return SOLUTIONS.adam_step(w, g, m, v, t)


def old_moments(w, g, m, v, t):
    _, new_m, new_v = SOLUTIONS.adam_step(w, g, m, v, t)
    return w - 0.001 * right(m, v, 1 - 0.9**t, 1 - 0.999**t), new_m, new_v


def one_later(w, g, m, v, t):
    return SOLUTIONS.adam_step(w, g, m, v, t + 1)


ADAM = [
    (adam(lambda m, v, c, d: m / (np.sqrt(v) + 1e-8)), "without the bias corrections"),
    (adam(lambda m, v, c, d: m / (np.sqrt(v / d) + 1e-8)), "without the bias correction of m"),
    (adam(lambda m, v, c, d: m / c / (np.sqrt(v) + 1e-8)), "without the bias correction of v"),
    (adam(lambda m, v, c, d: m / c / np.sqrt(v / d + 1e-8)), "with eps inside the root"),
    (adam(lambda m, v, c, d: m / c * d**0.5 / (v**0.5 + 1e-8)), "eps added before the bias corr"),
    (adam(lambda m, v, c, d: m / c / np.sqrt(v / d)), "w is .* comes out without eps: √v̂ can be 0"),
    (adam(lambda m, v, c, d: m / c / (v / d + 1e-8)), "comes out without the root"),
    (adam(right, sign=-1), "comes out in the direction of the gradient"),
    (adam(right, m=lambda m, first: m / first), "m is .* comes out after the bias correction: m"),
    (adam(right, v=lambda v, second: v / second), "v is .* comes out after the bias correction: v"),
    (adam(right, square=1), "v is .* comes out of g: v is the mean of g²"),
    (one_later, "w is .* comes out with t . 1: t counts from 1 already"),
    (old_moments, "w is .* of the m and v from before this step"),
    (in_place_adam, "it changes its input"),
]

WRONG = [
    (name, answer, complaint)
    for name, answers in [
        ("linear_backward", LINEAR),
        ("network_gradients", NETWORK),
        ("cross_entropy_gradient", CROSS_ENTROPY),
        ("adam_step", ADAM),
    ]
    for answer, complaint in answers
]


@pytest.mark.parametrize("name, answer, complaint", WRONG)
def test_a_wrong_answer_is_found_and_named(name, answer, complaint):
    found = failure(EXERCISES[name], answer)
    assert re.search(complaint, found.complaint), found.complaint
    assert found.call.startswith(f"{name}(") and len(found.call) < 250, found.call


# Scale


class PlainTensors(Module):
    def __init__(self, features):
        self.weight = ones(features, requires_grad=True)
        self.bias = zeros(features, requires_grad=True)

    def forward(self, x):
        return x * self.weight + self.bias


class InAList(Module):
    def __init__(self, features):
        self.both = [Parameter(ones(features)), Parameter(zeros(features))]

    def forward(self, x):
        return x * self.both[0] + self.both[1]


def scale(**changes):
    """The right Scale with some attributes of its class, or of its parameters, changed."""
    return type("Scale", (SOLUTIONS.Scale,), changes)


def beginning(weight, bias):
    def __init__(self, features):
        self.weight, self.bias = Parameter(weight(features)), Parameter(bias(features))

    return scale(__init__=__init__)


class OtherNames(Module):
    def __init__(self, features):
        self.gain, self.bias = Parameter(ones(features)), Parameter(zeros(features))


class Frozen(SOLUTIONS.Scale):
    def __init__(self, features):
        super().__init__(features)
        self.bias.requires_grad = False


class OneMore(SOLUTIONS.Scale):
    def __init__(self, features):
        super().__init__(features)
        self.gain = Parameter(ones(features))


class ReadsACopy(SOLUTIONS.Scale):
    def __init__(self, features):
        super().__init__(features)
        self.first = self.weight.data.copy()

    def forward(self, x):
        return x * self.first + self.bias


class Remembers(SOLUTIONS.Scale):
    kept = None

    def forward(self, x):
        self.kept = super().forward(x) if self.kept is None else self.kept
        return self.kept


def with_forward(forward):
    return scale(forward=lambda self, x: forward(x, self.weight, self.bias))


def overwriting(x, weight, bias):
    y = x * weight + bias
    x.data[...] = x.data * weight.data
    return y


SCALES = [
    (len, "Scale must be a class that inherits Module"),
    (PlainTensors, "named_parameters.. misses weight, a Tensor: make it a Parameter"),
    (InAList, "TypeError: InAList.both is a list .* use ModuleList, or attributes"),
    (OtherNames, "there is no weight: set self.weight = Parameter"),
    (OneMore, "named_parameters.. also has gain"),
    (Frozen, "bias asks for no gradient"),
    (scale(forward=Module.forward), "NotImplementedError: Scale has no forward"),
    (beginning(zeros, zeros), r"weight is np.array\(\[0.0\]\), expected np.array\(\[1.0\]\)"),
    (beginning(ones, ones), r"bias is np.array\(\[1.0\]\), expected np.array\(\[0.0\]\)"),
    (beginning(lambda n: ones(1, n), zeros), r"weight has shape \(1, 1\), expected \(1,\)"),
    (beginning(np.ones, zeros), "weight is float64, expected float32: np.ones"),
    (with_forward(lambda x, w, b: x * w), "scale.bias.grad is None: y must be computed from it"),
    (with_forward(lambda x, w, b: (x + b) * w), r"scale.bias.grad is np.array\(\[0.0\]\), expe"),
    (with_forward(lambda x, w, b: x.numpy() * w.numpy() + b.numpy()), "y is a ndarray, expected a"),
    (with_forward(lambda x, w, b: Tensor(x.data * w.data + b.data)), "y has no tape"),
    (with_forward(lambda x, w, b: x.detach() * w + b), "x.grad is None"),
    (with_forward(lambda x, w, b: x * w.detach() + b), "scale.weight.grad is None"),
    (
        with_forward(lambda x, w, b: x * w + b * 2 - b.detach()),
        r"scale.bias.grad is np.array\(\[2.0\]\)",
    ),
    (with_forward(overwriting), "it changes its input"),
    (ReadsACopy, "x.grad is .*, expected"),
    (Remembers, "y after a step of SGD is .*, expected"),
]


@pytest.mark.parametrize("answer, complaint", SCALES)
def test_a_wrong_module_is_found_and_named(answer, complaint):
    found = failure(EXERCISES["Scale"], answer)
    assert re.search(complaint, found.complaint), found.complaint


def test_the_call_that_is_shown_for_a_module_runs_as_it_is_printed(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "from tinygrad_llm import ones, zeros\n"
        "from tinygrad_llm.nn import Module, Parameter\n"
        "class Scale(Module):\n"
        "    def __init__(self, features):\n"
        "        self.weight, self.bias = Parameter(ones(features)), Parameter(zeros(features))\n"
        "    def forward(self, x):\n"
        "        return x * self.weight + 2 * self.bias\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    found = failure(EXERCISES["Scale"], __import__("mine").Scale)
    space: dict = {}
    exec(found.call, space)
    assert "expected" in found.complaint and space["scale"].bias.grad.tolist() == [2.0]
