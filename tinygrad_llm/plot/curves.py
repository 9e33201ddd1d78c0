"""Lines over one axis, and ways down a surface."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_llm.plot.style import COLOURS, DASHES, look

Points = Any
"""A sequence of numbers; (steps, 2) for a way down a surface."""


def curves(
    x: Points,
    lines: Mapping[str, Points],
    title: str,
    xlabel: str,
    ylabel: str,
    log: bool = False,
    lowest: Sequence[str] = (),
) -> Any:
    """One line for each name in `lines`, all over the same x; both axes logarithmic with `log`.

    lowest: names of the lines whose lowest point gets a dot.
    What is no positive number leaves a gap on logarithmic axes. Returns the figure.
    """
    import matplotlib.pyplot as plt

    x = np.asarray(x, dtype=float)
    with look():
        figure, axes = plt.subplots(figsize=(8.0, 4.5), layout="constrained")
        for i, (name, line) in enumerate(lines.items()):
            colour, dashes = COLOURS[i % len(COLOURS)], DASHES[i % len(DASHES)]
            y = np.asarray(line, dtype=float)
            y = np.where(y > 0, y, np.nan) if log else y
            axes.plot(x, y, color=colour, linestyle=dashes, label=name)
            if name in lowest:
                axes.plot(x[np.nanargmin(y)], np.nanmin(y), "o", color=colour, markersize=6)
        if log:
            axes.set(xscale="log", yscale="log")
        axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
        figure.legend(loc="outside right center")
    return figure


def descent(
    fn: Callable[[np.ndarray, np.ndarray], np.ndarray],
    ways: Mapping[str, Points],
    span: Sequence[tuple[float, float]],
    title: str,
) -> Any:
    """Contours of fn(x, y) over `span` ((x low, x high), (y low, y high)) and ways down it.

    ways: name -> (steps, 2), in order; up to 50 steps each is marked. Returns the figure.
    """
    import matplotlib.pyplot as plt

    grid = np.meshgrid(*(np.linspace(low, high, 300) for low, high in span))
    z = fn(*grid)
    with look():
        figure, axes = plt.subplots(figsize=(7.0, 4.6), layout="constrained")
        heights = z.min() + (z.max() - z.min()) * np.geomspace(1e-3, 1.0, 10)
        axes.contour(*grid, z, levels=heights, colors="#BBBBBB", linewidths=0.8)
        for i, (name, way) in enumerate(ways.items()):
            path = np.asarray(way, dtype=float)
            colour, marker = COLOURS[i % len(COLOURS)], "o" if len(path) <= 50 else None
            axes.plot(*path.T, DASHES[0], color=colour, marker=marker, markersize=5, label=name)
        axes.plot(*path[0], "s", color="black", markersize=7, label="start")
        axes.set(title=title, xlabel="x", ylabel="y", xlim=span[0], ylim=span[1])
        axes.grid(visible=False)
        figure.legend(loc="outside lower center", ncols=len(ways) + 1)
    return figure
