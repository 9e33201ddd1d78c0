"""Tests of attention maps as pictures."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tests.plot.drawn import draw
from tinygrad_llm import Tensor, plot
from tinygrad_llm.plot import fonts

pytestmark = pytest.mark.usefixtures("plain")

THREE_TO_ONE = [[0.75, 0.25], [0.0, 1.0]]


def ticks(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def panels(figure):
    return [axes for axes in figure.axes if axes.images]


def test_a_panel_has_the_weights_and_the_tokens_of_its_map():
    made = plot.attention_maps({"head 1": THREE_TO_ONE}, ["it", "is"], ["a", "b"])
    (axes,) = panels(draw(made))
    image = axes.images[0]
    assert image.get_array().tolist() == THREE_TO_ONE
    assert image.get_clim() == (0.0, 1.0)
    assert axes.get_title() == "head 1"
    assert ticks(axes.yaxis) == ["it", "is"] and ticks(axes.xaxis) == ["a", "b"]
    assert "Row: the token that asks." in made.get_supxlabel()


@pytest.mark.parametrize(
    ("maps", "said"),
    [
        ([THREE_TO_ONE], True),
        ([np.float16(THREE_TO_ONE)], True),
        ([THREE_TO_ONE, [[0.0, 0.0], [0.0, 1.0]]], False),  # a query that may see nothing
        ([[[0.75, 0.0], [0.0, 0.9]]], False),
    ],
)
def test_that_rows_sum_to_1_is_said_where_they_do(maps, said):
    figure = plot.attention_maps({str(i): each for i, each in enumerate(maps)}, "ab")
    assert ("Each row sums to 1." in figure.get_supxlabel()) == said


def test_weights_are_dark_where_they_are_high():
    (axes,) = panels(plot.attention_maps({"": [[0.0, 1.0]]}, [7], [1, 2]))
    white, dark = axes.images[0].to_rgba(np.array([[0.0, 1.0]]))[0, :, :3].sum(axis=1)
    assert white > 2.8 and dark < 1.0


def test_queries_are_the_keys_unless_told_else_and_numbers_are_names():
    (axes,) = panels(plot.attention_maps({"": Tensor(THREE_TO_ONE)}, [4, 9]))
    assert ticks(axes.yaxis) == ticks(axes.xaxis) == ["4", "9"]


@pytest.mark.parametrize(("count", "columns", "grid"), [(1, 4, 1), (5, 4, 8), (4, 2, 4), (2, 0, 2)])
def test_panels_fill_a_grid_and_the_rest_is_empty(count, columns, grid):
    maps = {f"head {i}": np.full((2, 2), i / 10) for i in range(count)}
    figure = draw(plot.attention_maps(maps, "ab", columns=columns))
    assert [axes.get_title() for axes in panels(figure)] == list(maps)
    assert [axes.images[0].get_array()[0, 0] for axes in panels(figure)] == [
        i / 10 for i in range(count)
    ]
    empty = [axes for axes in figure.axes if not axes.axison]
    assert len(empty) == grid - count


def test_long_names_of_keys_stand_upright_and_short_ones_lie():
    for names, turned in ((["a", "b"], 0.0), (["attention", "b"], 90.0)):
        (axes,) = panels(plot.attention_maps({"": THREE_TO_ONE}, ["q", "r"], names))
        assert {label.get_rotation() for label in axes.get_xticklabels()} == {turned}


def test_names_that_no_font_can_show_bring_the_advice():
    figure = plot.attention_maps({"头": THREE_TO_ONE}, ["注意", "力"], title="注意力")
    assert figure.get_supxlabel().endswith(fonts.ADVICE)


@pytest.mark.parametrize(
    ("maps", "tokens", "message"),
    [
        ({}, "ab", "0 maps of 2 by 2 tokens"),
        ({str(i): THREE_TO_ONE for i in range(49)}, "ab", "49 maps of 2 by 2 tokens"),
        ({"": np.zeros((65, 65))}, range(65), "1 maps of 65 by 65 tokens"),
        ({"": np.zeros((0, 0))}, "", "1 maps of 0 by 0 tokens"),
        ({"h": np.zeros((2, 3))}, "ab", r"h \(2, 3\) for 2 queries and 2 keys: give one text"),
        ({"h": np.zeros((1, 2, 2))}, "ab", r"h \(1, 2, 2\) for 2 queries"),
        ({"h": [[1.0, -0.1], [0.0, 1.0]]}, "ab", "h has weights outside 0 … 1"),
        ({"h": [[1.1, 0.0], [0.0, 1.0]]}, "ab", "h has weights outside 0 … 1"),
        ({"h": [[np.nan, 0.0], [0.0, 1.0]]}, "ab", "h has weights outside 0 … 1"),
    ],
)
def test_attention_maps_refuse(maps, tokens, message):
    with pytest.raises(ValueError, match=message):
        plot.attention_maps(maps, tokens)
    assert not plt.get_fignums()


def test_many_keys_and_few_queries_have_limits_of_their_own():
    with pytest.raises(ValueError, match="2 by 65 tokens"):
        plot.attention_maps({"": np.zeros((2, 65))}, "ab", range(65))
