"""The drawing of a tape: boxes at their places, an arrow for each edge, a legend."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from tinygrad_llm.plot.boxes import ABOUT_MANY, Box
from tinygrad_llm.plot.fonts import advice, readable
from tinygrad_llm.plot.layout import layered, spread
from tinygrad_llm.plot.style import COLOURS, GREY, look

FONT = 9
LINE, PADDING, BETWEEN, GAP, MARGIN = 0.17, 0.09, 0.32, 0.28, 0.3
"""Inches: of a line, above and below the text of a box, between layers, between boxes, around."""

PORTS = 0.25
"""Inches between arrows that end side by side, where there is room."""

WIDEST = 14.0
"""Inches: leaves of a layer that would be wider move up to the next."""

FILLS = {"leaf": "#CFE8F7", "op": "#F4F4F4", "module": "#D9F0E7", "result": "#FCE3C5"}
LINES = {"leaf": COLOURS[0], "op": "#777777", "module": COLOURS[2], "result": COLOURS[1]}
MEANING = {
    "leaf": "leaf: requires a gradient",
    "op": "op",
    "module": "call of a module",
    "result": "result",
}
GRADIENT = "#A03C00"
"""Dark vermilion, to be told from values at a glance."""


def draw(boxes: Sequence[Box], parents: Sequence[Sequence[int]]) -> Any:
    """Draw the boxes with data flowing downwards; returns a matplotlib figure.

    parents: for each box the numbers of those that feed it, all smaller than its own.
    """
    with look():
        return _Drawing(boxes, parents).figure


class _Drawing:
    """A figure whose unit is the inch; y is 0 at the middle of the lowest layer."""

    def __init__(self, boxes: Sequence[Box], parents: Sequence[Sequence[int]]):
        self.lines = [_lines(box) for box in boxes]
        self.widths = [max(_inches(text) for text, _ in each) + 0.2 for each in self.lines]
        self.height = max(map(len, self.lines)) * LINE + 2 * PADDING
        self.layout = layered(parents, self.widths, GAP, WIDEST)
        self.y = [level * (self.height + BETWEEN) for level in self.layout.level]
        notes = _notes(boxes)
        self.right = max(x + self._width(i) / 2 for i, x in enumerate(self.layout.x))
        self.low = -self.height / 2 - 0.4 - LINE * len(notes)
        self.figure, self.axes = self._canvas()
        self._draw_edges()
        for i, box in enumerate(boxes):
            self._draw_box(i, box.kind)
        self._draw_legend({box.kind for box in boxes})
        for i, note in enumerate(reversed(notes)):
            self._write(self.right / 2, self.low + LINE * i, note, GREY, size=8)

    def _width(self, point: int) -> float:
        return self.widths[point] if point < len(self.widths) else 0.0

    def _canvas(self) -> tuple[Any, Any]:
        import matplotlib.pyplot as plt

        wide = max(self.right, 4.6) + 2 * MARGIN
        high = max(self.y) + self.height / 2
        figure = plt.figure(figsize=(wide, high - self.low + 2 * MARGIN))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim((self.right - wide) / 2, (self.right + wide) / 2)
        axes.set_ylim(self.low - MARGIN, high + MARGIN)
        axes.axis("off")
        return figure, axes

    def _write(self, x: float, y: float, text: str, colour: str, size: float = FONT) -> None:
        place = {"ha": "center", "va": "center", "zorder": 3}
        self.axes.text(x, y, text, color=colour, fontsize=size, **place)

    def _draw_box(self, i: int, kind: str) -> None:
        from matplotlib.patches import FancyBboxPatch

        x, y, width = self.layout.x[i], self.y[i], self.widths[i]
        rounding = 0.16 if kind == "leaf" else 0.03
        style = f"round,pad=0,rounding_size={rounding}"
        look_of: dict[str, Any] = {"facecolor": FILLS[kind], "edgecolor": LINES[kind], "zorder": 2}
        corner = (x - width / 2, y - self.height / 2)
        self.axes.add_patch(FancyBboxPatch(corner, width, self.height, boxstyle=style, **look_of))
        top = y + LINE * (len(self.lines[i]) - 1) / 2
        for row, (text, colour) in enumerate(self.lines[i]):
            self._write(x, top - LINE * row, text, colour)

    def _draw_edges(self) -> None:
        ports = self._ports()
        for key, route in self.layout.routes.items():
            leave, enter = ports[key]
            start = (leave, self.y[route[0]] - self.height / 2)
            end = (enter, self.y[route[-1]] + self.height / 2)
            bends = [(self.layout.x[p], self.y[p]) for p in route[1:-1]]
            self._draw_edge([start, *bends, end])

    def _ports(self) -> dict[tuple[int, int], tuple[float, float]]:
        """Where each edge leaves its parent and enters its node: straight down where it can."""
        enter: dict[tuple[int, int], float] = {}
        leave: dict[tuple[int, int], float] = {}
        x, routes = self.layout.x, self.layout.routes
        for node in range(len(self.widths)):
            into = {key: x[route[-2]] for key, route in routes.items() if route[-1] == node}
            enter |= self._side_by_side(node, into)
        for node in range(len(self.widths)):
            out = {
                key: x[route[1]] if len(route) > 2 else enter[key]
                for key, route in routes.items()
                if route[0] == node
            }
            leave |= self._side_by_side(node, out)
        return {key: (leave[key], enter[key]) for key in routes}

    def _side_by_side(self, node: int, wishes: dict[tuple[int, int], float]) -> dict:
        """Places for the ends of edges at a side of a box, each as near to its wish as can be."""
        if not wishes:
            return {}
        keys = sorted(wishes, key=lambda key: (wishes[key], key))
        side = 0.8 * self.widths[node]
        apart = min(PORTS, side / len(keys))
        places = spread([wishes[key] for key in keys], [0.0] * len(keys), apart, [1.0] * len(keys))
        low = self.layout.x[node] - side / 2
        high = low + side - apart * (len(keys) - 1)  # for the first of them
        firsts = [min(max(place - i * apart, low), high) for i, place in enumerate(places)]
        return {key: first + i * apart for i, (key, first) in enumerate(zip(keys, firsts))}

    def _draw_edge(self, points: list[tuple[float, float]]) -> None:
        """A curve through the points, upright at each, an arrow at its end.

        Where it passes a layer it goes straight for the height of a box, to touch none.
        """
        from matplotlib.patches import FancyArrowPatch
        from matplotlib.path import Path

        vertices, codes = [points[0]], [Path.MOVETO]
        for i, ((_, _), (x, y)) in enumerate(pairwise(points)):
            bend = i < len(points) - 2
            (x0, y0), y1 = vertices[-1], y + self.height / 2 if bend else y
            half = (y0 - y1) / 2
            vertices += [(x0, y0 - half), (x, y1 + half), (x, y1)]
            codes += [Path.CURVE4] * 3
            if bend:
                vertices.append((x, y - self.height / 2))
                codes.append(Path.LINETO)
        arrow: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 9, "shrinkA": 0}
        arrow |= {"shrinkB": 0, "color": GREY, "linewidth": 1, "zorder": 1}
        self.axes.add_patch(FancyArrowPatch(path=Path(vertices, codes), **arrow))

    def _draw_legend(self, kinds: set[str]) -> None:
        from matplotlib.patches import Patch

        shown = [kind for kind in FILLS if kind in kinds]
        handles = [Patch(facecolor=FILLS[k], edgecolor=LINES[k], label=MEANING[k]) for k in shown]
        place = {"loc": "center", "bbox_to_anchor": (self.right / 2, -self.height / 2 - 0.3)}
        style = {"fontsize": 8, "frameon": False, "ncols": len(shown)}
        self.axes.legend(handles=handles, bbox_transform=self.axes.transData, **place, **style)


def _lines(box: Box) -> list[tuple[str, str]]:
    """The texts of a box with their colours; lines without text take no room."""
    texts = [readable(box.title), box.shapes, box.value, box.gradient]
    return [(t, c) for t, c in zip(texts, ("black", GREY, "black", GRADIENT)) if t]


def _notes(boxes: Sequence[Box]) -> list[str]:
    many = any(text.startswith("|") for box in boxes for text in (box.value, box.gradient))
    notes = [ABOUT_MANY if many else "", advice(*(box.title for box in boxes))]
    return [note for note in notes if note]


def _inches(text: str) -> float:
    """The width of `text` in print."""
    from matplotlib.textpath import TextPath

    return TextPath((0, 0), text, size=FONT).get_extents().width / 72
