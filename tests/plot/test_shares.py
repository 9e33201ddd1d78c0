"""Tests of tables of shares as pictures."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tests.plot.drawn import draw, texts
from tinygrad_llm import Tensor, plot
from tinygrad_llm.plot import fonts

pytestmark = pytest.mark.usefixtures("plain")

TABLE = [[0.0, 0.004, 0.5], [0.996, 1.0, 0.25]]


def ticks(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def panels(figure):
    return [axes for axes in figure.axes if axes.images]


def test_a_cell_has_its_percent_and_its_colour():
    made = draw(plot.shares({"a": TABLE}, ["r", 2], ["x", "y", "z"], "t", "weight"))
    (axes,) = panels(made)
    assert axes.images[0].get_array().tolist() == TABLE
    assert axes.images[0].get_clim() == (0.0, 1.0)
    assert texts(axes) == ["0", "<1", "50", ">99", "100", "25"]
    assert [text.get_position() for text in axes.texts[:4]] == [(0, 0), (1, 0), (2, 0), (0, 1)]
    assert axes.texts[0].get_color() == "black" and axes.texts[4].get_color() == "white"
    assert ticks(axes.yaxis) == ["r", "2"] and ticks(axes.xaxis) == ["x", "y", "z"]
    assert axes.get_title() == "a" and made.get_suptitle() == "t"
    assert made.get_supxlabel() == "Cells: weight in percent."


def test_panels_fill_a_grid():
    tables = {str(i): Tensor(np.full((2, 3), i / 4)) for i in range(3)}
    figure = draw(plot.shares(tables, "ab", "xyz", "t"))
    assert [axes.get_title() for axes in panels(figure)] == ["0", "1", "2"]
    assert [axes.images[0].get_array()[0, 0] for axes in panels(figure)] == [0.0, 0.25, 0.5]
    assert len([axes for axes in figure.axes if not axes.axison]) == 1


def overlap(boxes):
    return any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


@pytest.mark.parametrize(("names", "turned"), [(["itself", "left word"], 0), (["x" * 20] * 2, 45)])
def test_names_of_columns_do_not_cover_each_other(names, turned):
    figure = draw(plot.shares({"a": [[0.5, 0.5]]}, ["r"], names, "t"))
    labels = panels(figure)[0].get_xticklabels()
    assert {label.get_rotation() for label in labels} == {turned}
    assert turned or not overlap([label.get_window_extent() for label in labels])
    assert min(label.get_window_extent().y0 for label in labels) >= 0.0


def test_names_that_no_font_can_show_bring_the_advice():
    figure = plot.shares({"a": [[1.0]]}, ["头"], ["左"], "t")
    assert figure.get_supxlabel().endswith(fonts.ADVICE)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({}, "there is no table"),
        ({"a": [[0.5]]}, r"a \(1, 1\) for 1 rows and 2 columns"),
        ({"a": [[0.5, 1.1]]}, "a has numbers outside 0 … 1"),
        ({"a": [[np.nan, 0.0]]}, "a has numbers outside 0 … 1"),
    ],
)
def test_shares_refuse(tables, message):
    with pytest.raises(ValueError, match=message):
        plot.shares(tables, "r", "xy", "t")
    assert not plt.get_fignums()


def test_too_many_cells_are_refused():
    with pytest.raises(ValueError, match="1 to 600 cells"):
        plot.shares({"a": np.zeros((1, 601))}, "r", range(601), "t")
    with pytest.raises(TypeError, match="give a dict"):
        plot.shares([[1.0]], "r", "x", "t")
