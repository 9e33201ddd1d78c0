"""Ways down a surface: the paths of optimizers over one set of contours, and their losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_llm.plot.fonts import advice, readable
from tinygrad_llm.plot.style import COLOURS, GREY, footnote, look, percent
from tinygrad_llm.plot.surface import Span, Surface, surface_values
from tinygrad_llm.plot.values import Numbers, floats, series
from tinygrad_llm.tensor import Tensor

MARKERS = ("o", "D", "^", "v", "P", "X", "s")
"""The end of each way has its own, so that nothing hangs on colour alone."""

STEPS_MARKED = 50
"""Up to so many steps, each is marked."""

POINTS = 200
"""Along each side of a function's grid."""

Function = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""A function of two numbers that takes arrays of them."""


def descent(fn: Function, ways: Mapping[str, Numbers], span: Span, title: str) -> Any:
    """Contours of fn(x, y) over `span` ((x low, x high), (y low, y high)) and ways down it.

    ways: name -> (steps, 2), in order; up to 50 steps each is marked. Returns the figure. Raises
    ValueError for no way and for one that is no sequence of points; `paths` shows the losses too.
    """
    import matplotlib.pyplot as plt

    ways = _ways(ways)
    with look():
        figure, axes = plt.subplots(figsize=(7.0, 4.6), layout="constrained")
        _map(axes, _grid(fn, span), ways, span)
        axes.set(title=readable(title), xlabel="x", ylabel="y")
        figure.legend(loc="outside lower center", ncols=min(len(ways) + 1, 5))
        footnote(figure, advice(title, *ways))
    return figure


def paths(
    surface: Surface | Function,
    ways: Mapping[str, Numbers],
    span: Span | None = None,
    title: str = "Paths over the loss",
    losses: Mapping[str, Numbers | tuple[Numbers, Numbers]] | None = None,
    log: bool = True,
    labels: tuple[str, str] | None = None,
) -> Any:
    """Several paths over one set of contours, and beside it the loss along each of them.

    surface: a function fn(x, y) of arrays, drawn over `span`; or a `Surface`, as `surface_values`
        and `surface_of_paths` give it.
    ways: name -> (steps, 2) in the coordinates of the surface; up to 50 steps each is marked. A
        path may leave the window: it is cut there.
    span: ((x low, x high), (y low, y high)); needed for a function, and the window of a `Surface`.
    losses: name -> losses, for the steps 0, 1, 2, ..., or the tuple (steps, losses). A function's
        are computed; of a `Surface` the panel is left out without them, for a path of a model runs
        beside the drawn plane.
    log: the losses on a logarithmic axis, where what is not positive leaves a gap.
    labels: of the two axes; by default x and y, or the share of the paths that lies along each.

    Returns the figure. Raises ValueError for no way, for one that is no sequence of points, for a
    function without a span, for losses whose names are no ways, and for unequal lengths of steps
    and losses.
    """
    import matplotlib.pyplot as plt

    ways = _ways(ways)
    if not isinstance(surface, Surface):
        if span is None:
            raise ValueError("paths: a function needs a span ((x low, x high), (y low, y high))")
        losses = losses or _losses(surface, ways)
        surface = _grid(surface, span)
    beside = {name: _steps(name, each, ways) for name, each in (losses or {}).items()}
    labels = labels or _labels(surface)
    with look():
        figure, row = plt.subplots(
            1, 1 + bool(beside), squeeze=False, figsize=(9.4 if beside else 6.6, 4.5),
            layout="constrained", width_ratios=[1.4, 1.0][: 1 + bool(beside)],
        )  # fmt: skip
        _map(row[0, 0], surface, ways, span)
        row[0, 0].set(xlabel=readable(labels[0]), ylabel=readable(labels[1]))
        if beside:
            _along(row[0, 1], beside, list(ways), log)
        figure.suptitle(readable(title))
        handles, names = row[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), 7))
        footnote(figure, advice(title, *labels, *ways))
    return figure


def surface_of_paths(
    loss: Callable[[], Tensor],
    parameters: Sequence[Tensor],
    snapshots: Mapping[str, Sequence[Sequence[Numbers]]],
    points: int = 25,
) -> tuple[Surface, dict[str, np.ndarray]]:
    """One surface for the paths of several trainings, and each path in its coordinates.

    snapshots: name -> snapshots of the parameters, each a list of arrays of their shapes.
    The plane goes through the end of the last path, along the two directions that most of all
    paths lie along (by the singular value decomposition); `surface_values` explains the rest.
    Returns the surface, whose shares are of all paths together, and name -> (steps, 2), for
    `paths`. Raises ValueError for no snapshots, and as `surface_values` does.
    """
    if not snapshots or not all(map(len, snapshots.values())):
        raise ValueError("surface_of_paths: give the snapshots of at least one path, none empty")
    together = [snapshot for path in snapshots.values() for snapshot in path]
    surface = surface_values(loss, parameters, path=together, points=points)
    ends = np.cumsum([len(path) for path in snapshots.values()])[:-1]
    return surface, dict(zip(snapshots, np.split(np.asarray(surface.path), ends)))


def _ways(ways: Mapping[str, Numbers]) -> dict[str, np.ndarray]:
    if not ways:
        raise ValueError("no way to draw: give at least one, as {name: points}")
    arrays = {name: floats(way, name) for name, way in ways.items()}
    for name, way in arrays.items():
        if way.ndim != 2 or way.shape[1] != 2 or not len(way):
            raise ValueError(f"{name}: points of the shape (steps, 2) are needed, not {way.shape}")
    return arrays


def _grid(fn: Function, span: Span) -> Surface:
    x, y = (np.linspace(low, high, POINTS) for low, high in span)
    with np.errstate(all="ignore"):
        return Surface(x, y, np.asarray(fn(*np.meshgrid(x, y)), float), None, None)


def _losses(fn: Function, ways: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    with np.errstate(all="ignore"):  # a path that diverges may overflow
        return {name: np.asarray(fn(*way.T), float) for name, way in ways.items()}


def _steps(name: str, losses: Any, ways: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The steps of a way's losses, and the losses."""
    if name not in ways:
        raise ValueError(f"losses: {name!r} is none of the ways {list(ways)}")
    own = isinstance(losses, tuple) and len(losses) == 2 and np.ndim(losses[0]) > 0
    y = series(losses[1] if own else losses, name)
    x = series(losses[0], name) if own else np.arange(float(len(y)))
    if len(x) != len(y):
        raise ValueError(f"{name}: {len(x)} steps for {len(y)} losses: give one step for each")
    return x, y


def _labels(surface: Surface) -> tuple[str, str]:
    if surface.shares is None:
        return "x", "y"
    first, second = map(percent, surface.shares)
    return f"direction 1 ({first} of the paths)", f"direction 2 ({second} of the paths)"


def _map(
    axes: Any, surface: Surface, ways: Mapping[str, np.ndarray], span: Span | None = None
) -> None:
    """Contours with their values, and the ways over them from their starts to their ends."""
    _contours(axes, surface)
    x, y = span or ((surface.x[0], surface.x[-1]), (surface.y[0], surface.y[-1]))
    for i, (name, way) in enumerate(ways.items()):
        style: dict[str, Any] = {"color": COLOURS[i % len(COLOURS)], "markersize": 3}
        marker = "o" if len(way) <= STEPS_MARKED else None
        axes.plot(*way.T, "-", marker=marker, linewidth=1.3, **style)
        end = {"markersize": 8, "markeredgecolor": "black", "zorder": 4}
        axes.plot(*way[-1], _marker(i), label=readable(name), **{**style, **end})
    starts = np.unique([way[0] for way in ways.values()], axis=0)
    style = {"color": "white", "markeredgecolor": "black", "markersize": 8, "zorder": 4}
    axes.plot(*starts.T, "s", label="start", linestyle="none", **style)
    axes.set(xlim=x, ylim=y)
    axes.grid(visible=False)


def _marker(i: int) -> str:
    return MARKERS[i % len(MARKERS)]


def _contours(axes: Any, surface: Surface) -> None:
    shown = np.ma.masked_invalid(surface.values)
    levels = _heights(shown.compressed())
    if len(levels):
        lines = axes.contour(
            surface.x, surface.y, shown, levels=levels, colors="#BBBBBB", linewidths=0.8,
            linestyles="solid",
        )  # fmt: skip
        axes.clabel(lines, fmt=lambda height: f"{height:.2g}", fontsize=7, colors=GREY)


def _heights(values: np.ndarray) -> np.ndarray:
    """Heights of contours, of two digits; more of them low, where paths end, than on the walls."""
    if not len(values):
        return values
    heights = np.quantile(values, np.linspace(0.0, 1.0, 12)[1:-1] ** 1.5)
    return np.unique([float(f"{height:.1e}") for height in heights])


def _along(
    axes: Any, losses: Mapping[str, tuple[np.ndarray, np.ndarray]], names: list[str], log: bool
) -> None:
    """The losses by the step, each in the colour and with the end of its way."""
    from matplotlib.ticker import NullLocator

    for name, (x, y) in losses.items():
        i = names.index(name)
        shown = np.where((y > 0) | (not log), y, np.nan)
        last = np.flatnonzero(np.isfinite(shown))[-1:]
        colour = COLOURS[i % len(COLOURS)]
        axes.plot(x, shown, color=colour, linewidth=1.3)
        axes.plot(x[last], shown[last], _marker(i), color=colour, markeredgecolor="black")
    axes.set(xlabel="step", ylabel="loss", yscale="log" if log else "linear")
    axes.xaxis.get_major_locator().set_params(integer=True)
    low, high = axes.get_ylim()
    if log and high > 100.0 * low:
        axes.yaxis.set_minor_locator(NullLocator())  # hundreds of ticks that say nothing
