"""Tables of shares with names for rows and columns, as colours with the numbers in the cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_llm.plot.fonts import advice, readable
from tinygrad_llm.plot.style import footnote, grid, inches, ink, look, panels
from tinygrad_llm.plot.values import Numbers, by_name, floats

MOST_CELLS = 600
"""More numbers than this in one panel nobody reads."""


def shares(
    tables: Mapping[str, Numbers],
    rows: Sequence[Any],
    columns: Sequence[Any],
    title: str,
    label: str = "share",
    panels_in_row: int = 2,
) -> Any:
    """Tables of shares in panels: a cell is white for 0, dark for 1, and has its percent in it.

    tables: name of the panel -> (R, C), from 0 to 1; all share one scale. rows, columns: R and C
        names, the same in all panels. label: what the numbers are.
    A share above 0 that rounds to 0 percent is written "<1", one below 1 that rounds to 100
    ">99". Returns the figure. Raises TypeError for tables that are no dict and a panels_in_row that
    is no integer, ValueError for no tables, another shape, numbers outside 0 … 1, and more than 600
    cells.
    """
    across, down = [str(each) for each in columns], [str(each) for each in rows]
    given = by_name("shares: tables", tables)
    found = {name: _checked(name, each, (len(down), len(across))) for name, each in given.items()}
    if not found:
        raise ValueError("shares: there is no table: give at least one")
    shape = grid("shares", len(found), panels_in_row)
    with look():
        figure, places = panels(shape, len(found), _size(shape, down, across, title))
        for axes, (name, each) in zip(places, found.items()):
            drawn = axes.imshow(each, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
            for i, j in np.ndindex(each.shape):
                colour = ink(drawn.to_rgba(each[i, j]))
                middle = {"ha": "center", "va": "center", "size": 8}
                axes.text(j, i, _percent(each[i, j]), color=colour, **middle)
            _name(axes, name, down, across)
        figure.suptitle(readable(title))
        said = f"Cells: {readable(label)} in percent."
        footnote(figure, said, advice(title, label, *found, *down, *across))
    return figure


def _checked(name: str, table: Numbers, shape: tuple[int, int]) -> np.ndarray:
    """The numbers of one panel. Raises ValueError where they do not fit the names."""
    found = floats(table, name)
    if found.shape != shape or not 0 < found.size <= MOST_CELLS:
        raise ValueError(
            f"shares: {name} {found.shape} for {shape[0]} rows and {shape[1]} columns: expected "
            f"as many, and 1 to {MOST_CELLS} cells"
        )
    if not ((found >= 0.0) & (found <= 1.0 + 1e-6)).all():
        raise ValueError(f"shares: {name} has numbers outside 0 … 1: divide percentages by 100")
    return found


def _percent(share: float) -> str:
    """A whole number; 0 and 100 stand for exactly none and exactly all."""
    rounded = round(100 * share)
    if rounded == 0 and share > 0.0:
        return "<1"
    return ">99" if rounded == 100 and share < 1.0 - 1e-6 else str(rounded)


def _size(
    shape: tuple[int, int], rows: Sequence[str], columns: Sequence[str], title: str
) -> tuple[float, float]:
    """Width and height in inches: a cell has room for its number, or for the name above it."""
    wide = shape[1] * (inches(*map(readable, rows)) + _cell(columns) * len(columns) + 0.4) + 0.3
    high = shape[0] * (0.26 * len(rows) + 0.75 + _slant(columns)) + 0.7
    return max(wide, inches(title, size=11), 4.5), max(high, 2.2)


def _cell(columns: Sequence[str]) -> float:
    """The width of a cell: names of up to an inch stand side by side, longer ones are slanted."""
    return 0.42 if _slant(columns) else max(0.36, inches(*map(readable, columns)) + 0.1)


def _slant(columns: Sequence[str]) -> float:
    """How high slanted names stand; 0 for short ones, which lie."""
    longest = inches(*map(readable, columns))
    return 0.75 * longest if longest > 1.0 else 0.0


def _name(axes: Any, name: str, rows: Sequence[str], columns: Sequence[str]) -> None:
    slanted = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    style: dict[str, Any] = slanted if _slant(columns) else {}
    axes.set_title(readable(name))
    axes.set_xticks(range(len(columns)), [readable(each) for each in columns], **style)
    axes.set_yticks(range(len(rows)), [readable(each) for each in rows])
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
