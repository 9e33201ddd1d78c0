"""Random graphs, played by hypothesis on the engine and on a naive one that has no tape.

Either all values and gradients agree, or the engine raises, and only where it has a reason: a
change in place since, or a graph that has been walked and freed. It is never silently wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.engine.common import drawn
from tests.engine.jets import Jet, bilinear, constant, elementwise, leaves, linear
from tinygrad_llm import Tensor, checkpoint, grad, no_grad
from tinygrad_llm import functional as F

SHAPES = [(2, 2), (2,), ()]
"""Of the leaves, and of all values: any two of them broadcast."""

PLACES = [slice(0, 4), slice(4, 6), slice(6, 7)]
"""Of the leaves' numbers among all seven."""


@dataclass
class Value:
    """One value in both engines. `surely` are the ops that its backward runs through, `perhaps`
    those that it may run through (a gradient's tape reaches back into the tape that it is of)."""

    tensor: Tensor
    jet: Jet
    surely: set[int] = field(default_factory=set)
    perhaps: set[int] = field(default_factory=set)

    @property
    def shape(self):
        return self.jet.v.shape


def on_tape(value: Value) -> bool:
    return value.tensor.requires_grad


CURVES = {
    "tanh": (F.tanh, np.tanh, lambda x: 1 - np.tanh(x) ** 2,
             lambda x: -2 * np.tanh(x) * (1 - np.tanh(x) ** 2)),
    "sin": (F.sin, np.sin, np.cos, lambda x: -np.sin(x)),
    "exp": (lambda x: F.exp(0.3 * x), lambda x: np.exp(0.3 * x),
            lambda x: 0.3 * np.exp(0.3 * x), lambda x: 0.09 * np.exp(0.3 * x)),
    "square": (lambda x: x * x, lambda x: x * x, lambda x: 2 * x, lambda x: 2 + 0 * x),
    "cube": (lambda x: 0.2 * x**3, lambda x: 0.2 * x**3, lambda x: 0.6 * x**2, lambda x: 1.2 * x),
    "softplus": (F.softplus, lambda x: np.log1p(np.exp(x)), lambda x: 1 / (1 + np.exp(-x)),
                 lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2),
    "checkpoint": (lambda x: checkpoint(lambda x: F.sin(x) * x, x), lambda x: np.sin(x) * x,
                   lambda x: np.cos(x) * x + np.sin(x), lambda x: 2 * np.cos(x) - np.sin(x) * x),
}  # fmt: skip

MOVES = {
    (2, 2): {
        "T": lambda x: x.T,
        "row": lambda x: x[1],
        "column": lambda x: x[:, 0],
        "turned": lambda x: x[::-1],
        "place": lambda x: x[0, 1, ...],
        "rows": lambda x: x[np.array([1, 1])],
        "diagonal": lambda x: x[np.array([0, 1]), np.array([0, 1])],
        "mask": lambda x: x[np.array([[True, False], [False, True]])],
        "sum": lambda x: x.sum(0),
        "mean": lambda x: x.mean(axis=(0, 1)),
        "reshape": lambda x: x.T.reshape(4)[1:3],
        "minus": lambda x: -x,
    },
    (2,): {
        "place": lambda x: x[1, ...],
        "turned": lambda x: x[::-1],
        "places": lambda x: x[np.array([[0, 0], [1, 0]])],
        "column": lambda x: x[:, None] * np.ones(2),
        "cumsum": lambda x: x.cumsum(0),
        "sum": lambda x: x.sum(0),
        "minus": lambda x: -x,
    },
    (): {
        "again": lambda x: x[...],
        "twice": lambda x: x.reshape(1)[np.array([0, 0])],
        "minus": lambda x: -x,
    },
}

JOINS = {
    "concatenate": (F.concatenate, np.concatenate, lambda x: x.reshape(-1)[:1]),
    "stack": (F.stack, np.stack, lambda x: x.reshape(-1)[0, ...]),
    "halves": (lambda xs: F.split(F.concatenate(xs), 2)[1], lambda xs: np.split(
        np.concatenate(xs), 2)[1], lambda x: x.reshape(-1)[-1:] * np.ones(2)),
}  # fmt: skip

PAIRS = {
    "+": (lambda a, b: a + b, linear),
    "-": (lambda a, b: a - b, linear),
    "*": (lambda a, b: a * b, bilinear),
}


class Engines(RuleBasedStateMachine):
    """Both engines play the same rules on values that one list holds."""

    @initialize(seed=st.integers(0, 2**32 - 1))
    def begin(self, seed):
        arrays = [drawn(*shape, seed=seed) for shape in SHAPES]
        self.leaves = [
            Value(Tensor(array.copy(), requires_grad=True), jet)
            for array, jet in zip(arrays, leaves(*arrays))
        ]
        self.values = list(self.leaves)
        self.expected = np.zeros(7)
        self.clock, self.last_change = 0, -1
        self.freed, self.perhaps_freed = set(), set()

    def pick(self, data, what=lambda value: True):
        """One of the values that fit, most often a recent one, so that graphs grow deep."""
        fitting = [value for value in self.values if what(value)]
        recent = data.draw(st.integers(0, 3))
        return data.draw(st.sampled_from(fitting[-3:] if recent else fitting))

    def add(self, tensor, jet, *of):
        """Keep a value unless it grows too large to compare. What shares memory in one engine does
        in the other, or a change in place would reach other values there."""
        self.clock += 1
        assert tensor.shape == jet.v.shape
        for value in self.values:
            together = np.shares_memory(jet.v, value.jet.v)
            assert np.shares_memory(tensor.data, value.tensor.data) == together
        parts = [part for part in (jet.v, jet.J, jet.H) if part is not None]
        if max(np.abs(part).max() for part in parts) < 50:
            taped = tensor.requires_grad
            surely = {self.clock}.union(*(value.surely for value in of)) if taped else set()
            perhaps = set().union(*(value.perhaps for value in of)) if taped else set()
            self.values.append(Value(tensor, jet, surely, perhaps))

    @rule(data=st.data(), name=st.sampled_from(sorted(CURVES)))
    def curve(self, data, name):
        x = self.pick(data)
        function, *naive = CURVES[name]
        self.add(function(x.tensor), elementwise(*naive, x.jet), x)

    @rule(data=st.data())
    def move(self, data):
        x = self.pick(data)
        f = MOVES[x.shape][data.draw(st.sampled_from(sorted(MOVES[x.shape])))]
        self.add(f(x.tensor), linear(f, x.jet), x)

    @rule(data=st.data(), name=st.sampled_from(sorted(PAIRS)))
    def pair(self, data, name):
        a, b = self.pick(data), self.pick(data)
        f, naive = PAIRS[name]
        self.add(f(a.tensor, b.tensor), naive(f, a.jet, b.jet), a, b)

    @rule(data=st.data())
    def matmul(self, data):
        a, b = (self.pick(data, lambda value: value.shape == (2, 2)) for _ in range(2))
        self.add(a.tensor @ b.tensor, bilinear(np.matmul, a.jet, b.jet), a, b)

    @rule(data=st.data(), name=st.sampled_from(sorted(JOINS)))
    def join(self, data, name):
        a, b = self.pick(data), self.pick(data)
        function, naive, cut = JOINS[name]
        tensor = function([cut(a.tensor), cut(b.tensor)])
        self.add(tensor, linear(lambda a, b: naive([cut(a), cut(b)]), a.jet, b.jet), a, b)

    @rule(data=st.data())
    def checkpoint_with_captured(self, data):
        a, b = self.pick(data), self.pick(data)
        tensor = checkpoint(lambda x: (x + b.tensor) * b.tensor, a.tensor)
        total = linear(lambda a, b: a + b, a.jet, b.jet)
        self.add(tensor, bilinear(lambda a, b: a * b, total, b.jet), a, b)

    @rule(data=st.data(), detach=st.booleans())
    def leave_the_tape(self, data, detach):
        x = self.pick(data)
        with no_grad():
            y = x.tensor.detach() if detach else x.tensor * 0.5
        self.add(y, constant(x.jet, x.jet.v if detach else x.jet.v * 0.5))

    @rule(data=st.data(), number=st.floats(-1, 1))
    def change_in_place(self, data, number):
        x = self.pick(data)
        places = (data.draw(st.sampled_from([slice(None), slice(1)])),) * min(1, len(x.shape))
        with no_grad():
            if data.draw(st.booleans()):
                x.tensor[places] = number
                x.jet.v[places] = number
            else:
                x.tensor *= number
                x.jet.v[...] *= number
        self.clock += 1
        self.last_change = self.clock

    def cotangent(self, data, x):
        """Drawn, never of ones."""
        return drawn(*x.shape, seed=data.draw(st.integers(0, 99)))

    def run(self, x, retain, walk):
        """`walk()`, or None where it raises for one of the two reasons that there may be."""
        ops = x.surely | x.perhaps
        try:
            result = walk()
        except RuntimeError as error:
            if "changed in place" in str(error):
                assert self.last_change > min(ops)
            else:
                assert "a second time" in str(error)
                assert ops & (self.freed | self.perhaps_freed)
            self.perhaps_freed |= set() if retain else ops
            return None
        if not retain:
            self.freed |= x.surely
            self.perhaps_freed |= ops
        return result

    def push_back(self, x, v, retain):
        """One backward from x in both engines."""
        freed = x.surely & self.freed
        if self.run(x, retain, lambda: [x.tensor.backward(v, retain_graph=retain)]):
            assert not freed
            self.expected = self.expected + (x.jet.J * v).reshape(7, -1).sum(1)

    @rule(data=st.data(), retain=st.booleans(), clear=st.booleans())
    def backward(self, data, retain, clear):
        if clear:
            self.expected = np.zeros(7)
            for each in self.leaves:
                each.tensor.grad = None
        x = self.pick(data, on_tape)
        self.push_back(x, self.cotangent(data, x), retain)

    @precondition(lambda self: len(self.values) > 3)
    @rule(data=st.data(), i=st.integers(0, 2))
    def gradient_on_the_tape(self, data, i):
        x = self.pick(data, lambda value: on_tape(value) and value.jet.H is not None)
        v, place = self.cotangent(data, x), PLACES[i]
        shape, options = SHAPES[i], {"create_graph": True, "allow_unused": True}
        found = self.run(x, True, lambda: [grad(x.tensor, self.leaves[i].tensor, v, **options)])
        if found is None:
            return
        over = tuple(range(1, 1 + len(x.shape)))
        value = (x.jet.J * v).sum(axis=over)[place].reshape(shape)
        J = (x.jet.H * v).sum(axis=tuple(n + 1 for n in over))[:, place].reshape(7, *shape)
        if found[0] is None or not found[0].requires_grad:
            assert np.allclose(J, 0, atol=1e-9)
        g = found[0] if found[0] is not None else Tensor(np.zeros(shape))
        of = Value(x.tensor, x.jet, perhaps=x.surely | x.perhaps)
        laid_out = np.empty_like(g.data)  # whether `reshape` copies hangs on it
        laid_out[...] = value
        self.add(g, Jet(laid_out, J, None), of)

    def teardown(self):
        """At the end, one more backward from each of the last values."""
        for x in filter(on_tape, self.values[-4:]):
            self.push_back(x, drawn(*x.shape), True)
        self.values_and_gradients_agree()

    @invariant()
    def values_and_gradients_agree(self):
        for value in self.values:
            assert np.allclose(value.tensor.data, value.jet.v, rtol=1e-9, atol=1e-9)
        flat = [
            np.zeros(x.shape).ravel() if x.tensor.grad is None else x.tensor.grad.data.ravel()
            for x in self.leaves
        ]
        found = np.concatenate(flat)
        assert np.allclose(found, self.expected, rtol=1e-8, atol=1e-7)


def played(examples: int) -> settings:
    """No shrinking: it takes minutes here, and a failure prints every step as it is."""
    phases = [Phase.generate]
    return settings(
        max_examples=examples, stateful_step_count=40, phases=phases, report_multiple_bugs=False
    )


def test_random_graphs():
    run_state_machine_as_test(Engines, settings=played(200))


@pytest.mark.slow
def test_many_random_graphs():
    run_state_machine_as_test(Engines, settings=played(3000))
