"""Lines over one axis: any, and those of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from tinygrad_llm.plot.fonts import advice, readable
from tinygrad_llm.plot.style import COLOURS, DASHES, footnote, inches, look
from tinygrad_llm.plot.values import Numbers, series

SCORES = ("accuracy", "f1", "precision", "recall", "score")
"""A series with one of these in its name is a share from 0 to 1, and the higher the better."""

WIDE, AXIS, HANDLE = 8.0, 0.9, 0.8
"""Inches: the width of a figure, of what stands left of its axes, and of a line in a legend with
the space around it."""

_BLACK = {"linestyle": "", "color": "black", "zorder": 3}

MARKS: tuple[dict[str, Any], ...] = (
    {"marker": "o", "markersize": 6, **_BLACK},
    {"marker": "o", "markersize": 10, "markerfacecolor": "none", **_BLACK},
    {"marker": "v", "markersize": 8, **_BLACK},
)
"""Of points: dots, rings that leave room for a dot, triangles."""


def curves(
    x: Numbers,
    lines: Mapping[str, Numbers],
    title: str,
    xlabel: str,
    ylabel: str,
    log: bool | Literal["y"] = False,
    lowest: Sequence[str] = (),
    points: Mapping[str, tuple[Numbers, Numbers]] | None = None,
) -> Any:
    """One line for each name in `lines`, all over the same x.

    log: True for two logarithmic axes, "y" for one, on which decay by a factor is a straight line.
    lowest: names of the lines whose lowest point gets a dot.
    points: name → (x, y) of points that no line joins, in black: the first of the names gets dots,
        the second rings, the third triangles, and so on in turn.
    What is no positive number leaves a gap on logarithmic axes, and whole x have whole ticks.
    Returns the figure. Raises ValueError for points with x and y of unequal lengths, and for
    another `log`.
    """
    import matplotlib.pyplot as plt

    if log not in (False, True, "y"):
        raise ValueError(f"curves: log={log!r}: give True, False or 'y'")
    x, points = series(x, "x"), points or {}
    spots = [_series(name, pair) for name, pair in points.items()]
    with look():
        figure, axes = plt.subplots(figsize=(WIDE, 4.5), layout="constrained")
        for i, (name, line) in enumerate(lines.items()):
            y = _positive(series(line, name)) if log else series(line, name)
            _line(axes, i, x, y, name)
            if name in lowest:
                _dot(axes, i, x, y, np.argmin(np.where(np.isfinite(y), y, np.inf)))
        for i, spot in enumerate(spots):
            heights = _positive(spot.y) if log else spot.y
            axes.plot(spot.x, heights, label=readable(spot.name), **MARKS[i % len(MARKS)])
        if log:
            axes.set(xscale="linear" if log == "y" else "log", yscale="log")
        if axes.get_xscale() == "linear" and (x == np.rint(x)).all():
            axes.locator_params(axis="x", integer=True)
        axes.set(title=readable(title), xlabel=readable(xlabel), ylabel=readable(ylabel))
        figure.legend(loc="outside right center")
        footnote(figure, advice(title, xlabel, ylabel, *lines, *points))
    return figure


class _Series(NamedTuple):
    name: str
    x: np.ndarray
    y: np.ndarray
    is_score: bool


def training_curves(
    history: Mapping[str, Numbers | tuple[Numbers, Numbers]],
    title: str = "Training",
    xlabel: str = "step",
    log: bool = False,
) -> Any:
    """The losses of a training over its steps, and its accuracies in a second panel.

    history: name -> values, or the tuple (x, y) for a series of its own steps; without x the
        values stand at 1, 2, 3, ... A name with "accuracy", "F1", "precision", "recall" or "score"
        in it is a share from 0 to 1. A name with "validation" gets a dot where it is best: the
        lowest loss, the highest share.
    log: a logarithmic axis for the losses; what is not positive leaves a gap.
    Returns the figure. Raises ValueError for no series, an empty one, x and y of unequal lengths,
    and for shares that are not from 0 to 1.
    """
    import matplotlib.pyplot as plt

    if not history:
        raise ValueError("training_curves: the history is empty: give at least one series")
    everything = [_series(name, values) for name, values in history.items()]
    panels = [[s for s in everything if s.is_score == kind] for kind in (False, True)]
    panels = [panel for panel in panels if panel]
    with look():
        size = (WIDE, 1.4 + 2.4 * len(panels))
        figure, rows = plt.subplots(
            len(panels), squeeze=False, sharex=True, figsize=size, layout="constrained"
        )
        for axes, panel in zip(rows[:, 0], panels):
            _panel(axes, panel, log)
        rows[-1, 0].set_xlabel(readable(xlabel))
        figure.suptitle(readable(title))
        footnote(figure, advice(title, xlabel, *history))
    return figure


def _series(name: str, values: Any) -> _Series:
    own_x = isinstance(values, tuple) and len(values) == 2 and np.ndim(values[0]) > 0
    y = series(values[1] if own_x else values, name)
    x = series(values[0], name) if own_x else np.arange(1.0, len(y) + 1)
    if len(x) != len(y):
        raise ValueError(f"{name}: {len(x)} steps for {len(y)} values: give one x for each y")
    is_score = any(word in name.lower() for word in SCORES)
    if is_score and ((y < 0) | (y > 1)).any():
        raise ValueError(f"{name}: shares from 0 to 1 are needed: divide percentages by 100")
    return _Series(name, x, y, is_score)


def _panel(axes: Any, panel: list[_Series], log: bool) -> None:
    is_score = panel[0].is_score
    for i, (name, x, y, _) in enumerate(panel):
        y = _positive(y) if log and not is_score else y
        best = _best(y, is_score) if "validation" in name.lower() else None
        _line(axes, i, x, y, name + ("" if best is None else _says(x[best], y[best], is_score)))
        if best is not None:
            _dot(axes, i, x, y, best)
    if is_score:
        axes.set(ylabel="share", ylim=(-0.02, 1.02))
    else:
        axes.set(ylabel="loss", yscale="log" if log else "linear")
    names = [text for line in axes.get_legend_handles_labels()[1] for text in line.split("\n")]
    fit = max(1, int((WIDE - AXIS) // (inches(*names) + HANDLE)))
    # Above the panel: beside it, long names would take its width.
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=min(fit, len(panel)))


def _says(x: float, y: float, is_score: bool) -> str:
    return f"\n{'highest' if is_score else 'lowest'}: {y:.4g} at {x:g}"


def _best(y: np.ndarray, is_score: bool) -> Any:
    """The position of the best finite value; None without one."""
    if not np.isfinite(y).any():
        return None
    wanted = y if is_score else -y
    return np.argmax(np.where(np.isfinite(y), wanted, -np.inf))


def _line(axes: Any, i: int, x: np.ndarray, y: np.ndarray, name: str) -> None:
    """Line number i; a point where the series has only one."""
    style = {"color": COLOURS[i % len(COLOURS)], "linestyle": DASHES[i % len(DASHES)]}
    marker = "." if len(y) == 1 else None
    axes.plot(x, y, marker=marker, label=readable(name), **style)


def _dot(axes: Any, i: int, x: np.ndarray, y: np.ndarray, where: Any) -> None:
    axes.plot(x[where], y[where], "o", color=COLOURS[i % len(COLOURS)], markersize=6)


def _positive(y: np.ndarray) -> np.ndarray:
    return np.where(y > 0, y, np.nan)
