"""Tests of points in a plane with their names."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tests.plot.drawn import draw, legend, texts
from tinygrad_llm import Tensor, plot
from tinygrad_llm.plot import fonts
from tinygrad_llm.plot.style import COLOURS

pytestmark = pytest.mark.usefixtures("plain")

POINTS = [[0.0, 0.0], [4.0, 0.0], [0.0, 4.0], [4.0, 4.0]]
NAMES, KINDS = ["one", "two", "three", "four"], ["odd", "even", "odd", "even"]


def offsets(axes):
    return [each.get_offsets().tolist() for each in axes.collections]


def test_points_of_a_kind_share_colour_and_mark():
    figure = draw(plot.projection({"a": POINTS, "b": Tensor(POINTS) * 2}, NAMES, KINDS, "t"))
    left, right = figure.axes
    assert offsets(left) == [[POINTS[0], POINTS[2]], [POINTS[1], POINTS[3]]]
    assert offsets(right)[1] == [[8.0, 0.0], [8.0, 8.0]]
    for axes in (left, right):
        colours = [plt.matplotlib.colors.to_hex(c.get_facecolor()[0]) for c in axes.collections]
        assert [colour.upper() for colour in colours] == list(COLOURS[:2])
    shapes = [each.get_paths()[0].vertices.tolist() for each in left.collections]
    assert shapes[0] != shapes[1]
    assert legend(figure) == ["odd", "even"]
    assert [axes.get_title() for axes in figure.axes] == ["a", "b"]
    assert figure.get_suptitle() == "t"


def test_a_unit_is_as_long_across_as_up():
    (axes,) = draw(plot.projection({"a": [[0, 0], [10, 1]]}, "ab", "xx", "t")).axes
    moved = np.ptp(axes.transData.transform([[0, 0], [1, 1]]), axis=0)
    assert moved[0] == pytest.approx(moved[1])


def extents(axes):
    return [text.get_window_extent() for text in axes.texts]


def test_names_cover_neither_names_nor_points_and_stay_inside():
    points = np.random.default_rng(0).normal(size=(60, 2))
    names = [f"word {i}" for i in range(60)]
    figure = draw(plot.projection({"a": points}, names, ["x"] * 60, "t"))
    (axes,) = figure.axes
    boxes, spots = extents(axes), axes.transData.transform(points)
    assert 30 < len(boxes) < 60
    assert figure.get_supxlabel() == f"{60 - len(boxes)} names have no room."
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert not any(box.contains(*spot) for box in boxes for spot in spots)
    frame = axes.get_window_extent()
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)
    assert all(frame.y0 <= box.y0 and box.y1 <= frame.y1 for box in boxes)


def test_a_name_stands_beside_its_point():
    (axes,) = draw(plot.projection({"a": POINTS}, NAMES, KINDS, "t")).axes
    assert texts(axes) == NAMES
    for box, spot in zip(extents(axes), axes.transData.transform(POINTS)):
        right, left = box.x0 - spot[0], spot[0] - box.x1
        assert 0 < max(right, left) < 12 and abs((box.y0 + box.y1) / 2 - spot[1]) < 6


def test_where_all_names_have_room_nothing_is_said():
    assert plot.projection({"a": POINTS}, NAMES, KINDS, "t").get_supxlabel() == ""


def test_names_that_no_font_can_show_bring_the_advice():
    figure = plot.projection({"a": [[0, 0]]}, ["词"], ["x"], "t")
    assert figure.get_supxlabel().endswith(fonts.ADVICE)


@pytest.mark.parametrize(
    ("points", "names", "kinds", "message"),
    [
        ({}, "ab", "xy", "0 panels, 2 names and 2 kinds of 2 sorts"),
        ({"a": POINTS}, NAMES, "xyz", "4 names and 3 kinds of 3 sorts"),
        ({"a": np.zeros((8, 2))}, "abcdefgh", "abcdefgh", "of 8 sorts: .*7 at most"),
        ({"a": POINTS}, "ab", "xy", r"a \(4, 2\) for 2 names: expected \(2, 2\)"),
        ({"a": np.zeros((2, 3))}, "ab", "xy", r"a \(2, 3\) for 2 names"),
        ({"a": [[0.0, np.inf]]}, "a", "x", "a has a point that is not finite"),
        ({"a": np.zeros((0, 2))}, "", "", "1 to 300 points"),
        ({"a": np.zeros((301, 2))}, range(301), "x" * 301, "1 to 300 points"),
    ],
)
def test_projection_refuses(points, names, kinds, message):
    with pytest.raises(ValueError, match=message):
        plot.projection(points, names, kinds, "t")
    assert not plt.get_fignums()


def test_the_settings_of_the_user_stay():
    before = dict(plt.rcParams)
    plot.projection({"a": POINTS}, NAMES, KINDS, "t")
    assert dict(plt.rcParams) == before
