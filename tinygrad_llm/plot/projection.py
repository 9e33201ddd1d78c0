"""Points in a plane with their names, coloured by kind: embeddings that were projected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_llm.plot.fonts import advice, readable
from tinygrad_llm.plot.style import COLOURS, footnote, grid, inches, look, panels
from tinygrad_llm.plot.tokens import MARKERS
from tinygrad_llm.plot.values import Numbers, by_name, floats

MOST_POINTS = 300
"""More than this in one panel nobody reads."""

SIDE = 5.4
"""Inches of a panel."""

_SIZE, _HIGH = 7, 8.0
"""Of a name: its font, and the height of its line in points."""

_AROUND = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
"""Where a name may stand beside its point: right, left, above, below, and at the corners."""

_Box = tuple[float, float, float, float]


def projection(
    points: Mapping[str, Numbers],
    names: Sequence[Any],
    kinds: Sequence[Any],
    title: str,
    panels_in_row: int = 2,
) -> Any:
    """Points with a name each in panels side by side, such as embeddings before and after.

    points: name of the panel -> (N, 2); each panel has axes of its own, with one unit for both.
    names: N texts, written beside the points wherever there is room. kinds: N of at most seven
        kinds, each with a colour and a mark of its own.
    Returns the figure. Raises TypeError for points that are no dict and a panels_in_row that is no
    integer, ValueError for no panels, points of another shape or not finite, more than 300, other
    numbers of names or kinds, and more than seven kinds.
    """
    texts, sorts = [str(name) for name in names], [str(kind) for kind in kinds]
    given = by_name("projection: points", points)
    found = {name: _checked(name, each, len(texts)) for name, each in given.items()}
    known = list(dict.fromkeys(sorts))
    if not found or len(sorts) != len(texts) or len(known) > len(COLOURS):
        raise ValueError(
            f"projection: {len(found)} panels, {len(texts)} names and {len(sorts)} kinds of "
            f"{len(known)} sorts: give a panel, a kind for each name, and {len(COLOURS)} at most"
        )
    shape = grid("projection", len(found), panels_in_row)
    with look():
        wide = max(SIDE * shape[1] + inches(*known) + 0.6, inches(title, size=11))
        figure, places = panels(shape, len(found), (wide, SIDE * shape[0] + 0.6))
        for axes, (name, each) in zip(places, found.items()):
            _draw(axes, each, sorts, known)
            axes.set_title(readable(name))
        figure.suptitle(readable(title))
        figure.legend(*places[0].get_legend_handles_labels(), loc="outside right upper")
        figure.draw_without_rendering()  # where points lie on the paper is known only now
        left_out = sum(_write(axes, each, texts) for axes, each in zip(places, found.values()))
        said = f"{left_out} names have no room." if left_out else ""
        footnote(figure, said, advice(title, *found, *texts, *known))
    return figure


def _checked(name: str, points: Numbers, count: int) -> np.ndarray:
    """The points of one panel. Raises ValueError where they are no finite (N, 2)."""
    found = floats(points, name)
    if found.shape != (count, 2) or not 0 < count <= MOST_POINTS:
        raise ValueError(
            f"projection: {name} {found.shape} for {count} names: expected ({count}, 2), and 1 to "
            f"{MOST_POINTS} points"
        )
    if not np.isfinite(found).all():
        raise ValueError(f"projection: {name} has a point that is not finite")
    return found


def _draw(axes: Any, points: np.ndarray, sorts: Sequence[str], known: Sequence[str]) -> None:
    """The points of each kind, in axes where both directions have one unit."""
    for i, kind in enumerate(known):
        of_kind = points[[each == kind for each in sorts]]
        mark = {"marker": MARKERS[i % len(MARKERS)], "s": 22, "color": COLOURS[i]}
        axes.scatter(*of_kind.T, label=readable(kind), linewidths=0, **mark)
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.12)


def _write(axes: Any, points: np.ndarray, texts: Sequence[str]) -> int:
    """Write the names where they cover no point and no other name; how many have no room."""
    scale = 72.0 / axes.figure.dpi  # points of print in a pixel
    spots = axes.transData.transform(points) * scale
    frame = axes.get_window_extent()
    edges = frame.x0 * scale, frame.y0 * scale, frame.x1 * scale, frame.y1 * scale
    taken: list[_Box] = [(x - 2.5, y - 2.5, x + 2.5, y + 2.5) for x, y in spots]
    left_out = 0
    for (x, y), point, text in zip(spots, points, map(readable, texts)):
        width = 72.0 * inches(text, size=_SIZE)
        free = (box for box in _boxes(x, y, width) if _has_room(box, taken, edges))
        box = next(free, None)
        if box is None:
            left_out += 1
            continue
        taken.append(box)
        place = {"textcoords": "offset points", "va": "bottom", "fontsize": _SIZE}
        note = axes.annotate(text, point, (box[0] - x, box[1] - y), **place)
        note.set_in_layout(False)
    return left_out


def _boxes(x: float, y: float, width: float) -> Iterator[_Box]:
    """Where a name of this width may stand, best first: left, bottom, right and top in points."""
    for across, up in _AROUND:
        left = x - width / 2 + across * (width / 2 + 4.0)
        bottom = y - _HIGH / 2 + up * (_HIGH / 2 + 3.0)
        yield left, bottom, left + width, bottom + _HIGH


def _has_room(box: _Box, taken: Sequence[_Box], edges: _Box) -> bool:
    left, bottom, right, top = box
    inside = left >= edges[0] and bottom >= edges[1] and right <= edges[2] and top <= edges[3]
    return inside and not any(
        left < other[2] and right > other[0] and bottom < other[3] and top > other[1]
        for other in taken
    )
