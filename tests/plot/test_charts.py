"""Tests of the charts: lines and layers."""

from __future__ import annotations

import os
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.plot.drawn import draw, legend, points, texts
from tinygrad_llm import Tensor, plot
from tinygrad_llm import functional as F
from tinygrad_llm.backend import put
from tinygrad_llm.plot.style import COLOURS, percent, shades
from tinygrad_llm.testing import strict_cupy

pytestmark = pytest.mark.usefixtures("plain")


def test_curves_leave_gaps_and_mark_the_lowest_point():
    y = [1e-3, 0.0, 1e-5, np.nan, 1e-2]
    figure = plot.curves([1, 2, 3, 4, 5], {"a": y}, "t", "x", "y", log=True, lowest=["a"])
    line, dot = figure.axes[0].lines
    assert np.isnan(line.get_ydata()[[1, 3]]).all() and np.isfinite(line.get_ydata()[[0, 2]]).all()
    assert (dot.get_xdata().item(), dot.get_ydata().item()) == (3.0, 1e-5)
    assert figure.axes[0].get_xscale() == figure.axes[0].get_yscale() == "log"


def test_decay_by_a_factor_is_straight_on_one_logarithmic_axis():
    (axes,) = draw(plot.curves([0, 1, 2], {"a": [1.0, 0.0, 0.01]}, "t", "x", "y", log="y")).axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "log")
    assert np.isnan(axes.lines[0].get_ydata()[1]) and axes.lines[0].get_xdata()[0] == 0
    with pytest.raises(ValueError, match="curves: log='x': give True, False or 'y'"):
        plot.curves([1], {}, "t", "x", "y", log="x")


@pytest.mark.parametrize(("x", "whole"), [([1, 2, 3, 4], True), ([1.0, 2.5, 3.0, 4.0], False)])
def test_whole_x_have_whole_ticks(x, whole):
    (axes,) = draw(plot.curves(x, {"a": x}, "t", "x", "y")).axes
    assert all(tick == round(tick) for tick in axes.get_xticks()) == whole


def test_save_frees_the_figure(tmp_path):
    figure = plot.curves([1, 2], {"a": [1, 2]}, "t", "x", "y")
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


def test_training_curves_split_losses_from_shares_and_mark_the_best():
    history = {
        "training loss": [3.0, 2.0, 1.0, 0.5],
        "validation loss": ([2, 4], [0.8, 0.9]),
        "training accuracy": [0.2, 0.5, 0.6, 0.9],
        "Validation F1": ([1, 2, 3], Tensor(np.array([0.3, np.nan, 0.7]))),
    }
    losses, shares = draw(plot.training_curves(history, xlabel="epoch")).axes
    assert [points(line) for line in losses.lines] == [
        [[1, 3.0], [2, 2.0], [3, 1.0], [4, 0.5]], [[2, 0.8], [4, 0.9]], [[2, 0.8]],
    ]  # fmt: skip
    assert points(shares.lines[2]) == [[3, 0.7]] and shares.lines[2].get_marker() == "o"
    said = [
        [text.get_text() for text in axes.get_legend().get_texts()] for axes in (losses, shares)
    ]
    assert said[0] == ["training loss", "validation loss\nlowest: 0.8 at 2"]
    assert said[1] == ["training accuracy", "Validation F1\nhighest: 0.7 at 3"]
    assert (losses.get_yscale(), shares.get_xlabel()) == ("linear", "epoch")


def test_training_curves_of_losses_alone_on_a_log_axis():
    figure = draw(plot.training_curves({"loss": [1.0, 0.0, np.nan, 0.1]}, log=True))
    (axes,) = figure.axes
    assert axes.get_yscale() == "log" and np.isnan(axes.lines[0].get_ydata()[1])


def test_a_log_axis_of_losses_leaves_the_shares_alone():
    history = {"loss": [1.0, 0.1], "accuracy": [0.0, 0.5]}
    losses, shares = draw(plot.training_curves(history, log=True)).axes
    assert (losses.get_yscale(), shares.get_yscale()) == ("log", "linear")
    assert shares.lines[0].get_ydata().tolist() == [0.0, 0.5]


@pytest.mark.parametrize(("name", "columns"), [("a", 3), ("validation " + "x" * 60, 1)])
def test_the_legend_of_training_curves_leaves_the_panel_its_width(name, columns):
    figure = draw(plot.training_curves({f"{name} {i}": [1.0, 2.0] for i in range(3)}))
    (axes,) = figure.axes
    box, legend = axes.get_window_extent(), axes.get_legend().get_window_extent()
    assert box.width > 0.85 * figure.bbox.width
    assert legend.y0 >= box.y1 - 1 and legend.x1 <= figure.bbox.width and legend.y1 < figure.bbox.y1
    assert axes.get_legend()._ncols == columns


@pytest.mark.parametrize("count", [1, 4, 7, 12])
def test_a_legend_of_many_series_is_seen_whole(count):
    names = ["momentum", "SGD", "Nesterov", "RMSprop", "Adam", "AdamW", "LAMB"] * 2
    figure = draw(
        plot.training_curves({f"{n} {i}": [1.0, 2.0] for i, n in enumerate(names[:count])})
    )
    (axes,) = figure.axes
    legend = axes.get_legend().get_window_extent()
    assert 0 <= legend.x0 < legend.x1 <= figure.bbox.x1
    assert axes.get_window_extent().width > 0.8 * figure.bbox.width


def test_training_curves_draw_one_point_and_no_finite_point():
    (axes,) = draw(plot.training_curves({"loss": [1.0]})).axes
    assert axes.lines[0].get_marker() == "."
    assert len(draw(plot.training_curves({"validation loss": [np.nan] * 2})).axes[0].lines) == 1


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ({}, "history is empty"),
        ({"loss": []}, r"loss: a sequence of numbers is needed, not the shape \(0,\)"),
        ({"loss": ([1, 2], [1.0])}, "loss: 2 steps for 1 values"),
        ({"accuracy": [50.0]}, "divide percentages by 100"),
        ({"loss": [[1.0, 2.0]]}, r"not the shape \(1, 2\)"),
    ],
)
def test_training_curves_refuse(history, message):
    with pytest.raises(ValueError, match=message):
        plot.training_curves(history)
    assert not plt.get_fignums()


# Layers


def cells(figure):
    """(texts of the cell, how many bars are not empty) in order."""
    return [(texts(a), np.count_nonzero(a.patches[0].get_data().values)) for a in figure.axes]


def test_histograms_count_zeros_and_lost_values_and_draw_the_rest():
    values = {
        "a": [[0.0, 0.0, 1.0, 2.0], [np.nan, np.inf, 1.0, 0.0]],
        "b": [np.zeros((3, 2)), np.empty((0, 4))],
    }
    figure = draw(plot.histograms(values, "t", steps=[10, 20]))
    assert cells(figure) == [
        (["zeros 50 %"], 2), (["zeros 25 %", "NaN, inf 50 %"], 1), (["zeros 100 %"], 0),
        (["no values"], 0),
    ]  # fmt: skip
    assert [axes.get_title() for axes in figure.axes] == ["step 10", "step 20", "", ""]
    assert [axes.get_ylabel() for axes in figure.axes] == ["a", "", "b", ""]


def test_log_histograms_share_one_scale_over_all_magnitudes():
    values = {"a": [[1e-40, -1.0]], "b": [[1e30]]}
    figure = draw(plot.histograms(values, "t", log=True))
    edges = [axes.patches[0].get_data().edges for axes in figure.axes]
    assert (edges[0] == edges[1]).all()
    assert (edges[0][0], edges[0][-1]) == pytest.approx((-40.0, 30.0))
    assert [drawn for _, drawn in cells(figure)] == [2, 1]


def test_without_log_each_layer_has_its_own_scale():
    figure = draw(plot.histograms({"a": [[1.0], [3.0]], "b": [[-50.0, 50.0], [0.0]]}, "t"))
    edges = [axes.patches[0].get_data().edges for axes in figure.axes]
    assert [(e[0], e[-1]) for e in edges] == [(1.0, 3.0)] * 2 + [(-50.0, 50.0)] * 2


@pytest.mark.parametrize("value", [3.0, -1e-40, 1e9])
def test_a_constant_stands_in_the_middle_of_a_scale(value):
    (axes,) = draw(plot.histograms({"a": [[value] * 3]}, "t")).axes
    heights, edges, _ = axes.patches[0].get_data()
    assert (np.diff(edges) > 0).all() and (edges[0] + edges[-1]) / 2 == pytest.approx(value)
    assert np.count_nonzero(heights) == 1


def test_a_step_without_an_array_has_no_values():
    figure = plot.histograms({"a": [None, [1.0]]}, "t")
    assert cells(figure) == [(["no values"], 0), (["zeros 0 %"], 1)]


def test_of_many_steps_eight_are_drawn_and_the_figure_says_so():
    figure = plot.histograms({"a": [[float(i)] for i in range(100)]}, "t")
    titles = [axes.get_title() for axes in figure.axes]
    assert (len(titles), titles[0], titles[-1]) == (8, "step 0", "step 99")
    assert figure.get_supxlabel().startswith("8 of 100 steps.")


def test_columns_of_histograms_may_be_other_things_than_steps():
    values = {"a": [[float(i)] for i in range(9)]}
    figure = draw(plot.histograms(values, "t", range(1, 10), unit="block"))
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[0] == "block 1" and titles[-1] == "block 9"
    assert figure.get_supxlabel().startswith("8 of 9 blocks. ")


NUMBERS = arrays(np.float64, st.integers(0, 5), elements=st.floats(width=64))


@pytest.mark.parametrize("log", [True, False])
@settings(max_examples=25)
@given(values=st.lists(NUMBERS, min_size=1, max_size=3))
def test_histograms_take_any_numbers(log, values):
    if not log:
        values = [np.where(np.abs(v) > 1e150, np.inf, v) for v in values]
    draw(plot.histograms({"a": values}, "t", log=log))
    plt.close("all")


@pytest.mark.parametrize(
    ("values", "steps", "message"),
    [
        ({}, None, "at least one layer"),
        ({"a": []}, None, "at least one layer"),
        ({"a": [[1.0]], "b": [[1.0], [2.0]]}, None, r"have \[1, 2\]"),
        ({"a": [[1.0]]}, [1, 2], r"have \[1, 2\]"),
        ({str(i): [[1.0]] for i in range(25)}, None, "25 layers are too many"),
        ({"a": [[1e200]]}, None, "a has values beyond 1e.150: use log=True"),
    ],
)
def test_histograms_refuse(values, steps, message):
    with pytest.raises(ValueError, match=message):
        plot.histograms(values, "t", steps)
    assert not plt.get_fignums()


def test_shares_say_none_and_all_only_where_it_is_so():
    shares = (0, 1e-9, 0.004, 0.5, 0.123, 1 - 1e-9, 1)
    assert [percent(share) for share in shares] == [
        "0 %", "<0.1 %", "0.4 %", "50 %", "12.3 %", ">99.9 %", "100 %",
    ]  # fmt: skip


def test_gradient_flow_draws_the_norms_and_marks_what_has_no_logarithm():
    norms = {"a": [1.0, 0.0, 0.1], "b": [np.nan, 2.0, np.inf]}
    figure = draw(plot.gradient_flow(norms, "t", steps=[0, 5, 10]))
    a, zeros, b, lost, *_ = figure.axes[0].lines
    assert points(a)[0] == [0, 1.0] and points(a)[2] == [10, 0.1] and np.isnan(a.get_ydata()[1])
    assert points(b)[1] == [5, 2.0] and np.isfinite(b.get_ydata()).sum() == 1
    assert (points(zeros), points(lost)) == ([[5, 0.0]], [[0, 1.0], [10, 1.0]])
    assert legend(figure) == ["a", "b", "exactly zero", "NaN or infinite"]
    assert figure.axes[0].get_yscale() == "log"


def test_gradient_flow_equals_the_norms_of_the_tensors():
    gradients = [np.random.default_rng(i).normal(size=(4, 3)) for i in range(5)]
    norms = [F.norm(Tensor(g)) for g in gradients]
    line = plot.gradient_flow({"w": norms}, "t").axes[0].lines[0]
    assert line.get_ydata() == pytest.approx([np.linalg.norm(g) for g in gradients], rel=1e-12)


def test_gradient_flow_of_nothing_but_zeros_is_a_picture():
    draw(plot.gradient_flow({"a": [0.0, 0.0]}, "t"))
    draw(plot.gradient_flow({"a": [np.nan]}, "t"))


def test_by_depth_follows_the_layers_in_order_and_skips_absent_ones():
    runs = {"deep": {"1": 1.0, "2": 0.1, "3": 0.0}, "short": {"1": 2.0, "3": 4.0, "out": 5.0}}
    axes = draw(plot.by_depth(runs, "t")).axes[0]
    assert points(axes.lines[0])[:2] == [[0, 1.0], [1, 0.1]]
    assert points(axes.lines[1]) == [[2, 0.0]]
    assert points(axes.lines[2]) == [[0, 2.0], [2, 4.0], [3, 5.0]]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "3", "out"]


def test_by_depth_knows_layers_by_name_in_whatever_order_a_run_has_them():
    runs = {"up": {"1": 1.0, "2": 2.0}, "down": {"2": 20.0, "1": 10.0}}
    axes = draw(plot.by_depth(runs, "t")).axes[0]
    assert points(axes.lines[1])[:2] == [[0, 10.0], [1, 20.0]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plot.gradient_flow({}, "t"), "no norms to draw"),
        (lambda: plot.by_depth({}, "t"), "no norms to draw"),
        (lambda: plot.by_depth({"a": {}}, "t"), "a: a sequence of numbers"),
        (lambda: plot.gradient_flow({"a": [1.0], "b": [1.0, 2.0]}, "t"), "b has 2 norms for 1"),
        (lambda: plot.gradient_flow({"a": [-1.0]}, "t"), "a: a norm is not negative"),
    ],
)
def test_norms_refuse(call, message):
    with pytest.raises(ValueError, match=message):
        call()
    assert not plt.get_fignums()


def test_numbers_come_from_a_device():
    with strict_cupy.installed():
        v = put(np.array([0.0, 1.0, 2.0, 2.0]), "cuda")
        figure = plot.histograms({"a": [v], "b": [Tensor(v)]}, "t")
        assert [said for said, _ in cells(figure)] == [["zeros 25 %"]] * 2
        lines = plot.gradient_flow({"a": [v[1], v[2]], "b": v[1:3]}, "t").axes[0].lines
        assert points(lines[0]) == points(lines[1]) == [[0, 1.0], [1, 2.0]]
        figure = plot.confusion_matrix(v.astype(np.int64), [0, 1, 2, 0])
        assert texts(figure.axes[0])[:9:4] == ["1"] * 3


def test_what_is_no_number_is_refused():
    with pytest.raises(TypeError, match="w: real numbers are needed, not <U1"):
        plot.histograms({"w": [["a"]]}, "t")
    with pytest.raises(ValueError, match="w: the lists are not of equal lengths"):
        plot.histograms({"w": [[[1.0], [1.0, 2.0]]]}, "t")


def test_many_lines_go_from_dark_to_light():
    assert shades(7) == list(COLOURS)
    light = [sum(colour[:3]) for colour in shades(12)]
    assert len(light) == 12 and light == sorted(light)


def test_points_stand_beside_the_lines_and_each_kind_has_its_mark():
    pairs = {"trials": ([0.5], [3]), "all": ([0, 0.5], [1, 3]), "next": ([1], [2]), "more": [4, 5]}
    figure = draw(plot.curves([0, 1], {"a": [1, 2]}, "t", "x", "y", points=pairs))
    kinds = figure.axes[0].lines[1:]
    places = [[[0.5, 3.0]], [[0.0, 1.0], [0.5, 3.0]], [[1.0, 2.0]], [[1.0, 4.0], [2.0, 5.0]]]
    assert [points(kind) for kind in kinds] == places
    assert {(kind.get_linestyle(), kind.get_color()) for kind in kinds} == {("None", "black")}
    marks = [(kind.get_marker(), kind.get_markerfacecolor()) for kind in kinds]
    assert marks == [("o", "black"), ("o", "none"), ("v", "black"), ("o", "black")]
    assert legend(figure) == ["a", *pairs]


def test_points_leave_gaps_on_logarithmic_axes_and_pairs_must_match():
    line = [1, 2], {"a": [1, 2]}, "t", "x", "y"
    figure = draw(plot.curves(*line, log=True, points={"p": ([1, 2], [0.0, 1.0])}))
    assert np.isnan(figure.axes[0].lines[1].get_ydata()).tolist() == [True, False]
    with pytest.raises(ValueError, match="p: 2 steps for 1 values"):
        plot.curves(*line, points={"p": ([1, 2], [1])})
