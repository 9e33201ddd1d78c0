"""Places for the nodes of a directed graph in layers, edges downwards (Sugiyama et al. 1981).

Knows no matplotlib and no tape: nodes are numbers, and `parents[i]` are the numbers that node i
was made from, all smaller than i. A parent may stand there twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

SWEEPS = 12
"""How many times order and places are improved, downwards and upwards in turn."""

CHAIN_WEIGHT = 1000.0
"""How much more than a single leaf all other points count where they are placed."""

DUMMY_WIDTH = -0.1
"""Of an edge where it passes a layer: less than nothing, it may be nearer than boxes are."""


class Layout(NamedTuple):
    """Places in the unit of the widths: x to the right, `level` 0 for the lowest layer."""

    x: list[float]
    level: list[int]
    routes: dict[tuple[int, int], list[int]]
    """(node, position of the parent) -> the points that the edge passes, parent first, node last.
    Points beyond the nodes are bends; x and level have them at their end."""


class _Points(NamedTuple):
    """Nodes and bends together; every edge between two of them crosses exactly one layer."""

    level: list[int]
    width: list[float]
    above: list[list[int]]
    below: list[list[int]]
    routes: dict[tuple[int, int], list[int]]


def layered(
    parents: Sequence[Sequence[int]],
    widths: Sequence[float],
    gap: float,
    widest: float = float("inf"),
) -> Layout:
    """A readable drawing of a graph: few crossings, short edges, no overlap.

    widths: of each node; gap: the least distance between two neighbours of a layer; widest: see
    `levels`.
    """
    room = [width + gap for width in widths]
    points = _with_bends(parents, levels(parents, room, DUMMY_WIDTH + gap, widest), widths)
    rows = _ordered(points)
    return Layout(_places(points, rows, gap), points.level, points.routes)


def levels(
    parents: Sequence[Sequence[int]], room: Sequence[float], bend: float, widest: float
) -> list[int]:
    """The layer of each node: the lowest above all that it feeds that is not full yet.

    room: what each node takes of its layer, as `bend` for each edge that passes the layer. A layer
    is full when the node would make it wider than `widest`; an empty one takes any node.
    """
    level, used = [0] * len(parents), [0.0] * len(parents)
    feeds: list[list[int]] = [[] for _ in parents]
    for node in reversed(range(len(parents))):
        lowest = max((level[user] + 1 for user in feeds[node]), default=0)
        while used[lowest] and used[lowest] + room[node] > widest:
            lowest += 1
        level[node] = lowest
        used[lowest] += room[node]
        for user in feeds[node]:
            for between in range(level[user] + 1, lowest):
                used[between] += bend
        for parent in parents[node]:
            feeds[parent].append(node)
    return level


def _with_bends(parents, level, widths) -> _Points:
    """Cut each edge that passes a layer into edges of one layer each."""
    points = _Points(list(level), list(widths), [[] for _ in level], [[] for _ in level], {})
    for node, its_parents in enumerate(parents):
        for position, parent in enumerate(its_parents):
            route = [parent]
            for between in range(level[parent] - 1, level[node], -1):
                route.append(_bend(points, between))
            route.append(node)
            points.routes[node, position] = route
            for upper, lower in pairwise(route):
                points.below[upper].append(lower)
                points.above[lower].append(upper)
    return points


def _bend(points: _Points, level: int) -> int:
    points.level.append(level)
    points.width.append(DUMMY_WIDTH)
    points.above.append([])
    points.below.append([])
    return len(points.level) - 1


def _ordered(points: _Points) -> list[list[int]]:
    """The points of each layer from left to right: each where the mean of its neighbours is."""
    rows: list[list[int]] = [[] for _ in range(max(points.level) + 1)]
    for point, level in enumerate(points.level):
        rows[level].append(point)
    best, fewest = [list(row) for row in rows], crossings(points.below, rows)
    for sweep in range(SWEEPS):
        downwards = sweep % 2 == 0
        for row in reversed(rows) if downwards else rows:
            _sort_by_neighbours(row, points.above if downwards else points.below, rows, points)
        now = crossings(points.below, rows)
        if now < fewest:
            best, fewest = [list(row) for row in rows], now
    return best


def _sort_by_neighbours(row, neighbours, rows, points) -> None:
    place = {p: i for each in rows for i, p in enumerate(each)}

    def mean(point: int) -> float:
        near = neighbours[point]
        return sum(place[p] for p in near) / len(near) if near else place[point]

    row.sort(key=mean)


def crossings(below: Sequence[Sequence[int]], rows: Sequence[Sequence[int]]) -> int:
    """How many pairs of edges cross between neighbouring layers."""
    count = 0
    for lower, upper in pairwise(rows):
        place = {point: i for i, point in enumerate(lower)}
        ends = [sorted(place[end] for end in below[point]) for point in upper]
        flat = [end for each in ends for end in each]
        count += sum(a > b for i, a in enumerate(flat) for b in flat[i + 1 :])
    return count


def _places(points: _Points, rows: list[list[int]], gap: float) -> list[float]:
    """x of every point: where the mean of its neighbours is, those below and those above in turn.

    The last pass goes down, so that a chain hangs straight from where it begins. What feeds one
    node and is fed by none counts little: it stands beside the chain and does not bend it.
    """
    x = [0.0] * len(points.level)
    weight = [_weight(points, point) for point in range(len(x))]
    for sweep in range(SWEEPS):
        downwards = sweep % 2 == 1
        near = points.above if downwards else points.below
        for row in reversed(rows) if downwards else rows:
            wishes = [_mean([(x[p], weight[p]) for p in near[i]] or [(x[i], 1.0)]) for i in row]
            places = spread(wishes, [points.width[i] for i in row], gap, [weight[i] for i in row])
            for point, place in zip(row, places):
                x[point] = place
    left = min(place - width / 2 for place, width in zip(x, points.width))
    return [place - left for place in x]


def _weight(points: _Points, point: int) -> float:
    return 1.0 if not points.above[point] and len(points.below[point]) == 1 else CHAIN_WEIGHT


def spread(
    wishes: Sequence[float], widths: Sequence[float], gap: float, weights: Sequence[float]
) -> list[float]:
    """The places nearest to `wishes` (weighted least squares) that keep their order, none overlaps.

    Without the widths this is isotonic regression: neighbours that are out of order are pooled
    and take their mean, until none is left (Ayer et al. 1955).
    """
    offsets, edge = [], 0.0
    for width in widths:
        offsets.append(edge + width / 2)
        edge += width + gap
    pools: list[list[tuple[float, float]]] = []
    for wish, offset, weight in zip(wishes, offsets, weights):
        pools.append([(wish - offset, weight)])
        while len(pools) > 1 and _mean(pools[-2]) >= _mean(pools[-1]):
            last = pools.pop()
            pools[-1] += last
    means = [_mean(pool) for pool in pools for _ in pool]
    return [mean + offset for mean, offset in zip(means, offsets)]


def _mean(weighted: Sequence[tuple[float, float]]) -> float:
    """The mean of (value, weight)."""
    return sum(value * w for value, w in weighted) / sum(w for _, w in weighted)
