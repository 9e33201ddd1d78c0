"""Property tests for the exercises of chapter 01."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from chapters.checks import Ask, Source, exercise, show
from tinygrad_llm import Tensor, grad
from tinygrad_llm.formulas import numeric_gradient
from tinygrad_llm.ops import Op
from tinygrad_llm.tensor import apply

IMPORTS = """import numpy as np
from tinygrad_llm import Tensor, grad
from tinygrad_llm.tensor import apply
from {file} import Swish
"""
"""What stands before a snippet about an op, so that it runs as it is printed."""

FUNCTIONS = [
    "lambda x: (x * x).sum()",
    "lambda x: (x ** 3).sum()",
    "lambda x: x.sum() ** 2",
    "lambda x: np.sin(x).sum()",
]


def numbers(low: float, high: float) -> st.SearchStrategy:
    """Arrays of one or two axes with elements between low and high."""
    shapes = array_shapes(min_dims=1, max_dims=2, min_side=1, max_side=3)
    return arrays(np.float64, shapes, elements=st.floats(low, high, allow_subnormal=False))


@exercise("softplus_gradient(x)", x=numbers(-1000.0, 1000.0))
def softplus_gradient(ask: Ask, x: np.ndarray) -> None:
    """It must be σ(x), for large x too."""
    ask.expect("the gradient", ask(x), 0.5 * (1.0 + np.tanh(0.5 * x)))


@exercise(
    "central_difference(f, x, h)",
    f=st.sampled_from(FUNCTIONS),
    x=numbers(-10.0, 10.0),
    h=st.sampled_from([0.1, 0.01, 0.001]),
)
def central_difference(ask: Ask, f: str, x: np.ndarray, h: float) -> None:
    """It must be (f(x + h) − f(x − h)) / 2h for this h, one element at a time."""
    truth = np.empty(x.shape)
    fn = Source(f).value()
    for index in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[index] = h
        truth[index] = (fn(x + step) - fn(x - step)) / (2 * h)
    ask.expect("the gradient", ask(Source(f), x, h), truth, tolerance=1e-7)


@st.composite
def tapes(draw: st.DrawFn) -> list[list[tuple[int, float]]]:
    """Tapes of up to five nodes: for each, the earlier nodes that it uses and its slopes."""
    slopes = st.integers(-3, 3).map(float)
    tape: list[list[tuple[int, float]]] = [[]]
    for node in range(1, draw(st.integers(1, 5))):
        uses = st.tuples(st.integers(0, node - 1), slopes)
        tape.append(draw(st.lists(uses, max_size=3)))
    return tape


@exercise("backward(tape)", tape=tapes())
def backward(ask: Ask, tape: list[list[tuple[int, float]]]) -> None:
    """It must be what a push of one node at a time through the tape, forwards, gives."""
    truth = []
    for source in range(len(tape)):
        pushed = [0.0] * len(tape)
        pushed[source] = 1.0
        for node in range(source + 1, len(tape)):
            pushed[node] = sum(slope * pushed[used] for used, slope in tape[node])
        truth.append(pushed[-1])
    ask.expect("the list of gradients", ask(tape), truth)


@st.composite
def broadcasts(draw: st.DrawFn) -> tuple[np.ndarray, tuple[int, ...]]:
    """A gradient g, and a shape that broadcasts to the shape of g."""
    shape = draw(array_shapes(min_dims=0, max_dims=2, min_side=1, max_side=3))
    repeated = [draw(st.integers(1, 3)) if n == 1 else n for n in shape]
    new = draw(array_shapes(min_dims=0, max_dims=2, min_side=1, max_side=3))
    elements = st.integers(-9, 9).map(float)
    return draw(arrays(np.float64, (*new, *repeated), elements=elements)), shape


@exercise("unbroadcast(g, shape)", pair=broadcasts())
def unbroadcast(ask: Ask, pair: tuple[np.ndarray, tuple[int, ...]]) -> None:
    """It must be the transpose of broadcasting: each element collects g where it was copied to."""
    g, shape = pair
    truth = np.empty(shape)
    for index in np.ndindex(shape):
        unit = np.zeros(shape)
        unit[index] = 1.0
        truth[index] = (np.broadcast_to(unit, g.shape) * g).sum()
    ask.expect("the gradient", ask(g, shape), truth)


@exercise("class Swish(Op)", x=numbers(-10.0, 10.0), seed=st.integers(0, 99))
def Swish(ask: Ask, x: np.ndarray, seed: int) -> None:
    """Forward, first and second derivative, with a drawn cotangent."""
    if not (isinstance(ask.answer, type) and issubclass(ask.answer, Op)):
        ask.fail("Swish must be a class that inherits Op: class Swish(Op)")
    v = np.random.default_rng(seed).uniform(0.5, 1.5, x.shape).round(1)
    kept, leaf = x.copy(), Tensor(x, requires_grad=True)
    imports = IMPORTS.format(file=ask.file.stem)
    forward = f"{imports}x = Tensor({show(x)}, requires_grad=True)\ny = apply(Swish, x)"
    first = f"{forward}\ng = grad(y, x, {show(v)}, create_graph=True)"
    second = f"{first}\ngrad(g.sum(), x)"

    y = ask.run(forward, lambda: apply(ask.answer, leaf))
    ask.expect("y", y, x * _sigmoid(x))
    truth = numeric_gradient(lambda at: (v * at * _sigmoid(at)).sum(), x)
    plain = first.replace("create_graph", "retain_graph")
    ask.expect("g", ask.run(plain, lambda: grad(y, leaf, v, retain_graph=True)), truth, 1e-6)
    g = ask.run(first, lambda: grad(y, leaf, v, create_graph=True))
    truth = numeric_gradient(lambda at: (v * _swish_slope(at)).sum(), x)
    ask.expect("the second derivative", ask.run(second, lambda: grad(g.sum(), leaf)), truth, 1e-6)
    if not np.array_equal(x, kept):
        ask.fail(f"it changes its input: {show(kept)} has become {show(x)}")


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def _swish_slope(x: np.ndarray) -> np.ndarray:
    s = _sigmoid(x)
    return s * (1.0 + x * (1.0 - s))


EXERCISES = [softplus_gradient, central_difference, backward, unbroadcast, Swish]
