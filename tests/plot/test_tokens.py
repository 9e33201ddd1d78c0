"""Tests of the figures of tokenizers: pieces of a text, and lines over the vocabulary's size."""

from __future__ import annotations

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patches import Rectangle

from tests.plot.drawn import draw, legend, points, texts
from tinygrad_llm import plot
from tinygrad_llm.plot.fonts import ADVICE
from tinygrad_llm.plot.tokens import MOST_PIECES, ROOM, TINTS

pytestmark = pytest.mark.usefixtures("plain")


def boxes(figure):
    """(left, bottom, right, top) of each piece, in the order of the pieces."""
    patches = [p for p in figure.axes[0].patches if isinstance(p, Rectangle)]
    return np.array([p.get_bbox().extents for p in patches])


def test_pieces_stand_in_their_order_under_their_name_and_count():
    figure = draw(plot.pieces({"words": ["The", " cat"], "one": ["all"]}, "a title"))
    assert texts(figure.axes[0]) == ["The", "␣cat", "words", "2 tokens", "all", "one", "1 token"]
    assert figure.get_suptitle() == "a title"
    first, second, below = boxes(figure)
    assert first[2] == pytest.approx(second[0]) and first[1] == second[1]
    assert below[0] == pytest.approx(first[0]) and below[3] < first[1]


def test_pieces_are_as_wide_as_their_text():
    figure = plot.pieces({"row": ["a", "abcd"]})
    one, four = np.diff(boxes(figure)[:, [0, 2]]).ravel()
    assert four - one == pytest.approx(3 * 0.6 * 9 / 72)


def test_neighbours_differ_in_colour_and_an_unknown_piece_is_hatched():
    figure = plot.pieces({"row": ["a", "?", "b", "c", "d", "e"]}, unknown="?")
    patches = figure.axes[0].patches
    assert [bool(p.get_hatch()) for p in patches] == [i == 1 for i in range(6)]
    colours = [p.get_facecolor() for p in patches]
    assert all(a != b for a, b in pairwise(colours))
    assert colours[0] == colours[len(TINTS)]


def test_bytes_are_characters_where_they_can_be_and_hexadecimal_where_not():
    cut = ["中".encode(), b"\xe4\xb8", b"\xad", b" a", "\n"]
    figure = plot.pieces({"row": cut})
    assert texts(figure.axes[0])[:5] == ["[U+4E2D]", "E4 B8", "AD", "␣a", "↵"]


def test_a_long_row_goes_on_in_further_lines_within_the_room():
    figure = draw(plot.pieces({"long": ["piece"] * 60, "short": ["a"]}))
    found = boxes(figure)
    left = found[:, 0].min()
    assert (found[:, 2] <= left + ROOM + 1e-9).all()
    lines = np.unique(found[:60, 1])
    assert len(lines) > 3 and found[60, 3] < lines.min()
    assert (np.diff(found[:60, 1]) <= 0).all()


def test_a_piece_longer_than_a_line_is_shortened():
    figure = plot.pieces({"a": ["x" * 10**5, "b"]})
    (left, *_, right, _), (below, *_) = boxes(figure)
    assert right - left <= ROOM and below == left
    shown = texts(figure.axes[0])[0]
    assert shown.endswith("…") and right - left > ROOM - 0.5


def test_an_empty_text_is_a_row_without_pieces():
    figure = draw(plot.pieces({"row": []}))
    assert texts(figure.axes[0]) == ["row", "0 tokens"]


def test_missing_characters_come_with_advice():
    assert plot.pieces({"row": ["中文"]})._supxlabel.get_text() == ADVICE
    assert plot.pieces({"row": ["abc"]})._supxlabel is None


def test_pieces_refuse_what_they_cannot_draw():
    with pytest.raises(ValueError, match="there is no row"):
        plot.pieces({})
    with pytest.raises(ValueError, match=f"'row' has {MOST_PIECES + 1} pieces"):
        plot.pieces({"row": ["a"] * (MOST_PIECES + 1)})
    with pytest.raises(TypeError, match="3 is a int; give text or bytes"):
        plot.pieces({"row": [3]})


PANELS = {
    "English": {"BPE": ([100, 1000], [1.0, 3.0]), "characters": ([60], [1.0])},
    "Chinese": {"WordPiece": ([300], [2.0]), "BPE": ([100, 1000], [0.5, 2.5])},
}


def test_lines_of_one_name_look_alike_in_all_panels():
    figure = draw(plot.by_vocabulary(PANELS, "title", "bytes a token"))
    left, right = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["English", "Chinese"]
    assert points(left.lines[0]) == [[100.0, 1.0], [1000.0, 3.0]]
    assert points(right.lines[1]) == [[100.0, 0.5], [1000.0, 2.5]]
    assert left.lines[0].get_color() == right.lines[1].get_color()
    assert left.lines[0].get_marker() == right.lines[1].get_marker()
    assert legend(figure) == ["BPE", "characters", "WordPiece"]
    handles = figure.legends[0].legend_handles
    assert [h.get_color() for h in handles] == [
        left.lines[0].get_color(),
        left.lines[1].get_color(),
        right.lines[0].get_color(),
    ]
    assert len({h.get_color() for h in handles}) == 3


def test_a_covered_line_is_seen_behind_the_line_that_covers_it():
    same = {name: ([100, 1000], [1.0, 1.0]) for name in ("first", "second", "third")}
    lines = draw(plot.by_vocabulary({"p": same}, "t", "y")).axes[0].lines
    for under, over in pairwise(lines):
        assert under.get_linewidth() > over.get_linewidth()
        assert under.get_markersize() > over.get_markersize()


def test_points_have_their_names_beside_them_also_where_two_are_one_place():
    panels = {"p": {"line": ([10, 1000], [1.0, 3.0]), "a": ([90], [2.0]), "b": ([90], [2.0])}}
    figure = draw(plot.by_vocabulary(panels, "t", "y"))
    axes = figure.axes[0]
    assert texts(axes) == ["a", "b"]
    below, above = (text.get_window_extent() for text in axes.texts)
    point = axes.transData.transform((90, 2.0))[1]
    assert below.y1 < point < above.y0


def test_axes_are_shared_sizes_logarithmic_and_shares_in_percent():
    figure = draw(plot.by_vocabulary(PANELS, "title", "bytes a token"))
    left, right = figure.axes
    assert left.get_xscale() == "log" and left.get_ylim() == right.get_ylim()
    assert left.get_ylim()[0] == 0 and left.get_ylim()[1] >= 3.0
    shares = {"p": {"a": ([100, 10_000], [0.25, 1.0])}}
    axes = draw(plot.by_vocabulary(shares, "t", "unknown", share=True)).axes[0]
    assert axes.get_ylim() == (0, 1)
    assert "100%" in [label.get_text() for label in axes.get_yticklabels()]
    assert "1,000" in [label.get_text() for label in axes.get_xticklabels()]


def test_the_axis_begins_at_0_or_below_the_least_value():
    x = [10, 100, 1000]
    panels = {"a": {"line": (x, [1.0, 2.0, np.nan])}, "b": {"line": (x, [3.0, 4.0, 1.0])}}
    low, high = draw(plot.by_vocabulary(panels, "t", "y")).axes[0].get_ylim()
    assert low == 0.0 and high > 4.0
    panels["b"]["line"] = x, [-1.0, -5.0, -2.0]
    figure = draw(plot.by_vocabulary(panels, "t", "y"))
    for axes in figure.axes:
        low, high = axes.get_ylim()
        assert -6.0 < low < -5.0 and high > 2.0


def test_a_long_legend_is_seen_whole():
    panels = {"a": {f"line {i}": ([10, 100], [i, i + 1]) for i in range(40)}}
    figure = draw(plot.by_vocabulary(panels, "t", "y"))
    box = figure.legends[0].get_window_extent()
    assert box.y0 >= 0 and box.y1 <= figure.bbox.height


def test_lines_refuse_what_they_cannot_draw():
    with pytest.raises(ValueError, match="there is no panel"):
        plot.by_vocabulary({}, "t", "y")
    with pytest.raises(ValueError, match="a: 2 sizes for 1 values"):
        plot.by_vocabulary({"p": {"a": ([1, 2], [1])}}, "t", "y")
    with pytest.raises(ValueError, match="a: a size of 0 has no logarithm"):
        plot.by_vocabulary({"p": {"a": ([0, 2], [1, 2])}}, "t", "y")


def test_figures_of_tokens_keep_the_settings_of_the_user():
    before = dict(plt.rcParams)
    plot.pieces({"row": ["a"]})
    plot.by_vocabulary(PANELS, "t", "y")
    assert dict(plt.rcParams) == before
