"""How a sample gets its shapes, options and numbers: by going through lists, or by chance.

A sample asks a `Drawer`. `InTurn` goes through the examples that the sample gives, so that a
writer decides what is checked; the one in `testing.strategies` lets hypothesis choose.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from math import log10, prod
from typing import Any

import numpy as np

Shape = tuple[int, ...]

LAYOUTS = ("contiguous", "fortran", "strided", "reversed", "swapped", "read-only")
"""Ways in which the same array can lie in memory."""

MARGIN = 0.05
"""Distance from a kink, relative to the kink or to 1: over ten steps of a finite difference."""


class Drawer(ABC):
    """What a sample may ask for. Numbers come from `rng`, everything else from `choice`."""

    rng: np.random.Generator

    @abstractmethod
    def choice(self, *options: Any) -> Any:
        """One of the options."""

    @abstractmethod
    def shape(
        self, *examples: Shape, min_ndim: int = 0, max_ndim: int = 3, min_side: int = 0
    ) -> Shape:
        """One of the examples, or any other shape within the bounds."""

    @abstractmethod
    def broadcastable(self, *examples: tuple[Shape, ...]) -> tuple[Shape, ...]:
        """As many shapes as each example has, which broadcast together."""

    @abstractmethod
    def layout(self) -> str:
        """One of LAYOUTS."""

    @abstractmethod
    def decades(self, size: float) -> tuple[float, float]:
        """Powers of ten between which the magnitudes of an array lie, at most log10(size)."""

    def array(
        self,
        shape: Shape,
        *,
        size: float = 1e3,
        positive: bool = False,
        kinks: tuple[float, ...] = (),
    ) -> np.ndarray:
        """float64 numbers of magnitude 1e-3 … size, of both signs unless positive, in some layout.

        They keep MARGIN from each of `kinks`.
        """
        x = 10.0 ** self.rng.uniform(*self.decades(size), shape)
        if not positive:
            x = x * self.rng.choice((-1.0, 1.0), shape)
        for kink in kinks:
            margin = MARGIN * max(1.0, abs(kink))
            x = np.where(np.abs(x - kink) < margin, kink + np.where(x < kink, -1, 1) * margin, x)
        return arranged(np.asarray(x), self.layout())

    def distinct(self, *shapes: Shape) -> Any:
        """Arrays (one: the array itself) no two of whose numbers, of one or two, are close.

        Neighbours lie a quarter of the mean gap apart or more.
        """
        sizes = [prod(s) for s in shapes]
        total = sum(sizes)
        places = self.rng.permutation(total) + self.rng.uniform(0.1, 0.85, total) - 0.4 * total
        numbers = places * (max(1.0, 10.0 ** self.decades(1e3)[1]) / max(total, 1))
        parts = np.split(numbers, np.cumsum(sizes)[:-1])
        arrays = [arranged(x.reshape(s), self.layout()) for x, s in zip(parts, shapes)]
        return arrays[0] if len(arrays) == 1 else arrays

    def integers(self, shape: Shape, high: int) -> np.ndarray:
        """int64 in 0 … high − 1; places repeat."""
        return self.rng.integers(0, high, shape) if high else np.zeros(shape, np.int64)

    def axis(self, ndim: int) -> int:
        """One axis, counted from either end."""
        return self.choice(*range(ndim), *range(-1, -ndim - 1, -1))

    def axes(self, ndim: int) -> Any:
        """Axes of a reduction: one, several in any order, or None for all."""
        if not ndim:
            return self.choice(None, ())
        pairs = [(j, i - ndim) for i, j in itertools.combinations(range(ndim), 2)]
        others = [*range(1, ndim), *range(-2, -ndim - 1, -1)]
        return self.choice(-1, 0, *pairs[-1:], None, *others, *pairs[:-1], ())


class InTurn(Drawer):
    """Draw number k takes the k-th example of every list, round and round."""

    def __init__(self, turn: int, seed: int):
        self.turn = turn
        self.rng = np.random.default_rng((seed, turn))
        self.layouts = itertools.count(turn)

    def choice(self, *options: Any) -> Any:
        return options[self.turn % len(options)]

    def shape(
        self, *examples: Shape, min_ndim: int = 0, max_ndim: int = 3, min_side: int = 0
    ) -> Shape:
        return self.choice(*examples)

    def broadcastable(self, *examples: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return self.choice(*examples)

    def layout(self) -> str:
        return LAYOUTS[next(self.layouts) % len(LAYOUTS)]

    def decades(self, size: float) -> tuple[float, float]:
        return -0.5, min(0.3, log10(size))


def arranged(x: np.ndarray, layout: str) -> np.ndarray:
    """A copy of `x`, equal to it, that lies in memory as `layout` says."""
    if layout == "strided" and x.ndim:
        wide = np.full((*x.shape[:-1], 2 * x.shape[-1]), np.nan)
        wide[..., ::2] = x
        return wide[..., ::2]
    if layout == "reversed" and x.ndim:
        return x[..., ::-1].copy()[..., ::-1]
    if layout == "swapped" and x.ndim > 1:
        return x.swapaxes(0, 1).copy().swapaxes(0, 1)
    y = np.array(x, order="F" if layout == "fortran" else "C")
    y.flags.writeable = layout != "read-only"
    return y
