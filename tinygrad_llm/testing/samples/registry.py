"""What a sample of an op is, and the lists of all samples and of all exact cases."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_llm.ops import OPS
from tinygrad_llm.tensor import apply
from tinygrad_llm.testing.samples.drawing import Drawer, InTurn


@dataclass(frozen=True)
class Call:
    """One call, ready to be made: of an op on raw arrays, and of the function that users call.

    arrays: positional inputs: float64, integer or boolean arrays, Python numbers, None.
    function: takes them in the same places, arrays as Tensors; the op itself when None.
    constants: the op's keywords. reference: the value by an independent formula on arrays.
    """

    arrays: tuple[Any, ...]
    function: Callable[..., Any] | None = None
    constants: dict[str, Any] = field(default_factory=dict)
    reference: Callable[..., Any] | None = None


@dataclass(frozen=True)
class Sample:
    """How to draw calls of one op.

    op: name of the op that is checked. draws: so many turns go through all its examples.
    composite: the function is more than this op, so that only finite differences apply.
    smooth: the complex step applies to forward and backward.
    device: it moves data to a GPU; the stand-in for CuPy takes its place during the check.
    """

    op: str
    label: str
    draw: Callable[[Drawer], Call]
    draws: int
    composite: bool
    smooth: bool
    device: bool

    def __repr__(self) -> str:
        return f"<sample {self.op}: {self.label}>"

    def calls(self, draws: int | None = None, seed: int = 0) -> Iterator[Call]:
        """The calls of the first `draws` turns, or of as many as see every example."""
        for turn in range(self.draws if draws is None else draws):
            yield self.draw(InTurn(turn, seed))


@dataclass(frozen=True)
class Exact:
    """A call at a kink, a tie or another place where a rule, not a limit, says what holds.

    arrays: float64 but for indices. cotangent: of the only (or first) output.
    gradients: what exactly comes out, for each array; None where there is no gradient.
    value: what forward gives, when that is not obvious.
    constant: the gradients do not change with the arrays: all second derivatives in them are 0.
    """

    op: str
    label: str
    function: Callable[..., Any]
    arrays: tuple[Any, ...]
    cotangent: Any
    gradients: tuple[Any, ...]
    value: Any = None
    constant: bool = False

    def __repr__(self) -> str:
        return f"<exact {self.op}: {self.label}>"


SAMPLES: dict[str, list[Sample]] = {}
EXACT: dict[str, list[Exact]] = {}


def sample(
    op: str,
    *,
    draws: int,
    composite: bool = False,
    smooth: bool = True,
    device: bool = False,
) -> Callable[[Callable[[Drawer], Call]], Callable[[Drawer], Call]]:
    """Decorator: the function draws calls of `op`; its name is the sample's label."""

    def register(draw: Callable[[Drawer], Call]) -> Callable[[Drawer], Call]:
        label = draw.__name__.strip("_")
        SAMPLES.setdefault(op, []).append(Sample(op, label, draw, draws, composite, smooth, device))
        return draw

    return register


def exact(
    op: str,
    label: str,
    function: Callable[..., Any],
    arrays: tuple[Any, ...],
    cotangent: Any,
    *gradients: Any,
    value: Any = None,
    constant: bool = False,
) -> None:
    """Add an exact case; lists of floats become float64 arrays."""
    floats = tuple(_array(x) for x in arrays)
    expected = tuple(None if g is None else np.asarray(g, np.float64) for g in gradients)
    v = np.asarray(cotangent, np.float64)
    case = Exact(op, label, function, floats, v, expected, value, constant)
    EXACT.setdefault(op, []).append(case)


def _array(x: Any) -> Any:
    return np.asarray(x) if isinstance(x, (list, np.ndarray)) else x


def all_samples() -> list[Sample]:
    """Every sample of every op."""
    return [each for samples in SAMPLES.values() for each in samples]


def all_exact() -> list[Exact]:
    """Every exact case of every op."""
    return [each for cases in EXACT.values() for each in cases]


def is_float(x: Any) -> bool:
    """True for an array of real or complex numbers."""
    return isinstance(x, np.ndarray) and x.dtype.kind in "fc"


def differentiable(sample: Sample, call: Call) -> list[int]:
    """Positions of the arrays that get a gradient."""
    barred = () if sample.composite else _barred(sample.op, len(call.arrays))
    return [i for i, x in enumerate(call.arrays) if is_float(x) and i not in barred]


def _barred(op: str, count: int) -> list[int]:
    names = input_names(op, count)
    return [i for i, name in enumerate(names) if name in OPS[op].no_gradient]


def input_names(op: str, count: int) -> list[str]:
    """Names of the first `count` inputs of an op's forward; a variadic one repeats its name."""
    parameters = list(inspect.signature(OPS[op].forward).parameters.values())[1:]
    positional = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
    names = [p.name for p in positional if p.kind is not p.VAR_POSITIONAL]
    variadic = [p.name for p in positional if p.kind is p.VAR_POSITIONAL]
    return names + variadic * (count - len(names))


def run(sample: Sample, call: Call, inputs: list[Any]) -> tuple[Any, ...]:
    """The function of a call on Tensors (and whatever else it takes), as a tuple of outputs."""
    if call.function is not None:
        y = call.function(*inputs)
    else:
        y = apply(OPS[sample.op], *inputs, **call.constants)
    return y if isinstance(y, tuple) else (y,)
