"""Tests of the figure of a tape: what its boxes say, and that all of it is seen."""

from __future__ import annotations

import numpy as np
import pytest

from tests.plot.drawn import boxes
from tinygrad_llm import Tensor, keep_values, plot
from tinygrad_llm import functional as F
from tinygrad_llm.testing import strict_cupy


@pytest.fixture(autouse=True)
def close():
    """No figure outlives its test."""
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def neuron():
    w = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    b = Tensor(0.5, requires_grad=True)
    z = (w * w).sum() + b
    return w, b, z, F.tanh(z)


def notes(figure):
    return [t.get_text() for t in figure.axes[0].texts if t.get_fontsize() == 8]


def test_the_tape_is_in_order_of_creation():
    w, b, _, y = neuron()
    names = [node.op.name if node.op else "leaf" for node in plot.tape(y)]
    assert names == ["leaf", "leaf", "multiply", "sum", "add", "tanh"]
    assert plot.tape(y)[0].tensor() is w and plot.tape(y)[1].tensor() is b


def test_graph_shows_ops_shapes_and_names_downwards():
    w, _, z, y = neuron()
    figure = plot.graph(y, {"w": w, "z": z})
    shown = boxes(figure)
    assert {title: lines[0] for title, lines in shown.items()} == {
        "w": "(3,)", "leaf": "()", "multiply": "(3,)", "sum": "()", "z = add": "()", "tanh": "()",
    }  # fmt: skip
    titles = [title for title in shown if title != "leaf"]
    assert titles == ["w", "multiply", "sum", "z = add", "tanh"]
    arrows = [p for p in figure.axes[0].patches if type(p).__name__ == "FancyArrowPatch"]
    assert len(arrows) == 6  # w·w has two
    fills = {p.get_facecolor() for p in figure.axes[0].patches if p not in arrows}
    assert len(fills) == 3


def test_graph_of_several_outputs_names_each():
    x = Tensor(np.ones((2, 4)), requires_grad=True)
    left, right = F.split(x, 2, axis=1)
    figure = plot.graph(left * right, {"left": left, "right": right})
    assert boxes(figure)["left, right = split"] == ["2 × (2, 2)", "|value| 1"]


def test_without_values_a_box_has_title_and_shape():
    _, _, z, y = neuron()
    shown = boxes(plot.graph(y))
    assert shown["add"] == ["()"] and shown["tanh"] == ["()", "value 1"]
    assert shown["leaf"] in (["()", "value 0.5"], ["(3,)", "value [1, 2, 3]"])
    y.backward()
    assert boxes(plot.graph(y))["add"] == ["()"]
    assert boxes(plot.graph(y, {"z": z}))["z = add"] == ["()", "value 14.5"]


def test_values_and_gradients_are_those_kept():
    w = Tensor([2.0, -0.5], requires_grad=True)
    x = Tensor([1.0, 3.0, 4.0, 0.0], requires_grad=True)
    with keep_values():
        s, t = (w * 2.0).sum(), x.sum()
        y = s * t
    y.backward()
    assert boxes(plot.graph(y, {"w": w, "x": x, "y": y, "s": s, "t": t})) == {
        "w": ["(2,)", "value [2, −0.5]", "gradient [16, 16]"],
        "x": ["(4,)", "|value| 2.55", "|gradient| 3"],  # √(26 / 4)
        "multiply": ["(2,)", "value [4, −1]", "gradient [8, 8]"],
        "s = sum": ["()", "value 3", "gradient 8"],
        "t = sum": ["()", "value 8", "gradient 3"],
        "y = multiply": ["()", "value 24", "gradient 1"],
    }


def test_a_named_tensor_shows_the_gradient_that_it_retained():
    _, _, z, y = neuron()
    z.retain_grad()
    (y * 1e6).backward()
    shown = boxes(plot.graph(y, {"z": z}))["z = add"]
    assert shown == ["()", "value 14.5", f"gradient {z.grad.item():.3g}".replace("-", "−")]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (1234.5, "value 1.23e+03"),
        (-0.000123456, "value −0.000123"),
        (np.nan, "value nan"),
        ([0.0], "value [0]"),
        ([[1.0], [2.0]], "value [1, 2]"),
        ([1.0, 2.0, 3.0], "value [1, 2, 3]"),
        ([0.0] * 4, "|value| 0"),
        ([3e-200, -4e-200] * 2, "|value| 3.54e−200"),
        ([3e200, -4e200] * 2, "|value| 3.54e+200"),
        ([1.0, np.nan, 2.0, 3.0], "|value| nan"),
        ([1.0, np.inf, 2.0, 3.0], "|value| inf"),
    ],
)
def test_numbers_have_three_digits_and_many_are_a_root_mean_square(data, text):
    x = Tensor(np.array(data, np.float64), requires_grad=True)
    figure = plot.graph(x * 1.0, {"x": x})
    assert boxes(figure)["x"][1:] == [text]
    assert len(notes(figure)) == text.startswith("|")


def test_empty_arrays_and_integer_outputs_have_no_numbers():
    x = Tensor(np.ones((0, 3), np.float32), requires_grad=True)
    assert boxes(plot.graph((x * 1.0).sum(), {"x": x}))["x"] == ["(0, 3)"]


def test_numbers_come_from_a_device():
    with strict_cupy.installed():
        x = Tensor([1.0, 2.0], requires_grad=True, device="cuda")
        with keep_values():
            y = (x * x).sum()
        y.backward()
        shown = boxes(plot.graph(y, {"x": x}))
    assert shown["multiply"] == ["(2,)", "value [1, 4]", "gradient [1, 1]"]
    assert shown["x"] == ["(2,)", "value [1, 2]", "gradient [2, 4]"]


def test_a_dollar_in_a_name_is_no_formula():
    x = Tensor(1.0, requires_grad=True)
    assert r"\$x\$" in boxes(plot.graph(x * 2.0, {"$x$": x}))


def test_everything_is_within_the_figure():
    w = Tensor([[0.5, 0.1], [0.2, 0.3]], requires_grad=True)
    h = Tensor([[1.0, 2.0]], requires_grad=True)
    b = Tensor([[0.1, 0.2]], requires_grad=True)
    states = [h]
    for _ in range(14):
        states.append(F.tanh(states[-1] @ w + b))
    assert_within(plot.graph(states[-1].sum()))  # edges go far around
    left, right = {"x" * 60: w}, {"y" * 60: h}
    assert_within(plot.graph(h @ w, left | right))


def assert_within(figure):
    assert figure.get_size_inches()[0] > 5.5
    whole = figure.axes[0].get_window_extent()
    for patch in figure.axes[0].patches:
        box = patch.get_window_extent()
        assert whole.x0 < box.x0 and box.x1 < whole.x1
        assert whole.y0 < box.y0 and box.y1 < whole.y1


def test_a_wide_layer_is_parted():
    many = [Tensor(float(i), requires_grad=True) for i in range(29)]
    figure = plot.graph(F.stack(many))
    assert figure.get_size_inches()[0] < 20.0
    leaves = {p.get_bbox().y0 for p in figure.axes[0].patches if hasattr(p, "get_bbox")}
    assert len(leaves) > 2
