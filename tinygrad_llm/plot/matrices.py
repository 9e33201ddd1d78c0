"""Tables of numbers as pictures: which class is taken for which, heat maps, small images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_llm import metrics
from tinygrad_llm.plot.fonts import advice, all_shown, readable
from tinygrad_llm.plot.style import GREY, footnote, grid, inches, ink, look, panels
from tinygrad_llm.plot.values import Numbers, by_name, floats, host

MOST_CLASSES, MOST_PICTURES, MOST_TABLES = 40, 200, 12
"""More than this in one figure nobody reads."""

NO_NUMBER = "#D0D0D0"
"""The grey of a cell that holds NaN or an infinity, such as a score behind a mask."""


def confusion_matrix(
    true: Numbers,
    predicted: Numbers,
    labels: Sequence[str] | None = None,
    title: str = "Confusion matrix",
    normalize: bool = False,
) -> Any:
    """Which class is taken for which: a row a true class, a column a predicted one.

    true, predicted: class numbers from 0, integers of one length. labels: a name for each class;
        a class whose name no font can show is called by its number. normalize: percent of the row
        in the cells in place of counts.
    The colour of a cell is its share of the row. Beside the rows stand their size and recall,
    below the columns their precision, in the corner the accuracy; "–" where there is nothing to
    divide by. Returns the figure. Raises as `metrics.confusion_matrix` does, TypeError for strings,
    and ValueError for a number that is no class and beyond 40 classes.
    """
    counts = _counts(true, predicted, None if labels is None else len(labels))
    names = [str(i) for i in range(len(counts))] if labels is None else list(labels)
    return _draw_confusion(counts, names, title, normalize)


def _counts(true: Numbers, predicted: Numbers, classes: int | None) -> np.ndarray:
    """counts[i, j] (classes, classes), the empty classes among them too."""
    true, predicted = host(true, "true"), host(predicted, "predicted")
    least = min(values.min(initial=0) for values in (true, predicted))
    most = max(values.max(initial=0) for values in (true, predicted))
    count = most + 1 if classes is None else classes
    if not count and classes is not None:
        raise ValueError("confusion_matrix: labels are empty: give a name for each class")
    if not count <= MOST_CLASSES:
        raise ValueError(f"confusion_matrix: {count} classes (at most {MOST_CLASSES})")
    if least < 0 or most >= count:
        bad = least if least < 0 else most
        raise ValueError(f"confusion_matrix: class {bad} is not in 0..{count - 1}")
    return metrics.confusion_matrix(true, predicted, labels=np.arange(count))


def _draw_confusion(counts: np.ndarray, names: list[str], title: str, normalize: bool) -> Any:
    import matplotlib.pyplot as plt

    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cells = [[f"{100 * s:.0f}" for s in row] for row in shares] if normalize else counts.tolist()
    with look():
        width = max(0.36, 0.1 + inches(*(str(cell) for row in cells for cell in row)))
        said = advice(title, *names)
        wide = max(2.0 + inches(*names) + width * len(counts), 1.0 + inches(title, size=10))
        wide = max(wide, inches(said, size=8))
        size = (wide, 1.8 + max(0.3, 0.75 * width) * len(counts))
        figure, axes = plt.subplots(figsize=size, layout="constrained")
        drawn = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for i, j in np.ndindex(shares.shape):
            colour = ink(drawn.to_rgba(shares[i, j])) if counts[i, j] else "#666666"
            axes.text(j, i, cells[i][j], ha="center", va="center", fontsize=8, color=colour)
        _margins(axes, counts)
        _class_names(axes, names, width)
        axes.set(title=readable(title), ylabel="true class", xlabel="predicted class")
        unit = "Cells: percent of the row. " if normalize else "Cells: counts. "
        footnote(figure, unit + "Colour: share of the row.", said)
    return figure


def _margins(axes: Any, counts: np.ndarray) -> None:
    """Recall and size to the right of the rows, precision below the columns, accuracy between."""
    right, hits = counts.sum(axis=1), counts.diagonal()
    below = counts.sum(axis=0)
    for i, hit in enumerate(hits):
        _beside(axes, i, _ratio(hit, right[i]), 20)
        _beside(axes, i, str(right[i]), 52)
        _below(axes, i, _ratio(hit, below[i]))
    _beside(axes, -0.5, "recall", 20, va="bottom")
    _beside(axes, -0.5, "n", 52, va="bottom")
    axes.annotate("precision", (0, 0), (-6, -10), **_POINTS, xycoords="axes fraction", ha="right")
    text = f"accuracy {_ratio(hits.sum(), counts.sum())}"
    axes.annotate(text, (1, 0), (6, -10), **_POINTS, xycoords="axes fraction", ha="left")


_POINTS = {"textcoords": "offset points", "fontsize": 8, "color": GREY, "va": "center"}


def _beside(axes: Any, row: float, text: str, points: int, **style: Any) -> None:
    place = {"xycoords": ("axes fraction", "data"), "ha": "center"}
    axes.annotate(text, (1, row), (points, 0), **{**_POINTS, **place, **style})


def _below(axes: Any, column: int, text: str) -> None:
    place = {"xycoords": ("data", "axes fraction"), "ha": "center"}
    axes.annotate(text, (column, 0), (0, -10), **{**_POINTS, **place})


def _ratio(part: int, whole: int) -> str:
    return f"{part / whole:.2f}" if whole else "–"


def _class_names(axes: Any, names: Sequence[str], width: float) -> None:
    shown = [readable(n) if all_shown(n) else f"class {i}" for i, n in enumerate(names)]
    places = range(len(names))
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    slant = {"rotation": 45, "ha": "left", "rotation_mode": "anchor"}
    axes.set_xticks(places, shown, **(slant if inches(*shown) > width else {}))
    axes.set_yticks(places, shown)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def images(
    pictures: Numbers,
    titles: Sequence[Any] | None = None,
    columns: int = 10,
    title: str = "",
) -> Any:
    """Small pictures in a grid, row by row, dark where the numbers are high.

    pictures: (N, height, width), or (N, side * side) for square ones, like the 8x8 digits. All
        share one scale. titles: a line above each picture; columns: pictures in a row.
    Returns the figure. Raises ValueError for other shapes, no pictures or more than 200, and for
    another number of titles than of pictures.
    """
    stack = _pictures(pictures)
    if titles is not None and len(titles) != len(stack):
        raise ValueError(f"images: {len(titles)} titles for {len(stack)} pictures")
    shape = rows, columns = grid("images", len(stack), columns)
    finite = stack[np.isfinite(stack)]
    scale = {"vmin": finite.min(), "vmax": finite.max()} if finite.size else {}
    with look():
        wide = max(0.2 + 0.85 * columns, inches(title, size=11))
        size = (wide, 0.1 + 0.3 * bool(title) + (0.85 if titles is None else 1.05) * rows)
        figure, places = panels(shape, len(stack), size)
        for i, (axes, picture) in enumerate(zip(places, stack)):
            axes.axis("off")
            axes.imshow(picture, cmap="gray_r", **scale)
            if titles is not None:
                axes.set_title(readable(str(titles[i])), fontsize=8)
        figure.suptitle(readable(title) or None)
        footnote(figure, advice(title, *map(str, () if titles is None else titles)))
    return figure


def _pictures(pictures: Numbers) -> np.ndarray:
    """The pictures as (N, height, width)."""
    stack = floats(pictures, "images")
    side = int(np.sqrt(stack.shape[-1])) if stack.ndim == 2 else 0
    if stack.ndim == 2 and side * side == stack.shape[1]:
        stack = stack.reshape(-1, side, side)
    if stack.ndim != 3 or stack.size == 0 or len(stack) > MOST_PICTURES:
        raise ValueError(
            f"images: {stack.shape} is no (N, height, width) or (N, side * side) "
            f"with 1 to {MOST_PICTURES} pictures"
        )
    return stack


def heat_maps(
    tables: Mapping[str, Numbers],
    title: str,
    xlabel: str = "column",
    ylabel: str = "row",
    label: str = "value",
    columns: int = 3,
) -> Any:
    """Tables of numbers as colours, side by side: a cell a number, on one scale for all panels.

    tables: name of the panel -> (rows, columns), of any size. xlabel, ylabel: what columns and rows
        count, from 0; label: what the numbers are; columns: panels in a row.
    0 is white; a larger number is darker, and where there are negative ones too, they are blue and
    the positive ones red. NaN and infinities are grey. Returns the figure.
    Raises ValueError for no tables or more than 12, and for what is no table.
    """
    given = by_name("heat_maps: tables", tables)
    found = {name: _table(values, name) for name, values in given.items()}
    if not 0 < len(found) <= MOST_TABLES:
        raise ValueError(f"heat_maps: {len(found)} tables: expected 1 to {MOST_TABLES}")
    shape = rows, columns = grid("heat_maps", len(found), columns)
    scale = _scale(list(found.values()))
    with look():
        wide = max(0.8 + 2.6 * columns, inches(title, size=11), 4.5)
        figure, places = panels(shape, len(found), (wide, 0.8 + 2.6 * rows))
        for axes, (name, values) in zip(places, found.items()):
            drawn = axes.imshow(values, aspect="auto", interpolation="nearest", **scale)
            axes.set(title=readable(name), xlabel=readable(xlabel), ylabel=readable(ylabel))
            axes.locator_params(integer=True, nbins=6)
            axes.set_facecolor(NO_NUMBER)
            axes.grid(visible=False)
        figure.colorbar(drawn, ax=places, label=readable(label), shrink=0.8)
        figure.suptitle(readable(title))
        grey = any(not np.isfinite(values).all() for values in found.values())
        said = "Grey: no finite number." if grey else ""
        footnote(figure, said, advice(title, xlabel, ylabel, label, *found))
    return figure


def _table(values: Numbers, name: str) -> np.ndarray:
    """The numbers of one panel; matplotlib leaves cells empty where they are not finite."""
    table = floats(values, name)
    if table.ndim != 2 or table.size == 0:
        raise ValueError(f"heat_maps: {name} {table.shape} is no table (rows, columns)")
    return table


def _scale(tables: Sequence[np.ndarray]) -> dict[str, Any]:
    """The colours of all panels, and the numbers at their two ends."""
    values = np.concatenate([table[np.isfinite(table)] for table in tables])
    most = float(np.abs(values).max(initial=0.0)) or 1.0
    signed = bool((values < 0).any())
    if signed and 2.0 * most == np.inf:
        raise ValueError(f"heat_maps: from {-most:g} to {most:g} there is no scale: divide them")
    return {"cmap": "RdBu_r" if signed else "Blues", "vmin": -most if signed else 0.0, "vmax": most}
