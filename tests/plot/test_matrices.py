"""Tests of the confusion matrix, heat maps and grids of pictures."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tests.plot.drawn import draw, texts
from tinygrad_llm import Tensor, plot
from tinygrad_llm.plot import fonts

pytestmark = pytest.mark.usefixtures("plain")


@pytest.mark.parametrize(
    ("true", "predicted", "labels", "message"),
    [
        ([0, 1], [0], None, "y_true has 2 labels and y_pred 1"),
        ([], [], None, "y_true is empty"),
        ([], [], [], "labels are empty: give a name for each class"),
        ([0, 2], [0, 1], ["a", "b"], "class 2 is not in 0..1"),
        ([0, 1], [0, -1], None, "class -1 is not in 0..1"),
        ([0, 40], [0, 1], None, "41 classes"),
        ([0, 10**12], [0, 1], None, "1000000000001 classes"),
        ([0, 1], [[0.1, 0.9], [0.7, 0.3]], None, "argmax"),
    ],
)
def test_confusion_matrix_refuses(true, predicted, labels, message):
    with pytest.raises(ValueError, match=message):
        plot.confusion_matrix(true, predicted, labels)
    with pytest.raises(TypeError, match="labels are integers"):
        plot.confusion_matrix([0.5], [0.5])
    assert not plt.get_fignums()


def test_confusion_matrix_shows_counts_recall_precision_and_empty_classes():
    figure = draw(plot.confusion_matrix([0, 0, 0, 1], [0, 0, 1, 1], ["cat", "dog", "fox"]))
    axes = figure.axes[0]
    said = texts(axes)
    assert said[:9] == ["2", "1", "0", "0", "1", "0", "0", "0", "0"]
    margins = dict(zip(("cat", "dog", "fox"), zip(*[iter(said[9:18])] * 3)))
    assert margins == {
        "cat": ("0.67", "3", "1.00"), "dog": ("1.00", "1", "0.50"), "fox": ("–", "0", "–"),
    }  # fmt: skip
    assert said[18:] == ["recall", "n", "precision", "accuracy 0.75"]
    assert axes.images[0].get_array().tolist() == [[2 / 3, 1 / 3, 0], [0, 1, 0], [0, 0, 0]]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog", "fox"]


def test_counts_of_truth_values_and_of_a_tensor():
    figure = plot.confusion_matrix(Tensor(np.array([True, False])), [1, 1])
    assert texts(figure.axes[0])[:4] == ["0", "1", "0", "1"]
    assert texts(plot.confusion_matrix([0], [0], ["a", "b"]).axes[0])[:4] == ["1", "0", "0", "0"]


def test_normalized_cells_are_percent_of_the_row():
    figure = plot.confusion_matrix([0, 0, 0, 1], [0, 0, 1, 1], normalize=True)
    assert texts(figure.axes[0])[:4] == ["67", "33", "0", "100"]


def test_labels_that_cannot_be_shown_become_numbers_of_classes():
    figure = draw(plot.confusion_matrix([0, 1, 2], [0, 1, 2], ["体育", "news", "财经"], "新闻"))
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["class 0", "news", "class 2"]
    (below,) = (each for each in figure.texts if each.get_text().endswith(fonts.ADVICE))
    place = below.get_window_extent()
    assert figure.bbox.x0 <= place.x0 and place.x1 <= figure.bbox.x1


def test_numbers_stand_out_from_their_cells():
    true = np.repeat(np.arange(21), 20)
    predicted = np.where(np.tile(np.arange(20), 21) < true, true, (true + 1) % 21)
    axes = plot.confusion_matrix(true, predicted).axes[0]
    image = axes.images[0]
    from matplotlib.colors import to_rgb

    for text, share in zip(axes.texts, np.ravel(image.get_array())):
        inks = [_luminance(to_rgb(c)) for c in (text.get_color(), image.to_rgba(share)[:3])]
        assert (max(inks) + 0.05) / (min(inks) + 0.05) > 4.5


def _luminance(colour):
    """Relative luminance (WCAG 2)."""
    colour = np.asarray(colour)
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_images_are_drawn_in_order_on_one_scale():
    pictures = np.arange(12.0 * 64).reshape(12, 64)
    figure = draw(plot.images(pictures, [f"{i} → 7" for i in range(12)], columns=5, title="t"))
    shown = [axes for axes in figure.axes if axes.images]
    assert (len(figure.axes), len(shown)) == (15, 12)
    for axes, picture in zip(shown, pictures):
        assert (axes.images[0].get_array() == picture.reshape(8, 8)).all()
        assert axes.images[0].get_clim() == (0.0, 767.0)
    assert shown[11].get_title() == "11 → 7"


def test_images_of_any_numbers_are_a_picture():
    draw(plot.images(np.full((1, 2, 3), np.nan)))
    draw(plot.images([np.eye(3), np.full((3, 3), np.inf)]))
    draw(plot.images(np.ones((2, 4))))


@pytest.mark.parametrize("shape", [(3, 7), (3,), (0, 4), (201, 4), (2, 2, 2, 3)])
def test_images_refuse_other_shapes(shape):
    with pytest.raises(ValueError, match="with 1 to 200 pictures"):
        plot.images(np.zeros(shape))
    with pytest.raises(ValueError, match="1 titles for 2 pictures"):
        plot.images(np.zeros((2, 4)), ["a"])


def test_heat_maps_are_on_one_scale_and_name_their_axes():
    tables = {"a": [[0.0, 1.0, 2.0]], "b": Tensor([[3.0], [5.0]])}
    figure = draw(plot.heat_maps(tables, "t", "place", "unit", "weight", columns=2))
    shown = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in shown] == ["a", "b"]
    assert shown[0].images[0].get_array().tolist() == [[0.0, 1.0, 2.0]]
    assert shown[1].images[0].get_array().tolist() == [[3.0], [5.0]]
    for axes in shown:
        assert axes.images[0].get_clim() == (0.0, 5.0)
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("place", "unit")
    assert figure.axes[-1].get_ylabel() == "weight"
    assert figure.get_suptitle() == "t" and figure.get_supxlabel() == ""


def test_heat_maps_of_signed_numbers_are_white_at_zero_and_differ_at_the_ends():
    image = draw(plot.heat_maps({"": [[-1.0, 4.0]]}, "t")).axes[0].images[0]
    assert image.get_clim() == (-4.0, 4.0)
    low, white, high = image.to_rgba(np.array([[-4.0, 0.0, 4.0]]))[0, :, :3]
    assert white.min() > 0.95
    assert low[2] > low[0] + 0.2 and high[0] > high[2] + 0.2


def test_heat_maps_show_what_is_not_finite_in_grey_and_say_so():
    figure = draw(plot.heat_maps({"": [[2.0, -np.inf], [np.nan, 1.0]]}, "t"))
    image = figure.axes[0].images[0]
    assert np.ma.getmaskarray(image.get_array()).tolist() == [[False, True], [True, False]]
    assert image.get_clim() == (0.0, 2.0)
    assert figure.get_supxlabel() == "Grey: no finite number."
    draw(plot.heat_maps({"": [[np.nan]]}, "t"))
    assert draw(plot.heat_maps({"": [[0.0]]}, "t")).axes[0].images[0].get_clim() == (0.0, 1.0)


@pytest.mark.parametrize(("count", "columns", "grid"), [(1, 3, 1), (4, 3, 6), (2, 0, 2)])
def test_heat_maps_fill_a_grid_and_the_rest_is_empty(count, columns, grid):
    tables = {f"table {i}": np.full((2, 3), i) for i in range(count)}
    figure = draw(plot.heat_maps(tables, "t", columns=columns))
    assert [axes.get_title() for axes in figure.axes if axes.images] == list(tables)
    assert len([axes for axes in figure.axes if not axes.axison]) == grid - count


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({}, "0 tables: expected 1 to 12"),
        ({str(i): [[1.0]] for i in range(13)}, "13 tables: expected 1 to 12"),
        ({"w": [1.0, 2.0]}, r"w \(2,\) is no table"),
        ({"w": [[1e308, -1e308]]}, r"heat_maps: from -1e\+308 to 1e\+308 there is no scale"),
        ({"w": np.zeros((1, 2, 2))}, r"w \(1, 2, 2\) is no table"),
        ({"w": np.zeros((0, 2))}, r"w \(0, 2\) is no table"),
    ],
)
def test_heat_maps_refuse(tables, message):
    with pytest.raises(ValueError, match=message):
        plot.heat_maps(tables, "t")
    assert not plt.get_fignums()


def test_heat_maps_with_names_that_no_font_can_show_bring_the_advice():
    figure = draw(plot.heat_maps({"头": [[1.0]]}, "t"))
    assert figure.get_supxlabel().endswith(fonts.ADVICE)


@pytest.mark.parametrize("columns", [1.5, "2", None])
def test_columns_are_an_integer(columns):
    message = f"images: columns must be an integer, not {columns!r}"
    with pytest.raises(TypeError, match=message):
        plot.images(np.zeros((2, 3, 3)), columns=columns)
    with pytest.raises(TypeError, match=message.replace("images", "heat_maps")):
        plot.heat_maps({"a": [[1.0]]}, "t", columns=columns)
    with pytest.raises(TypeError, match=message.replace("images", "attention_maps")):
        plot.attention_maps({"a": [[1.0]]}, ["x"], columns=columns)


NAMED = {
    "attention_maps: maps": lambda maps: plot.attention_maps(maps, ["x"]),
    "heat_maps: tables": lambda tables: plot.heat_maps(tables, "t"),
    "pieces: cuts": plot.pieces,
    "by_vocabulary: panels": lambda panels: plot.by_vocabulary(panels, "t", "y"),
    "by_vocabulary: panel a": lambda lines: plot.by_vocabulary({"a": lines}, "t", "y"),
}


@pytest.mark.parametrize("what", NAMED)
def test_panels_have_names(what):
    with pytest.raises(TypeError, match=f"{what}: give a dict, name -> value, not a list"):
        NAMED[what]([[[1.0]]])
    assert not plt.get_fignums()


def test_a_number_may_be_a_name():
    weights = [[1.0]]
    for figure in (plot.attention_maps({7: weights}, ["x"]), plot.heat_maps({7: weights}, "t")):
        assert draw(figure).axes[0].get_title() == "7"
    assert "7" in [text.get_text() for text in draw(plot.pieces({7: ["a"]})).axes[0].texts]
