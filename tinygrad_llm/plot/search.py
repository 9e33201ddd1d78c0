"""The trials of a search: how the best value came down, and what each setting does to the value."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_llm.plot.fonts import advice, all_shown, readable
from tinygrad_llm.plot.style import COLOURS, footnote, inches, look

MOST_SETTINGS, IN_A_ROW = 12, 4

BEYOND = 4.0
"""The axis ends where a value is so many times farther from the median than the best is; one run
that diverged would squeeze all others into one line."""


def search(result: Any, title: str = "Search", ylabel: str = "value", log: bool = False) -> Any:
    """The values of the trials in order with the best so far, and over each of the settings.

    result: what `training.search` returned. ylabel: what the value is, such as "validation loss".
    log: a logarithmic axis of values; the axis of a LogUniform is logarithmic in any case.
    A value that is not finite stands as × at the worse end of the axis, one that is too far off to
    be drawn as a triangle; the best trial is a star in every panel.
    Returns the figure. Raises ValueError for no trials, for none with a finite value, for more than
    12 settings, and with `log` for values that are not positive.
    """
    import matplotlib.pyplot as plt

    values = np.array([trial.value for trial in result.trials])
    _check(values, len(result.space), log)
    names = list(result.space)
    columns = min(len(names), IN_A_ROW)
    rows = 1 + -(-len(names) // columns)
    with look():
        figure = plt.figure(figsize=(max(6.5, 2.3 * columns), 2.5 * rows), layout="constrained")
        grid = figure.add_gridspec(rows, columns)
        first = figure.add_subplot(grid[0, :])
        drawn = _Values(values, result.maximize, log)
        drawn.on(first, np.arange(1, len(values) + 1))
        _best_so_far(first, drawn)
        first.set(xlabel="trial", ylabel=readable(ylabel))
        first.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        for i, name in enumerate(names):
            axes = figure.add_subplot(grid[1 + i // columns, i % columns], sharey=first)
            settings = [trial.settings[name] for trial in result.trials]
            drawn.on(axes, _axis(axes, result.space[name], settings))
            axes.set_xlabel(readable(name))
            if i % columns:
                axes.tick_params(labelleft=False)
            else:
                axes.set_ylabel(readable(ylabel))
        figure.suptitle(readable(title))
        footnote(figure, advice(title, ylabel, *names))
    return figure


def _check(values: np.ndarray, settings: int, log: bool) -> None:
    finite = values[np.isfinite(values)]
    if not len(finite):
        raise ValueError(f"search: none of {len(values)} trials has a finite value to draw")
    if settings > MOST_SETTINGS:
        raise ValueError(f"search: {settings} settings (at most {MOST_SETTINGS})")
    if log and finite.min() <= 0:
        raise ValueError(f"search: {finite.min():g} has no logarithm: leave out log=True")


class _Values:
    """What all panels draw: the values, those at the edge of the axis, and the best."""

    def __init__(self, values: np.ndarray, maximize: bool, log: bool):
        self.values, self.maximize, self.log = values, maximize, log
        scale = np.log if log else np.array
        costs = scale(np.where(np.isfinite(values), values, np.nan)) * (-1 if maximize else 1)
        self.best = int(np.nanargmin(costs))
        middle, least = np.nanmedian(costs), costs[self.best]
        self.lost = np.isnan(costs)
        limit = middle + BEYOND * (middle - least)
        self.far = costs > limit if middle > least else self.lost & False
        self.shown = ~(self.lost | self.far)

    def on(self, axes: Any, x: np.ndarray) -> None:
        """One mark for each trial, at its place x (N,)."""
        blue, red = COLOURS[:2]
        axes.plot(x[self.shown], self.values[self.shown], "o", color=blue, ms=4, alpha=0.7)
        edge = {"transform": axes.get_xaxis_transform(), "clip_on": False, "linestyle": ""}
        triangle = "v" if self.maximize else "^"
        for where, mark, name, inside in (
            (self.far, triangle, self._far_off(), 0.07),
            (self.lost, "x", "not finite", 0.02),
        ):
            if where.any():
                at = np.full(where.sum(), inside if self.maximize else 1 - inside)
                axes.plot(x[where], at, mark, color="black", ms=5, label=name, **edge)
        value = self.values[self.best]
        label = f"best: {value:.4g}"
        axes.plot(x[self.best], value, "*", color=red, ms=11, label=label, zorder=3)
        axes.margins(y=0.12)  # room for the marks at the edge
        if self.log:
            axes.set_yscale("log")

    def _far_off(self) -> str:
        """What the legend says of the triangles, which do not stand at their values."""
        ends = [f"{v:.4g}" for v in np.unique(self.values[self.far])]
        return f"far off: {' … '.join(ends[:: max(len(ends) - 1, 1)])}"


def _best_so_far(axes: Any, drawn: _Values) -> None:
    """The line of the best value up to each trial."""
    worst = -np.inf if drawn.maximize else np.inf
    running = np.maximum if drawn.maximize else np.minimum
    best = running.accumulate(np.where(drawn.shown, drawn.values, worst))
    best[~np.isfinite(best)] = np.nan
    trials = np.arange(1, len(best) + 1)
    axes.plot(trials, best, color=COLOURS[0], drawstyle="steps-post", label="best so far")
    axes.xaxis.get_major_locator().set_params(integer=True)


def _axis(axes: Any, dimension: Any, settings: list) -> np.ndarray:
    """Make the axis that suits the setting, and give the places (N,) of its values there."""
    if dimension.scale == "choice":
        _choices(axes, [str(value) for value in dimension.values])
        return np.array([dimension.index(value) for value in settings], dtype=np.float64)
    low, high = dimension.low, dimension.high
    if dimension.scale == "log":
        margin = (high / low) ** 0.05
        axes.set(xscale="log", xlim=(low / margin, high * margin))
    else:
        margin = 0.05 * (high - low)
        axes.set_xlim(low - margin, high + margin)
        axes.xaxis.get_major_locator().set_params(integer=isinstance(low, int))
    return np.array(settings, dtype=np.float64)


def _choices(axes: Any, names: list[str]) -> None:
    """One tick for each name, slanted or upright where they would touch."""
    shown = [readable(n) if all_shown(n) else f"choice {i + 1}" for i, n in enumerate(names)]
    style: dict[str, Any] = {}
    if len(names) > 8:
        style = {"rotation": 90}
    elif len(names) * inches(*shown) > 1.4:
        style = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(len(names)), shown, **style)
    axes.set_xlim(-0.5, len(names) - 0.5)
