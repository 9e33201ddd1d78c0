"""Lines over one axis, and ways down a surface."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_llm.plot.style import COLOURS, DASHES, look

Points = Any
"""A sequence of numbers; (steps, 2) for a way down a surface."""


def curves(
    x: Points, lines: Mapping[str, Points], title: str, xlabel: str, ylabel: str, log: bool = False
) -> Any:
    """One line for each name in `lines`, all over the same x; both axes logarithmic with `log`.

    What is no positive finite number leaves a gap on logarithmic axes. Returns the figure.
    """
    import matplotlib.pyplot as plt

    with look():
        figure, axes = plt.subplots(figsize=(7.0, 4.4), layout="constrained")
        for i, (name, y) in enumerate(lines.items()):
            style = {"color": COLOURS[i % len(COLOURS)], "linestyle": DASHES[i % len(DASHES)]}
            y = np.asarray(y, dtype=float)
            axes.plot(x, np.where(y > 0, y, np.nan) if log else y, label=name, **style)
        if log:
            axes.set(xscale="log", yscale="log")
        axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
        figure.legend(loc="outside right upper")
    return figure


def descent(
    fn: Callable[[np.ndarray, np.ndarray], np.ndarray],
    ways: Mapping[str, Points],
    span: Sequence[tuple[float, float]],
    title: str,
) -> Any:
    """Contours of fn(x, y) over `span` ((x low, x high), (y low, y high)) and ways down it.

    ways: name -> (steps, 2), in order. Returns the figure.
    """
    import matplotlib.pyplot as plt

    grid = np.meshgrid(*(np.linspace(low, high, 160) for low, high in span))
    z = fn(*grid)
    with look():
        figure, axes = plt.subplots(figsize=(7.0, 4.4), layout="constrained")
        heights = np.geomspace(max(z.min(), z.max() * 1e-4), z.max(), 12)
        axes.contour(*grid, z, levels=heights, colors="#BBBBBB", linewidths=0.8)
        for i, (name, way) in enumerate(ways.items()):
            path = np.asarray(way, dtype=float)
            axes.plot(*path.T, "o-", color=COLOURS[i], markersize=4 - 2 * i % 4, label=name)
        axes.set(title=title, xlabel="x", ylabel="y", xlim=span[0], ylim=span[1])
        axes.grid(visible=False)
        figure.legend(loc="outside lower center", ncols=len(ways))
    return figure
