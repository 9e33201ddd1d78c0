"""The look that all figures share: colours that colour-blind eyes tell apart, sizes, saving."""

from __future__ import annotations

import io
import operator
import os
import unicodedata
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from tinygrad_llm.files import atomic_write
from tinygrad_llm.plot import fonts

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Blue, vermilion, green, purple, orange, sky, black (Okabe & Ito 2008)."""

DASHES = ("-", "--", "-.", ":")
"""Lines differ in their dashes too, so that nothing hangs on colour alone."""

GREY = "#555555"
"""Of what is said beside the data."""

DPI = 150

_SETTINGS = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "figure.titlesize": 10,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}


def look() -> AbstractContextManager[None]:
    """Within the block, new figures have the common look; the user's own settings stay.

    Where a font with Chinese characters is installed, texts made in the block can show them.
    """
    import matplotlib

    return matplotlib.rc_context({**_SETTINGS, "font.family": fonts.families()})


def shades(count: int) -> list[Any]:
    """Colours for `count` lines: distinct up to 7, from dark to light in order beyond."""
    import matplotlib

    if count <= len(COLOURS):
        return list(COLOURS[:count])
    return [matplotlib.colormaps["cividis"](0.9 * i / (count - 1)) for i in range(count)]


def grid(name: str, count: int, columns: Any) -> tuple[int, int]:
    """Rows and columns of `count` panels, so many columns at most. `name`: who draws them.

    Raises TypeError for columns that are no integer.
    """
    try:
        columns = max(1, min(operator.index(columns), count))
    except TypeError as error:
        raise TypeError(f"{name}: columns must be an integer, not {columns!r}") from error
    return -(-count // columns), columns


def panels(shape: tuple[int, int], count: int, size: tuple[float, float]) -> tuple[Any, list[Any]]:
    """A figure of `size` inches with a grid of axes, and the first `count` of them, row by row; the
    others are not seen."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(*shape, squeeze=False, layout="constrained", figsize=size)
    for spare in axes.flat[count:]:
        spare.axis("off")
    return figure, list(axes.flat[:count])


def inches(*lines: str, size: float = 9) -> float:
    """About how wide the widest of the lines is in print; a Chinese character is a square."""
    widths = [[1.0 if unicodedata.east_asian_width(c) in "WF" else 0.6 for c in l] for l in lines]
    return max((sum(each) for each in widths), default=0.0) * size / 72


def percent(share: float) -> str:
    """A share as text: 0 % and 100 % stand for exactly none and exactly all."""
    if 0 < share < 0.001:
        return "<0.1 %"
    if 0.999 < share < 1:
        return ">99.9 %"
    return f"{100 * share:.1f} %".replace(".0 ", " ")


def ink(paper: Sequence[float]) -> str:
    """Black or white: what stands out more from the colour (relative luminance of WCAG 2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in paper[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if luminance > 0.179 else "white"


def footnote(figure: Any, *lines: str) -> None:
    """Write the lines that are not empty below a figure with constrained layout."""
    text = "\n".join(line for line in lines if line)
    if text:
        figure.supxlabel(text, fontsize=8, color=GREY)


def save(figure: Any, path: str | os.PathLike[str]) -> None:
    """Write the figure, atomically, and free its memory; the kind of file is the path's ending.

    Raises ValueError for an ending that matplotlib does not know, OSError as `atomic_write` does.
    """
    import matplotlib.pyplot as plt

    picture = io.BytesIO()
    figure.savefig(picture, dpi=DPI, format=os.path.splitext(path)[1][1:] or "png")
    with atomic_write(path) as file:
        file.write(picture.getvalue())
    plt.close(figure)
