"""check_override: an op's faster form on the CPU against its reference, which computes in float64.

Both get the same numbers, float32 ones, from the op's samples; tiles are made so small that the few
elements of a sample fill several.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np

from tinygrad_llm.backend.cpu import OVERRIDES, attention, gelu
from tinygrad_llm.backend.overrides import Override
from tinygrad_llm.backend.random import Draw
from tinygrad_llm.ops import OPS, Cached, Op
from tinygrad_llm.testing import raw
from tinygrad_llm.testing.numeric import Array, GradientError
from tinygrad_llm.testing.one_call import equal, wrong_at
from tinygrad_llm.testing.samples import SAMPLES, Call, Sample
from tinygrad_llm.testing.samples.drawing import Drawer
from tinygrad_llm.testing.samples.registry import input_names, is_float

PREFIX = "cpu."
"""Begins the names of overrides where names of ops may stand too: "cpu.layernorm"."""

ULPS = 24
"""How far results may be from float64 ones, in 2⁻²³ of the largest number around."""

SMALL = ((attention, "TILE", 12), (attention, "QUERIES", 2), (gelu, "TILE", 8))
"""Settings of modules under which small arrays take several tiles."""

FAR = 300.0
"""What the first input of a call is multiplied by for scores that have no power of two."""


def check_override(name: str) -> float:
    """Check the override of the op `name` on every call of its samples; the share that it took.

    Raises GradientError at the first wrong value, for memory that it shares or changes, and where
    it leaves everything to the reference; another exception only when no other call shows one.
    ValueError for an op without an override.
    """
    if name not in OVERRIDES:
        raise ValueError(f"check_override: {name!r} has none: see backend.cpu")
    took: dict[str, list[bool]] = {"its samples": [], "far out": []}
    crash = None
    for call in (call for sample in samples_of(name) for call in sample.calls()):
        try:
            with small_tiles():
                took["its samples"].append(check_call(OPS[name], OVERRIDES[name], call))
                far = check_call(OPS[name], OVERRIDES[name], _far(call), near_1=False)
                took["far out"].append(far)
        except GradientError:
            raise
        except Exception as error:  # a crash has to wait: another call may show a wrong value
            crash = crash or error
    if crash is not None:
        raise crash
    for where, taken in took.items():
        if not any(taken):
            raise GradientError(f"{PREFIX}{name}: takes no call, {where}", "input 0", 0)
    return float(np.mean(took["its samples"]))


def _far(call: Call) -> Call:
    first, *others = call.arrays
    return replace(call, arrays=(np.asarray(first * FAR), *others))


def _texts(d: Drawer) -> Call:
    """Attention as most models have it: texts, as many heads of keys as of queries, booleans."""
    texts, heads, queries, keys = d.choice((1, 2, 3, 3), (2, 1, 4, 4), (1, 1, 4, 2), (2, 1, 2, 3))
    q, k = (d.array((texts, heads, n, 2), size=3) for n in (queries, keys))
    shape = d.choice(None, (texts, 1, 1, keys), (texts, heads, queries, keys))
    p = d.choice(0.0, 0.0, 0.4, 0.0, 1.0)
    constants = {
        "causal": d.choice(True, True, False),
        "offset": d.choice(0, 0, 1, -1, 2),
        "scale": 0.8,
        "p": p,
        "draw": Draw(5, 3) if p else None,
        "return_weights": False,
    }
    mask = None if shape is None else d.rng.random(shape) < 0.5
    return Call((q, k, d.array((texts, heads, keys, 3), size=3), mask), None, constants)


def _large(d: Drawer) -> Call:
    """A head for which, far out, log₂e times the largest logit does not fit into float32."""
    constants = {
        "scale": d.choice(None, 0.5),
        "label_smoothing": 0.0,
        "transposed": False,
        "chunk": 2,
        "ahead": (True, True, False),
    }
    return Call(
        (np.array([[2e38 / FAR], [1.0]]), np.array([[0.1, 0.0, 1.2]]), None, np.array([0, 1])),
        None,
        constants,
    )


FURTHER = {
    "scaleddotproductattention": Sample(
        "scaleddotproductattention", "texts", _texts, 30, False, False, False
    ),
    "linearcrossentropy": Sample("linearcrossentropy", "large", _large, 2, False, False, False),
}
"""Samples beside those of the ops, of which few are what the override takes."""


def samples_of(name: str) -> list[Sample]:
    """Of calls of the op itself."""
    further = [FURTHER[name]] if name in FURTHER else []
    return [*(each for each in SAMPLES[name] if not each.composite), *further]


@contextmanager
def small_tiles() -> Iterator[None]:
    """Within the block tiles have few elements."""
    with ExitStack() as stack:
        for module, name, value in SMALL:
            stack.enter_context(mock.patch.object(module, name, value))
        yield


def check_call(op: type[Op], override: Override, call: Call, near_1: bool = True) -> bool:
    """Compare values and gradients of one call; False when the override left it to the reference.

    Each gradient is asked for alone, and all together; backward runs twice, as for a graph that is
    retained. near_1: numbers are of such a size that ULPS bounds all errors; if not, a few times
    the reference's own error in float32 does. Raises GradientError.
    """
    arrays = [x.astype(np.float32) if is_float(x) else x for x in call.arrays]
    before = [x.copy() if isinstance(x, np.ndarray) else x for x in arrays]
    answer = override.forward(*arrays, **call.constants)
    if answer is NotImplemented:
        return False
    _Both(op, override, arrays, call.constants, answer, near_1).compare()
    for i, (x, was) in enumerate(zip(arrays, before)):
        if isinstance(x, np.ndarray):
            equal(f"cpu.{op.name}: changed", f"input {i}", 0, was, x)
    return True


class _Both:
    """One call of an override, and of the reference in float64, with drawn cotangents."""

    def __init__(
        self,
        op: type[Op],
        override: Override,
        arrays: list[Any],
        constants: dict[str, Any],
        answer: tuple[Any, tuple],
        near_1: bool,
    ):
        self.op, self.override, self.arrays, self.near_1 = op, override, arrays, near_1
        y, self.saved = answer
        self.outputs = y if type(y) is tuple else (np.asarray(y),)
        wide = [x.astype(np.float64) if is_float(x) else x for x in arrays]
        self.expected, self.wide = raw.forward(op, wide, constants)
        self.rounded, self.narrow = raw.forward(op, arrays, constants)
        drawn = np.random.default_rng(0).standard_normal
        self.drawn = [np.asarray(drawn(y.shape), np.float32) for y in self.expected]

    def compare(self) -> None:
        """Outputs, and gradients with cotangents of all outputs, and without those often unused."""
        for k, results in enumerate(zip(self.expected, self.rounded, self.outputs, strict=True)):
            self._near(f"output {k}", self.expected[k : k + 1], *results)
        spared = [k for k in self.op.spares_zeros if k < len(self.drawn)]
        for without in ([], spared) if spared else ([],):
            vs = [None if k in without else v for k, v in enumerate(self.drawn)]
            for needs in self._needs():
                self._compare_gradients(vs, needs)

    def _compare_gradients(self, vs: list[Array | None], needs: tuple[bool, ...]) -> None:
        wide = [None if v is None else v.astype(np.float64) for v in vs]
        exact = raw.backward(self.op, wide, self.wide, needs)
        rounded = raw.backward(self.op, vs, self.narrow, needs)
        found, again = self._backward(vs, needs), self._backward(vs, needs)
        for i, results in enumerate(zip(exact, rounded, found, strict=True)):
            if (exact[i] is None) != (found[i] is None):
                raise GradientError(f"cpu.{self.op.name}: computed or not", f"input {i}", 1)
            if exact[i] is not None:
                around = [exact[i], *[v for v in wide if v is not None]]
                self._near(f"input {i} of {needs}", around, *results)
                equal(f"cpu.{self.op.name}, again", f"input {i}", 1, found[i], again[i])
        self._separate(found)

    def _needs(self) -> list[tuple[bool, ...]]:
        """Gradients of all inputs that have one, and of each alone."""
        names = zip(input_names(self.op.name, len(self.arrays)), self.arrays)
        can = [is_float(x) and name not in self.op.no_gradient for name, x in names]
        alone = [tuple(j == i for j in range(len(can))) for i, one in enumerate(can) if one]
        return [tuple(can), *alone]

    def _backward(self, vs: list[Array | None], needs: tuple[bool, ...]) -> tuple:
        values = tuple([s.value if type(s) is Cached else s for s in self.saved])
        grads = self.override.backward(vs[0] if len(vs) == 1 else tuple(vs), values, needs)
        return grads if type(grads) is tuple else (grads,)

    def _near(
        self, input: str, around: Sequence[Array], exact: Array, rounded: Array, found: Array
    ) -> None:
        """`found` is as near to `exact` as may be expected beside the numbers `around`."""
        what, order = f"cpu.{self.op.name}", int(input.startswith("input"))
        if found.shape != exact.shape or found.dtype != np.float32:
            shapes = f"{found.dtype}{found.shape}, not float32{exact.shape}"
            raise GradientError(f"{what}: {shapes}", input, order)
        bound = ULPS * 2.0**-23 * max(np.abs(x).max(initial=0.0) for x in around)
        if not self.near_1:
            bound += 8.0 * np.abs(rounded - exact).max(initial=0.0)
        wrong = ~(np.abs(found - exact) <= bound)
        if wrong.any():
            raise wrong_at(wrong, f"{what}: beyond {bound:.1e}", input, order, exact, found)

    def _separate(self, found: tuple) -> None:
        """A gradient shares memory with no input, output or cotangent."""
        others = [*self.arrays, *self.outputs, *self.drawn]
        for i, g in enumerate(found):
            if g is not None and any(
                np.may_share_memory(g, x) for x in others if isinstance(x, np.ndarray)
            ):
                raise GradientError(f"cpu.{self.op.name}: shared memory", f"input {i}", 1)
