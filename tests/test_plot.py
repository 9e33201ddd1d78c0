"""Tests of the figures: layout of a graph, what is drawn of a tape, how matplotlib loads."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm import Tensor, plot
from tinygrad_llm import functional as F
from tinygrad_llm.plot.layout import crossings, layered, levels, spread
from tinygrad_llm.plot.tape import LAYER_HEIGHT

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


@given(graphs())
def test_layers_lead_downwards_and_nothing_overlaps(graph):
    parents, widths = graph
    layout = layered(parents, widths, GAP)
    assert layout.level[: len(parents)] == levels(parents)
    for (node, position), route in layout.routes.items():
        assert (route[0], route[-1]) == (parents[node][position], node)
        assert [layout.level[p] for p in route] == list(
            range(layout.level[route[0]], layout.level[node] - 1, -1)
        )
    for level in set(layout.level):
        row = sorted((x, i) for i, x in enumerate(layout.x) if layout.level[i] == level)
        for (x0, i), (x1, j) in pairwise(row):
            room = sum(widths[k] / 2 if k < len(widths) else 0.05 for k in (i, j))
            assert x1 - x0 >= room + GAP - 1e-9


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(0.1, 2)), min_size=1, max_size=8))
def test_spread_keeps_order_and_is_the_nearest(items):
    wishes, widths = zip(*items)
    places = spread(wishes, widths, GAP)
    least = [(a + b) / 2 + GAP for a, b in pairwise(widths)]
    assert all(b - a >= d - 1e-9 for a, b, d in zip(places, places[1:], least))
    offsets = np.cumsum([0.0, *least])
    free = np.array(wishes) - offsets
    isotonic = [  # the max-min formula for isotonic regression
        max(min(free[j : k + 1].mean() for k in range(i, len(free))) for j in range(i + 1))
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


def neuron():
    w = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    b = Tensor(0.5, requires_grad=True)
    z = (w * w).sum() + b
    return w, b, z, F.tanh(z)


def boxes(figure):
    """(title, shapes) of every box, with the height of its middle."""
    found = [(t.get_text(), t.get_position()) for t in figure.axes[0].texts]
    return {title: (shapes, y) for (title, (_, y)), (shapes, _) in zip(found[::2], found[1::2])}


def test_the_tape_is_in_order_of_creation():
    w, b, _, y = neuron()
    names = [node.op.name if node.op else "leaf" for node in plot.tape(y)]
    assert names == ["leaf", "leaf", "multiply", "sum", "add", "tanh"]
    assert plot.tape(y)[0].tensor() is w and plot.tape(y)[1].tensor() is b


def test_graph_shows_ops_shapes_and_names_downwards():
    w, _, z, y = neuron()
    figure = plot.graph(y, {"w": w, "z": z})
    shown = boxes(figure)
    assert {title: shapes for title, (shapes, _) in shown.items()} == {
        "w": "(3,)", "leaf": "()", "multiply": "(3,)", "sum": "()", "z = add": "()", "tanh": "()",
    }  # fmt: skip
    heights = [shown[t][1] for t in ("w", "multiply", "sum", "z = add", "tanh")]
    assert np.diff(heights) == pytest.approx(-LAYER_HEIGHT)
    arrows = [p for p in figure.axes[0].patches if type(p).__name__ == "FancyArrowPatch"]
    assert len(arrows) == 6  # w·w has two
    fills = {p.get_facecolor() for p in figure.axes[0].patches if p not in arrows}
    assert len(fills) == 3
    close(figure)


def close(figure):
    import matplotlib.pyplot as plt

    plt.close(figure)


def test_graph_of_several_outputs_names_each():
    x = Tensor(np.ones((2, 4)), requires_grad=True)
    left, right = F.split(x, 2, axis=1)
    figure = plot.graph(left * right, {"left": left, "right": right})
    assert boxes(figure)["left, right = split"][0] == "2 × (2, 2)"
    close(figure)


def test_graph_refuses_what_it_cannot_draw():
    with pytest.raises(RuntimeError, match="tape: this tensor was computed from nothing"):
        plot.graph(Tensor(1.0))
    y = Tensor(1.0, requires_grad=True)
    for _ in range(60):
        y = y + 1.0
    with pytest.raises(ValueError, match="61 nodes are too many to read"):
        plot.graph(y)


def test_curves_leave_gaps_and_mark_the_lowest_point():
    y = [1e-3, 0.0, 1e-5, np.nan, 1e-2]
    figure = plot.curves([1, 2, 3, 4, 5], {"a": y}, "t", "x", "y", log=True, lowest=["a"])
    line, dot = figure.axes[0].lines
    assert np.isnan(line.get_ydata()[[1, 3]]).all() and np.isfinite(line.get_ydata()[[0, 2]]).all()
    assert (dot.get_xdata().item(), dot.get_ydata().item()) == (3.0, 1e-5)
    assert figure.axes[0].get_xscale() == figure.axes[0].get_yscale() == "log"
    close(figure)


def test_descent_draws_each_way_and_save_frees_the_figure(tmp_path):
    import matplotlib.pyplot as plt

    ways = {"a": [(0.9, 0.9), (0.5, 0.1)], "b": [(0.9, 0.9)] * 60}
    figure = plot.descent(lambda x, y: x * x + y * y, ways, ((-1, 1), (-1, 1)), "t")
    few, many, start = figure.axes[0].lines
    assert few.get_marker() == "o" and many.get_marker() == "None"
    assert (start.get_xdata().item(), start.get_ydata().item()) == (0.9, 0.9)
    open_figures = plt.get_fignums()
    plot.save(figure, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert len(plt.get_fignums()) == len(open_figures) - 1


def test_matplotlib_loads_on_use_and_draws_without_a_display():
    program = (
        "import sys; from tinygrad_llm import Tensor, plot; assert 'matplotlib' not in sys.modules;"
        "plot.graph(Tensor(1.0, requires_grad=True) * 2.0);"
        "import matplotlib; print(matplotlib.get_backend().lower())"
    )
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND")
    environment = {k: v for k, v in os.environ.items() if k not in hidden}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "agg\n"
