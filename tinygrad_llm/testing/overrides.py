"""check_override: an op's faster form on the CPU against its reference, which computes in float64.

Both get the same numbers, float32 ones, from the op's samples; tiles are made so small that the few
elements of a sample fill several.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import product
from typing import Any
from unittest import mock

import numpy as np

from tinygrad_llm.backend.cpu import OVERRIDES, attention, gelu, head
from tinygrad_llm.backend.overrides import Override
from tinygrad_llm.ops import OPS, Cached, Op
from tinygrad_llm.testing import raw
from tinygrad_llm.testing.numeric import Array, GradientError
from tinygrad_llm.testing.one_call import equal, wrong_at
from tinygrad_llm.testing.samples import SAMPLES, Call
from tinygrad_llm.testing.samples.registry import input_names, is_float

PREFIX = "cpu."
"""Begins the names of overrides where names of ops may stand too: "cpu.layernorm"."""

ULPS = 24
"""How far results may be from float64 ones, in 2⁻²³ of the largest number around."""

SMALL = ((attention, "TILE", 12), (attention, "QUERIES", 2), (gelu, "TILE", 8))
"""Settings of modules under which small arrays take several tiles."""

RANGES = (attention.RANGE, 1e-3)
"""Scores are within the first in samples, and beyond the second: both paths are gone."""


def check_override(name: str) -> float:
    """Check the override of the op `name` on every call of its samples; the share that it took.

    Raises GradientError at the first wrong value, and for memory that it shares or changes; another
    exception only when no other call shows one. ValueError for an op without an override.
    """
    if name not in OVERRIDES:
        raise ValueError(f"check_override: {name!r} has none: see backend.cpu")
    took, crash = [], None
    for call, limit in product(calls_of(name), RANGES):
        try:
            with small_tiles(limit):
                took.append(check_call(OPS[name], OVERRIDES[name], call))
        except GradientError:
            raise
        except Exception as error:  # a crash has to wait: another call may show a wrong value
            crash = crash or error
    if crash is not None:
        raise crash
    return float(np.mean(took))


def calls_of(name: str) -> Iterator[Call]:
    """What the op's samples draw in turn."""
    for sample in SAMPLES[name]:
        if not sample.composite:
            yield from sample.calls()


@contextmanager
def small_tiles(limit: float = attention.RANGE) -> Iterator[None]:
    """Within the block tiles have few elements, and scores beyond `limit` are out of range."""
    with ExitStack() as stack:
        for module, name, value in (*SMALL, (attention, "RANGE", limit), (head, "RANGE", limit)):
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
        shapes = [y.shape for y in self.expected]
        self.cotangents = [np.asarray(drawn(shape), np.float32) for shape in shapes]

    def compare(self) -> None:
        for k, results in enumerate(zip(self.expected, self.rounded, self.outputs, strict=True)):
            self._near(f"output {k}", 0, *results)
        for needs in self._needs():
            wide = [v.astype(np.float64) for v in self.cotangents]
            exact = raw.backward(self.op, wide, self.wide, needs)
            rounded = raw.backward(self.op, self.cotangents, self.narrow, needs)
            found, again = self._backward(needs), self._backward(needs)
            for i, (a, r, b) in enumerate(zip(exact, rounded, found, strict=True)):
                if (a is None) != (b is None):
                    raise GradientError(f"cpu.{self.op.name}: computed or not", f"input {i}", 1)
                if a is not None:
                    self._near(f"input {i} of {needs}", 1, a, r, b)
                    equal(f"cpu.{self.op.name}: a second backward", f"input {i}", 1, b, again[i])
            self._separate(found)

    def _needs(self) -> list[tuple[bool, ...]]:
        """Gradients of all inputs that have one, and of each alone."""
        names = zip(input_names(self.op.name, len(self.arrays)), self.arrays)
        can = [is_float(x) and name not in self.op.no_gradient for name, x in names]
        alone = [tuple(j == i for j in range(len(can))) for i, one in enumerate(can) if one]
        return [tuple(can), *alone]

    def _backward(self, needs: tuple[bool, ...]) -> tuple:
        values = tuple([s.value if type(s) is Cached else s for s in self.saved])
        g = self.cotangents[0] if len(self.outputs) == 1 else tuple(self.cotangents)
        grads = self.override.backward(g, values, needs)
        return grads if type(grads) is tuple else (grads,)

    def _near(self, input: str, order: int, exact: Array, rounded: Array, found: Array) -> None:
        what = f"cpu.{self.op.name}"
        if found.shape != exact.shape or found.dtype != np.float32:
            shapes = f"{found.dtype}{found.shape}, not float32{exact.shape}"
            raise GradientError(f"{what}: {shapes}", input, order)
        around = (exact, *self.cotangents) if order else (exact,)
        bound = ULPS * 2.0**-23 * max(np.abs(x).max(initial=0.0) for x in around)
        if not self.near_1:
            bound += 8.0 * np.abs(rounded - exact).max(initial=0.0)
        wrong = ~(np.abs(found - exact) <= bound)
        if wrong.any():
            raise wrong_at(wrong, f"{what}: beyond {bound:.1e}", input, order, exact, found)

    def _separate(self, found: tuple) -> None:
        """A gradient shares memory with no input, output or cotangent."""
        others = [*self.arrays, *self.outputs, *self.cotangents]
        for i, g in enumerate(found):
            if g is not None and any(
                np.may_share_memory(g, x) for x in others if isinstance(x, np.ndarray)
            ):
                raise GradientError(f"cpu.{self.op.name}: shared memory", f"input {i}", 1)
