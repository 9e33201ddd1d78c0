"""Tables of numbers as pictures: which class is taken for which, and grids of small images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_llm import metrics
from tinygrad_llm.plot.fonts import advice, all_shown, readable
from tinygrad_llm.plot.style import GREY, footnote, inches, look
from tinygrad_llm.plot.values import Numbers, floats, host

MOST_CLASSES, MOST_PICTURES = 40, 200
"""More than this in one figure nobody reads."""


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
        wide = max(2.0 + inches(*names) + width * len(counts), 1.0 + inches(title, size=10))
        size = (wide, 1.8 + max(0.3, 0.75 * width) * len(counts))
        figure, axes = plt.subplots(figsize=size, layout="constrained")
        drawn = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for i, j in np.ndindex(shares.shape):
            colour = _ink(drawn.to_rgba(shares[i, j])) if counts[i, j] else "#666666"
            axes.text(j, i, cells[i][j], ha="center", va="center", fontsize=8, color=colour)
        _margins(axes, counts)
        _class_names(axes, names, width)
        axes.set(title=readable(title), ylabel="true class", xlabel="predicted class")
        unit = "Cells: percent of the row. " if normalize else "Cells: counts. "
        footnote(figure, unit + "Colour: share of the row.", advice(title, *names))
    return figure


def _ink(paper: Sequence[float]) -> str:
    """Black or white: what stands out more from the colour (relative luminance of WCAG 2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in paper[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if luminance > 0.179 else "white"


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
    import matplotlib.pyplot as plt

    stack = _pictures(pictures)
    if titles is not None and len(titles) != len(stack):
        raise ValueError(f"images: {len(titles)} titles for {len(stack)} pictures")
    columns = max(1, min(columns, len(stack)))
    rows = -(-len(stack) // columns)
    finite = stack[np.isfinite(stack)]
    scale = {"vmin": finite.min(), "vmax": finite.max()} if finite.size else {}
    with look():
        wide = max(0.2 + 0.85 * columns, inches(title, size=11))
        size = (wide, 0.1 + 0.3 * bool(title) + (0.85 if titles is None else 1.05) * rows)
        figure, grid = plt.subplots(
            rows, columns, squeeze=False, figsize=size, layout="constrained"
        )
        for axes in grid.flat:
            axes.axis("off")
        for i, (axes, picture) in enumerate(zip(grid.flat, stack)):
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
