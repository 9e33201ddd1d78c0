"""Tests of the places of boxes: layers, order, and how far apart."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.plot.layout import DUMMY_WIDTH, crossings, layered, levels, spread

GAP = 0.3


@st.composite
def graphs(draw):
    """(parents, widths) of up to a dozen nodes that all lead to the last one."""
    count = draw(st.integers(1, 12))
    parents = [[]]
    for node in range(1, count):
        before = st.lists(st.integers(0, node - 1), max_size=3)
        parents.append(draw(before))
    widths = draw(st.lists(st.floats(0.2, 3.0), min_size=count, max_size=count))
    return parents, widths


@given(graphs(), st.sampled_from([2.0, 5.0, float("inf")]))
def test_layers_lead_downwards_and_nothing_overlaps(graph, widest):
    parents, widths = graph
    layout = layered(parents, widths, GAP, widest)
    for (node, position), route in layout.routes.items():
        assert (route[0], route[-1]) == (parents[node][position], node)
        assert [layout.level[p] for p in route] == list(
            range(layout.level[route[0]], layout.level[node] - 1, -1)
        )
        assert len(route) > 1
    for level in set(layout.level):
        row = sorted((x, i) for i, x in enumerate(layout.x) if layout.level[i] == level)
        for (x0, i), (x1, j) in pairwise(row):
            room = sum(widths[k] / 2 if k < len(widths) else DUMMY_WIDTH / 2 for k in (i, j))
            assert x1 - x0 >= room + GAP - 1e-9


def test_a_node_is_as_low_as_it_can_and_moves_up_where_the_layer_is_full():
    parents = [[], [], [], [0], [1, 2, 3]]
    free, full = (levels(parents, [1.0] * 5, 0.1, widest) for widest in (9.0, 2.0))
    assert free == [2, 1, 1, 1, 0]
    assert full == [2, 2, 1, 1, 0]  # node 3 came first, then 2
    assert levels([[], [0]], [5.0, 5.0], 0.1, 1.0) == [1, 0]  # wider than any layer
    # The edge 1→4 passes the layers of 2 and 3 and leaves no room there for 0.
    assert levels([[], [], [1], [2], [1, 0, 3]], [1.0] * 5, 1.5, 3.0) == [3, 3, 2, 1, 0]


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(0.1, 2)), min_size=1, max_size=8))
def test_spread_keeps_order_and_is_the_nearest(items):
    wishes, widths = zip(*items)
    weights = [1.0 + i % 3 for i in range(len(items))]
    places = spread(wishes, widths, GAP, weights)
    least = [(a + b) / 2 + GAP for a, b in pairwise(widths)]
    assert all(b - a >= d - 1e-9 for a, b, d in zip(places, places[1:], least))
    offsets = np.cumsum([0.0, *least])
    free = np.array(wishes) - offsets

    def mean(j, k):
        return np.average(free[j : k + 1], weights=weights[j : k + 1])

    isotonic = [  # the max-min formula for isotonic regression
        max(min(mean(j, k) for k in range(i, len(free))) for j in range(i + 1))
        for i in range(len(free))
    ]
    assert np.allclose(places, isotonic + offsets)


def test_crossings_are_counted():
    rows = [[0, 1], [2, 3]]
    assert crossings([[], [], [1], [0]], rows) == 1
    assert crossings([[], [], [0], [1]], rows) == 0
    assert crossings([[], [], [0, 1], [0, 1]], rows) == 1


def test_two_chains_do_not_cross_and_hang_straight():
    parents = [[], [], [1], [0], [2], [3], [4, 5]]
    layout = layered(parents, [1.0] * 7, GAP)
    assert layout.x[1] == pytest.approx(layout.x[2]) == pytest.approx(layout.x[4])
    assert layout.x[0] == pytest.approx(layout.x[3]) == pytest.approx(layout.x[5])
    assert abs(layout.x[0] - layout.x[1]) == pytest.approx(1.0 + GAP)


def test_a_chain_hangs_straight_beside_a_pair_that_merges():
    parents = [[], [], [], [2], [3], [0, 1], [5], [4, 6]]
    x = layered(parents, [1.0] * 8, GAP).x
    assert x[2] == pytest.approx(x[3]) == pytest.approx(x[4])
    assert x[5] == pytest.approx(x[6]) == pytest.approx((x[0] + x[1]) / 2)
    assert x[7] == pytest.approx((x[4] + x[6]) / 2)


def test_leaves_stand_beside_a_chain_and_do_not_bend_it():
    parents = [[], []]  # 0, 1 → 2; 2, 3 → 4; ...
    for op in range(2, 20, 2):
        parents += [[op - 2, op - 1], []]
    x = layered(parents, [1.0] * len(parents), GAP).x
    assert x[2:20:2] == pytest.approx([x[2]] * 9, abs=0.02)
    assert {round(abs(x[leaf] - x[2]), 1) for leaf in range(3, 19, 2)} == {1.3}
