"""The tape behind a tensor: its nodes in order, and a drawing of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from tinygrad_llm.graph import Edge, Node
from tinygrad_llm.plot.layout import Layout, layered
from tinygrad_llm.plot.style import COLOURS, look
from tinygrad_llm.tensor import Tensor

MOST_NODES = 60
"""More than this in one figure nobody reads."""

FONT = 9
BOX_HEIGHT, LAYER_HEIGHT, GAP, MARGIN = 0.42, 0.82, 0.28, 0.3
"""Inches: of a box, from layer to layer, between boxes, around all."""

FILLS = {"leaf": "#CFE8F7", "op": "#F4F4F4", "result": "#FCE3C5"}
LINES = {"leaf": COLOURS[0], "op": "#777777", "result": COLOURS[1]}
MEANING = {"leaf": "leaf: requires a gradient", "op": "op", "result": "result"}


class _Box(NamedTuple):
    kind: str
    title: str
    shapes: str
    width: float


def tape(tensor: Tensor) -> list[Node]:
    """The nodes that `tensor` was computed by, leaves included, in order of creation.

    Raises RuntimeError for a tensor without a tape.
    """
    seen: set[Node] = set()
    stack = [tensor._require_edge("tape")[0]]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack.extend(edge[0] for edge in node.parents if edge is not None)
    return sorted(seen, key=lambda node: node.order)


def graph(tensor: Tensor, names: dict[str, Tensor] | None = None) -> Any:
    """Draw the tape of `tensor`: a box a node with op and shape, data flowing downwards.

    Constants are not on the tape, and so not in the figure.
    names: what to call tensors in their boxes; leaves without a name are called "leaf".
    Returns a matplotlib figure. Raises RuntimeError for a tensor without a tape, ValueError for a
    tape of more than 60 nodes.
    """
    nodes = tape(tensor)
    if len(nodes) > MOST_NODES:
        raise ValueError(
            f"graph: {len(nodes)} nodes are too many to read (at most {MOST_NODES}): "
            "draw a part, from an inner tensor or with a smaller model"
        )
    called = {x._edge: name for name, x in (names or {}).items()}
    boxes = [_box(node, called, node is nodes[-1]) for node in nodes]
    number = {node: i for i, node in enumerate(nodes)}
    parents = [[number[e[0]] for e in node.parents if e is not None] for node in nodes]
    return _draw(boxes, layered(parents, [box.width for box in boxes], GAP))


def _box(node: Node, called: dict[Edge | None, str], last: bool) -> _Box:
    names = [called[node, i] for i in range(len(node.outputs)) if (node, i) in called]
    title = ", ".join(names) or "leaf"
    if node.op is not None:
        title = f"{title} = {node.op.name}" if names else node.op.name
    shapes = _shapes([shape for shape, _ in node.outputs])
    kind = "leaf" if node.op is None else "result" if last else "op"
    return _Box(kind, title, shapes, max(_inches(title), _inches(shapes)) + 0.2)


def _shapes(shapes: Sequence[tuple[int, ...]]) -> str:
    if len(shapes) > 1 and len(set(shapes)) == 1:
        return f"{len(shapes)} × {shapes[0]}"
    text = ", ".join(map(str, shapes))
    return text if len(text) <= 30 else text[:29] + "…"


def _inches(text: str) -> float:
    """The width of `text` in print."""
    from matplotlib.textpath import TextPath

    return TextPath((0, 0), text, size=FONT).get_extents().width / 72


def _draw(boxes: list[_Box], layout: Layout) -> Any:
    import matplotlib.pyplot as plt

    nodes = range(len(boxes))
    y = [level * LAYER_HEIGHT for level in layout.level]
    right = max(layout.x[i] + boxes[i].width / 2 for i in nodes)
    low, high = -BOX_HEIGHT / 2 - 0.4, max(y) + BOX_HEIGHT / 2
    wide = max(right, 3.6) + 2 * MARGIN
    with look():
        figure = plt.figure(figsize=(wide, high - low + 2 * MARGIN))
        axes = figure.add_axes((0, 0, 1, 1))
    middle = right / 2
    axes.set_xlim(middle - wide / 2, middle + wide / 2)
    axes.set_ylim(low - MARGIN, high + MARGIN)
    axes.axis("off")
    ports = _ports(boxes, layout)
    for key, route in layout.routes.items():
        _draw_edge(axes, [*zip([layout.x[p] for p in route], [y[p] for p in route])], ports[key])
    for i in nodes:
        _draw_box(axes, boxes[i], layout.x[i], y[i])
    _draw_legend(axes, middle, low, {box.kind for box in boxes})
    return figure


def _ports(boxes: list[_Box], layout: Layout) -> dict[tuple[int, int], tuple[float, float]]:
    """Where each edge leaves its parent and enters its node: beside each other, none crossing."""
    leave: dict[tuple[int, int], float] = {}
    enter: dict[tuple[int, int], float] = {}
    for node, box in enumerate(boxes):
        out = [key for key, route in layout.routes.items() if route[0] == node]
        into = [key for key, route in layout.routes.items() if route[-1] == node]
        out.sort(key=lambda key: (layout.x[layout.routes[key][1]], key))
        into.sort(key=lambda key: (layout.x[layout.routes[key][-2]], key))
        for keys, places in ((out, leave), (into, enter)):
            for i, key in enumerate(keys):
                share = (i + 1) / (len(keys) + 1) - 0.5
                places[key] = layout.x[node] + 0.8 * share * box.width
    return {key: (leave[key], enter[key]) for key in layout.routes}


def _draw_edge(axes: Any, route: list[tuple[float, float]], ports: tuple[float, float]) -> None:
    """A curve through the bends, upright at every point that it passes, an arrow at its end."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    start = (ports[0], route[0][1] - BOX_HEIGHT / 2)
    end = (ports[1], route[-1][1] + BOX_HEIGHT / 2)
    points = [start, *route[1:-1], end]
    vertices, codes = [start], [Path.MOVETO]
    for (x0, y0), (x1, y1) in pairwise(points):
        half = (y0 - y1) / 2
        vertices += [(x0, y0 - half), (x1, y1 + half), (x1, y1)]
        codes += [Path.CURVE4] * 3
    arrow: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 9, "shrinkA": 0, "shrinkB": 0}
    path = Path(vertices, codes)
    axes.add_patch(FancyArrowPatch(path=path, color="#555555", linewidth=1, zorder=1, **arrow))


def _draw_box(axes: Any, box: _Box, x: float, y: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    corner = (x - box.width / 2, y - BOX_HEIGHT / 2)
    rounding = 0.16 if box.kind == "leaf" else 0.03
    style = f"round,pad=0,rounding_size={rounding}"
    colours: dict[str, Any] = {"facecolor": FILLS[box.kind], "edgecolor": LINES[box.kind]}
    patch = FancyBboxPatch(corner, box.width, BOX_HEIGHT, boxstyle=style, zorder=2, **colours)
    axes.add_patch(patch)
    text = {"ha": "center", "va": "center", "fontsize": FONT, "zorder": 3}
    axes.text(x, y + 0.09, box.title, **text)
    axes.text(x, y - 0.1, box.shapes, color="#555555", **text)


def _draw_legend(axes: Any, middle: float, bottom: float, kinds: set[str]) -> None:
    from matplotlib.patches import Patch

    shown = [kind for kind in FILLS if kind in kinds]
    handles = [Patch(facecolor=FILLS[k], edgecolor=LINES[k], label=MEANING[k]) for k in shown]
    place = {"loc": "center", "bbox_to_anchor": (middle, bottom + 0.1), "ncols": len(shown)}
    axes.legend(handles=handles, fontsize=8, frameon=False, bbox_transform=axes.transData, **place)
