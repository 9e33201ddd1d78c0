"""Tests of paths: ways over contours, the losses along them, and one plane for several."""

from __future__ import annotations

import numpy as np
import pytest

from tests.plot.drawn import draw, legend, points, texts
from tinygrad_llm import Tensor, plot

pytestmark = pytest.mark.usefixtures("plain")

SPAN = ((-1, 1), (-1, 1))
WAYS = {"a": [(0.9, 0.9), (0.5, 0.1), (0.0, 0.0)], "b": [(0.9, 0.9), (3.0, -4.0)]}


def bowl(x, y):
    return x * x + y * y


def colours(lines):
    return [line.get_color() for line in lines]


def test_descent_draws_each_way():
    ways = {"a": [(0.9, 0.9), (0.5, 0.1)], "b": [(0.9, 0.9)] * 60}
    figure = draw(plot.descent(bowl, ways, SPAN, "t"))
    few, end, many, _, start = figure.axes[0].lines
    assert points(few) == [[0.9, 0.9], [0.5, 0.1]] and points(end) == [[0.5, 0.1]]
    assert few.get_marker() == "o" and many.get_marker() == "None"
    assert points(start) == [[0.9, 0.9]]
    assert legend(figure) == ["a", "b", "start"]


def test_contours_say_their_heights_and_lie_where_they_say():
    def ravine(x, y):
        return x * x + 3.0 * y * y

    wide = ((-2, 2), (-1, 0.5))
    for figure in (plot.descent(ravine, WAYS, wide, "t"), plot.paths(ravine, WAYS, wide)):
        axes = draw(figure).axes[0]
        contours = axes.collections[0]
        heights = contours.levels
        assert len(heights) > 5 and (np.diff(heights) > 0).all()
        assert set(texts(axes)) <= {f"{height:.2g}" for height in heights}
        assert len(set(texts(axes))) > 3
        for height, path in zip(heights, contours.get_paths()):
            assert ravine(*path.vertices.T) == pytest.approx(height, abs=2e-3)
            assert float(f"{height:.1e}") == height


def test_heights_are_denser_where_the_surface_is_low():
    heights = draw(plot.paths(lambda x, y: x + 0.0 * y, WAYS, ((0, 1), (0, 1)))).axes[0]
    heights = heights.collections[0].levels
    assert (np.diff(heights, 2) > -0.011).all() and heights[0] < 0.05 < 0.8 < heights[-1]
    assert np.diff(heights)[-1] > 1.5 * np.diff(heights)[0]


def test_paths_shows_the_losses_of_a_function_along_each_path():
    figure = draw(plot.paths(bowl, WAYS, SPAN, "t", log=False))
    over, beside = figure.axes
    a, a_end, b, b_end = beside.lines
    assert points(a) == [[0, pytest.approx(1.62)], [1, pytest.approx(0.26)], [2, 0.0]]
    assert points(b)[1] == [1, 25.0] and points(b_end) == [[1, 25.0]]
    assert points(over.lines[2]) == [[0.9, 0.9], [3.0, -4.0]]
    assert over.get_xlim() == (-1, 1) and over.get_ylim() == (-1, 1)
    assert beside.get_yscale() == "linear" and figure.get_suptitle() == "t"
    assert legend(figure) == ["a", "b", "start"]
    assert colours(over.lines[:4]) == colours(beside.lines)
    ends = [line.get_marker() for line in (over.lines[1], over.lines[3], a_end, b_end)]
    assert ends[:2] == ends[2:] and ends[0] != ends[1]


def test_a_logarithmic_axis_leaves_gaps_and_a_path_that_overflows_is_drawn():
    ways = {"a": WAYS["a"], "far": [(0.9, 0.9), (1e200, 1.0)]}
    beside = draw(plot.paths(bowl, ways, SPAN)).axes[1]
    a, a_end, far, far_end = beside.lines
    assert beside.get_yscale() == "log"
    assert np.isnan(a.get_ydata()[2]) and points(a_end) == [[1, pytest.approx(0.26)]]
    assert np.isinf(far.get_ydata()[1]) and points(far_end) == [[0, pytest.approx(1.62)]]


def test_paths_over_a_surface_has_a_panel_of_losses_only_when_they_are_given():
    x = np.linspace(-1, 1, 5)
    surface = plot.Surface(x, 2 * x, bowl(*np.meshgrid(x, 2 * x)), None, None)
    alone = draw(plot.paths(surface, WAYS))
    assert len(alone.axes) == 1 and alone.axes[0].get_ylim() == (-2, 2)
    assert alone.axes[0].get_xlabel() == "x" and alone.axes[0].get_ylabel() == "y"
    losses = {"b": ([0, 5, 10], [3.0, 2.0, 1.0])}
    both = draw(plot.paths(surface, WAYS, SPAN, losses=losses, labels=("u", "v")))
    line, _ = both.axes[1].lines
    assert points(line) == [[0, 3], [5, 2], [10, 1]] and line.get_color() == plot.style.COLOURS[1]
    assert both.axes[0].get_ylim() == (-1, 1) and both.axes[0].get_ylabel() == "v"


def test_minor_ticks_only_where_a_decade_or_two_is_all_there_is():
    for factor, many in ((1.0, True), (1e-3, False)):
        ways = {"a": [(1.0, 1.0), (0.5, 0.5), (0.5 * factor, 0.5 * factor)]}
        axis = draw(plot.paths(bowl, ways, SPAN)).axes[1].yaxis
        assert bool(len(axis.get_minorticklocs())) == many


def test_each_start_is_shown_once():
    ways = {"a": [(0, 0), (1, 1)], "b": [(0, 0), (1, 0)], "c": [(0, 1), (1, 0)]}
    start = plot.paths(bowl, ways, SPAN).axes[0].lines[-1]
    assert points(start) == [[0, 0], [0, 1]]


def test_a_flat_surface_and_one_that_is_partly_lost_are_pictures():
    draw(plot.paths(lambda x, y: 0.0 * x + 3.0, WAYS, SPAN))
    draw(plot.paths(lambda x, y: np.log(x) + y, WAYS, SPAN, log=False))
    draw(plot.paths(lambda x, y: np.nan * x, WAYS, SPAN))


@pytest.fixture
def line():
    """Four parameters in two tensors, their loss, and two paths that share a start."""
    w = Tensor(np.zeros((2, 1)), requires_grad=True)
    b = Tensor(np.zeros(2), requires_grad=True)

    def path(*corners):
        return [[np.array([[c[0]], [c[1]]]), np.array(c[2:])] for c in corners]

    first = path((2.0, 0.0, 1.0, 5.0), (1.0, 1.0, 1.0, 5.0))
    second = path((2.0, 0.0, 1.0, 5.0), (2.0, 4.0, 1.0, 5.0), (0.0, 3.0, 1.0, 5.0))
    return lambda: (w * w).sum() + (b * b).sum(), [w, b], {"first": first, "second": second}


def test_one_plane_holds_the_paths_of_several_trainings(line):
    surface, ways = plot.surface_of_paths(*line, points=3)
    assert {name: way.shape for name, way in ways.items()} == {"first": (2, 2), "second": (3, 2)}
    assert ways["first"][0] == pytest.approx(ways["second"][0])
    assert ways["second"][-1] == pytest.approx([0, 0])
    # All paths lie in the plane of w, so that distances are kept.
    assert np.linalg.norm(np.diff(ways["first"], axis=0)) == pytest.approx(np.sqrt(2))
    steps = np.linalg.norm(np.diff(ways["second"], axis=0), axis=1)
    assert steps == pytest.approx([4.0, np.sqrt(5)])
    assert surface.shares.sum() == pytest.approx(1.0)
    axes = draw(plot.paths(surface, ways)).axes[0]
    share = plot.style.percent(surface.shares[0])
    assert axes.get_xlabel() == f"direction 1 ({share} of the paths)"


def test_the_values_of_that_plane_are_the_losses(line):
    loss, parameters, snapshots = line
    surface, ways = plot.surface_of_paths(loss, parameters, snapshots, points=201)
    ends = {"first": 1 + 1 + 1 + 25, "second": 9 + 1 + 25}
    for name, value in ends.items():
        i, j = (np.abs(a - c).argmin() for a, c in zip((surface.x, surface.y), ways[name][-1]))
        assert surface.values[j, i] == pytest.approx(value, rel=0.02)


@pytest.mark.parametrize(
    ("surface", "ways", "options", "message"),
    [
        (bowl, {}, {"span": SPAN}, "no way to draw"),
        (bowl, {"a": [1.0, 2.0]}, {"span": SPAN}, r"a: points of the shape \(steps, 2\)"),
        (bowl, {"a": np.zeros((0, 2))}, {"span": SPAN}, r"a: points of the shape"),
        (bowl, WAYS, {}, "a function needs a span"),
        (bowl, WAYS, {"span": SPAN, "losses": {"c": [1.0]}}, "'c' is none of the ways"),
        (bowl, WAYS, {"span": SPAN, "losses": {"a": ([1], [1.0, 2.0])}}, "1 steps for 2 losses"),
    ],
)
def test_paths_refuses(surface, ways, options, message):
    with pytest.raises(ValueError, match=message):
        plot.paths(surface, ways, **options)


def test_descent_refuses_no_way():
    with pytest.raises(ValueError, match="no way to draw"):
        plot.descent(bowl, {}, SPAN, "t")


def test_a_plane_of_no_paths_is_refused(line):
    loss, parameters, _ = line
    for snapshots in ({}, {"a": []}):
        with pytest.raises(ValueError, match="at least one path"):
            plot.surface_of_paths(loss, parameters, snapshots)
