"""hypothesis strategies: shapes that broadcast, arrays over many magnitudes and memory layouts, and
calls of ops.

hypothesis chooses the structure; the numbers come from NumPy with one drawn seed, which is fast
and shrinks well enough.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log10
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinygrad_llm.testing.samples import Call, Sample
from tinygrad_llm.testing.samples.drawing import LAYOUTS, Drawer, Shape, arranged

SMALLEST, LARGEST = -3.0, 3.0
"""Powers of ten of the smallest and the largest magnitude of a number."""

__all__ = ["arrays", "broadcastable", "calls", "layouts", "shapes"]


def shapes(
    min_ndim: int = 0, max_ndim: int = 3, min_side: int = 0, max_side: int = 3
) -> st.SearchStrategy[Shape]:
    """Shapes of few elements; with min_side = 0 some are empty, with min_ndim = 0 some are ()."""
    sides = st.sampled_from([n for n in (2, 3, 1, 4, 0) if min_side <= n <= max_side])
    return st.lists(sides, min_size=min_ndim, max_size=max_ndim).map(tuple)


@st.composite
def broadcastable(draw: Callable, count: int = 2, max_ndim: int = 3) -> tuple[Shape, ...]:
    """`count` shapes that broadcast together: axes missing in front, and of size 1."""
    whole = draw(shapes(max_ndim=max_ndim))
    cuts = draw(st.lists(st.integers(0, len(whole)), min_size=count, max_size=count))
    ones = draw(st.lists(st.booleans(), min_size=count * max_ndim, max_size=count * max_ndim))
    flags = iter(ones)
    return tuple(tuple(1 if next(flags) else n for n in whole[cut:]) for cut in cuts)


def layouts() -> st.SearchStrategy[Callable[[np.ndarray], np.ndarray]]:
    """Functions that copy an array of floats into some memory layout."""
    return st.sampled_from(LAYOUTS).map(lambda layout: lambda x: arranged(x, layout))


def arrays(shape: Shape, **domain: Any) -> st.SearchStrategy[np.ndarray]:
    """float64 arrays of a shape, of magnitudes 1e-3 … 1e3 and of any layout.

    domain: `size`, the largest magnitude; `positive`; `kinks`, numbers that are kept away from by
        more than ten steps of a finite difference.
    """
    return _arrays(shape, domain)


@st.composite
def _arrays(draw: Callable, shape: Shape, domain: dict[str, Any]) -> np.ndarray:
    return _ByChance(draw).array(shape, **domain)


@st.composite
def calls(draw: Callable, sample: Sample) -> Call:
    """Calls of a sample, with shapes, options, numbers and layouts of all kinds."""
    return sample.draw(_ByChance(draw))


class _ByChance(Drawer):
    """Everything that a sample asks for is hypothesis's choice."""

    def __init__(self, draw: Callable):
        self.draw = draw
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def choice(self, *options: Any) -> Any:
        return options[self.draw(st.integers(0, len(options) - 1))]

    def shape(
        self, *examples: Shape, min_ndim: int = 0, max_ndim: int = 3, min_side: int = 0
    ) -> Shape:
        return self.draw(shapes(min_ndim, max_ndim, min_side))

    def broadcastable(self, *examples: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return self.draw(broadcastable(len(examples[0])))

    def layout(self) -> str:
        return self.draw(st.sampled_from(LAYOUTS))

    def decades(self, size: float) -> tuple[float, float]:
        """A window of one decade within 1e-3 … size."""
        top = min(LARGEST, log10(size))
        low = self.draw(st.floats(SMALLEST, top - 1.0))
        return low, low + 1.0
