"""Tests of the charts: what is drawn is what was given; odd numbers give a picture or one line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tinygrad_llm import Tensor, manual_seed, plot
from tinygrad_llm import functional as F
from tinygrad_llm.backend import put
from tinygrad_llm.plot import fonts
from tinygrad_llm.plot.style import COLOURS, percent, shades
from tinygrad_llm.testing import strict_cupy


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """No figure outlives its test, and none depends on the fonts of the machine."""
    monkeypatch.setattr(fonts, "chinese_family", lambda: None)
    yield
    plt.close("all")


def draw(figure):
    """Everything that drawing runs into comes up here."""
    figure.canvas.draw()
    return figure


def texts(axes):
    return [text.get_text() for text in axes.texts]


def legend(figure):
    return [text.get_text() for box in figure.legends for text in box.get_texts()]


def points(line):
    return np.stack(line.get_data(), axis=1).tolist()


# Lines


def test_curves_leave_gaps_and_mark_the_lowest_point():
    y = [1e-3, 0.0, 1e-5, np.nan, 1e-2]
    figure = plot.curves([1, 2, 3, 4, 5], {"a": y}, "t", "x", "y", log=True, lowest=["a"])
    line, dot = figure.axes[0].lines
    assert np.isnan(line.get_ydata()[[1, 3]]).all() and np.isfinite(line.get_ydata()[[0, 2]]).all()
    assert (dot.get_xdata().item(), dot.get_ydata().item()) == (3.0, 1e-5)
    assert figure.axes[0].get_xscale() == figure.axes[0].get_yscale() == "log"


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
        assert (
            plot.confusion_counts(v.astype(np.int64), [0, 1, 2, 0]).diagonal().tolist() == [1] * 3
        )


def test_what_is_no_number_is_refused():
    with pytest.raises(TypeError, match="w: real numbers are needed, not <U1"):
        plot.histograms({"w": [["a"]]}, "t")
    with pytest.raises(ValueError, match="w: the lists are not of equal lengths"):
        plot.histograms({"w": [[[1.0], [1.0, 2.0]]]}, "t")


def test_many_lines_go_from_dark_to_light():
    assert shades(7) == list(COLOURS)
    light = [sum(colour[:3]) for colour in shades(12)]
    assert len(light) == 12 and light == sorted(light)


# Surfaces


def test_descent_draws_each_way():
    ways = {"a": [(0.9, 0.9), (0.5, 0.1)], "b": [(0.9, 0.9)] * 60}
    figure = plot.descent(lambda x, y: x * x + y * y, ways, ((-1, 1), (-1, 1)), "t")
    few, many, start = figure.axes[0].lines
    assert few.get_marker() == "o" and many.get_marker() == "None"
    assert (start.get_xdata().item(), start.get_ydata().item()) == (0.9, 0.9)


@pytest.fixture
def bowl():
    """Parameters in two tensors, and the loss 1·a² + 4·b² + 9·c²."""
    parameters = [
        Tensor(np.array([[1.0, 2.0]], np.float32), requires_grad=True),
        Tensor(np.array([3.0], np.float32), requires_grad=True),
    ]
    scale = Tensor(np.array([[1.0, 4.0]], np.float32))

    def loss():
        ab, c = parameters
        return (scale * ab * ab).sum() + 9.0 * (c * c).sum()

    return loss, parameters


AXES = [[np.array([[1.0, 0.0]]), np.array([0.0])], [np.array([[0.0, 0.0]]), np.array([2.0])]]


def test_surface_values_are_the_loss_at_each_point(bowl):
    span = ((-1.0, 1.0), (0.0, 3.0))
    surface = plot.surface_values(*bowl, directions=AXES, span=span, points=4)
    assert surface.x == pytest.approx([-1, -1 / 3, 1 / 3, 1])
    assert surface.y == pytest.approx([0, 1, 2, 3])
    a, c = np.meshgrid(1 + surface.x, 3 + 2 * surface.y)
    assert surface.values == pytest.approx(a**2 + 16 + 9 * c**2, rel=1e-6)
    assert surface.path is None and surface.shares is None


def path_of(bowl, rate=0.02, steps=20):
    loss, parameters = bowl
    path = [[p.numpy().copy() for p in parameters]]
    for _ in range(steps):
        loss().backward()
        for p in parameters:
            p.data -= rate * p.grad.data
            p.grad = None
        path.append([p.numpy().copy() for p in parameters])
    return path


def flat(snapshot):
    return np.concatenate([np.ravel(array) for array in snapshot]).astype(float)


def test_the_plane_of_a_path_goes_through_its_end_along_its_principal_directions(bowl):
    path = path_of(bowl)
    surface = plot.surface_values(*bowl, path=path, points=5)
    steps = np.stack([flat(s) for s in path]) - flat(path[-1])
    sizes = np.linalg.svd(steps, compute_uv=False)
    assert surface.path[-1] == pytest.approx([0, 0], abs=1e-12)
    assert (surface.path**2).sum(axis=0) == pytest.approx(sizes[:2] ** 2)
    assert surface.shares == pytest.approx(sizes[:2] ** 2 / (sizes**2).sum())
    for ends, values in zip(
        ((surface.x[0], surface.x[-1]), (surface.y[0], surface.y[-1])), surface.path.T
    ):
        assert ends[0] < values.min() and values.max() < ends[1]


def test_the_middle_of_the_surface_is_the_end_of_the_path_exactly(bowl):
    path = path_of(bowl)
    for p in bowl[1]:
        p.data[...] = 77.0
    surface = plot.surface_values(*bowl, path=path, span=((-1, 1), (-1, 1)), points=3)
    for p, end in zip(bowl[1], path[-1]):
        p.data[...] = end
    assert surface.values[1, 1] == bowl[0]().item()


def test_a_path_is_projected_onto_given_directions(bowl):
    path = [[np.array([[4.0, 7.0]]), np.array([5.0])], [np.array([[1.0, 2.0]]), np.array([3.0])]]
    surface = plot.surface_values(*bowl, directions=AXES, path=path, points=3)
    assert surface.path == pytest.approx(np.array([[3.0, 1.0], [0.0, 0.0]]))
    assert surface.shares == pytest.approx([9 / 38, 4 / 38])


def test_a_straight_path_gets_a_second_direction_at_right_angles(bowl):
    start = [np.array([[4.0, 2.0]]), np.array([3.0])]
    end = [np.array([[1.0, 2.0]]), np.array([3.0])]
    surface = plot.surface_values(*bowl, path=[start, end], points=3)
    assert np.abs(surface.path) == pytest.approx(np.array([[3.0, 0.0], [0.0, 0.0]]), abs=1e-9)
    assert surface.shares == pytest.approx([1.0, 0.0], abs=1e-12)
    assert surface.y[0] < 0 < surface.y[-1]


def test_a_path_across_the_given_directions_still_has_a_surface(bowl):
    path = [[np.array([[1.0, 7.0]]), np.array([3.0])], [np.array([[1.0, 2.0]]), np.array([3.0])]]
    figure = draw(plot.loss_surface(*bowl, directions=AXES, path=path, points=3))
    assert figure.axes[0].get_xlim() == (-1.0, 1.0)
    assert figure.axes[0].get_xlabel() == "direction 1 (0 % of the path)"


def test_random_directions_have_filters_as_long_as_the_parameters():
    shapes = [(5, 3), (3,), (2, 4, 2, 2), (4,)]
    generator = np.random.default_rng(0)
    parameters = [Tensor(generator.normal(size=s), requires_grad=True) for s in shapes]
    parameters[3].data[...] = 0.0
    seen = []

    def loss():
        seen.append([p.numpy().copy() for p in parameters])
        return parameters[0].sum()

    manual_seed(3)
    plot.surface_values(loss, parameters, span=((0, 1), (0, 1)), points=2)
    before, along_x, along_y = seen[0], seen[1], seen[2]
    axes = [0, None, (1, 2, 3), None]
    for moved in (along_x, along_y):
        for w, v, axis in zip(before, moved, axes):
            lengths = [np.sqrt(np.sum(each**2, axis=axis)) for each in (w, v - w)]
            assert lengths[1] == pytest.approx(lengths[0])
    assert not np.allclose(along_x[0], along_y[0])
    manual_seed(3)
    plot.surface_values(loss, parameters, span=((0, 1), (0, 1)), points=2)
    assert all((a == b).all() for a, b in zip(along_x, seen[5]))


def bits(parameters):
    return [p.numpy().tobytes() for p in parameters]


def test_the_parameters_have_their_bits_and_their_memory_afterwards(bowl):
    loss, parameters = bowl
    parameters[0].data[0, 0] = np.float32(0.1)
    before, memory = bits(parameters), [p.data for p in parameters]
    plot.loss_surface(loss, parameters, points=3)
    assert bits(parameters) == before
    assert all(p.data is array for p, array in zip(parameters, memory))
    assert all(p.grad is None for p in parameters)


def interrupted(error):
    def end():
        if error is KeyboardInterrupt:
            signal.raise_signal(signal.SIGINT)
        raise error

    return end


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_the_parameters_are_put_back_when_the_loss_ends_otherwise(bowl, error):
    _, parameters = bowl
    before = bits(parameters)
    with pytest.raises(error):
        plot.loss_surface(interrupted(error), parameters, points=3)
    assert bits(parameters) == before
    assert not plt.get_fignums()


def test_the_surface_leaves_no_tape(bowl):
    kept = []
    plot.surface_values(lambda: kept.append(bowl[0]()) or kept[-1], bowl[1], points=2)
    assert not any(loss.requires_grad for loss in kept)


def test_loss_surface_draws_the_path_with_its_ends_and_shares(bowl):
    path = path_of(bowl)
    figure = draw(plot.loss_surface(*bowl, path=path, points=5))
    surface = plot.surface_values(*bowl, path=path, points=5)
    _, way, start, end = figure.axes[0].lines
    assert np.stack(way.get_data(), axis=1) == pytest.approx(surface.path)
    assert points(start) == [surface.path[0].tolist()] and points(end) == [
        surface.path[-1].tolist()
    ]
    assert legend(figure) == ["path", "start", "end"]
    share = float(re.search(r"\(([\d.]+) % of the path\)", figure.axes[0].get_xlabel())[1])
    assert share == pytest.approx(100 * surface.shares[0], rel=5e-3)


def test_loss_surface_of_flat_steep_and_partly_lost_losses_is_a_picture(bowl):
    _, parameters = bowl
    x = parameters[0]
    draw(plot.loss_surface(lambda: 0.0 * x.sum() + 3.0, parameters, points=3))
    draw(plot.loss_surface(lambda: 0.0 * x.sum(), parameters, points=3))
    draw(plot.loss_surface(lambda: F.exp(30.0 * x).sum(), parameters, points=5))
    draw(plot.loss_surface(lambda: F.log(x).sum(), parameters, span=((-4, 4), (-4, 4)), points=9))
    with pytest.raises(ValueError, match="nowhere finite"):
        plot.loss_surface(lambda: x.sum() * np.nan, parameters, points=3)


def test_the_surface_of_parameters_on_a_device(bowl):
    expected = plot.surface_values(*bowl, directions=AXES, points=3).values
    with strict_cupy.installed():
        a, c = (p.to("cuda") for p in (each.detach() for each in bowl[1]))
        scale = Tensor(np.array([[1.0, 4.0]], np.float32), device="cuda")
        values = plot.surface_values(
            lambda: (scale * a * a).sum() + 9.0 * (c * c).sum(), [a, c], AXES, points=3
        ).values
        assert values == pytest.approx(expected)
        assert (a.numpy().tolist(), c.numpy().tolist()) == ([[1.0, 2.0]], [3.0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"directions": AXES[:1]}, "two are needed, not 1"),
        ({"directions": [AXES[0], AXES[0]]}, "lie on one line"),
        ({"directions": [AXES[0], [np.ones(2), np.ones(1)]]}, r"directions\[1\]: arrays of the"),
        ({"path": [AXES[0], AXES[0]]}, "path: it does not move"),
        ({"path": [AXES[0], [np.full((1, 2), np.nan), np.ones(1)]]}, r"path\[1\]: NaN"),
        ({"path": [AXES[0][:1]]}, r"path\[0\]: arrays of the shapes"),
        ({"path": []}, "path: it does not move"),
        ({"path": [AXES[0]], "directions": AXES}, "path: it does not move"),
        ({"points": 1}, "points = 1: at least 2"),
    ],
)
def test_surface_values_refuse(bowl, options, message):
    with pytest.raises(ValueError, match=message):
        plot.surface_values(*bowl, **options)


def test_surface_values_refuse_what_is_no_loss_and_no_parameter(bowl):
    loss, parameters = bowl
    with pytest.raises(ValueError, match="a Tensor with one number"):
        plot.surface_values(lambda: parameters[0] * 1.0, parameters)
    with pytest.raises(ValueError, match="a Tensor with one number"):
        plot.surface_values(lambda: 3.0, parameters)
    with pytest.raises(TypeError, match=r"parameters\[0\]: a Tensor of floating dtype"):
        plot.surface_values(loss, [Tensor([1, 2])])
    with pytest.raises(ValueError, match="at least two numbers"):
        plot.surface_values(loss, parameters[1:])


# Matrices


def test_confusion_counts():
    counts = plot.confusion_counts([0, 0, 1, 2, 2, 2], [0, 1, 1, 0, 2, 2])
    assert counts.dtype == np.int64
    assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 2]]
    assert plot.confusion_counts([0], [0], classes=2).tolist() == [[1, 0], [0, 0]]
    assert plot.confusion_counts(Tensor(np.array([True, False])), [1, 1]).tolist() == [
        [0, 1],
        [0, 1],
    ]


@pytest.mark.parametrize(
    ("true", "predicted", "labels", "message"),
    [
        ([0, 1], [0], None, "2 true and 1 predicted classes"),
        ([], [], None, "0 true and 0 predicted"),
        ([0, 2], [0, 1], ["a", "b"], "class 2 is not in 0..1"),
        ([0, 1], [0, -1], None, "class -1 is not in 0..1"),
        ([0, 40], [0, 1], None, "41 classes"),
    ],
)
def test_confusion_matrix_refuses(true, predicted, labels, message):
    with pytest.raises(ValueError, match=message):
        plot.confusion_matrix(true, predicted, labels)
    with pytest.raises(TypeError, match="class numbers are integers"):
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


def test_normalized_cells_are_percent_of_the_row():
    figure = plot.confusion_matrix([0, 0, 0, 1], [0, 0, 1, 1], normalize=True)
    assert texts(figure.axes[0])[:4] == ["67", "33", "0", "100"]


def test_labels_that_cannot_be_shown_become_numbers_of_classes():
    figure = draw(plot.confusion_matrix([0, 1, 2], [0, 1, 2], ["体育", "news", "财经"], "新闻"))
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["class 0", "news", "class 2"]
    assert figure.get_supxlabel().endswith(fonts.ADVICE)


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
