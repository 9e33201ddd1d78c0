"""Tests of the figure of a search."""

from __future__ import annotations

import math
from itertools import pairwise

import matplotlib.pyplot as plt
import pytest

from tests.plot.drawn import draw, points
from tinygrad_llm import plot
from tinygrad_llm.training.spaces import Choice, Integer, LogUniform, Uniform
from tinygrad_llm.training.trials import SearchResult, Trial

pytestmark = pytest.mark.usefixtures("plain")

SPACE = {
    "lr": LogUniform(1e-4, 1.0),
    "dropout": Uniform(0.0, 0.5),
    "layers": Integer(1, 8),
    "act": Choice(["relu", "tanh"]),
}


def result_of(values, maximize=False, space=SPACE):
    """Trials with these values, along a diagonal of the space."""
    trials = []
    for i, value in enumerate(values):
        full = {"lr": 10.0 ** -(i % 5), "dropout": 0.1 * (i % 6), "layers": 1 + i % 8}
        full |= {"act": ["relu", "tanh"][i % 2]}
        trials.append(Trial({name: full[name] for name in space}, value, 0.1))
    return SearchResult(trials, space, maximize)


def lines(axes):
    """What is drawn, by its label; the trials have none."""
    return {line.get_label(): points(line) for line in axes.lines}


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_trials_stand_in_order_with_the_best_so_far():
    figure = draw(plot.search(result_of([3.0, 2.0, 2.5, 1.0]), "Runs", "validation loss"))
    first = figure.axes[0]
    assert points(first.lines[0]) == [[1, 3.0], [2, 2.0], [3, 2.5], [4, 1.0]]
    assert lines(first)["best so far"] == [[1, 3.0], [2, 2.0], [3, 2.0], [4, 1.0]]
    assert lines(first)["best: 1"] == [[4, 1.0]]
    assert (figure.get_suptitle(), first.get_ylabel()) == ("Runs", "validation loss")


def test_each_setting_has_a_panel_with_the_axis_that_suits_it():
    figure = draw(plot.search(result_of([3.0, 2.0, 2.5, 1.0])))
    panels = figure.axes[1:]
    assert [axes.get_xlabel() for axes in panels] == list(SPACE)
    assert [axes.get_xscale() for axes in panels] == ["log", "linear", "linear", "linear"]
    assert points(panels[0].lines[0]) == [[1.0, 3.0], [0.1, 2.0], [0.01, 2.5], [0.001, 1.0]]
    assert points(panels[3].lines[0]) == [[0, 3.0], [1, 2.0], [0, 2.5], [1, 1.0]]
    assert [tick.get_text() for tick in panels[3].get_xticklabels()] == ["relu", "tanh"]
    for axes, dimension in zip(panels, (SPACE["lr"], SPACE["dropout"], SPACE["layers"])):
        low, high = axes.get_xlim()
        assert low < dimension.low and dimension.high < high
    assert all(tick == round(tick) for tick in panels[2].get_xticks())
    assert all(axes.get_ylim() == figure.axes[0].get_ylim() for axes in panels)


def test_choices_that_are_equal_in_python_stand_apart():
    space = {"a": Choice([1, 1.0, True])}
    trials = [Trial({"a": value}, 1.0, 0.1) for value in (True, 1.0, 1)]
    panel = draw(plot.search(SearchResult(trials, space))).axes[1]
    assert [x for x, _ in points(panel.lines[0])] == [2.0, 1.0, 0.0]
    assert [tick.get_text() for tick in panel.get_xticklabels()] == ["1", "1.0", "True"]


def test_under_maximize_the_best_is_the_highest():
    first = draw(plot.search(result_of([0.1, 0.4, 0.3], maximize=True))).axes[0]
    assert lines(first)["best: 0.4"] == [[2, 0.4]]
    assert lines(first)["best so far"] == [[1, 0.1], [2, 0.4], [3, 0.4]]


@pytest.mark.parametrize("maximize", [False, True])
def test_diverged_trials_stand_at_the_worse_edge(maximize):
    sign = -1 if maximize else 1
    values = [math.nan, 3.0 * sign, 1e20 * sign, 1.0 * sign, 2.0 * sign, math.inf, -math.inf]
    first = draw(plot.search(result_of(values, maximize))).axes[0]
    drawn = lines(first)
    assert [x for x, _ in drawn["not finite"]] == [1, 6, 7]
    far = "far off: -1e+20" if maximize else "far off: 1e+20"
    assert [x for x, _ in drawn[far]] == [3]
    heights = [y for name in ("not finite", far) for _, y in drawn[name]]
    assert all(y < 0.1 if maximize else y > 0.9 for y in heights)
    low, high = first.get_ylim()
    assert max(-low, high) < 5.0
    room = (3.0 - low) / (high - low) if maximize is False else (3.0 + high) / (high - low)
    assert room < min(max(y, 1 - y) for y in heights) - 0.02
    best = [y for _, y in drawn["best so far"]]
    assert math.isnan(best[0]) and best[1:] == [sign * v for v in (3.0, 3.0, 1.0, 1.0, 1.0, 1.0)]
    assert legend(first) == [far, "not finite", f"best: {sign}", "best so far"]


def test_the_legend_gives_the_range_of_the_trials_that_are_far_off():
    first = draw(plot.search(result_of([1.0, 50.0, 1.5, 900.0, 2.0, 1.2, 70.0, 1.1]))).axes[0]
    assert [x for x, _ in lines(first)["far off: 50 … 900"]] == [2, 4, 7]


def test_a_log_axis_of_values():
    figure = draw(plot.search(result_of([1e-3, 1.0, 10.0]), log=True))
    assert [axes.get_yscale() for axes in figure.axes] == ["log"] * 5
    assert len(figure.axes[0].lines[0].get_xdata()) == 3


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6])
def test_panels_and_their_names_do_not_touch(count):
    names = ["lr", "optimizer", "width", "weight_decay", "e", "f"][:count]
    space = {name: Choice(["gradient descent", "momentum", "adam"]) for name in names}
    trials = [Trial(dict.fromkeys(names, "adam"), v, 0.1) for v in (1.0, 2.0)]
    figure = draw(plot.search(SearchResult(trials, space)))
    boxes = [axes.get_tightbbox() for axes in figure.axes]
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])


def test_many_choices_stand_side_by_side():
    lrs = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0]
    space = {"lr": Choice(lrs), "a": Choice([1]), "b": Choice([1])}
    figure = draw(plot.search(SearchResult([Trial({"lr": 0.1, "a": 1, "b": 1}, 1.0, 0.1)], space)))
    boxes = [tick.get_window_extent() for tick in figure.axes[1].get_xticklabels()]
    assert len(boxes) == 11
    assert all(one.x1 <= other.x0 for one, other in pairwise(boxes))


def test_all_values_alike_and_a_single_trial():
    draw(plot.search(result_of([1.0] * 5)))
    draw(plot.search(result_of([1.0, math.nan])))
    draw(plot.search(result_of([0.0], space={"layers": SPACE["layers"]})))


def test_choices_that_no_font_shows_are_called_by_number():
    space = {"act": Choice(["修正", "tanh"])}
    figure = plot.search(SearchResult([Trial({"act": "修正"}, 1.0, 0.1)], space))
    assert [t.get_text() for t in figure.axes[1].get_xticklabels()] == ["choice 1", "tanh"]


@pytest.mark.parametrize(
    ("result", "log", "message"),
    [
        (result_of([]), False, "none of 0 trials has a finite value"),
        (result_of([math.nan]), False, "none of 1 trials has a finite value"),
        (result_of([1.0, 0.0]), True, "0 has no logarithm"),
        (SearchResult([Trial({}, 1.0, 0.1)], dict.fromkeys(range(13))), False, "13 settings"),
    ],
)
def test_what_cannot_be_drawn_is_refused(result, log, message):
    with pytest.raises(ValueError, match=message):
        plot.search(result, log=log)
    assert not plt.get_fignums()
