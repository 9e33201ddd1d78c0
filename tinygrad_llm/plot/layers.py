"""Values and gradients by layer and by step: distributions, and norms on a logarithmic axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_llm.plot.fonts import advice, readable
from tinygrad_llm.plot.style import COLOURS, DASHES, GREY, footnote, inches, look, percent, shades
from tinygrad_llm.plot.values import Numbers, floats, series

MOST_LAYERS, MOST_COLUMNS = 24, 8
"""More than this in one figure nobody reads."""

BINS = 40

LARGEST = 1e150
"""Beyond this the difference of two values may not be a float any more."""

NORM = "norm of the gradient"


class _Cell(NamedTuple):
    """One layer at one step."""

    drawn: np.ndarray
    zeros: float
    broken: float
    size: int


def histograms(
    values: Mapping[str, Sequence[Numbers | None]],
    title: str,
    steps: Sequence[int] | None = None,
    log: bool = False,
    unit: str = "step",
) -> Any:
    """How the values of each layer are distributed, step by step: a row a layer, a column a step.

    values: name of the layer -> one array a step, of any shape, or None where there was none; all
        layers have the same steps. Of more than eight, eight are drawn, first and last among them.
    steps: the numbers of the steps; 0, 1, 2, ... when None.
    log: draw log10 of |v|, on one scale for all layers: for gradients, which differ by many orders
        of magnitude. Else each layer has a scale of its own, shared by its steps.
    unit: what the columns are where they are no steps, such as "block".
    Exact zeros, NaN and infinities are not drawn; their shares stand in the cells as numbers.
    Returns the figure. Raises ValueError for no layers or no steps, unequal numbers of them, more
    than 24 layers, and beyond 1e150 without `log`.
    """
    import matplotlib.pyplot as plt

    count = _check_steps(values, steps)
    chosen = np.unique(np.linspace(0, count - 1, min(count, MOST_COLUMNS)).round().astype(int))
    rows = [[_cell(arrays[i], name, log) for i in chosen] for name, arrays in values.items()]
    edges = _edges(rows, list(values), log)
    numbers = [i if steps is None else steps[i] for i in chosen]
    with look():
        wide = max(len(chosen) + 0.3 + inches(*values), inches(title, size=11), 5.0)
        shape, size = (len(rows), len(chosen)), (wide, 1.2 + 0.8 * len(rows))
        figure, grid = plt.subplots(
            *shape, squeeze=False, sharex="all" if log else "row", sharey=True,
            figsize=size, layout="constrained",
        )  # fmt: skip
        for i, name in enumerate(values):
            grid[i, 0].set_ylabel(readable(name), rotation=0, ha="right", va="center")
            for axes, cell in zip(grid[i], rows[i]):
                _draw_cell(axes, cell, edges[i])
        for axes, number in zip(grid[0], numbers):
            axes.set_title(readable(f"{unit} {number}"))
        figure.suptitle(readable(title))
        left_out = f"{len(chosen)} of {count} {unit}s. " if count > len(chosen) else ""
        scale = "Horizontal: log10 of |value|. " if log else ""
        meaning = "zeros: share of exact zeros, which are not drawn."
        footnote(figure, left_out + scale + meaning, advice(title, unit, *values))
    return figure


def _check_steps(
    values: Mapping[str, Sequence[Numbers | None]], steps: Sequence[int] | None
) -> int:
    """How many steps each of the layers has."""
    counts = {len(arrays) for arrays in values.values()}
    if steps is not None:
        counts.add(len(steps))
    if len(counts) != 1 or 0 in counts or not values:
        raise ValueError(
            "histograms: give at least one layer, and as many arrays as steps for each; "
            f"the layers (and steps) have {sorted(counts)}"
        )
    if len(values) > MOST_LAYERS:
        raise ValueError(f"histograms: {len(values)} layers are too many (at most {MOST_LAYERS})")
    return counts.pop()


def _cell(array: Numbers | None, name: str, log: bool) -> _Cell:
    flat = np.empty(0) if array is None else floats(array, name).ravel()
    finite = flat[np.isfinite(flat)]
    drawn = finite[finite != 0]
    size = max(flat.size, 1)
    zeros, broken = (finite.size - drawn.size) / size, (flat.size - finite.size) / size
    return _Cell(np.log10(np.abs(drawn)) if log else drawn, zeros, broken, flat.size)


def _edges(rows: list[list[_Cell]], names: list[str], log: bool) -> list[np.ndarray]:
    """The edges of the bins of each row."""
    ends = []
    for row, name in zip(rows, names):
        drawn = np.concatenate([cell.drawn for cell in row])
        ends.append((drawn.min(), drawn.max()) if drawn.size else (np.inf, -np.inf))
        if drawn.size and max(np.abs(ends[-1])) > LARGEST:
            raise ValueError(f"histograms: {name} has values beyond {LARGEST:g}: use log=True")
    if log:
        ends = [(min(low for low, _ in ends), max(high for _, high in ends))] * len(rows)
    return [_bins(low, high) for low, high in ends]


def _bins(low: float, high: float) -> np.ndarray:
    if low > high:  # there is nothing to draw
        low, high = -1.0, 1.0
    room = 0.0 if high - low > 1e-9 * max(abs(low), abs(high)) else 0.5 * (abs(low) or 1.0)
    return np.linspace(low - room, high + room, BINS + 1)


def _draw_cell(axes: Any, cell: _Cell, edges: np.ndarray) -> None:
    heights, _ = np.histogram(cell.drawn, edges)
    axes.stairs(heights / max(heights.max(), 1), edges, fill=True, color=COLOURS[5])
    axes.set(ylim=(0, 1.6), yticks=[])
    axes.spines["left"].set_visible(False)
    axes.tick_params(labelsize=7)
    axes.locator_params(axis="x", nbins=3)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))  # short
    text = {"transform": axes.transAxes, "va": "top", "fontsize": 7}
    said = "no values" if cell.size == 0 else f"zeros {percent(cell.zeros)}"
    axes.text(0.02, 1.0, said, color=GREY, **text)
    if cell.broken:
        axes.text(0.02, 0.8, f"NaN, inf {percent(cell.broken)}", color="#B00000", **text)


def gradient_flow(
    norms: Mapping[str, Numbers],
    title: str,
    steps: Numbers | None = None,
    ylabel: str = NORM,
) -> Any:
    """Norms over the steps of a training, a line a layer, on a logarithmic axis.

    norms: name -> one number a step. steps: the numbers of the steps; 0, 1, 2, ... when None.
    A norm of exactly zero is marked at the lower edge, NaN and infinities at the upper edge.
    Returns the figure. Raises ValueError for no lines, unequal lengths and negative norms.
    """
    lines = {name: series(line, name) for name, line in norms.items()}
    count = len(next(iter(lines.values()), ()))
    x = np.arange(float(count)) if steps is None else series(steps, "steps")
    for name, line in lines.items():
        if len(line) != len(x):
            raise ValueError(f"gradient_flow: {name} has {len(line)} norms for {len(x)} steps")
    return _norms([_line(name, x, line) for name, line in lines.items()], title, "step", ylabel)


def by_depth(runs: Mapping[str, Mapping[str, Numbers]], title: str, ylabel: str = NORM) -> Any:
    """One number for each layer, over the layers in order; a line a run, on a logarithmic axis.

    runs: name of the run -> {name of the layer: number}; a run may lack layers that others have.
    Zeros, NaN and infinities are marked as in `gradient_flow`. Returns the figure. Raises
    ValueError for no runs, no layers and negative numbers.
    """
    layers = list(dict.fromkeys(layer for run in runs.values() for layer in run))
    lines = []
    for name, run in runs.items():
        x = [float(i) for i, layer in enumerate(layers) if layer in run]
        y = [run[layer] for layer in layers if layer in run]  # a run may name them in another order
        lines.append(_line(name, np.array(x), series(y, name)))
    return _norms(lines, title, "layer", ylabel, layers)


class _Line(NamedTuple):
    """Norms as they are drawn: where they have no logarithm, marks at an edge take their place."""

    name: str
    x: np.ndarray
    y: np.ndarray
    zeros: np.ndarray
    lost: np.ndarray


def _line(name: str, x: np.ndarray, norms: np.ndarray) -> _Line:
    if (norms < 0).any():
        raise ValueError(f"{name}: a norm is not negative, but one here is {norms.min():g}")
    finite = np.isfinite(norms)
    y = np.where(finite & (norms > 0), norms, np.nan)
    return _Line(name, x, y, x[norms == 0], x[~finite])


def _norms(
    lines: list[_Line], title: str, xlabel: str, ylabel: str, layers: Sequence[str] = ()
) -> Any:
    import matplotlib.pyplot as plt

    if not lines:
        raise ValueError("there are no norms to draw: give at least one name with one number")
    with look():
        size = (8.0, max(4.5, 1.0 + 0.19 * len(lines)))
        figure, axes = plt.subplots(figsize=size, layout="constrained")
        axes.set_yscale("log")
        for i, (line, colour) in enumerate(zip(lines, shades(len(lines)))):
            marker = "o" if len(line.x) <= 30 else None
            style = {"color": colour, "linestyle": DASHES[i % len(DASHES)], "markersize": 4}
            axes.plot(line.x, line.y, marker=marker, label=readable(line.name), **style)
            _mark(axes, 0.0, "v", line.zeros, colour)
            _mark(axes, 1.0, "X", line.lost, colour)
        if any(line.zeros.size for line in lines):
            axes.plot([], [], "v", color=GREY, label="exactly zero")
        if any(line.lost.size for line in lines):
            axes.plot([], [], "X", color=GREY, label="NaN or infinite")
        axes.set(title=readable(title), xlabel=xlabel, ylabel=readable(ylabel))
        if layers:
            _name_layers(axes, layers)
        figure.legend(loc="outside right upper")
        footnote(figure, advice(title, ylabel, *layers, *(line.name for line in lines)))
    return figure


def _mark(axes: Any, edge: float, marker: str, x: np.ndarray, colour: Any) -> None:
    if not x.size:  # an empty line that is not clipped would take room in the figure
        return
    place = {"transform": axes.get_xaxis_transform(), "clip_on": False, "zorder": 4}
    axes.plot(x, np.full(x.shape, edge), marker, color=colour, **place)


def _name_layers(axes: Any, layers: Sequence[str]) -> None:
    names = [readable(layer) for layer in layers]
    if sum(map(len, names)) > 60:
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    else:
        axes.set_xticks(range(len(names)), names)
