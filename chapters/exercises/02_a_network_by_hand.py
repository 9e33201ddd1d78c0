"""Property tests for the exercises of chapter 02."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from chapters.checks import Ask, exercise, show
from tinygrad_llm import Tensor
from tinygrad_llm.formulas import numeric_gradient
from tinygrad_llm.nn import Module, Parameter
from tinygrad_llm.optim import SGD

NUMBERS = [0.0, 1.0, -1.0, 2.0, 0.5]
LOGITS = [0.0, 1.0, -1.0, 2.5, 1000.0, -1000.0]
GRADIENTS = [1.0, -1.0, 0.0, 100.0, 1e-4, -1e-8]
SQUARES = [1.0, 0.25, 0.0, 1e-8]
IGNORED = -100

SCALE = """import numpy as np
from tinygrad_llm import Tensor
from tinygrad_llm.optim import SGD
from {file} import Scale
scale = Scale({features})"""
"""What stands before a snippet about a Scale, so that it runs as it is printed."""


def table(numbers: list[float], *shape: int) -> st.SearchStrategy:
    """Arrays of this shape whose elements are some of the numbers."""
    return arrays(np.float64, shape, elements=st.sampled_from(numbers))


def _slope(fn: Callable[[np.ndarray], float], at: np.ndarray) -> np.ndarray:
    """The gradient by central differences, without the digits that are rounding."""
    return numeric_gradient(fn, at).round(9) + 0.0  # −0 + 0 = 0


@st.composite
def layers(draw: st.DrawFn) -> tuple[np.ndarray, ...]:
    """X (N, in), W (in, out) and delta (N, out)."""
    rows, n_in, n_out = (draw(st.integers(1, 3)) for _ in range(3))
    shapes = (rows, n_in), (n_in, n_out), (rows, n_out)
    return tuple(draw(table(NUMBERS, *shape)) for shape in shapes)


@exercise("linear_backward(X, W, delta)", layer=layers())
def linear_backward(ask: Ask, layer: tuple[np.ndarray, ...]) -> None:
    """It must be the slope of L = Σ delta·(XW + b), whose ∂L/∂Y is delta."""
    X, W, delta = layer
    dX, dW, db = ask.parts(ask(X, W, delta), "dX", "dW", "db")
    truth = _slope(lambda X: (delta * (X @ W)).sum(), X)
    ask.expect("dX", dX, truth, 1e-6, _product("delta @ W: it must be W.T", delta, W))
    truth = _slope(lambda W: (delta * (X @ W)).sum(), W)
    mistakes = {
        "when the rows are averaged: the 1/N of a mean is in delta already": truth / len(X),
        "with a weight of (out, in), as PyTorch has it; here W is (in, out)": delta.T @ X,
    }
    mistakes |= _product("X @ delta: it must be X.T", X, delta)
    ask.expect("dW", dW, truth, 1e-6, mistakes)
    truth = _slope(lambda b: (delta * (X @ W + b)).sum(), np.zeros(W.shape[1]))
    ask.expect("db", db, truth, 1e-6, _bias_mistakes(delta))


def _product(how: str, a: np.ndarray, b: np.ndarray) -> dict[str, Any]:
    """The mistake of a matrix product without its transpose, where the shapes allow it."""
    return {f"of {how}": a @ b} if a.shape[1] == b.shape[0] else {}


def _bias_mistakes(delta: np.ndarray) -> dict[str, Any]:
    return {
        "of delta itself: every row used b, so sum over the rows": delta,
        "with keepdims: b has one axis": delta.sum(axis=0, keepdims=True),
        "when the rows are averaged: each row's share adds up": delta.mean(axis=0),
        "when the sum runs over the outputs: it must be axis 0, the rows": delta.sum(axis=1),
        "when everything is summed: it must be axis 0 alone, the rows": delta.sum(),
    }


@st.composite
def networks(draw: st.DrawFn) -> tuple[np.ndarray, ...]:
    """X (N, in), T (N, out), W1 (in, hidden), b1, W2 (hidden, out), b2."""
    rows, n_in, hidden, n_out = (draw(st.integers(1, 2)) for _ in range(4))
    shapes = (rows, n_in), (rows, n_out), (n_in, hidden), (hidden,), (hidden, n_out), (n_out,)
    return tuple(draw(table(NUMBERS, *shape)) for shape in shapes)


@exercise("network_gradients(X, T, W1, b1, W2, b2)", network=networks())
def network_gradients(ask: Ask, network: tuple[np.ndarray, ...]) -> None:
    """It must be the slope of the loss in each parameter, by central differences."""
    X, T, *parameters = network
    names = ["dW1", "db1", "dW2", "db2"]
    found = ask.parts(ask(*network), *names)
    wrong = _wrong_networks(X, T, *parameters)
    for i, name in enumerate(names):

        def loss(moved: np.ndarray, i: int = i) -> float:
            return _network_loss(X, T, *parameters[:i], moved, *parameters[i + 1 :])

        mistakes = {mistake: gradients[i] for mistake, gradients in wrong.items()}
        ask.expect(name, found[i], _slope(loss, parameters[i]), 1e-6, mistakes)


def _network_loss(X, T, W1, b1, W2, b2) -> float:
    return 0.5 * ((np.tanh(X @ W1 + b1) @ W2 + b2 - T) ** 2).sum(axis=1).mean()


def _wrong_networks(X, T, W1, b1, W2, b2) -> dict[str, tuple[np.ndarray, ...]]:
    """What is done wrong → the four gradients that then come out."""
    z = X @ W1 + b1
    a = np.tanh(z)
    e, slope, rows = a @ W2 + b2 - T, 1.0 - a**2, len(X)

    def back(delta: np.ndarray, slope: Any, W2: np.ndarray) -> tuple[np.ndarray, ...]:
        hidden = (delta @ W2.T) * slope
        return X.T @ hidden, hidden.sum(axis=0), a.T @ delta, delta.sum(axis=0)

    wrong = {
        "without the 1/N: the loss is a mean over the rows": back(e, slope, W2),
        "with 1/N twice: it is in ∂L/∂Y, so sum from there on": back(e / rows**2, slope, W2),
        "without the ½: the 2 of the square and the ½ cancel": back(2 * e / rows, slope, W2),
        "of a mean over the outputs too: they are summed": back(e / e.size, slope, W2),
        "without tanh′ = 1 − a²": back(e / rows, 1.0, W2),
        "with 1 − z²: tanh′ is 1 − a², with a = tanh z": back(e / rows, 1.0 - z**2, W2),
        "with T − Y instead of Y − T": back(-e / rows, slope, W2),
    }
    if W2.shape[0] == W2.shape[1]:
        wrong["of delta @ W2: it must be W2.T"] = back(e / rows, slope, W2.T)
    hidden = (e / rows) @ W2.T * slope
    unsummed = (np.nan, hidden, np.nan, e / rows)  # the bias alone is wrong
    return wrong | {"when the bias is not summed over the rows": unsummed}


@st.composite
def predictions(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Logits (N, V), some of them huge, and labels (N,), some of them ignored."""
    rows, classes = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    label = st.integers(0, classes - 1) | st.just(IGNORED)
    labels = draw(arrays(np.int64, rows, elements=label, fill=st.nothing()))
    return draw(table(LOGITS, rows, classes)), labels


@exercise("cross_entropy_gradient(logits, labels)", prediction=predictions())
def cross_entropy_gradient(ask: Ask, prediction: tuple[np.ndarray, np.ndarray]) -> None:
    """It must be the slope of the mean of −ln softmax(logits)[label] over the counted rows."""
    logits, labels = prediction
    rows = np.flatnonzero(labels != IGNORED)
    moved = logits - logits.max(axis=1, keepdims=True)  # the same loss, and steps of one size

    def loss(z: np.ndarray) -> float:
        above = z.max(axis=1, keepdims=True)
        each = np.log(np.exp(z - above).sum(axis=1)) + above[:, 0]
        return (each[rows] - z[rows, labels[rows]]).sum() / max(len(rows), 1)

    truth, mistakes = _slope(loss, moved), _wrong_cross_entropies(logits, labels)
    ask.expect("the gradient", ask(logits, labels), truth, 1e-6, mistakes)


def _wrong_cross_entropies(logits: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    counted = (labels != IGNORED)[:, None]
    target = (np.arange(logits.shape[1]) == labels[:, None]) * 1.0
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p, huge = e / e.sum(axis=1, keepdims=True), np.exp(logits)
    naive = huge / huge.sum(axis=1, keepdims=True)
    n, rows = counted.sum(), len(labels)
    over_rows = huge / huge.sum(axis=0)
    return {
        "by 0/0: with no row that counts the gradient is 0": (p - target) * counted / n,
        "when e^1000 is inf or e^−1000 is 0: subtract each row's largest logit first": (
            np.where(counted, (naive - target) / n, 0.0)
        ),
        "when the mean counts rows with label −100": (p - target) * counted / rows,
        "when rows with label −100 get a gradient": (p - target) / max(n, 1),
        "when rows with label −100 count like any other": (p - target) / rows,
        "when label −100 is read as a class, counted from the end": _from_the_end(p, labels),
        "without the 1/N: the loss is a mean": (p - target) * counted,
        "with 1/N twice": (p - target) * counted / n**2,
        "with the sign turned: it is softmax − one-hot": (target - p) * counted / n,
        "without the − 1 at the label": p * counted / n,
        "when softmax runs over the rows: it must be axis 1": (over_rows - target) * counted / n,
    }


def _from_the_end(p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """p − one-hot over N when −100 is taken modulo V."""
    target = np.arange(p.shape[1]) == (labels % p.shape[1])[:, None]
    return (p - target) / len(labels)


@st.composite
def moments(draw: st.DrawFn) -> tuple[Any, ...]:
    """w, g, m, v of one shape, and t."""
    shape = draw(array_shapes(min_dims=1, max_dims=2, max_side=2))
    numbers = (NUMBERS, GRADIENTS, GRADIENTS, SQUARES)
    return *(draw(table(each, *shape)) for each in numbers), draw(st.integers(1, 1000))


@exercise("adam_step(w, g, m, v, t)", before=moments())
def adam_step(ask: Ask, before: tuple[Any, ...]) -> None:
    """It must be step t, counted from 1, of Adam with its usual settings (F14–F18)."""
    w, g, m, v, t = before
    new_w, new_m, new_v = ask.parts(ask(w, g, m, v, t), "w", "m", "v")
    next_m, next_v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
    first, second = 1 - 0.9**t, 1 - 0.999**t
    mistakes = {
        "after the bias correction: m goes on without it": next_m / first,
        "with β₁ and 1 − β₁ exchanged": 0.1 * m + 0.9 * g,
        "when g is not weighted by 1 − β₁: that is momentum, not a mean": 0.9 * m + g,
    }
    ask.expect("m", new_m, next_m, 1e-9, mistakes)
    mistakes = {
        "after the bias correction: v goes on without it": next_v / second,
        "of g: v is the mean of g²": 0.999 * v + 0.001 * g,
        "with β₂ and 1 − β₂ exchanged": 0.001 * v + 0.999 * g**2,
    }
    ask.expect("v", new_v, next_v, 1e-9, mistakes)
    truth = w - 0.001 * (next_m / first) / (np.sqrt(next_v / second) + 1e-8)
    ask.expect("w", new_w, truth, 1e-7, _wrong_steps(before, next_m, next_v))


def _wrong_steps(before: tuple[Any, ...], m: np.ndarray, v: np.ndarray) -> dict[str, np.ndarray]:
    w, _, old_m, old_v, t = before
    first, second, eps = 1 - 0.9**t, 1 - 0.999**t, 1e-8
    m_hat, root = m / first, np.sqrt(v / second)
    later = 1 - 0.9 ** (t + 1), 1 - 0.999 ** (t + 1)
    steps = {
        "without the bias corrections": m / (np.sqrt(v) + eps),
        "without the bias correction of m": m / (root + eps),
        "without the bias correction of v": m_hat / (np.sqrt(v) + eps),
        "with eps inside the root: it is added to √v̂": m_hat / np.sqrt(v / second + eps),
        "with eps added before the bias correction": m_hat / ((np.sqrt(v) + eps) / second**0.5),
        "without eps: √v̂ can be 0": m_hat / root,
        "without the root of v̂": m_hat / (v / second + eps),
        "with t + 1: t counts from 1 already": m / later[0] / (np.sqrt(v / later[1]) + eps),
        "of the m and v from before this step": old_m / first / (np.sqrt(old_v / second) + eps),
        "in the direction of the gradient: it must be w − …": -m_hat / (root + eps),
    }
    return {mistake: w - 0.001 * step for mistake, step in steps.items()}


@st.composite
def scales(draw: st.DrawFn) -> tuple[np.ndarray, ...]:
    """x (N, features), and what weight and bias are set to."""
    rows, features = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    shapes = (rows, features), (features,), (features,)
    return tuple(draw(table(NUMBERS, *shape)) for shape in shapes)


@exercise("class Scale(Module)", drawn=scales())
def Scale(ask: Ask, drawn: tuple[np.ndarray, ...]) -> None:
    """Its parameters, then y with drawn weights, the three gradients, and y after a step of SGD."""
    if not (isinstance(ask.answer, type) and issubclass(ask.answer, Module)):
        ask.fail("Scale must be a class that inherits Module: class Scale(Module)")
    x, weight, bias = drawn
    features = x.shape[1]
    made = SCALE.format(file=ask.file.stem, features=features)
    scale = ask.run(made, lambda: ask.answer(features))
    listed = f"{made}\ndict(scale.named_parameters())"
    _check_parameters(ask, scale, ask.run(listed, lambda: dict(scale.named_parameters())), features)

    inputs = Tensor(x, dtype="float32", requires_grad=True)
    filled = (
        f'{made}\nscale.load_state_dict({{"weight": {show(weight)}, "bias": {show(bias)}}})\n'
        f'x = Tensor({show(x)}, dtype="float32", requires_grad=True)\ny = scale(x)'
    )
    scale.load_state_dict({"weight": weight, "bias": bias})
    y = ask.run(filled, lambda: scale(inputs))
    _check_output(ask, y, x * weight + bias)
    if not np.array_equal(inputs.numpy(), x):
        ask.fail(f"it changes its input: {show(x)} has become {show(inputs.numpy())}")

    v = np.arange(1.0, x.size + 1).reshape(x.shape)
    ask.run(f"{filled}\ny.backward({show(v)})", lambda: y.backward(v))
    truths = {
        "x.grad": v * weight,
        "scale.weight.grad": (v * x).sum(axis=0),
        "scale.bias.grad": v.sum(axis=0),
    }
    leaves = dict(zip(truths, (inputs, scale.weight, scale.bias)))
    for name, leaf in leaves.items():
        if leaf.grad is None:
            ask.fail(f"{name} is None: y must be computed from it by operators of Tensors")
        ask.expect(name, leaf.grad.numpy(), truths[name], 1e-5)

    stepped = f"{filled}\ny.backward({show(v)})\nSGD(scale.parameters(), lr=0.5).step()\nscale(x)"
    truth = (
        x * (weight - 0.5 * truths["scale.weight.grad"]) + bias - 0.5 * truths["scale.bias.grad"]
    )
    after = ask.run(stepped, lambda: SGD(scale.parameters(), lr=0.5).step() or scale(inputs))
    ask.expect("y after a step of SGD", after.numpy(), truth, 1e-5)


def _check_parameters(ask: Ask, scale: Module, found: dict[str, Parameter], features: int) -> None:
    """weight and bias, found by name, float32, of shape (features,), ones and zeros."""
    for name, start in {"weight": np.ones(features), "bias": np.zeros(features)}.items():
        value = getattr(scale, name, None)
        if name not in found:
            if value is None:
                ask.fail(f"there is no {name}: set self.{name} = Parameter(…) in __init__")
            kind = type(value).__name__
            ask.fail(f"named_parameters() misses {name}, a {kind}: make it a Parameter")
        ask.expect(name, value.numpy(), start)
        if value.dtype != np.float32:
            ask.fail(
                f"{name} is {value.dtype}, expected float32: np.ones and np.zeros make float64, "
                "those of tinygrad_llm float32"
            )
        if not value.requires_grad:
            ask.fail(f"{name} asks for no gradient: leave requires_grad=True")
    if extra := found.keys() - {"weight", "bias"}:
        ask.fail(f"named_parameters() also has {', '.join(sorted(extra))}: expected weight, bias")


def _check_output(ask: Ask, y: Any, truth: np.ndarray) -> None:
    if not isinstance(y, Tensor):
        ask.fail(f"y is a {type(y).__name__}, expected a Tensor")
    ask.expect("y", y.numpy(), truth, 1e-5)
    if not y.requires_grad:
        ask.fail("y has no tape: compute it by operators of Tensors, not by NumPy or .data")


EXERCISES = [linear_backward, network_gradients, cross_entropy_gradient, adam_step, Scale]
